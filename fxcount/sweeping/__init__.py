"""Many models: a row each, counted in processes of their own, kept as they come, and compared."""
