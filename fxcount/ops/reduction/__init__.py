"""Along dimensions: sums and extremes, running ones, softmax, sorting, statistics."""
