"""Element by element: arithmetic, functions, activations, comparisons, bits, complex numbers, dropout."""
