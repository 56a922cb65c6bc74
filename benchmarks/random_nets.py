"""Random modules of random ops: is what fxcount says of them what torch says, at the sample sizes and elsewhere?

    python -m benchmarks.random_nets [--nets 5000] [--seed 0] [--one SEED]

A net is a chain of up to ten ops drawn from a table of views, reductions, contractions, convolutions, norms, indexing, casts,
writes in place and more, on tensors met so far; which ones is decided by its seed alone. It is analysed once with symbols. At
the sample sizes and at two others, where ``at(..., extend=False)`` admits them, shape, dtype and strides of every result that
is kept, and torch's own FLOP count, must be those of the net run on the meta device under ``FlopCounterMode``. What is refused
is counted, and no error; a size that is admitted and at which torch itself refuses is one.

What torch's counter does not see is no difference: ``report.count("torch")`` counts as it does, and names it
(``BLIND_SPOTS``). The stride of a dimension of size 1 means nothing, and is not compared; torch's choice between ``mv``, which
its counter leaves out, and ``bmm`` goes by it, so that products by a vector are not compared with the counter at such sizes.

>>> count = survey(range(5))
>>> count["different"], count["nets"]
(0, 5)
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.report.views.conventions.registry import CONVENTIONS

__all__ = ["BLIND_SPOTS", "OPS", "Net", "differences", "drawn", "survey"]

BLIND_SPOTS = tuple(m.name for m in CONVENTIONS["torch"].mistakes)
"""What torch's counter leaves out, by the name the convention ``torch`` has for it."""

SIZES = ({"B": 2, "H": 14, "W": 11}, {"B": 3, "H": 17, "W": 23}, {"B": 1, "H": 13, "W": 10})  # the first is the hint
INPUTS = (("B,12,H,W", 4), ("B,H,12", 3), ("B,6,H,12", 4), ("B,12", 2), ("B,12,W", 3))
LARGEST = 2_000_000  # elements of a result

Draw = random.Random
Function = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """``function(*operands, *weights)``, whose operands are numbers of earlier results."""

    name: str
    function: Function
    operands: tuple[int, ...]
    weights: tuple[int, ...] = ()


class Net(nn.Module):
    """Runs its steps; the result is all that has not been used, and the last."""

    def __init__(self, spec: str, steps: Sequence[Step], weights: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.spec, self.steps = spec, list(steps)
        self.weights = nn.ParameterList([nn.Parameter(w, requires_grad=False) for w in weights])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made: list[Any] = [x]
        for step in self.steps:
            made.append(step.function(*[made[i] for i in step.operands], *[self.weights[i] for i in step.weights]))
        used = {i for step in self.steps for i in step.operands}
        return tuple(t for i, t in enumerate(made) if i and (i not in used or i == len(made) - 1))

    def __repr__(self) -> str:
        return f"{self.spec}: " + "; ".join(f"%{i} = {s.name}{list(s.operands)}" for i, s in enumerate(self.steps, 1))


@dataclass
class _Maker:
    """What draws the arguments of an op: the operand at two assignments of sizes, to tell sizes that are numbers."""

    draw: Draw
    x: torch.Tensor
    other: torch.Tensor
    weights: list[torch.Tensor] = field(default_factory=list)

    @property
    def ndim(self) -> int:
        return self.x.dim()

    def dim(self) -> int:
        if not self.ndim:
            raise _Unfit
        return self.draw.randrange(self.ndim) - self.draw.choice((0, self.ndim))

    def fixed(self, d: int) -> int:
        """The size of a dimension that is the same at all sizes."""
        if not -self.ndim <= d < self.ndim or self.x.shape[d] != self.other.shape[d]:
            raise _Unfit
        return self.x.shape[d]

    def of_rank(self, *ranks: int) -> None:
        if self.ndim not in ranks:
            raise _Unfit

    def floating(self) -> None:
        if self.x.dtype is not torch.float32:
            raise _Unfit

    def weight(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        self.weights.append(torch.empty(shape, dtype=dtype, device="meta"))


class _Unfit(Exception):
    """The op cannot be drawn for this operand."""


OPS: dict[str, Callable[[_Maker], Function]] = {}


def _op(name: str) -> Callable[[Callable[[_Maker], Function]], Callable[[_Maker], Function]]:
    def enter(make: Callable[[_Maker], Function]) -> Callable[[_Maker], Function]:
        OPS[name] = make
        return make

    return enter


def _plain(names: str, needs_float: bool = True) -> None:
    """Functions of one tensor that take nothing else."""
    for name in names.split():
        function: Function = getattr(torch, name, None) or getattr(F, name)

        def make(m: _Maker, function: Function = function) -> Function:
            if needs_float:
                m.floating()
            return lambda x: function(x)

        OPS[name] = make


_plain(
    "relu sigmoid tanh exp sqrt abs neg sin floor ceil round sign erf log1p gelu silu softplus elu leaky_relu selu mish "
    "hardtanh hardswish relu6 rsqrt reciprocal square atan expm1 sinh logit frac trunc celu softsign tanhshrink"
)
_plain("isnan isfinite logical_not clone detach ravel zeros_like ones_like", needs_float=False)


def _by_dim(names: str, needs_float: bool = True, **options: Any) -> None:
    """Functions of a tensor and a dimension."""
    for name in names.split():
        function: Function = getattr(torch, name, None) or getattr(F, name)

        def make(m: _Maker, function: Function = function) -> Function:
            if needs_float:
                m.floating()
            d = m.dim()
            return lambda x: _first(function(x, d, **options))

        OPS[name] = make
        if not options and name in _KEEPING:

            def keeping(m: _Maker, function: Function = function) -> Function:
                m.floating()
                d = m.dim()
                return lambda x: _first(function(x, d, keepdim=True))

            OPS[f"{name} keepdim"] = keeping


_KEEPING = {"sum", "mean", "amax", "amin", "var", "std", "argmax", "prod", "logsumexp", "max", "min", "median"}


def _first(found: Any) -> Any:
    return found if isinstance(found, torch.Tensor) else found[0]


_by_dim("sum mean amax amin var std argmax argmin prod logsumexp max min median softmax log_softmax cumsum cumprod cummax sort "
        "logcumsumexp softmin normalize diff all any argsort nansum")  # fmt: skip
_by_dim("unbind unsqueeze squeeze", needs_float=False)


# -- views ----------------------------------------------------------------------------------------------------------------
@_op("transpose")
def _(m: _Maker) -> Function:
    a, b = m.dim(), m.dim()
    return lambda x: x.transpose(a, b)


@_op("permute")
def _(m: _Maker) -> Function:
    order = list(range(m.ndim))
    m.draw.shuffle(order)
    return lambda x: x.permute(order)


@_op("movedim")
def _(m: _Maker) -> Function:
    a, b = m.dim(), m.dim()
    return lambda x: x.movedim(a, b)


@_op("flatten")
def _(m: _Maker) -> Function:
    a = m.draw.randrange(max(1, m.ndim - 1))
    b = m.draw.randrange(a, max(1, m.ndim))
    return lambda x: x.flatten(a, b)


@_op("reshape rows")
def _(m: _Maker) -> Function:
    n = m.fixed(-1)
    return lambda x: x.reshape(-1, n)


@_op("reshape whole")
def _(m: _Maker) -> Function:
    return lambda x: x.reshape(x.shape[0], -1)


@_op("reshape split")
def _(m: _Maker) -> Function:
    d = m.dim() % m.ndim
    n = m.fixed(d)
    k = m.draw.choice([k for k in range(1, n + 1) if n % k == 0])
    return lambda x: x.reshape(*x.shape[:d], k, n // k, *x.shape[d + 1 :])


@_op("unflatten")
def _(m: _Maker) -> Function:
    d = m.dim()
    n = m.fixed(d)
    k = m.draw.choice([k for k in range(1, n + 1) if n % k == 0])
    return lambda x: x.unflatten(d, (k, -1))


@_op("contiguous")
def _(m: _Maker) -> Function:
    return lambda x: x.contiguous()


@_op("channels_last")
def _(m: _Maker) -> Function:
    m.of_rank(4)
    return lambda x: x.contiguous(memory_format=torch.channels_last)


@_op("expand")
def _(m: _Maker) -> Function:
    n = m.draw.randint(1, 3)
    return lambda x: x.expand(n, *x.shape)


@_op("slice step")
def _(m: _Maker) -> Function:
    d, step = m.dim() % max(m.ndim, 1), m.draw.randint(2, 3)
    return lambda x: x[(slice(None),) * d + (slice(None, None, step),)]


@_op("slice head")
def _(m: _Maker) -> Function:
    d, part = m.dim() % max(m.ndim, 1), m.draw.randint(2, 4)
    return lambda x: x.narrow(d, 0, (x.shape[d] + part - 1) // part)


@_op("slice tail")
def _(m: _Maker) -> Function:
    d, k = m.dim() % max(m.ndim, 1), m.draw.randint(1, 3)
    return lambda x: x[(slice(None),) * d + (slice(-k, None),)]


@_op("slice from 1")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: x[..., 1:]


@_op("select")
def _(m: _Maker) -> Function:
    d, i = m.dim(), m.draw.choice((0, -1))
    return lambda x: x.select(d, i)


@_op("new axis")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: x[:, None] if m.draw is None else x[:, None, ...]


@_op("chunk")
def _(m: _Maker) -> Function:
    d, n = m.dim(), m.draw.randint(2, 3)
    return lambda x: x.chunk(n, d)[0]


@_op("chunk last")
def _(m: _Maker) -> Function:
    d, n = m.dim(), m.draw.randint(2, 3)
    return lambda x: x.chunk(n, d)[-1]


@_op("split")
def _(m: _Maker) -> Function:
    d, n = m.dim(), m.draw.randint(2, 5)
    return lambda x: x.split(n, d)[0]


@_op("tensor_split")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.tensor_split(2, d)[1]


@_op("diagonal")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x.diagonal(0, -2, -1)


@_op("Tensor.unfold")
def _(m: _Maker) -> Function:
    d, size, step = m.dim(), m.draw.randint(1, 3), m.draw.randint(1, 3)
    return lambda x: x.unfold(d, size, step)


@_op("mT")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x.mT


@_op("view last two")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x.contiguous().view(*x.shape[:-2], x.shape[-2] * x.shape[-1])


# -- moves ----------------------------------------------------------------------------------------------------------------
@_op("flip")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.flip(d)


@_op("roll")
def _(m: _Maker) -> Function:
    d, k = m.dim(), m.draw.randint(1, 3)
    return lambda x: x.roll(k, d)


@_op("rot90")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: torch.rot90(x, 1, (-2, -1))


@_op("repeat")
def _(m: _Maker) -> Function:
    m.dim()
    times = [m.draw.randint(1, 2) for _ in range(m.ndim)]
    return lambda x: x.repeat(times)


@_op("repeat_interleave")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.repeat_interleave(2, d)


@_op("cat itself")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: torch.cat([x, x], d)


@_op("cat shorter")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: torch.cat([x.narrow(d, 0, 1), x], d)


@_op("stack")
def _(m: _Maker) -> Function:
    d = m.draw.randrange(m.ndim + 1)
    return lambda x: torch.stack([x, x], d)


@_op("pad")
def _(m: _Maker) -> Function:
    m.dim()
    widths = [m.draw.randint(0, 2) for _ in range(2 * m.draw.randint(1, m.ndim))]
    return lambda x: F.pad(x, widths)


@_op("pad reflect")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    mode = m.draw.choice(("reflect", "replicate", "circular"))
    widths = [m.draw.randint(0, 1) for _ in range(2 * (m.ndim - 2))]
    return lambda x: F.pad(x, widths, mode=mode)


@_op("tril")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x.tril()


@_op("pixel_shuffle")
def _(m: _Maker) -> Function:
    m.of_rank(4)
    return lambda x: F.pixel_shuffle(x, 2)


@_op("pixel_unshuffle")
def _(m: _Maker) -> Function:
    m.of_rank(4)
    return lambda x: F.pixel_unshuffle(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2)), 2)


# -- arithmetic -----------------------------------------------------------------------------------------------------------
def _binary(names: str) -> None:
    for name in names.split():
        function: Function = getattr(torch, name)

        def numbers(m: _Maker, function: Function = function) -> Function:
            k = m.draw.choice((2, 0.5, 3))
            return lambda x: function(x, k)

        def keeping(m: _Maker, function: Function = function) -> Function:
            d = m.dim()
            return lambda x: function(x, x.float().mean(d, keepdim=True))

        OPS[f"{name} number"], OPS[f"{name} broadcast"] = numbers, keeping


_binary("add sub mul div pow eq gt le")


@_op("minimum of shifted")
def _(m: _Maker) -> Function:
    return lambda x: torch.minimum(x, x.roll(1, 0)) if x.dim() else torch.minimum(x, x)


@_op("maximum of transposed")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: torch.maximum(x @ x.mT, (x @ x.mT).mT) if x.dtype is torch.float32 else x


@_op("outer sum")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: x.unsqueeze(-1) + x.unsqueeze(-2)


@_op("where")
def _(m: _Maker) -> Function:
    return lambda x: torch.where(x > 0, x, 0)


@_op("where mean")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: torch.where(x > 0, x.float().mean(d, keepdim=True), 1.0)


@_op("masked_fill")
def _(m: _Maker) -> Function:
    return lambda x: x.masked_fill(x == 0, 1)


@_op("clamp")
def _(m: _Maker) -> Function:
    return lambda x: x.clamp(0, 1)


@_op("lerp")
def _(m: _Maker) -> Function:
    m.floating()
    return lambda x: torch.lerp(x, x * 2, 0.5)


@_op("addcmul")
def _(m: _Maker) -> Function:
    m.floating()
    return lambda x: torch.addcmul(x, x, x, value=2)


@_op("cast")
def _(m: _Maker) -> Function:
    dtype = m.draw.choice((torch.float16, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.float32, torch.float32))
    return lambda x: x.to(dtype)


@_op("to float")
def _(m: _Maker) -> Function:
    return lambda x: x.float()


@_op("write in place")
def _(m: _Maker) -> Function:
    how = m.draw.choice(("add_", "mul_", "sub_"))
    return lambda x: getattr(x.clone(), how)(1)


@_op("fill a row")
def _(m: _Maker) -> Function:
    m.dim()

    def filled(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[0] = 0
        return y

    return filled


@_op("relu in place")
def _(m: _Maker) -> Function:
    m.floating()
    return lambda x: F.relu(x + 1, inplace=True)


@_op("unsqueeze in place")
def _(m: _Maker) -> Function:
    return lambda x: x.clone().unsqueeze_(0)


@_op("new_zeros")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: x.new_zeros(x.shape[-1], x.shape[0])


@_op("arange")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: torch.arange(x.shape[-1], device=x.device) + x


@_op("meshgrid")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: torch.meshgrid(
        torch.arange(x.shape[-1], device=x.device), torch.arange(x.shape[-2], device=x.device), indexing="xy"
    )[1]


# -- indexing -------------------------------------------------------------------------------------------------------------
@_op("index_select")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.index_select(d, torch.arange(0, x.shape[d], 2, device=x.device))


@_op("index with a range")
def _(m: _Maker) -> Function:
    m.dim()
    return lambda x: x[torch.arange(x.shape[0], device=x.device)]


@_op("index two")
def _(m: _Maker) -> Function:
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x[torch.arange(3, device=x.device)[:, None] * 0, torch.arange(2, device=x.device) * 0]


@_op("gather")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.gather(d, x.argsort(d))


@_op("take_along_dim")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: torch.take_along_dim(x, x.argmax(d, keepdim=True), d)


@_op("scatter_add")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: torch.zeros_like(x).scatter_add(d, x.argsort(d), x)


@_op("index_add")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: x.index_add(d, torch.arange(x.shape[d], device=x.device), x)


@_op("topk")
def _(m: _Maker) -> Function:
    d, k = m.dim(), m.draw.randint(1, 3)
    return lambda x: x.topk(k, d)[m.ndim > 9]


@_op("embedding")
def _(m: _Maker) -> Function:
    m.weight(50, 8)
    d = m.dim()
    return lambda x, w: F.embedding(x.argmax(d), w)


@_op("one_hot")
def _(m: _Maker) -> Function:
    d = m.dim()
    return lambda x: F.one_hot(x.argmax(d), 30)


# -- contractions ---------------------------------------------------------------------------------------------------------
@_op("linear")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(m.draw.choice((5, 8, 12)), m.fixed(-1))
    return lambda x, w: F.linear(x, w)


@_op("linear bias")
def _(m: _Maker) -> Function:
    m.floating()
    n = m.draw.choice((5, 8, 12))
    m.weight(n, m.fixed(-1))
    m.weight(n)
    return lambda x, w, b: F.linear(x, w, b)


@_op("matmul weight")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(m.fixed(-1), 7)
    return lambda x, w: x @ w


@_op("matmul vector")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(m.fixed(-1))
    return lambda x, w: x @ w


@_op("weight matmul")
def _(m: _Maker) -> Function:
    m.floating()
    if m.ndim < 2:
        raise _Unfit
    m.weight(9, m.fixed(-2))
    return lambda x, w: w @ x


@_op("gram")
def _(m: _Maker) -> Function:
    m.floating()
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x @ x.transpose(-1, -2)


@_op("gram other way")
def _(m: _Maker) -> Function:
    m.floating()
    if m.ndim < 2:
        raise _Unfit
    return lambda x: x.transpose(-1, -2) @ x


@_op("bmm")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3)
    return lambda x: torch.bmm(x, x.mT)


@_op("baddbmm")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3)
    return lambda x: torch.baddbmm(x[:, :1, :1], x, x.mT)


@_op("addmm")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(2)
    return lambda x: torch.addmm(x[:1, :1], x, x.t(), beta=0.5)


@_op("attention")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    causal = m.draw.random() < 0.5
    return lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=causal)


_EINSUMS = {
    2: ("ij,kj->ik", "ij,ij->i", "ij,kl->il", "ij->ji", "ij,ik->jk"),
    3: ("bij,bkj->bik", "bij,bij->b", "bij,cij->bc", "bij->bji", "bij,bik->bjk", "bij,bkj->", "...ij,...kj->...ik"),
    4: ("bhij,bhkj->bhik", "bhij,bhij->bh", "bchw,bdhw->bcd", "bchw,bchv->bcwv", "abcd,abce->abde", "...i,...i->..."),
}  # fmt: skip


@_op("einsum")
def _(m: _Maker) -> Function:
    m.floating()
    equation = m.draw.choice(_EINSUMS.get(m.ndim) or [""])
    if not equation:
        raise _Unfit
    return (lambda x: torch.einsum(equation, x, x)) if "," in equation else (lambda x: torch.einsum(equation, x))


@_op("einsum weight")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(m.fixed(-1), 5)
    return lambda x, w: torch.einsum("...i,io->...o", x, w)


@_op("tensordot")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(m.fixed(-1), 5, 2)
    return lambda x, w: torch.tensordot(x, w, 1)


@_op("cdist")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(2, 3)
    return lambda x: torch.cdist(x, x)


@_op("cosine_similarity")
def _(m: _Maker) -> Function:
    m.floating()
    d = m.dim()
    return lambda x: F.cosine_similarity(x, x + 1, d)


# -- layers ---------------------------------------------------------------------------------------------------------------
@_op("conv2d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    c, k, groups = m.fixed(1), m.draw.randint(1, 3), m.draw.choice((1, 1, 2))
    stride, padding, dilation = m.draw.randint(1, 2), m.draw.randint(0, 1), m.draw.choice((1, 1, 2))
    m.weight(8, c // groups, k, k)
    return lambda x, w: F.conv2d(x, w, None, stride, padding, dilation, groups)


@_op("conv2d depthwise")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    c = m.fixed(1)
    m.weight(c, 1, 3, 3)
    m.weight(c)
    return lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=c)


@_op("conv1d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3)
    m.weight(8, m.fixed(1), 3)
    stride = m.draw.randint(1, 2)
    return lambda x, w: F.conv1d(x, w, stride=stride, padding=1)


@_op("conv_transpose2d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    m.weight(m.fixed(1), 4, 3, 3)
    stride = m.draw.randint(1, 2)
    return lambda x, w: F.conv_transpose2d(x, w, stride=stride)


@_op("max_pool2d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    k, ceil = m.draw.randint(1, 3), m.draw.random() < 0.3
    return lambda x: F.max_pool2d(x, k, ceil_mode=ceil)


@_op("avg_pool2d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    k, s = m.draw.randint(1, 3), m.draw.randint(1, 2)
    return lambda x: F.avg_pool2d(x, k, s)


@_op("adaptive_avg_pool2d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    n = m.draw.choice((1, 3))
    return lambda x: F.adaptive_avg_pool2d(x, n)


@_op("max_pool1d")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(2, 3)
    return lambda x: F.max_pool1d(x, 2)


@_op("interpolate")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    mode = m.draw.choice(("nearest", "nearest", "bilinear" if m.ndim == 4 else "linear"))
    return lambda x: F.interpolate(x, scale_factor=2, mode=mode)


@_op("interpolate to")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    return lambda x: F.interpolate(x, size=(x.shape[3], 5), mode="bilinear")


@_op("F.unfold")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(4)
    return lambda x: F.unfold(x, 3, padding=1)


@_op("layer_norm")
def _(m: _Maker) -> Function:
    m.floating()
    n = m.fixed(-1)
    m.weight(n)
    return lambda x, w: F.layer_norm(x, (n,), w)


@_op("rms_norm")
def _(m: _Maker) -> Function:
    m.floating()
    n = m.fixed(-1)
    return lambda x: F.rms_norm(x, (n,))


@_op("batch_norm")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(2, 3, 4)
    c = m.fixed(1)
    for _ in range(4):
        m.weight(c)
    return lambda x, mean, var, w, b: F.batch_norm(x, mean, var, w, b)


@_op("group_norm")
def _(m: _Maker) -> Function:
    m.floating()
    if m.ndim < 2:
        raise _Unfit
    c = m.fixed(1)
    g = m.draw.choice([g for g in range(1, c + 1) if c % g == 0])
    return lambda x: F.group_norm(x, g)


@_op("instance_norm")
def _(m: _Maker) -> Function:
    m.floating()
    m.of_rank(3, 4)
    return lambda x: F.instance_norm(x)


@_op("glu")
def _(m: _Maker) -> Function:
    m.floating()
    d = m.dim()
    return lambda x: F.glu(x, d)


@_op("prelu")
def _(m: _Maker) -> Function:
    m.floating()
    m.weight(1)
    return lambda x, w: F.prelu(x, w)


@_op("norm")
def _(m: _Maker) -> Function:
    m.floating()
    d = m.dim()
    return lambda x: torch.linalg.vector_norm(x, dim=d)


@_op("rfft")
def _(m: _Maker) -> Function:
    m.floating()
    m.dim()
    return lambda x: torch.fft.rfft(x).abs()


@_op("mse_loss")
def _(m: _Maker) -> Function:
    m.floating()
    return lambda x: F.mse_loss(x, x * 2, reduction="none")


@_op("dropout")
def _(m: _Maker) -> Function:
    m.floating()
    return lambda x: F.dropout(x, 0.5, training=False)


# -- two results ----------------------------------------------------------------------------------------------------------
PAIRS: dict[str, Function] = {
    "add": torch.add, "mul": torch.mul, "matmul": torch.matmul, "cat": lambda x, y: torch.cat([x, y], -1), "linear": F.linear,
    "where": lambda x, y: torch.where(x > 0, x, y), "maximum": torch.maximum, "add_": lambda x, y: x.clone().add_(y),
    "copy_": lambda x, y: x.clone().copy_(y), "broadcast": lambda x, y: torch.broadcast_tensors(x, y)[0],
    "stack": lambda x, y: torch.stack([x, y]), "expand_as": lambda x, y: x.expand_as(y), "view_as": lambda x, y: x.view_as(y),
    "type_as": lambda x, y: x.type_as(y), "bmm": torch.bmm, "outer": torch.outer,
}  # fmt: skip


_CONTRACTIONS = ("matmul", "linear", "bmm", "outer")


def drawn(seed: int) -> Net:
    """The net of this seed."""
    draw = Draw(seed)
    spec, _ = draw.choice(INPUTS)
    pairs = [tuple(_input(spec, s) for s in SIZES[:2])]
    steps: list[Step] = []
    weights: list[torch.Tensor] = []
    for _ in range(draw.randint(3, 10) * 4):  # many do not fit
        if len(steps) >= 10:
            break
        recent = range(max(0, len(pairs) - 3), len(pairs))
        two = draw.random() < 0.15
        step, new = _pair(draw, recent, pairs) if two else _single(draw, draw.choice(recent), pairs, len(weights))
        if step is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = _run(step, pairs, [*weights, *new])
        if made is not None:
            steps.append(step)
            weights += new
            pairs.append(made)
    return Net(spec, steps, weights).eval()


def _input(spec: str, sizes: dict[str, int]) -> torch.Tensor:
    return torch.empty([sizes.get(part) or int(part) for part in spec.split(",")], device="meta")


def _single(draw: Draw, at: int, pairs: list[Any], weights: int) -> tuple[Step | None, list[torch.Tensor]]:
    name = draw.choice(sorted(OPS))
    maker = _Maker(draw, *pairs[at])
    try:
        function = OPS[name](maker)
    except (_Unfit, IndexError, ValueError):
        return None, []
    return Step(name, function, (at,), tuple(range(weights, weights + len(maker.weights)))), maker.weights


def _pair(draw: Draw, recent: Sequence[int], pairs: list[Any]) -> tuple[Step | None, list[torch.Tensor]]:
    name, chosen = draw.choice(sorted(PAIRS)), (draw.choice(recent), draw.choice(recent))
    if name in _CONTRACTIONS and any(pairs[i][0].dtype is not torch.float32 for i in chosen):
        return None, []  # the meta device multiplies booleans and mixed dtypes, and no other device does
    return Step(f"{name} of two", PAIRS[name], chosen), []


def _run(step: Step, pairs: list[Any], weights: list[torch.Tensor]) -> Any:
    """The results at both assignments of sizes, if torch takes it and they are neither empty nor huge."""
    found = []
    for which in (0, 1):
        try:
            made = step.function(*[pairs[i][which] for i in step.operands], *[weights[i] for i in step.weights])
        except Exception:
            return None
        if not isinstance(made, torch.Tensor) or not 0 < made.numel() <= LARGEST or made.dim() > 6:
            return None
        found.append(made)
    return tuple(found) if found[0].dim() == found[1].dim() and found[0].dtype is found[1].dtype else None


# -- comparing ------------------------------------------------------------------------------------------------------------
@dataclass
class Found:
    """What came of one net."""

    seed: int
    compared: int = 0
    refused: int = 0
    differences: list[str] = field(default_factory=list)


def differences(seed: int, net: Net | None = None) -> Found:
    """Compare one net, that of the seed if none is given, at the sample sizes and at the others."""
    net, found = net or drawn(seed), Found(seed)
    try:
        report = fxcount.analyze(net, net.spec, hints={n: s for n, s in SIZES[0].items() if n in net.spec})
    except Exception as error:
        found.differences.append(f"analysis: {type(error).__name__}: {str(error).splitlines()[0]}")
        return found
    for sizes in SIZES:
        try:
            at = report.at(**{n: s for n, s in sizes.items() if n in report.symbols}, extend=False)
        except fxcount.FxcountError:
            found.refused += 1
            if sizes is SIZES[0]:
                found.differences.append("refused at its own hint")
            continue
        found.compared += 1
        try:
            real = net(_input(net.spec, sizes))  # by itself: a dispatch mode takes some ops apart, which changes strides
            with FlopCounterMode(display=False) as counter:
                net(_input(net.spec, sizes))
        except Exception as error:
            found.differences.append(f"{sizes}: admitted, and torch says {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        by_vector = 1 in sizes.values() and any(step.name == "matmul vector" for step in net.steps)
        counted = at.count("torch") if by_vector else counter.get_total_flops()
        said = list(_unlike(at, real, counted))
        if said:  # what the meta device gives is not always torch's: strides, and on torch 2.11 the dimensions of a norm
            said = list(_unlike(at, _on_cpu(net, sizes), counted))
        found.differences.extend(f"{sizes}: {text}" for text in said)
    return found


def _on_cpu(net: Net, sizes: dict[str, int]) -> Sequence[torch.Tensor]:
    """The results on the CPU, of data that any op takes."""
    make = {True: torch.ones_like, False: torch.zeros_like}
    real = Net(net.spec, net.steps, [make[w.is_floating_point()](w, device="cpu") for w in net.weights])
    found: Sequence[torch.Tensor] = real(torch.rand_like(_input(net.spec, sizes), device="cpu"))
    return found


def _unlike(at: Any, real: Sequence[torch.Tensor], flops: int) -> Iterator[str]:
    values = at.trace.values_out()
    if len(values) != len(real):
        yield f"{len(values)} results for {len(real)}"
        return
    for i, (value, t) in enumerate(zip(values, real, strict=True)):
        fact = value.fact
        shape = tuple([int(at.size(s)) for s in fact.shape])
        if shape != tuple(t.shape) or fact.dtype is not t.dtype:
            yield f"result {i} is {fact.dtype}{shape} for {t.dtype}{tuple(t.shape)}"
            continue
        mine = [int(at.size(s)) for n, s in zip(shape, fact.stride(), strict=True) if n > 1]
        theirs = [s for n, s in zip(shape, t.stride(), strict=True) if n > 1]
        if mine != theirs and t.numel():
            yield f"strides of result {i}, {fact.dtype}{shape}, are {mine} for {theirs}"
    if at.count("torch") != flops:
        yield f"FLOP are {at.count('torch')} for {flops}"


def survey(seeds: Iterable[int], say: Callable[[str], None] | None = None) -> collections.Counter[str]:
    """How many nets, ops, sizes compared and refused, and differences."""
    count: collections.Counter[str] = collections.Counter(different=0)
    for seed in seeds:
        net = drawn(seed)
        found = differences(seed, net)
        count.update(nets=1, compared=found.compared, refused=found.refused, different=bool(found.differences))
        count.update(ops=len(net.steps))
        for text in found.differences if say else ():
            say(f"net {seed}: {text}\n    {net}")
    return count


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="of the first net")
    parser.add_argument("--one", type=int, help="this net alone")
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.nets) if given.one is None else [given.one]
    warnings.simplefilter("ignore")
    count = survey(seeds, print)
    print(", ".join(f"{n} {what}" for what, n in count.items()), f"(blind spots of torch's counter: {'; '.join(BLIND_SPOTS)})")
    return 1 if count["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
