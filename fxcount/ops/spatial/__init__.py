"""Over space and time: pooling, resampling, padding, windows, regions, Fourier transforms."""
