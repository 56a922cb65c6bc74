"""What passes ask of an op: traits, compared with what torch itself says, and never taken from a name."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import fxcount
from fxcount.errors import InputError
from fxcount.ops import REGISTRY, Op, Registry, Work, Zero, families, op
from fxcount.ops.core.autocast import Autocast
from fxcount.ops.core.registry import callables_named
from fxcount.trace import trace_model
from tests.ops.differential import Called
from tests.ops.opinfo import full_name, infos, samples


def _overloads(name: str) -> list[Any]:
    packet = getattr(torch.ops.aten, name.replace(".", "_"), None)
    return [getattr(packet, overload) for overload in packet.overloads()] if packet is not None else []


NAMED = [pytest.param(entry, name, id=name) for entry in REGISTRY.ops for name in entry.names]
_UNWRITTEN = {
    REGISTRY[f]
    for f in (
        torch.empty, torch.empty_like, torch.empty_strided, torch.empty_permuted, torch.Tensor.new_empty,
        torch.Tensor.new_empty_strided,
    )
}  # fmt: skip
"""Memory that nobody has written is as random as a draw; torch has no tag for it."""


@pytest.mark.parametrize(("entry", "name"), NAMED)
def test_random_is_what_torch_tags_as_seeded(entry: Op, name: str) -> None:
    tagged = any(torch.Tag.nondeterministic_seeded in f.tags for f in _overloads(name))
    assert entry.random == (tagged or entry in _UNWRITTEN)


# -- autocast ---------------------------------------------------------------------------------------------------------
_INSIDE = [
    *(torch._VF.lstm, torch._VF.gru, torch._VF.rnn_tanh, torch._VF.rnn_relu, torch.linalg.matrix_power, torch.linalg.pinv),
    *(torch.cov, torch.corrcoef, torch.inner, torch.ops.aten.convolution),
]
_COMPOSITES = {
    "cpu": [
        *_INSIDE, torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell, torch.functional.einsum,
        torch.linalg.multi_dot, torch.tensordot,
    ],
    "cuda": [*_INSIDE, torch.cat, torch.stack, torch._C._nn.cross_entropy_loss],
}  # fmt: skip
"""Without a kernel of their own: torch casts the ops inside; ``cat`` and ``stack`` promote on CUDA without being asked."""

_RAISES = {REGISTRY[torch._C._nn.binary_cross_entropy]}
"""On CUDA its kernel is an error."""


def _has_kernel(entry: Op, key: str) -> bool:
    """Whether one of its overloads, out= and in-place ones aside, has a kernel for a dispatch key."""
    schemas = [s for name in entry.names for s in torch._C._jit_get_schemas_for_operator(f"aten::{name.replace('.', '_')}")]
    qualified = [f"{s.name}.{s.overload_name}".rstrip(".") for s in schemas if not s.is_mutable]
    return any(_dispatched(name, key) for name in qualified)


def _dispatched(qualified: str, key: str) -> bool:
    try:
        return torch._C._dispatch_has_kernel_for_dispatch_key(qualified, key)
    except RuntimeError:  # an operator of TorchScript alone
        return False


@pytest.mark.parametrize(("device", "key"), [("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")])
def test_autocast_has_a_policy_for_the_ops_torch_has_a_kernel_for(device: str, key: str) -> None:
    composites = {REGISTRY[f] for f in _COMPOSITES[device]}
    differ = {}
    for entry in REGISTRY.ops:
        policy = getattr(entry.autocast or Autocast(), device)
        if not any(_overloads(name) for name in entry.names):  # an op of other versions of torch
            continue
        if _has_kernel(entry, key) != (policy is not None) and entry not in composites | _RAISES:
            differ[entry.name] = policy
    assert differ == {}


_BY_ARGUMENT = {
    "nn.functional.pad.reflect", "nn.functional.pad.replicate", "nn.functional.pad.replicate_negative",  # by the mode
}  # fmt: skip
_INFOS = [pytest.param(info, id=full_name(info)) for info in infos() if full_name(info) not in _BY_ARGUMENT]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, of what is deprecated or in beta
@pytest.mark.parametrize("info", _INFOS)
def test_autocast_on_the_cpu_gives_torchs_dtypes(info: Any) -> None:
    for dtype in {torch.float32, torch.bfloat16} & set(info.dtypes):
        for sample in samples(info, dtype, 1):
            if sample.variant != "inplace":
                _compare_dtypes(sample)


A, SQUARE, V = torch.ones(3, 5), torch.ones(3, 3), torch.ones(5)
_PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "inner of matrices": (torch.inner, (A, A[:2])),
    "inner of vectors": (torch.inner, (V, V)),
    "inner of one row each": (torch.inner, (A[:1], A[1:2])),
    "inner with a scalar": (torch.inner, (V, V[0])),
    "tensordot of matrices": (lambda a, b: torch.tensordot(a, b, 1), (A, A.T)),
    "tensordot of all": (lambda a, b: torch.tensordot(a, b, ([0, 1], [0, 1])), (A, A)),
    "tensordot of nothing": (lambda a, b: torch.tensordot(a, b, 0), (V, V)),
    "einsum of matrices": (lambda a, b: torch.einsum("ij,kj->ik", a, b), (A, A)),
    "einsum of vectors": (lambda a, b: torch.einsum("i,i->", a, b), (V, V)),
    "einsum without a sum": (lambda a, b: torch.einsum("ij,j->ij", a, b), (A, V)),
    "einsum of one operand": (lambda a: torch.einsum("ij->i", a), (A,)),
    **{f"power {n}": (lambda a, n=n: torch.linalg.matrix_power(a, n), (SQUARE,)) for n in (0, 1, 2, 5)},
    "chain of one": (torch.chain_matmul, (A,)),
    "chain of two": (lambda a, b: torch.linalg.multi_dot([a, b]), (A, A.T)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:torch.chain_matmul:UserWarning")
@pytest.mark.parametrize("name", _PRODUCTS)
def test_autocast_casts_the_products_of_a_composite(name: str) -> None:
    """What it comes down to without a product keeps its dtype."""
    func, operands = _PRODUCTS[name]
    leaves, tree = pytree.tree_flatten((operands, {}))
    call = Called(_autocast(func), leaves, tree, list(range(len(leaves))))
    (value,) = trace_model(call, leaves).values_out()
    assert value.fact.dtype is call(*leaves).dtype


def _compare_dtypes(sample: Any) -> None:
    leaves, tree = pytree.tree_flatten((sample.args, sample.kwargs))
    tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    call = Called(_autocast(sample.call), leaves, tree, tensors)
    given = [leaves[i] for i in tensors]
    try:
        real = [t.dtype for t in pytree.tree_leaves(call(*given)) if isinstance(t, torch.Tensor)]
        mine = [v.fact.dtype for v in trace_model(call, given).values_out()]
    except (RuntimeError, NotImplementedError, fxcount.FxcountError):
        return  # torch refuses the dtype, or data decide, or sparse: compared elsewhere
    assert mine == real


def _autocast(call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return call(*args, **kwargs)

    return called


# -- a user's op has no trait by its name -----------------------------------------------------------------------------
_LIBRARY = torch.library.Library("fxcount_traits", "FRAGMENT")


def _defined(name: str) -> tuple[Any, Any]:
    """An op of the user's of that name: the packet models call, and its overload."""
    if not hasattr(torch.ops.fxcount_traits, name):
        _LIBRARY.define(f"{name}(Tensor x, Tensor other) -> Tensor")
    packet = getattr(torch.ops.fxcount_traits, name)
    return packet, packet.default


def _scaled(scope: Any, x: Any, gate: Any) -> Any:
    return x


def _work(y: Any, x: Any, gate: Any) -> Work:
    return Work(macs=y.numel, flops=2 * y.numel)


@pytest.mark.parametrize("name", "expand_as to view_as zeros_like type_as meshgrid detach linear conv2d".split())
def test_a_users_op_of_that_name_keeps_its_gate_alive(name: str) -> None:
    gated, overload = _defined(name)
    rule = fxcount.rule(gated, overload, shape=_scaled, cost=_work)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.gate = nn.Linear(5, 7), nn.Parameter(torch.ones(7))

        def forward(self, x: torch.Tensor) -> Any:
            return gated(self.layer(x), self.gate)

    report = fxcount.analyze(Net(), "B,5", rules=[rule])
    assert report.params.dead == 0
    for convention in ("fvcore", "fvcore-activations", "torch", "calflops", "deepspeed", "ptflops", "thop", "torchinfo"):
        report.count(convention)
    assert str(report.count("fvcore")) == "35*B"  # of the layer; no tool knows the user's op
    with torch.autocast("cpu", torch.bfloat16):
        cast = fxcount.analyze(Net(), "B,5", rules=[rule])
    last = cast.trace.calls[-1]
    assert last.op is rule
    assert last.operands[1].origin == "parameter"  # taken as it is


def test_shape_only_is_open_to_users() -> None:
    grown, overload = _defined("grown")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.template = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(7))

        def forward(self, x: torch.Tensor) -> Any:
            return grown(self.value, self.template) + x

    def dead(**traits: Any) -> list[str]:
        rule = fxcount.rule(grown, overload, shape=lambda scope, x, like: x.new(like.shape), zero="copies", **traits)
        return [r.name for r in fxcount.analyze(Net(), "B,7", rules=[rule]).params.rows("dead")]

    assert dead() == []
    assert dead(shape_only=(1,)) == ["template"]


def test_a_random_op_is_never_known() -> None:
    """``binomial`` of constants: the branch on it would differ from run to run."""

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            drawn = torch.binomial(torch.full((3,), 9.0), torch.full((3,), 0.5))
            return x @ x if drawn.sum() > 13 else x

    with pytest.raises(fxcount.FxcountError):
        fxcount.analyze(Net(), "N,N")


# -- claims -----------------------------------------------------------------------------------------------------------
def _relu(*names: str, **traits: Any) -> Op:
    return op(*names, shape=lambda scope, x: x, cost=Zero("a mask"), **traits)


def test_two_ops_that_claim_one_callable_are_an_error() -> None:
    with pytest.raises(InputError, match="relu is claimed by two ops, relu and mine"):
        Registry([_relu("relu"), Op("mine", _relu("x").shape, Zero("none"), extra=(torch.relu,))])
    with pytest.raises(InputError, match="claimed by two ops"):
        Registry([_relu("relu"), _relu("relu")])
    rule = fxcount.rule(torch.relu, shape=lambda scope, x: x, zero="a mask")
    with pytest.raises(InputError, match="give one rule for each callable"):
        fxcount.analyze(nn.ReLU(), "B", rules=[rule, fxcount.rule(torch.relu, shape=lambda scope, x: x, zero="again")])


def test_families_that_come_later_say_what_they_would_at_once() -> None:
    at_once = Registry(entry for family in families() for entry in family.OPS)
    assert {f: entry.name for f, entry in at_once.items()} == {f: entry.name for f, entry in REGISTRY.items()}
    assert {n: at_once.named(n).name for n in at_once.names} == {n: REGISTRY.named(n).name for n in REGISTRY.names}


def test_of_the_rest_is_made_what_is_asked_for() -> None:
    made: list[str] = []

    def family(*names: str) -> list[Op]:
        made.append(names[0])
        return [_relu(name) for name in names]

    known = Registry([_relu("relu")], rest=(family(*names) for names in (("sigmoid", "tanh"), ("exp", "log"), ("sin", "cos"))))
    users = Registry([Op("mine", _relu("x").shape, Zero("none"), extra=(torch.exp,))], base=known)
    assert known[torch.relu].name == "relu"
    assert known.named("relu_").inplace
    assert not made
    assert users[torch.tanh_] is known[torch.tanh_]
    assert made == ["sigmoid"]
    assert users[torch.exp].name == "mine"
    assert made == ["sigmoid"]
    assert known[torch.exp].name == "exp"
    assert made == ["sigmoid", "exp"]
    assert [entry.name for entry in users.overriding] == ["mine"]
    assert known.overriding == ()
    assert known.get(torch.nn.functional.gelu) is None
    assert made == ["sigmoid", "exp", "sin"]
    assert [entry.name for entry in users.ops] == ["relu", "sigmoid", "tanh", "exp", "log", "sin", "cos", "mine"]
    assert torch.cos in set(users)
    assert len(users) == len(known) == len(set(known))
    with pytest.raises(KeyError):
        users.named("gelu")


def test_names_of_an_op_are_those_that_give_it() -> None:
    for entry in [*REGISTRY.ops, *[REGISTRY.named(name) for name in REGISTRY.names]]:
        assert all(REGISTRY.named(name) is entry for name in REGISTRY.names_of(entry))
    assert sum(len(REGISTRY.names_of(e)) for e in {REGISTRY.named(name) for name in REGISTRY.names}) == len(REGISTRY.names)
    users = Registry([_relu("relu")], base=REGISTRY)
    assert users.names_of(users.named("relu")) == {"relu"}
    assert users.names_of(REGISTRY.named("relu")) == REGISTRY.names_of(REGISTRY.named("relu")) - {"relu"}


def test_analyses_at_once_get_the_same_ops() -> None:
    for _ in range(5):
        known = Registry((), rest=(([_relu(name)]) for name in ("relu", "sigmoid", "tanh", "exp", "log", "sin", "cos")))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(known.named, ["cos_", "relu_", "exp_", "tanh_"] * 6))
        assert len(set(found)) == 4


def test_families_that_come_in_a_trace_know_torchs_own_functions() -> None:
    code = """
import torch, fxcount
from fxcount.ops import REGISTRY, SPARSE, USUAL
from fxcount.ops.core.registry import callables_named
from fxcount.torch_private import trying_numbers

class Net(torch.nn.Module):
    def forward(self, x):
        if "fxcount.ops.backward.spatial" not in __import__("sys").modules:
            print(len(REGISTRY.ops) > 800, len(SPARSE.ops) > 0)
        return torch.einsum("ab,cb->ac", x, x)

print(fxcount.analyze(Net(), "5,7").macs)
for entry in REGISTRY.ops:
    for name in entry.names:
        for function in callables_named(name):
            assert REGISTRY[function] is entry or function in entry.without, function
usual = {name for family in USUAL for entry in family.OPS for name in entry.names}
for namespace in (torch, torch.special):  # others stand there while there are nested tensors
    names = {REGISTRY[vars(namespace)[n]].name for n in trying_numbers(vars(namespace)) if n != "result_type"}
    assert names <= usual, names - usual
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True True\n175\n", "")


def test_every_callable_has_the_op_of_its_name() -> None:
    for entry in REGISTRY.ops:
        for name in entry.names:
            for function in callables_named(name):
                assert REGISTRY[function] is entry or function in entry.without


def test_a_rule_for_torchs_callable_has_the_traits_of_torchs_op() -> None:
    rule = fxcount.rule(torch.nn.functional.linear, shape=lambda scope, x, w, b=None: x, cost=lambda y, *_: Work(macs=1))
    torchs = REGISTRY[torch.nn.functional.linear]
    assert rule.overrides is rule.torchs is torchs
    assert (rule.autocast, rule.kind, rule.activations) == (torchs.autocast, torchs.kind, torchs.activations)
    report = fxcount.analyze(nn.Linear(5, 5), "B,5", rules=[rule])
    assert report.macs == 1
    assert str(report.count("fvcore")) == "25*B"  # the tool counts torch's linear, whatever we say it costs


@pytest.mark.parametrize("made", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_torchs_ops_are_those_ops(made: Callable[[Op], Op]) -> None:
    assert all(made(entry) is entry for entry in REGISTRY.ops)
    assert all(made(REGISTRY.named(name)) is REGISTRY.named(name) for name in REGISTRY.names)
