"""Positions made of sizes: where torch says that they are out of range, no formula answers, and elsewhere one does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fxcount

TRIES = {  # x has S rows; t has 100 elements, t2 is (3, 100), z is t anew
    "gather": "t.gather(0, torch.arange(S))",
    "gather along the last": "t2.gather(1, torch.arange(S).expand(3, -1))",
    "gather by name": "torch.gather(input=t, index=torch.arange(S), dim=0)",
    "index_select": "t2.index_select(-1, torch.arange(S))",
    "getitem": "t[torch.arange(S)]",
    "getitem of the last": "t2[..., torch.arange(S)]",
    "getitem from the end": "t[-1 - torch.arange(S)]",
    "getitem, two tensors": "t2[torch.arange(3), torch.arange(3) + S]",
    "getitem, one element": "t[torch.tensor(S)]",
    "getitem, a list": "t[[0, S - 1]]",
    "getitem, a list of all": "t[list(range(S))]",
    "getitem of a mask": "t[torch.arange(100) < S]",
    "setitem": "z.__setitem__(torch.arange(S), 1.0) or z",
    "scatter": "t.scatter(0, torch.arange(S), 1.0)",
    "scatter, named": "t.scatter(dim=0, src=torch.ones(S), index=torch.arange(S))",
    "scatter_": "z.scatter_(0, torch.arange(S), torch.ones(S))",
    "scatter_add": "t.scatter_add(0, torch.arange(S), torch.ones(S))",
    "scatter_reduce": "t.scatter_reduce(0, torch.arange(S), torch.ones(S), 'sum')",
    "index_add_": "z.index_add_(0, torch.arange(S), torch.ones(S))",
    "index_copy": "t.index_copy(0, torch.arange(S), torch.ones(S))",
    "index_fill": "t.index_fill(0, torch.arange(S), 1.0)",
    "index_reduce": "t.index_reduce(0, torch.arange(S), torch.ones(S), 'prod')",
    "index_put": "t.index_put((torch.arange(S),), torch.ones(S))",
    "take": "torch.take(t, torch.arange(S))",
    "put": "t.put(torch.arange(S), torch.ones(S))",
    "one_hot": "nn.functional.one_hot(torch.arange(S), 100)",
    "embedding": "nn.functional.embedding(torch.arange(S), t2.T)",
    "cross_entropy": "nn.functional.cross_entropy(x.new_zeros(S, 100), torch.arange(S))",
    "split": "t.split([S, 100 - S])[0]",
    "small enough": "t.gather(0, torch.arange(S) % 100)",
    "halved": "t.gather(0, torch.arange(S) // 2)",
    "of its own size": "torch.arange(S)[torch.arange(S)]",
}  # fmt: skip


def _net(body: str) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("t", torch.zeros(100))
            self.register_buffer("t2", torch.zeros(3, 100))

    names: dict[str, object] = {"torch": torch, "nn": nn}
    exec(f"def forward(self, x):\n    S, t, t2, z = x.shape[0], self.t, self.t2, self.t.clone()\n    return {body}\n", names)
    Net.forward = names["forward"]  # type: ignore[assignment]
    return Net()


@pytest.mark.parametrize("body", TRIES.values(), ids=TRIES)
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_positions_end_where_torch_says(body: str) -> None:
    net = _net(body)
    report = fxcount.analyze(net, "S,2", hints={"S": 16})
    ends = 0
    for size in (1, 16, 97, 98, 99, 100, 101, 200):
        try:
            real = net(torch.zeros(size, 2))
        except (IndexError, RuntimeError):
            ends += 1
            with pytest.raises(fxcount.FxcountError):
                report.at(S=size)
        else:
            outputs = report.at(S=size).trace.values_out()
            assert [tuple(report.at(S=size).size(n) for n in v.fact.shape) for v in outputs] == [tuple(real.shape)]
    assert (ends == 0) == (body in [TRIES[name] for name in ("small enough", "halved", "of its own size", "getitem of a mask")])
