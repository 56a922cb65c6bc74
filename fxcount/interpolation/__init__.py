"""One formula for what many analyses find: exact interpolation over points of variables, and checks at others.

``interpolate`` and ``periods`` are arithmetic alone; ``family`` decides which points are needed and whether a formula holds;
``result`` is what the user gets. Where analyses come from, builds of a model or sizes of one, is up to a ``Source``.
"""
