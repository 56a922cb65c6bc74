"""Pictures of a report: layouts, SVG, and what a notebook shows."""
