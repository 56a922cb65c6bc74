"""Quantisation and products with packed weights."""
