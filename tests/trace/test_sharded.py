"""Models whose parameters are spread over ranks, on a fake process group of four: the counts are those of the whole model, the
bytes of this rank's part stand beside them, and the model is as it was and runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import fxcount

pytestmark = pytest.mark.filterwarnings("ignore")
dist = pytest.importorskip("torch.distributed")
RANKS = 4


@pytest.fixture(scope="module", autouse=True)
def _ranks() -> Iterator[None]:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    if not dist.is_available() or dist.is_initialized():
        pytest.skip("no process group of our own")
    dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())
    yield
    dist.destroy_process_group()


def _plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))


def _mesh(*shape: int, **names: Any) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", shape, **names)


def _tensor_parallel() -> nn.Module:
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan: Any = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    return parallelize_module(_plain(), _mesh(RANKS), plan)


def _fully_sharded() -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    model, mesh = _plain(), _mesh(RANKS)
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh)
    return model


@pytest.mark.parametrize("original", [False, True])
def test_flat_parameters_are_refused_in_words(original: bool) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel

    wrapped = FullyShardedDataParallel(_plain(), device_id=torch.device("cpu"), use_orig_params=original)
    for model in (wrapped, nn.Sequential(nn.ReLU(), wrapped)):
        with pytest.raises(fxcount.UnsupportedError, match="sharded by FullyShardedDataParallel"):
            fxcount.analyze(model, "B,8")


def _both() -> nn.Module:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = _mesh(2, 2, mesh_dim_names=("data", "tensor"))
    plan: Any = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    model = parallelize_module(_plain(), mesh["tensor"], plan)
    fully_shard(model, mesh=mesh["data"])
    return model


def _data_parallel() -> nn.Module:
    return nn.parallel.DistributedDataParallel(_plain())


# elements on one rank: weights of 128 and 128, biases of 16 and 8; by rows and columns the second bias is whole on each rank
WAYS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "tensor parallel": (_tensor_parallel, 128 // 4 + 16 // 4 + 128 // 4 + 8),
    "fully sharded": (_fully_sharded, (128 + 16 + 128 + 8) // 4),
    "both": (_both, (128 // 2 + 16 // 2 + 128 // 2 + 8) // 2),
    "data parallel": (_data_parallel, 280),
}


@pytest.mark.parametrize("name", WAYS)
def test_counts_are_those_of_the_whole_model(name: str) -> None:
    make, local = WAYS[name]
    model, plain = make(), fxcount.analyze(_plain(), "B,8")
    before = dict(model.named_parameters())
    report = fxcount.analyze(model, "B,8")
    assert report.frontend == "trace"
    assert (report.macs, report.flops) == (plain.macs, plain.flops)
    assert (report.params.total, report.params.bytes, report.params.dead) == (280, 1120, 0)
    assert report.params.local_bytes == 4 * local
    assert pickle.loads(pickle.dumps(report)).params.local_bytes == 4 * local
    assert all(p is before[n] for n, p in model.named_parameters())
    if "FSDP" not in type(model).__name__ or hasattr(torch.cpu.Stream, "record_event"):  # torch 2.6 runs none on a CPU
        assert model(torch.randn(RANKS, 8)).shape == (RANKS, 8)


def test_the_bytes_of_one_rank_are_all_of_a_plain_model() -> None:
    assert fxcount.analyze(_plain(), "B,8").params.local_bytes == 1120
