"""Rules that tools which patch ``torch.nn.functional`` share.

Such a tool sees ``F.relu(x)``, ``torch.add(x, y)`` and ``x.add(y)``, not ``x.relu()`` or ``x + y``.
"""

from __future__ import annotations

from collections.abc import Callable

from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.sites import Counted, OpRule, Site
from fxcount.symbolic import Size, max_, prod

__all__ = ["POOLS", "front_aligned", "if_function", "named", "per_input", "scaled_size", "unless_operator"]

POOLS = tuple(
    f"{kind}_pool{n}d" for kind in ("avg", "max", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)
) + tuple(f"max_pool{n}d_with_indices" for n in (1, 2, 3))  # fmt: skip

_AS_METHOD = ("softmax",)  # what torch.nn.functional itself calls as a method


def per_input(site: Site) -> Counted:
    """One per element of the operand."""
    return Counted(site.x.numel, "1 per input element")


def if_function(rule: OpRule) -> OpRule:
    """``rule`` for calls of a function; methods and operators are not seen."""
    return lambda site: rule(site) if site.called == "function" or site.name in _AS_METHOD else None


def unless_operator(rule: OpRule) -> OpRule:
    """``rule`` for calls of a function or a method; ``x + y``, ``x * y`` and ``x @ y`` are not seen."""
    return lambda site: rule(site) if site.called != "operator" else None


def named(names: tuple[str, ...], rule: OpRule, seen: Callable[[OpRule], OpRule] = if_function) -> dict[str, OpRule]:
    """``rule`` for each of the ops, and for its in-place variant."""
    return {name + suffix: seen(rule) for name in names for suffix in ("", "_")}


def front_aligned(site: Site) -> Counted:
    """Elements of a broadcast that pairs dimensions from the front, as ptflops and calflops do."""
    a, b = site.arg(0, "input"), site.arg(1, "other")
    if not isinstance(a, TensorFact) or not isinstance(b, TensorFact):
        return Counted(site.x.numel, "1 per element")
    longest = max(a.ndim, b.ndim)
    shapes = [(*t.shape, *[1] * (longest - t.ndim)) for t in (a, b)]
    return Counted(prod([_larger(i, j) for i, j in zip(*shapes, strict=True)]), "1 per element, broadcast from the front")


def _larger(a: Size, b: Size) -> Size:
    if a == b or b == 1:
        return a
    return b if a == 1 else max_(a, b)


def scaled_size(site: Site) -> tuple[Size, list[float]] | None:
    """Of an ``interpolate`` by ``scale_factor``: elements of the operand and the factors; ``None`` if it got a size."""
    if site.arg(1, "output_size") is not None:
        return None
    factors = next((a for a in reversed((*site.args, *site.kwargs.values())) if isinstance(a, (tuple, list))), [])
    return site.x.numel, [float(f) for f in factors]
