"""Ops without a shape rule: run once under FakeTensorMode with a ShapeEnv, and their symbolic sizes translated.

The op becomes an :class:`~fxcount.ops.core.registry.Op` like any other, whose shape rule is that run; so it is memoised by
signature, and a custom op with ``register_fake`` (and ``torch.utils.flop_counter.register_flop_formula``) just works. What the
formula says are flops, 2 for each multiply-accumulate as torch's counter has it; its macs are half of it. It is asked at the
sample sizes, and what it decides on sizes is assumed as what the model decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import DataDependentError, UncountedError, UnsupportedError, first_line
from fxcount.ops import Alias, Op, TensorFact, Work
from fxcount.ops.core.common import facts_in
from fxcount.ops.core.registry import Count, Unknown
from fxcount.symbolic import Expr, Scope, Size, free_symbols, from_sympy, to_rows
from fxcount.torch_private import pytree
from fxcount.trace.arithmetic import ARITHMETIC, operands_of
from fxcount.trace.torch_guards import adopt, guards_of, renamed
from fxcount.trace.tracer.recorder import Recorder

__all__ = ["fake_call", "record_unknown"]


def record_unknown(tracer: Recorder, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of an op fxcount has no rule for."""
    name = getattr(func, "__name__", str(func))

    formula = _flop_formula(func)
    found: dict[str, Size | None] = {}  # what the formula said, by operands

    def shape(scope: Scope, *a: Any, **k: Any) -> Any:
        facts, found[repr((a, k))] = fake_call(func, a, k, scope.hints, scope, formula)
        return facts

    def cost(y: Any, *a: Any, **k: Any) -> Work:
        flops = found.get(repr((a, k)))
        if flops is None:
            raise UncountedError(f"{name}: its flop formula gives no number", hint="see torch's register_flop_formula")
        return Work(macs=flops // 2, flops=flops)

    def counted(scope: Scope, count: Count, *a: Any, **k: Any) -> Any:
        facts, found[repr((a, k))] = fake_call(func, a, k, scope.hints, scope, formula, count)
        return facts

    entry = Op(
        name, shape, cost if formula is not None else Unknown(), inplace=_is_inplace(func, name), counted=counted,
        schema=torch_private.schema(func).name if hasattr(func, "_schema") else "",
        random=torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()), flop_formula=formula is not None,
    )  # fmt: skip
    tracer.resolve(func, entry)
    tracer.slow_ops.append(name)
    return tracer.record(entry, func, args, kwargs)


def _is_inplace(func: Any, name: str) -> bool:
    schema = torch_private.schema(func)
    if schema is not None:
        return bool(schema.is_mutable and schema.returns and schema.arguments[0].alias_info is not None)
    return name.endswith("_") and not name.endswith("__")


def _flop_formula(func: Any) -> Callable[..., Any] | None:
    from torch.utils.flop_counter import flop_registry

    packet = getattr(func, "overloadpacket", func)
    return flop_registry.get(packet)


def fake_call(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], hints: Mapping[str, int],
    scope: Scope | None, formula: Callable[..., Any] | None = None, count: Count | None = None,
) -> tuple[Any, Size | None]:  # fmt: skip
    """Run ``func`` on fake tensors of symbolic shape; its result as facts, and what a formula, if given, says of its flops:
    ``None`` if it fails. Of a fraction the floor is taken.

    Decisions torch takes on the way become assumptions of ``scope``. Sizes that depend on data (``new_dynamic_size``) raise
    :class:`~fxcount.errors.DataDependentError`, or become symbols of ``count``.
    """
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

    env = ShapeEnv()
    symbols: dict[str, Any] = {}
    back: dict[Any, str] = {}
    leaves, tree = pytree.tree_flatten((args, kwargs))
    sizes = [s for f in facts_in(leaves) for s in (*f.shape, *f.stride())] + [x for x in leaves if isinstance(x, Expr)]
    for name in sorted({n for s in sizes for n in free_symbols(s)}):
        source = torch_private.ConstantSource(name)
        symbol = env.create_symbol(hints[name], source, dynamic_dim=DimDynamic.DYNAMIC)
        symbols[name] = env.create_symintnode(symbol, hint=hints[name], source=source)
        back[symbol] = name
    mode = torch_private.FakeTensorMode(shape_env=env, allow_non_fake_inputs=True)
    with torch_private.DisableTorchFunction(), mode:
        fakes = [_fake(leaf, symbols) for leaf in leaves]
        a, k = pytree.tree_unflatten(fakes, tree)
        try:
            result = func(*a, **k)
        except Exception as error:
            raise UnsupportedError(
                f"fxcount has no rule for {getattr(func, '__name__', func)}, and torch's fake run of it failed: "
                f"{first_line(error)}",
                hint="register a rule with fxcount.rule(...), or a fake implementation with torch.library.register_fake",
            ) from error
        _name_unbacked(env, back, scope, getattr(func, "__name__", str(func)), count)
        storages = {torch_private.storage_key(t.untyped_storage()): i for i, t in reversed(list(enumerate(_tensors(fakes))))}
        flops = _formula_value(formula, a, k, result, back) if formula is not None else None
        facts = pytree.tree_map(lambda leaf: _fact(leaf, back, storages), result)
    if scope is not None:
        name = getattr(func, "__name__", str(func))
        adopt(guards_of([renamed(g.expr, back) for g in env.guards]), scope, f"torch's own shape function of {name}")
    return facts, flops


def _formula_value(
    formula: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, back: dict[Any, str]
) -> Size | None:
    try:
        return _translated(formula(*args, **kwargs, out_val=result), back)
    except Exception:  # it is the user's: what it cannot say is listed as uncounted
        return None


def _name_unbacked(env: Any, back: dict[Any, str], scope: Scope | None, name: str, count: Count | None) -> None:
    for symbol in env.var_to_range:
        if symbol in back or not str(symbol).startswith("u") or scope is None:
            continue
        if count is None:
            raise DataDependentError(f"{name}: the size of the result depends on the values of a tensor")
        (back[symbol],) = free_symbols(count("size", f"a size that {name} finds in the data"))


def _tensors(leaves: list[Any]) -> list[torch.Tensor]:
    return [x for x in leaves if isinstance(x, torch.Tensor)]


def _fake(leaf: Any, symbols: dict[str, Any]) -> Any:
    if isinstance(leaf, TensorFact):
        shape = [_as_symint(s, symbols) for s in leaf.shape]
        strides = [_as_symint(s, symbols) for s in leaf.stride()]
        return torch.empty_strided(shape, strides, dtype=leaf.dtype, device=leaf.device)
    if isinstance(leaf, Expr):
        return _as_symint(leaf, symbols)
    return leaf


def _as_symint(size: Size, symbols: dict[str, Any]) -> Any:
    if isinstance(size, int):
        return size
    results: list[Any] = []
    rows: list[list[Any]] = to_rows(size)
    for op, a, b in rows:
        if op == "sym":
            results.append(symbols[a])
        elif op == "int":
            results.append(int(a))
        else:
            results.append(ARITHMETIC[op](*operands_of(op, a, b, results)))
    return results[-1]


def _translated(size: Any, back: dict[Any, str]) -> Size:
    if isinstance(size, int):
        return size
    import sympy

    if isinstance(size, torch.SymInt):
        return from_sympy(renamed(size.node.expr, back))
    if isinstance(size, torch.SymFloat):
        return from_sympy(sympy.floor(sympy.nsimplify(renamed(size.node.expr, back), rational=True)))
    whole: int = math.floor(size)
    return whole


def _fact(leaf: Any, back: dict[Any, str], storages: dict[int, int]) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return _translated(leaf, back) if isinstance(leaf, torch.SymInt) else leaf
    from fxcount.ops.core.striding import strided

    if leaf.layout is not torch.strided:
        raise UnsupportedError(
            f"a tensor of layout {leaf.layout} is made here, whose memory depends on data",
            hint="the gradient of an Embedding(sparse=True) is one: count the step with sparse=False and a dense optimizer, "
            "whose gradient has the bytes of the whole table",
        )
    shape = tuple(_translated(s, back) for s in leaf.shape)
    strides = tuple(_translated(s, back) for s in leaf.stride())
    fact = strided(TensorFact(shape, leaf.dtype, leaf.device), shape, strides)
    of = storages.get(torch_private.storage_key(leaf.untyped_storage()))
    return fact if of is None else Alias(fact, of)
