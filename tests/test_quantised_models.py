"""Quantised models whole: a Llama by torchao and a ResNet-18 by torch.ao, three ways each, against derivations written here.

torchao is not needed for anything else: without it these tests are skipped."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import fxcount

pytestmark = pytest.mark.filterwarnings("ignore")

# -- a Llama by torchao -------------------------------------------------------------------------------------------------
LAYERS, D, HEADS, KV, F, V = 3, 64, 4, 2, 96, 160
K = KV * D // HEADS
LINEAR = [(D, D), (K, D), (K, D), (D, D), (F, D), (F, D), (D, F)] * LAYERS + [(V, D)]  # q k v o, gate up down; the head
GROUP = 32


def _llama() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV, intermediate_size=F,
        vocab_size=V, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(3)
    return transformers.LlamaForCausalLM(config).to(torch.bfloat16).eval()


def _quantised(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ao = pytest.importorskip("torchao.quantization", reason="torchao is not installed: pip install torchao")
    group = ao.PerGroup(GROUP)
    config = {
        "int8": lambda: ao.Int8WeightOnlyConfig(),
        "int8 x int8": lambda: ao.Int8DynamicActivationInt8WeightConfig(),
        "int4": lambda: ao.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=group),
    }[name]()
    model = _llama()
    ao.quantize_(model, config)
    return model


# name -> what is multiplied, bytes of a weight of n rows of k: int8 a weight (torchao keeps four-bit weights in a byte each on
# the CPU); a scale of float32 and a zero point of int8 for each row, or of bfloat16 and int8 for each group
WAYS: dict[str, tuple[str, Any]] = {
    "int8": ("bf16 x int8", lambda n, k: n * k + 5 * n),
    "int8 x int8": ("int8 x int8", lambda n, k: n * k + 5 * n),
    "int4": ("bf16 x int4", lambda n, k: n * k + 3 * n * (k // GROUP)),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_llama(name: str) -> None:
    product, nbytes = WAYS[name]
    model = _quantised(name)
    report = fxcount.analyze(model, input_ids="i64[B,S]", use_cache=False)
    plain = sum(n * k for n, k in LINEAR)
    rest = V * D + (2 * LAYERS + 1) * D  # the embedding and the norms stay as they are
    assert report.params.total == plain + rest
    assert report.params.bytes == sum(nbytes(n, k) for n, k in LINEAR) + 2 * rest
    at = report.at(B=2, S=7)
    assert at.macs_by_dtype[product] == 2 * 7 * plain
    assert at.macs_by_dtype["bf16 x bf16"] + at.macs_by_dtype.get("f32 x f32", 0) == at.macs - 2 * 7 * plain
    assert at.macs == 2 * 7 * plain + LAYERS * 2 * 2 * 7 * 7 * D + at.macs_by_dtype.get("f32 x f32", 0)
    assert at.macs_by_dtype.get("f32 x f32", 0) in (0, 2 * 7 * D // HEADS // 2, 7 * D // HEADS // 2)  # angles of positions
    assert report.params.dead == 0
    ids = torch.randint(0, V, (2, 7))
    with torch.no_grad():
        expected = model(input_ids=ids, use_cache=False).logits
        found = report.graph_module(ids)
    torch.testing.assert_close(next(iter(found.values() if isinstance(found, dict) else found)), expected)


# -- a ResNet-18 by torch.ao ----------------------------------------------------------------------------------------------
# (channels out, channels in, kernel, size of the result) at 224 x 224: the stem, then four stages of two blocks of two
# convolutions; the first of the last three stages halves the size, and has a shortcut of its own
STAGES = [(64, 64, 56), (128, 64, 28), (256, 128, 14), (512, 256, 7)]
CONVOLUTIONS = [(64, 3, 7, 112)]
for out, before, size in STAGES:
    CONVOLUTIONS += [(out, before, 3, size), (out, out, 3, size), (out, out, 3, size), (out, out, 3, size)]
    CONVOLUTIONS += [(out, before, 1, size)] if out != before else []
MACS = sum(o * i * k * k * s * s for o, i, k, s in CONVOLUTIONS)
WEIGHTS = sum(o * i * k * k for o, i, k, _ in CONVOLUTIONS)
CHANNELS = sum(o for o, *_ in CONVOLUTIONS)
CLASSES = 1000


def _resnet() -> nn.Module:
    from fxcount.adapters import torchvision_ops  # noqa: F401

    torchvision = pytest.importorskip("torchvision")
    model: nn.Module = torchvision.models.resnet18(weights=None)
    return model


def test_the_derivation_is_that_of_the_floating_model() -> None:
    """11,689,512 parameters and 1.814 G macs, as published."""
    assert WEIGHTS + 2 * CHANNELS + 512 * CLASSES + CLASSES == 11_689_512
    report = fxcount.analyze(_resnet().eval(), "B,3,224,224")
    assert report.at(B=1).macs == MACS + 512 * CLASSES == 1_814_073_344


def _packed(report: Any) -> tuple[int, int]:
    """Elements and bytes of the packed weights and their biases."""
    rows = [b for b in report.params.buffer_rows if "_packed_params" in b.name]
    return sum(b.numel for b in rows), sum(b.nbytes for b in rows)


def test_a_resnet_with_a_dynamic_head() -> None:
    model = torch.ao.quantization.quantize_dynamic(_resnet().eval(), {nn.Linear})
    report = fxcount.analyze(model, "B,3,224,224")
    at = report.at(B=3)
    assert at.macs_by_dtype == {"f32 x f32": 3 * MACS, "uint8 x int8": 3 * 512 * CLASSES}
    assert report.params.total == WEIGHTS + 2 * CHANNELS
    assert _packed(report) == (512 * CLASSES + CLASSES, 512 * CLASSES + 16 + 4 * CLASSES)


def test_a_resnet_quantised_after_training() -> None:
    """All convolutions with their norms folded in: a bias for each channel; scales by channel, 16 bytes each."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    x = torch.randn(1, 3, 64, 64)
    prepared = prepare_fx(_resnet().eval(), get_default_qconfig_mapping("fbgemm"), (x,))
    prepared(x)
    model = convert_fx(prepared)
    report = fxcount.analyze(model, "B,3,224,224")
    assert report.at(B=3).macs_by_dtype == {"uint8 x int8": 3 * (MACS + 512 * CLASSES)}
    assert report.params.total == 0
    numbers = WEIGHTS + 512 * CLASSES
    channels = CHANNELS + CLASSES
    assert _packed(report) == (numbers + channels, numbers + 16 * channels + 4 * channels)
    small = fxcount.analyze(model, "B,3,H,W", hints={"H": 64, "W": 64})
    torch.testing.assert_close(small.graph_module(x), model(x))


def test_a_resnet_in_quantisation_aware_training() -> None:
    """Still floats: the parameters and macs are those of the floating model."""
    from torch.ao.quantization import get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_qat_fx

    model = prepare_qat_fx(_resnet().train(), get_default_qat_qconfig_mapping("fbgemm"), (torch.randn(2, 3, 64, 64),))
    before = copy.deepcopy(model.state_dict())
    report = fxcount.analyze(model, "B,3,224,224")
    assert report.at(B=3).macs_by_dtype == {"f32 x f32": 3 * (MACS + 512 * CLASSES)}
    assert (report.params.total, report.params.bytes) == (11_689_512, 4 * 11_689_512)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
