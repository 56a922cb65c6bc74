"""The report as data: totals and rows, as formulas and at sizes. Knows no view."""
