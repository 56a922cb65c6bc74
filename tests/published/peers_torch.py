"""The cases of torch's own test/test_flop_counter.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxcount
from fxcount.ops import Work
from tests.published.peers_common import Function, step_flops, torch_flops
from tests.published.torchvision_rows import build

__all__ = ["ANSWERS", "REASONS"]

IMAGE = (1, 3, 224, 224)


def _variety() -> int:
    linear = nn.Linear(9, 10)

    def run(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        # (4, 5), (5, 6), (4, 6), (6, 7), (7, 8)
        products = torch.mm(a, b), torch.addmm(c, a, b, beta=0.5, alpha=0.5), torch.matmul(b, d)
        return (*products, torch.einsum("ab,bc->ac", d, e), linear(x))

    return torch_flops(run, (4, 5), (5, 6), (4, 6), (6, 7), (7, 8), (8, 9))


def _addmm() -> int:
    def run(a: Tensor, b: Tensor, whole: Tensor, column: Tensor, row: Tensor) -> list[Tensor]:
        return [torch.addmm(bias, a, b) for bias in (whole, column, row)]

    return torch_flops(run, (4, 5), (5, 6), (4, 6), (4, 1), (6,))


def _backward() -> int:
    def run(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return torch.mm(a, b).unsqueeze(0).expand(7, 4, 6).bmm(c)

    return step_flops(run, (4, 5), (5, 6), (7, 6, 7), wanted=(0,))


class _OwnGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.mm(x, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.mm(grad, grad) + torch.mm(grad, grad)


class _Relu(nn.Module):
    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        clipped = x["a"].relu_()
        return {"a": torch.mm(clipped, clipped)}


def _pytrees() -> int:
    first, second = _Relu(), _Relu()
    return step_flops(lambda x: second(first({"a": x.clone()}))["a"], (10, 10), wanted=(0,))


def _ratio() -> float:
    """Backward to forward, the same for each of the convolutions."""
    ratios = set()
    for i, o in ((1, 1), (1, 3), (3, 1), (3, 7), (2, 4), (4, 2)):
        for convolution, weight in ((F.conv2d, (o, i, 2, 2)), (F.conv_transpose2d, (i, o, 2, 2))):
            forward = torch_flops(convolution, (1, i, 4, 4), weight)
            ratios.add(step_flops(convolution, (1, i, 4, 4), weight, wanted=(0, 1)) / forward - 1)
    assert len(ratios) == 1
    return ratios.pop()


def _layer1_forward() -> int:
    report = fxcount.analyze(build("resnet18"), IMAGE)
    return 2 * next(row.cost.macs for row in report.by_module(depth=1) if row.path == "layer1")


def _layer1_backward() -> int:
    layer = build("resnet18").layer1
    return step_flops(layer, (1, 64, 56, 56), wanted=(0,)) - torch_flops(layer, (1, 64, 56, 56))


def _own_rule(cost: Callable[..., Work]) -> int:
    rule = fxcount.rule(torch.add, shape=lambda scope, x, y: x, cost=cost)
    return int(fxcount.analyze(Function(torch.add), (4, 5), (4, 5), rules=[rule]).flops)


def _scripted() -> int:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.mm(x, x)

    assert torch_flops(Square(), (5, 5)) == torch_flops(torch.jit.script(Square()), (5, 5))
    return torch_flops(torch.jit.script(Square()), (5, 5))


def _inference() -> str:
    model = build("resnet18")
    with torch.inference_mode():
        inferred = torch_flops(model, IMAGE)
    return "equal" if inferred == torch_flops(model, IMAGE) else "different"


def _conv(x: tuple[int, ...], w: tuple[int, ...], **options: Any) -> int:
    name = ("conv1d", "conv2d")[len(x) - 3]
    return torch_flops(lambda a, b: getattr(F, name)(a, b, **options), x, w)


def _scaled() -> int:
    one, eighth = torch.ones((), device="meta"), {"dtype": torch.float8_e4m3fn, "device": "meta"}
    x, y = torch.empty(48, 80, **eighth), torch.empty(112, 80, **eighth)
    return torch_flops(lambda a, b, s, t: torch._scaled_mm(a, b.t(), s, t), x, y, one, one)


def _custom_op() -> int:
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    with torch.library._scoped_library("fxcount_published", "FRAGMENT") as library:
        library.define("own(Tensor x) -> Tensor")
        library.impl("own", lambda x: x + 1, "CompositeExplicitAutograd")
        torch.library.register_fake("fxcount_published::own", lambda x: torch.empty_like(x), lib=library)
        own = torch.ops.fxcount_published.own
        register_flop_formula(own)(lambda *args, **kwargs: 9001)
        try:
            return int(fxcount.analyze(Function(own), (4, 5)).flops)
        finally:
            del flop_registry[own]


ANSWERS: dict[str, Callable[[], Any]] = {
    "test_flop_counter_variety": _variety,
    "test_op/mm": lambda: torch_flops(torch.mm, (4, 5), (5, 6)),
    "test_op/bmm": lambda: torch_flops(torch.bmm, (3, 4, 5), (3, 5, 6)),
    "test_op/addmm x3": _addmm,
    "test_op/baddbmm": lambda: torch_flops(torch.baddbmm, (3, 4, 6), (3, 4, 5), (3, 5, 6)),
    "test_op/conv2d": lambda: _conv((2, 3, 6, 6), (6, 3, 4, 4), padding=1),
    "test_op/conv1d": lambda: _conv((2, 3, 6), (6, 3, 4), padding=1),
    "test_backward": _backward,
    "test_backward_reset": lambda: 2 * step_flops(lambda a: a.mm(a.t()), (4, 5), wanted=(0,)),
    "test_torchscript": _scripted,
    "test_autograd_op": lambda: step_flops(_OwnGradient.apply, (5, 5), wanted=(0,)),
    "test_convs/transposed": lambda: torch_flops(F.conv_transpose2d, (1, 1, 2, 2), (1, 1, 2, 2)),
    "test_convs/1x1": lambda: _conv((1, 1, 2, 2), (1, 1, 1, 1)),
    "test_convs/ratio": _ratio,
    "test_module total": lambda: step_flops(build("resnet18"), IMAGE, wanted=(0,)),
    "test_module layer1 conv fwd": _layer1_forward,
    "test_module layer1 conv bwd": _layer1_backward,
    "test_conv_transpose_loop": lambda: 50 * step_flops(nn.ConvTranspose2d(4, 8, 2, stride=2), (1, 4, 30, 2)),
    "test_custom shape formula": lambda: _own_rule(lambda out, x, y: Work(flops=5)),
    "test_custom raw formula": lambda: _own_rule(lambda out, x, y: Work(flops=out.numel)),
    "test_noop": lambda: torch_flops(torch.cos, (4, 5)),
    "test_addmm_out": lambda: torch_flops(lambda x, y: torch.mm(x, x, out=y), (10, 10), (10, 10)),
    "test_pytrees Mod": _pytrees,
    "test_pytrees Mod2": lambda: step_flops(lambda x: (torch.mm(x, x),), (10, 10), wanted=(0,)),
    "test_inference_mode": _inference,
    "test_scaled_mm": _scaled,
    "test_custom_op": _custom_op,
}  # fmt: skip

REASONS = {
    "test_nested_attention_fake_tensors": "calls a private CUDA kernel on ragged sequences by hand",
    "test_flop_counter_custom_triton_*": "formulas of triton kernels, which need a GPU",
}
