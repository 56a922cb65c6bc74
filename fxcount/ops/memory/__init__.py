"""Memory and its views: making, viewing, joining, copying, indexing and scattering. Little arithmetic."""
