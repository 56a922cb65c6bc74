"""``device="cuda"`` without a GPU: what torch does otherwise there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.ops import TensorFact
from fxcount.ops.contraction.kernels import kernel_of
from tests.oracles import held_by_a_gpu

CUDA = torch.device("cuda", 0)


def _fact(*shape: int, dtype: torch.dtype = torch.bfloat16, strides: tuple[int, ...] | None = None) -> TensorFact:
    return TensorFact(shape, dtype, CUDA, strides)


Q = _fact(3, 8, 11, 64)
GROUPED = _fact(3, 2, 11, 64)
MASK = _fact(11, 11, dtype=torch.bool)


@pytest.mark.parametrize(
    ("operands", "options", "kernel"),
    [
        ((Q, Q, Q), {}, "flash"),
        ((Q, Q, Q), {"dropout_p": 0.1}, "flash"),
        ((Q, Q, Q), {"is_causal": True}, "flash"),
        ((Q, _fact(3, 8, 13, 64), _fact(3, 8, 13, 64)), {"is_causal": True}, "efficient"),  # flash aligns it elsewhere
        ((Q, Q, Q), {"attn_mask": MASK}, "efficient"),
        ((Q, Q, Q), {"attn_mask": _fact(11, 1, dtype=torch.bool, strides=(1, 5))}, "math"),  # rows that are not dense
        ((Q, GROUPED, GROUPED), {"enable_gqa": True}, "flash"),
        ((Q, GROUPED, GROUPED), {}, "math"),
        ((Q, Q, _fact(3, 8, 11, 32)), {}, "efficient"),  # values of another width
        ((_fact(3, 8, 11, 60), _fact(3, 8, 11, 60), _fact(3, 8, 11, 60)), {"attn_mask": MASK}, "math"),  # 60 % 8
        ((_fact(3, 8, 11, 264), _fact(3, 8, 11, 264), _fact(3, 8, 11, 264)), {}, "efficient"),  # above 256
        (tuple([_fact(3, 8, 11, 60, dtype=torch.float32)] * 3), {}, "efficient"),  # 60 % 4 == 0
        (tuple([_fact(3, 8, 11, 62, dtype=torch.float32)] * 3), {}, "math"),
        (tuple([_fact(3, 8, 11, 64, dtype=torch.float64)] * 3), {}, "math"),
        (tuple([_fact(8, 11, 64)] * 3), {}, "math"),  # of one sample
        ((Q, _fact(1, 8, 11, 64), _fact(1, 8, 11, 64)), {}, "math"),  # batches that broadcast
    ],
)
def test_the_kernel_is_the_one_that_torch_chooses(operands: Any, options: dict[str, Any], kernel: str) -> None:
    """By the conditions of ``can_use_flash_attention`` and ``can_use_mem_efficient_attention`` in ATen's sdp_utils.cpp."""
    assert kernel_of(*operands, **options) == kernel


def test_settings_of_torch_are_asked() -> None:
    kernels = torch.nn.attention.SDPBackend
    with torch.nn.attention.sdpa_kernel([kernels.EFFICIENT_ATTENTION, kernels.MATH]):
        assert kernel_of(Q, Q, Q) == "efficient"
    with torch.nn.attention.sdpa_kernel(kernels.MATH):
        assert kernel_of(Q, Q, Q) == "math"
    with torch.nn.attention.sdpa_kernel([kernels.EFFICIENT_ATTENTION, kernels.FLASH_ATTENTION], set_priority=True):
        assert kernel_of(Q, Q, Q) == "efficient"
    with torch.nn.attention.sdpa_kernel([kernels.CUDNN_ATTENTION, kernels.EFFICIENT_ATTENTION], set_priority=True):
        assert kernel_of(Q, Q, Q) == "cudnn"
        assert kernel_of(Q, _fact(3, 8, 1, 64), _fact(3, 8, 1, 64)) == "efficient"  # cuDNN takes no single key
    assert kernel_of(Q, Q, Q) == "flash"


class Attention(nn.Module):
    """Queries, keys and values as they are given; a mask."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.scale = nn.Parameter(torch.empty((), dtype=torch.bfloat16, device="meta"))

    def forward(self, q: Any, k: Any, v: Any, mask: Any = None) -> torch.Tensor:
        attend = nn.functional.scaled_dot_product_attention
        return attend(q * self.scale, k, v, attn_mask=mask, is_causal=self.causal)


def test_what_attention_keeps_for_its_backward() -> None:
    """Flash: the scaled query, key and value (those are inputs), the output and a float per query. The plain formula keeps
    more, as there are scores. Two random numbers are kept, too."""
    given = ["bf16[B,3,S,64]"] * 3
    step = fxcount.training_step(Attention(causal=True), *given, device="cuda")
    b, s = step.symbol("B"), step.symbol("S")
    per_query = 2 * (64 + 64) + 4  # query, output; the logarithm of the sum
    assert step.saved_bytes == 3 * b * s * per_query + 16
    plain = fxcount.training_step(Attention(causal=True), *given)
    assert plain.saved_bytes.coeff(b).coeff(s, 2) > 0
    assert step.saved_bytes.coeff(s, 2) == 0


@pytest.mark.parametrize(("length", "copied"), [(48, 0), (47, 1)])
def test_a_mask_of_odd_rows_is_made_for_every_head(length: int, copied: int) -> None:
    """``preprocess_mask``: a boolean mask becomes numbers, and one whose rows are no multiple of 16 is padded, which makes it
    for all heads and samples: 16 - length % 16 elements wider. Two random numbers lie with the processor."""
    shape = f"bf16[5,3,{length},64]"
    step = fxcount.training_step(Attention(), shape, shape, shape, f"bool[{length},{length}]", device="cuda")
    numbers = 2 * length * length
    everywhere = 2 * 5 * 3 * length * (length + 16 - length % 16)
    by_query = 4 * 5 * 3 * (-(-length // 32) * 32)  # in blocks of 32 queries
    query_and_output = 2 * 2 * 5 * 3 * length * 64
    assert step.saved_bytes == query_and_output + by_query + (everywhere if copied else numbers)
    assert step.offloaded_bytes == 16


def test_a_head_of_odd_width_is_padded() -> None:
    """Flash works on widths of a multiple of 8: 61 becomes 64, of query, key, value and output."""
    step = fxcount.training_step(Attention(), *["bf16[5,3,7,61]"] * 3, device="cuda")
    padded = 2 * 5 * 3 * 7 * 64
    assert step.saved_bytes == 4 * padded + 4 * 5 * 3 * 7 + 16


def test_dropout_keeps_a_boolean_mask() -> None:
    """On a CPU a mask of floats is kept."""
    net = nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.3), nn.Linear(7, 3))
    on_cpu, on_cuda = (fxcount.training_step(net, "B,5", device=d).at(B=11).saved_bytes for d in (None, "cuda"))
    assert (on_cpu, on_cuda) == (4 * 11 * 7 * 2, 4 * 11 * 7 + 11 * 7)
    inference = fxcount.analyze(nn.Dropout(0.3), (11, 7), device="cuda")
    assert inference.memory.peak == 4 * 11 * 7 * 2 + 11 * 7  # input, output, mask


def test_optimizers_work_on_all_parameters_at_once() -> None:
    net = nn.Sequential(*[nn.Linear(31, 31) for _ in range(5)])
    by_default = fxcount.training_step(net, "B,31", optimizer="adamw", device="cuda").at(B=2)
    asked = fxcount.training_step(net, "B,31", optimizer="adamw foreach").at(B=2)
    assert by_default.step_peak == asked.step_peak
    assert by_default.step_peak.later > fxcount.training_step(net, "B,31", optimizer="adamw").at(B=2).step_peak.later


class Asks(nn.Module):
    """Asks where its tensors lie, and makes others there."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5))
        self.register_buffer("table", torch.zeros(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = {x.device, self.weight.device, self.table.device, next(self.parameters()).device}
        assert places == {CUDA}, places
        assert x.is_cuda
        assert self.weight.is_cuda
        assert not self.weight.is_cpu
        assert self.weight.get_device() == 0
        made = torch.arange(x.shape[0], device=x.device) + torch.zeros((), device="cuda:0")
        assert made.device == CUDA
        return x * self.weight + self.table + made[:, None]


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_model_and_inputs_are_taken_to_lie_there(where: str) -> None:
    """Wherever they do; and both stay where they are."""
    net = Asks().to(where)
    report = fxcount.analyze(net, "B,5", device="cuda")
    step = fxcount.training_step(net, "B,5", optimizer="adamw", device="cuda:0")
    assert step.at(B=3).gradient_bytes == 4 * 5
    assert report.at(B=3).flops == 3 * 5 * 3 + 3 == fxcount.analyze(Plain().to(where), "B,5").at(B=3).flops
    assert {t.device.type for t in (*net.parameters(), *net.buffers())} == {where}
    assert net.weight.grad is None


class Plain(Asks):
    """The same on the device where it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = torch.arange(x.shape[0], device=x.device) + torch.zeros((), device=x.device)
        return x * self.weight + self.table + made[:, None]


def test_other_sizes_are_analysed_there_as_well() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = Attention(causal=True), Attention()

        def forward(self, q: torch.Tensor) -> Any:
            return (self.large if q.shape[2] > 100 else self.small)(q, q, q)

    net = Branches()
    step = fxcount.training_step(net, "bf16[B,3,S,64]", hints={"S": 50}, device="cuda")
    beyond = step.at(B=2, S=300)
    assert beyond.saved_bytes == fxcount.training_step(net, "bf16[2,3,300,64]", device="cuda").saved_bytes


def test_a_graph_has_its_devices_written_in_it() -> None:
    graph = torch.fx.symbolic_trace(nn.Linear(3, 5))
    with pytest.raises(fxcount.InputError, match="devices written in it"):
        fxcount.analyze(graph, "B,3", device="cuda")


def test_no_device() -> None:
    with pytest.raises(fxcount.InputError, match="the option device is a device of torch"):
        fxcount.analyze(nn.Linear(3, 5), "B,3", device="gpu")


# -- against a GPU ----------------------------------------------------------------------------------------------------


def _cross_entropy(found: Any, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(found.logits.flatten(0, -2), labels.flatten())


def test_a_step_of_a_llama_is_that_of_a_gpu() -> None:
    """To the byte at three batch sizes, of which two have the peak in the optimizer's step, and one in the backward; from the
    meta device, where attention would keep all scores."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config).to(torch.bfloat16).train()
    step = fxcount.training_step(
        model, loss=_cross_entropy, targets="i64[B,512]", optimizer="adamw", kwargs={"input_ids": "i64[B,512]"}, device="cuda"
    )
    counters = 146 * 4  # of the optimizer, which stay with the processor
    for batch in (1, 3, 7):
        requested, _ = held_by_a_gpu("llama_1b_bf16", "AdamW step", batch)
        assert step.at(B=batch).total_peak - counters == requested
