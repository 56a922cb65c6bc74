"""Gradients, function transforms and dual numbers inside a forward: torch's own engine on stand-ins, against torch itself.

Multiply-accumulates are those that torch's formulas see in a real run at two sizes that are not the hint; results are those of
the graph module on random data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import fxcount
from fxcount.torch_private import VERSION
from tests.oracles import counted_flops

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated"),  # torch's own, the first time jvp runs
    pytest.mark.skipif(VERSION < (2, 13), reason="such a forward goes through torch.export before torch 2.13"),
]


class Net(nn.Module):
    """A potential, or the layers that a test's function uses."""

    def __init__(self, function: Callable[..., Any], features: int = 3) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(features, 7), nn.Linear(7, 1)
        self.function = function

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.b(torch.tanh(self.a(x))).sum()
        return total

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self, *args)


class _Counter(TorchDispatchMode):
    """torch's formulas without its tracker of modules, which refuses ``autograd.grad`` inside a module."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet not in flop_registry:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **kwargs, out_val=result)
        return result


def _counted(model: nn.Module, *args: torch.Tensor) -> int:
    with _Counter() as counter:
        model(*args)
    return counter.flops


def test_the_counter_is_torchs() -> None:
    model, x = nn.Sequential(nn.Conv1d(3, 5, 3), nn.Flatten(), nn.Linear(25, 2)), torch.zeros(2, 3, 7)
    assert _counted(model, x) == counted_flops(model, x)


def _force(net: Net, x: torch.Tensor) -> Any:
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        energy = net.energy(x)
        (gradient,) = torch.autograd.grad(energy, x)
    return energy, -gradient


def _equation(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Burgers: u_t + u u_x - 0.1 u_xx."""
    x = x.detach().requires_grad_(True)
    u = net.b(torch.tanh(net.a(x)))
    (g,) = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)
    (gg,) = torch.autograd.grad(g[:, :1], x, torch.ones_like(u), create_graph=True)
    return g[:, 1:2] + u * g[:, :1] - 0.1 * gg[:, :1]


def _backward(net: Net, x: torch.Tensor) -> Any:
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        net.energy(x).backward(inputs=[x])
    return x.grad


def _dual(net: Net, x: torch.Tensor, v: torch.Tensor) -> Any:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(torch.tanh(net.a(forward_ad.make_dual(x, v)))).tangent


def _adapted(net: Net, x: torch.Tensor) -> Any:
    """One inner step of MAML by the parameters themselves."""
    inner = list(net.a.parameters())
    loss = net.a(x).square().mean()
    weight, bias = (p - 0.1 * g for p, g in zip(inner, torch.autograd.grad(loss, inner, create_graph=True)))
    return F.linear(x, weight, bias)


def _adapted_function(net: Net, x: torch.Tensor) -> Any:
    parameters = dict(net.a.named_parameters())
    found = grad(lambda p: functional_call(net.a, p, (x,)).square().mean())(parameters)
    return functional_call(net.a, {n: p - 0.1 * found[n] for n, p in parameters.items()}, (x,))


def _of_each_sample(net: Net, x: torch.Tensor) -> Any:
    parameters = {n: p.detach() for n, p in net.a.named_parameters()}
    loss = lambda p, one: functional_call(net.a, p, (one.unsqueeze(0),)).square().mean()  # noqa: E731
    return vmap(grad(loss), (None, 0))(parameters, x)


def _laplacian(net: Net, x: torch.Tensor) -> Any:
    return vmap(lambda one: torch.trace(jacfwd(grad(net.energy))(one)))(x)


INSIDE: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "force": (_force, ("N,3",)),
    "backward": (_backward, ("N,3",)),
    "equation": (_equation, ("N,3",)),
    "dual numbers": (_dual, ("N,3", "N,3")),
    "inner step": (_adapted, ("N,3",)),
    "inner step of a function": (_adapted_function, ("N,3",)),
    "each sample": (_of_each_sample, ("N,3",)),
    "grad": (lambda net, x: grad(net.energy)(x), ("N,3",)),
    "vjp": (lambda net, x, v: vjp(net.a, x)[1](v), ("N,3", "N,7")),
    "jvp": (lambda net, x, v: jvp(lambda z: torch.tanh(net.a(z)), (x,), (v,)), ("N,3", "N,3")),
    "jacrev": (lambda net, x: jacrev(lambda z: torch.tanh(net.a(z)))(x), ("3,",)),
    "jacfwd": (lambda net, x: jacfwd(lambda z: torch.tanh(net.a(z)))(x), ("3,",)),
    "hessian": (lambda net, x: hessian(net.energy)(x), ("3,",)),
    "hessian of each": (lambda net, x: vmap(hessian(net.energy))(x), ("N,3",)),
    "jacobian of each": (lambda net, x: vmap(jacrev(net.a))(x), ("N,3",)),
    "laplacian": (_laplacian, ("N,3",)),
    "product with a hessian": (lambda net, x, v: jvp(grad(net.energy), (x,), (v,))[1], ("N,3", "N,3")),
    "jacobian by the older way": (lambda net, x: torch.autograd.functional.jacobian(net.a, x), ("3,",)),
    "mapped": (lambda net, x: vmap(net.a)(x), ("A,N,3",)),
    "mapped in another dimension": (lambda net, x: vmap(net.a, in_dims=1, out_dims=2)(x), ("A,N,3",)),
    "mapped in chunks": (lambda net, x: vmap(net.a, chunk_size=2)(x), ("6,N,3",)),
    "mapped twice": (lambda net, x, y: vmap(vmap(torch.dot, (None, 0)), (0, None))(x, y), ("A,5", "N,5")),
    "mapped matrices": (lambda net, x, y: vmap(torch.mm)(x, y), ("A,N,5", "A,5,K")),
    "mapped einsum": (lambda net, x, y: vmap(lambda a, b: torch.einsum("ij,jk->ik", a, b))(x, y), ("A,N,5", "A,5,K")),
    "mapped dict": (lambda net, x: vmap(lambda d: {"y": net.a(d["x"])})({"x": x}), ("A,N,3",)),
    "mapped by a size": (lambda net, x: vmap(lambda z: net.a(z).sum() / z.shape[0] * 0.25)(x), ("A,N,3",)),
}  # fmt: skip


def _sizes(spec: str, at: dict[str, int]) -> list[int]:
    return [at[s] if s in at else int(s) for s in spec.split(",") if s]


@pytest.mark.parametrize("name", INSIDE)
def test_against_torch(name: str) -> None:
    function, specs = INSIDE[name]
    torch.manual_seed(0)
    model = Net(function)
    report = fxcount.analyze(model, *specs)
    assert report.frontend == "trace"
    assert report.uncounted == ()
    assert not [a for a in report.assumptions if "==" in str(a)], "no size is pinned"
    for at in ({"A": 2, "N": 5, "K": 11}, {"A": 7, "N": 3, "K": 2}):
        values = {s: n for s, n in at.items() if s in report.symbols}
        arguments = [torch.randn(_sizes(s, at)) for s in specs]
        assert 2 * report.at(**values, extend=False).macs == _counted(model, *arguments)
        wanted = torch.utils._pytree.tree_leaves(model(*arguments))
        found = torch.utils._pytree.tree_leaves(report.graph_module(*arguments))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
        assert all(p.grad is None for p in model.parameters())


def test_force_by_hand() -> None:
    """N samples: the energy is 3*7 and 7*1 products, its gradient by the positions 1*7 and 7*3."""
    report = fxcount.analyze(Net(_force), "N,3")
    assert str(report.macs) == "56*N"
    assert report.params.dead == 0


def test_a_bias_that_no_gradient_needs() -> None:
    """d(w tanh + b)/dx does not depend on b, and autograd agrees."""
    model = Net(_laplacian)
    assert [row.name for row in fxcount.analyze(model, "N,3").params.rows("dead")] == ["b.bias"]
    model(torch.randn(5, 3)).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == ["b.bias"]


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList([nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2)) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> Any:
        parameters, buffers = stack_module_state(list(self.members))
        first: Any = self.members[0]
        return vmap(lambda p, b: functional_call(first, (p, b), (x,)))(parameters, buffers)


def test_an_ensemble() -> None:
    """Three nets of 5*7 + 7*2 products for each sample."""
    model = Ensemble()
    report = fxcount.analyze(model, "B,5")
    assert (report.frontend, str(report.macs)) == ("trace", "147*B")
    assert report.params.dead == 0
    x = torch.randn(11, 5)
    torch.testing.assert_close(report.graph_module(x), model(x))


def test_mapped_convolutions_hold_at_any_size() -> None:
    """torch's own rules for some mapped layers want numbers: sizes are pinned, and each size asked for is analysed."""
    layer = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.MaxPool2d(2)).eval()
    model = Net(lambda net, x: vmap(layer)(x))
    report = fxcount.analyze(model, "A,B,3,H,H")
    assert report.at(A=2, B=3, H=11).macs == 2 * 3 * 9 * 9 * 5 * 27
    assert report.at(A=3, B=2, H=8).macs == 3 * 2 * 6 * 6 * 5 * 27


def test_mapped_attention_holds_at_any_size() -> None:
    model = Net(lambda net, x: vmap(lambda q: F.scaled_dot_product_attention(q, q, q))(x))
    report = fxcount.analyze(model, "A,2,N,8")
    assert report.at(A=3, N=5).macs == 2 * 3 * 2 * 5 * 5 * 8
    assert report.at(A=2, N=7).macs == 2 * 2 * 2 * 7 * 7 * 8


def test_unused_parameters_of_a_forward_that_differentiates() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = Net(_equation), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return self.used(x)

    assert fxcount.find_unused_parameters(Two(), "N,3") == ["idle.weight", "idle.bias"]
