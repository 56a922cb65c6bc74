"""The same examples on every run, few enough for a small machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "symbolic", derandomize=True, max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("symbolic")
