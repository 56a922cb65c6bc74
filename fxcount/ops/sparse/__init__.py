"""Sparse operands: what torch's ops do where some elements only are stored, and the ops that make such tensors."""
