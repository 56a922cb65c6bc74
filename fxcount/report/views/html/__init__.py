"""The report as one HTML file in which the formulas are alive: no server, no network, opened from disk."""
