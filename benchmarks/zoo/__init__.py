"""Every model of the big zoos through fxcount: ``python -m benchmarks.zoo --help``.

One file a family lists its models with inputs known to fit (:mod:`~benchmarks.zoo.entry`); ``measure`` makes one record of
one model, ``runner`` does so in worker processes, and ``results`` writes RESULTS.md from the records.
"""
