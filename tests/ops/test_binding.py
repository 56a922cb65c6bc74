"""Overloads are told apart as torch tells them apart: the named arguments are those of torch's own schemas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import UnsupportedError
from fxcount.ops import REGISTRY
from fxcount.ops.core.binding import Bound, Overloads
from fxcount.ops.core.fact import TensorFact
from tests.ops.harness import T, check, work

X = TensorFact((3, 5), torch.float32)
I = TensorFact((7,), torch.int64)  # noqa: E741

# op -> arguments, keywords, which schema torch itself takes for them (its overload), and what the rule gets by name
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    ("var", (X,), {}, {}),
    ("var", (X, True), {}, {"unbiased": True}),
    ("var", (X, 1), {}, {"dim": 1}),
    ("var", (X, (0, 1), False, True), {}, {"dim": (0, 1), "unbiased": False, "keepdim": True}),
    ("var", (X, 1), {"correction": 0}, {"dim": 1, "correction": 0}),
    ("max", (X,), {}, {}),
    ("max", (X, X), {}, {"other": X}),
    ("max", (X, -1, True), {}, {"dim": -1, "keepdim": True}),
    ("split", (X, 2), {}, {"split_size": 2}),
    ("split", (X, [2, 1]), {}, {"split_size": [2, 1]}),
    ("tensor_split", (X, 2), {}, {"sections": 2}),
    ("tensor_split", (X, (1,), 1), {}, {"indices": (1,), "dim": 1}),
    ("tensor_split", (X, I), {}, {"tensor_indices_or_sections": I}),
    ("nuclear_norm", (X, True), {}, {"keepdim": True}),
    ("nuclear_norm", (X, (0, 1)), {}, {"dim": (0, 1)}),
    ("normal", (X, X), {}, {"std": X}),
    ("upsample_nearest2d", (X, (4, 4), 2.0, 3.0), {}, {"output_size": (4, 4), "scales_h": 2.0, "scales_w": 3.0}),
    ("upsample_nearest2d", (X, None, [2.0, 3.0]), {}, {"output_size": None, "scale_factors": [2.0, 3.0]}),
    ("to", (X, torch.float16), {}, {"dtype": torch.float16}),
    ("to", (X, "cpu", torch.float16), {}, {"device": "cpu", "dtype": torch.float16}),
    ("to", (X, X, False, True), {}, {"other": X, "non_blocking": False, "copy": True}),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), CALLS)
def test_named_as_in_the_schema(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], expected: dict[str, Any]
) -> None:
    operands, named = Overloads((name,)).bound(args, kwargs)
    assert operands == (args[0],)
    assert named == expected


def test_what_torch_refuses_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"var: torch has no overload for \(Tensor, dtype\)") as raised:
        Overloads(("var",)).bound((X, torch.float64), {})
    assert "(self, dim, unbiased, keepdim)" in str(raised.value.hint)
    with pytest.raises(UnsupportedError):
        Overloads(("var",)).bound((X,), {"axes_of_evil": 1})
    with pytest.raises(UnsupportedError):
        Overloads(("lstm",)).bound((X, [X]), {})  # weights are missing


def test_every_bound_rule_takes_every_overload() -> None:
    """A rule that is bound has a parameter for each name a schema of its op can bring, or takes any."""
    import inspect

    from fxcount import torch_private

    looked_at = 0
    for entry in REGISTRY.ops:
        for rule in (entry.shape, entry.cost, entry.temporaries):
            if not isinstance(rule, Bound):
                continue
            looked_at += 1
            parameters = inspect.signature(rule.rule).parameters
            if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                continue
            renamed = dict(rule.overloads.renamed)
            for name in rule.overloads.names:
                for schema in torch_private.schemas(name):
                    if any(a.is_out for a in schema.arguments) or schema.overload_name.startswith("prim"):
                        continue
                    if schema.arguments[0].type.kind() != "TensorType" and rule.overloads.operand:
                        continue  # of Python's strings and numbers
                    wanted = schema.arguments[1:] if rule.overloads.operand else schema.arguments
                    left_out = {"generator", "layout", "pin_memory", "non_blocking"}  # which the tracer drops
                    missing = {renamed.get(a.name, a.name) for a in wanted} - set(parameters) - left_out
                    assert not missing, f"{entry.name}: {schema} has {missing}, which its rule does not know"
    assert looked_at > 80


def test_calls_whose_arguments_were_guessed() -> None:
    """An LSTM and a variance called by keyword, a reserve behind the mask, keys as long as heads are wide."""
    check(torch.var, T("B,7"), dim=(1,), unbiased=False)
    check(torch.var, T("B,7"), [0, 1], True, True)
    check(torch.std_mean, T("B,7"), 1, True, True)
    check(torch.tensor_split, T("7,B"), sections=3)
    check(torch.tensor_split, T("7,B"), indices=[2, 5])
    check(torch.arange, start=2, end=11, step=3)
    check(torch.mv, T("5,7"), vec=T("7"))
    check(torch.addmm, T("5,11"), mat1=T("5,7"), mat2=T("7,11"), beta=2)


def test_dropout_without_causal() -> None:
    """The flash kernel called with a dropout and no more: a product and a division for each pair, and no mask."""
    q = T("2,3,5,8")
    kernel = torch.ops.aten._scaled_dot_product_flash_attention.default
    pairs = 2 * 3 * 5 * 5
    plain = work(kernel, q, q, q)["flops"]
    assert work(kernel, q, q, q, 0.1)["flops"] - plain == 2 * pairs
    assert work(kernel, q, q, q, 0.0, True)["flops"] - plain == pairs
    assert work(kernel, q, q, q, 0.1, True)["flops"] - plain == 3 * pairs
    assert work(kernel, query=q, key=q, value=q, dropout_p=0.1)["flops"] - plain == 2 * pairs


def test_a_gradient_knows_its_mask_by_name() -> None:
    """The cudnn kernel has its bias late, where the result's width may be the keys' number: not a mask for that."""
    g, k = T("2,3,5,7"), T("2,3,7,7", tied="keys as many as they are wide")
    state = T("", torch.int64)
    kernel = torch.ops.aten._scaled_dot_product_cudnn_attention_backward.default
    args = (g, g, k, k, g, T("2,3,5"), state, state, None, None, None, 5, 7, 0.0, False)
    pairs, width = 2 * 3 * 5 * 7, 7
    found = work(kernel, *args)
    assert found["macs"] == pairs * (3 * width + 2 * width)
    assert found["flops"] == 2 * found["macs"] + 6 * pairs + 2 * 3 * 5 * (2 * width - 1)
    masked = work(kernel, *args[:8], T("2,3,5,7"), *args[9:])
    assert masked["flops"] - found["flops"] == pairs


def test_a_packed_lstm_is_no_padded_one() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 7, bidirectional=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([11, 3]))
            return self.lstm(packed)[0].data

    # 14 steps in two directions; four gates of 7 units over 5 inputs and 7 states
    assert fxcount.analyze(Net(), "11,2,5").macs == 14 * 2 * 4 * 7 * (5 + 7)
