"""Benchmarks of fxcount: ``python benchmarks/speed.py`` and ``python benchmarks/readable.py``."""
