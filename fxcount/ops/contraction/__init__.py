"""Sums of products: convolutions, matrix products, einsum, attention, recurrent layers."""
