"""Comparisons and budgets."""
