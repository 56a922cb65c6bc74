"""Losses: on values, on classes, on distances."""
