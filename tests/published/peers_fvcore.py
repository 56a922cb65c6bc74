"""The cases of fvcore's own tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.published.peers_common import of, parameters_of

__all__ = ["ANSWERS"]


def flops(model: nn.Module | Callable[..., Any], *inputs: Any, training: bool = False) -> int:
    """fvcore's number, by its convention."""
    return of(model, *inputs, convention="fvcore", training=training)


def activations(model: nn.Module, *inputs: Any) -> int:
    """fvcore's count of activations, by its convention."""
    return of(model, *inputs, convention="fvcore-activations")


class LeNet(nn.Module):
    """The net of torch's tutorial, on one channel of 32 x 32, with kernels of 3 x 3: the only one with these numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 16, 3)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 6 * 6, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2))), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv1d(4, 4, 3, padding=1), nn.Linear(20, 10)
        self.inner_conv, self.inner_fc = nn.Conv1d(2, 2, 1), nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(self.conv(x).flatten(1))
        return self.inner_fc(self.inner_conv(x.reshape(-1, 2, 5)).flatten(1))


class WithUnused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.unused = nn.Linear(10, 10), nn.Linear(10, 1), nn.Linear(20, 20)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(x)))


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, 10), nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.fc1(x)
        return self.fc2(self.fc2(x))


class OtherFunction(nn.Module):
    """Its parent does not call it, but one of its functions."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(10, 1)

    def other(self, x: Tensor) -> Tensor:
        return self.fc(x)


class NonForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.submod = nn.Linear(10, 10), OtherFunction()

    def forward(self, x: Tensor) -> Tensor:
        return self.submod.other(self.fc(x))


class Holder(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Shared(nn.Module):
    """One layer in two submodules, another under two names."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Linear(10, 10)
        self.submod1, self.submod2 = Holder(inner), Holder(inner)
        self.name1 = nn.Linear(10, 1)
        self.name2 = self.name1

    def forward(self, x: Tensor) -> Tensor:
        x = self.submod1(x) + self.submod2(x)
        return self.name1(x) + self.name2(x)


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(10, 1)

    def forward(self, x: Tensor, times: int = 3) -> Tensor:
        return self(x, times - 1) if times else self.fc(x)


def _convs(reuse: bool) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(100, 100, 3), nn.Conv2d(100, 100, 3))
    if reuse:
        model[1].weight = model[0].weight
    return model


def _norm(training: bool, affine: bool) -> int:
    """A batch norm on (2, 2, 2, 2)."""

    def run(x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        scale = {"weight": weight, "bias": bias} if affine else {}
        return F.batch_norm(x, mean, variance, training=training, **scale)

    return flops(run, (2, 2, 2, 2), (2,), (2,), (2,), (2,))


def _conv(kind: str, *sizes: int, on: tuple[int, ...], **options: Any) -> int:
    return flops(getattr(nn, kind)(*sizes, **options), on)


SQUARE, CUBE = (5, 10, 15, 15), (2, 2, 2, 2)

ANSWERS: dict[str, Callable[[], Any]] = {
    "FlopCountAnalysis docstring": lambda: flops(
        nn.Sequential(nn.Conv2d(3, 10, 1), nn.ReLU(), nn.Flatten(), nn.Linear(1000, 10)), (1, 3, 10, 10)
    ),
    "docs/flop_count.md LeNet-like": lambda: flops(LeNet(), (1, 1, 32, 32)),
    "test_nn": lambda: flops(nn.Linear(8, 4), (5, 8)),
    "test_linear": lambda: flops(nn.Linear(10, 20), (5, 10)),
    "test_linear 3D": lambda: flops(nn.Linear(10, 20), (5, 5, 10)),
    "test_conv/conv2d s1": lambda: _conv("Conv2d", 10, 3, 3, 1, 1, on=SQUARE),
    "test_conv/conv2d s2": lambda: _conv("Conv2d", 10, 6, 3, 2, 1, on=(2, 10, 20, 20)),
    "test_conv/conv2d groups4": lambda: _conv("Conv2d", 16, 8, 5, 1, 2, on=(5, 16, 15, 15), groups=4),
    "test_conv/conv2d groups8": lambda: _conv("Conv2d", 16, 8, 3, 1, 1, on=(5, 16, 15, 15), groups=8),
    "test_conv/conv1d": lambda: _conv("Conv1d", 10, 3, 3, 1, 1, on=(5, 10, 15)),
    "test_conv/conv3d": lambda: _conv("Conv3d", 10, 3, 3, 1, 1, on=(5, 10, 15, 15, 15)),
    "test_conv/convT2d s1": lambda: _conv("ConvTranspose2d", 10, 3, 3, 1, 1, on=SQUARE),
    "test_conv/convT2d s2": lambda: _conv("ConvTranspose2d", 10, 3, 3, 2, 1, on=SQUARE),
    "test_conv/convT2d s3 op2": lambda: _conv("ConvTranspose2d", 10, 3, 3, 3, 1, on=SQUARE, output_padding=2),
    "test_matmul": lambda: flops(torch.matmul, (20, 10), (10, 100)),
    "test_matmul_broadcast (2,2,20,10)(2,2,10,100)": lambda: flops(torch.matmul, (2, 2, 20, 10), (2, 2, 10, 100)),
    "test_matmul_broadcast (2,20,10)(10,100)": lambda: flops(torch.matmul, (2, 20, 10), (10, 100)),
    "test_bmm": lambda: flops(torch.bmm, (2, 5, 2), (2, 2, 12)),
    "test_einsum 1": lambda: flops(lambda a, b: torch.einsum("nct,ncp->ntp", a, b), (1, 5, 2), (1, 5, 12)),
    "test_einsum 2": lambda: flops(lambda a, b: torch.einsum("ntg,ncg->nct", a, b), (1, 2, 6), (1, 5, 6)),
    "test_complicated_einsum": lambda: flops(lambda a, b: torch.einsum("nc,nchw->hw", a, b), (3, 4), (3, 4, 2, 3)),
    "test_torch_mm": lambda: flops(torch.mm, (3, 4), (4, 5)),
    "test_batchnorm 1d eval no affine": lambda: flops(nn.BatchNorm1d(10, affine=False), (10, 10)),
    "test_batchnorm 2d train no affine": lambda: flops(nn.BatchNorm2d(10, affine=False), (10, 10, 5, 5), training=True),
    "test_batchnorm 3d train no affine": lambda: flops(nn.BatchNorm3d(10, affine=False), (10, 10, 5, 5, 5), training=True),
    "handles/batch_norm eval affine": lambda: _norm(training=False, affine=True),
    "handles/batch_norm eval no affine": lambda: _norm(training=False, affine=False),
    "handles/batch_norm train affine": lambda: _norm(training=True, affine=True),
    "handles/group_norm affine": lambda: flops(lambda x, w, b: F.group_norm(x, 2, w, b), CUBE, (2,), (2,)),
    "handles/group_norm no affine": lambda: flops(lambda x: F.group_norm(x, 2), CUBE),
    "handles/upsample bilinear x2": lambda: flops(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), CUBE),
    "test_threeNet": lambda: flops(
        nn.Sequential(nn.Conv2d(2, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3), nn.Linear(3, 1)),
        (4, 2, 10, 10),
    ),
    "NestedNet": lambda: flops(Nested(), (1, 4, 5)),
    "UnusedNet": lambda: flops(WithUnused(), (1, 10)),
    "RepeatedNet": lambda: flops(Repeated(), (1, 10)),
    "NonForwardNet": lambda: flops(NonForward(), (1, 10)),
    "SharedModuleNet": lambda: flops(Shared(), (1, 10)),
    "RecursiveScopeNet": lambda: flops(Recursive(), (1, 10)),
    "DataParallel root": lambda: flops(nn.DataParallel(nn.Linear(10, 10)), (10, 10)),
    "test_activation_count conv": lambda: activations(
        nn.Sequential(nn.Conv2d(3, 8, 1, 1), nn.Conv2d(8, 4, 1, 2), nn.Conv2d(4, 2, 1, 2)), (1, 3, 32, 32)
    ),
    "test_activation_count linear": lambda: activations(nn.Linear(10, 20), (1, 10)),
    "test_param": lambda: parameters_of(_convs(reuse=False), (1, 100, 8, 8)),
    "test_param_with_reuse": lambda: parameters_of(_convs(reuse=True), (1, 100, 8, 8)),
}  # fmt: skip
