"""Linear algebra: factorizations, singular values, solvers."""
