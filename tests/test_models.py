"""Real models, unmodified and symbolic, against torch's own counter and against formulas derived by hand."""

from __future__ import annotations

from typing import Any

import pytest
import sympy
import torch
from torch import nn

import fxcount
from tests.oracles import counted_flops
from tests.zoo import CASES, analysed, inputs


@pytest.mark.parametrize("name", CASES)
def test_macs_are_those_of_torchs_counter(name: str) -> None:
    """To the last unit, at three sizes that were not the hint."""
    case, report = CASES[name], analysed(name)
    model = case.on("meta")
    for values in case.sizes:
        counted = counted_flops(model, *inputs(case.args, values, "meta"), **inputs(case.kwargs, values, "meta"))
        assert 2 * report.at(**values).macs == counted, values


@pytest.mark.parametrize("name", CASES)
def test_all_is_counted_and_every_symbol_stays(name: str) -> None:
    report = analysed(name)
    assert report.frontend == "trace"
    assert report.uncounted == ()
    assert {s.name for s in report.macs.free_symbols} == set(CASES[name].sizes[0])
    assert not [a for a in report.assumptions if a.kind == "pin"]


# Which sizes a model may be asked for: where it runs at all, or where it takes the same way through its own `if`s.
# densenet: the last pooling has a map of ceil(H/16) (two strided convolutions, one pooling, two halvings) to halve.
# convnext: its stem and three halvings have kernels as large as their strides. googlenet: its last average pooling.
# swin: its four stages have maps of H/4, H/8, H/16 (rounded up) and H/32; those larger than a window of 7 are shifted:
# at the hint of 224 the first three are. bert: 512 positions. A length of 1 makes attention not causal; a batch of 1 makes
# Llama expand its positions.
DOMAINS = {
    "resnet50": {"B": (1, None), "H": (1, None), "W": (1, None)},
    "efficientnet_b0": {"B": (1, None), "H": (1, None), "W": (1, None)},
    "densenet121": {"B": (1, None), "H": (29, None), "W": (29, None)},
    "convnext_tiny": {"B": (1, None), "H": (32, None), "W": (32, None)},
    "googlenet": {"B": (1, None), "H": (15, None), "W": (15, None)},
    "swin_t": {"B": (1, None), "H": (116, 227), "W": (116, 227)},
    "vit_b_16": {"B": (1, None)},
    "timm_vit": {"B": (1, None)},
    "timm_pit": {"B": (2, None)},
    "timm_mixer": {"B": (1, None)},
    "timm_regnet": {"B": (1, None), "H": (1, None), "W": (1, None)},
    "llama": {"B": (2, None), "S": (2, None)},
    "llama_cached": {"B": (1, None), "S": (2, None)},
    "bert": {"B": (1, None), "S": (2, 512)},
    "gpt2": {"B": (1, None), "S": (2, 256)},  # its table of positions has 256 rows
    "t5": {"B": (1, None), "S": (2, None), "T": (2, None)},
    "whisper": {"B": (1, None), "T": (2, 448)},  # its decoder's table of positions has 448 rows
}


@pytest.mark.parametrize("name", DOMAINS)
def test_assumptions_are_the_legitimate_ones(name: str) -> None:
    """Accepted at the ends of the domain, refused one step outside of it, with a line of the model's library."""
    report, base = analysed(name), CASES[name].sizes[0]
    for symbol, (low, high) in DOMAINS[name].items():
        report.at(**{**base, symbol: low}, extend=False)
        report.at(**{**base, symbol: high or 1021}, extend=False)
        for outside in ({low - 1} - {0}) | ({high + 1} if high else set()):
            with pytest.raises(fxcount.AssumptionError, match=r"assume.*\n  at .*\.py:\d+"):
                report.at(**{**base, symbol: outside}, extend=False)


@pytest.mark.parametrize(("name", "symbol"), [("densenet121", "H"), ("convnext_tiny", "W"), ("googlenet", "H"), ("bert", "S")])
def test_outside_of_its_domain_the_model_does_not_run(name: str, symbol: str) -> None:
    """The bounds above are torch's own, not ones an analysis made up."""
    case = CASES[name]
    model = case.on("meta")
    low, high = DOMAINS[name][symbol]
    inside, outside = (high, high + 1) if high else (low, low - 1)
    for value in (inside, outside):
        sizes = {**case.sizes[0], symbol: value}
        args, kwargs = inputs(case.args, sizes, "meta"), inputs(case.kwargs, sizes, "meta")
        if value == inside:
            model(*args, **kwargs)
        else:
            with pytest.raises((RuntimeError, IndexError)):
                model(*args, **kwargs)


def test_llama_of_405_billion_parameters() -> None:
    """The whole shape on meta, against the architecture written out.

    With width D, key/value width K = 8 heads of 128, n = B*S tokens, in each of the 126 layers: queries and output
    D*D each, keys and values D*K each, the gated MLP 3*D*F, all per token; scores and weighted values of 128 heads of
    width 128: S*S*D each, per sample. Then logits n*D*V.
    """
    transformers = pytest.importorskip("transformers")
    layers, D, K, F, V = 126, 16384, 8 * 128, 53248, 128256
    config = transformers.LlamaConfig(
        hidden_size=D, num_hidden_layers=layers, num_attention_heads=128, num_key_value_heads=8, intermediate_size=F,
        vocab_size=V, max_position_embeddings=131072,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config).eval()
    report = fxcount.analyze(model, input_ids="i64[B,S]", use_cache=False)

    B, S = sympy.symbols("B S", positive=True, integer=True)
    layer = B * S * (2 * D * D + 2 * D * K + 3 * D * F) + 2 * B * S**2 * D
    assert sympy.expand(report.macs - (layers * layer + B * S * D * V)) == 0
    # two norms a layer and the last one; embedding and head are apart
    assert report.params.total == layers * (2 * D * D + 2 * D * K + 3 * D * F + 2 * D) + 2 * V * D + D
    assert report.params.dead == 0
    assert report.at(B=1024, S=131072).macs > 2**63


# -- modules whose work torch's counter does not see, or sees only on some paths: derived by hand -----------------------
def _rnn(kind: str, *sizes: int, **options: Any) -> nn.Module:
    return getattr(nn, kind)(*sizes, **options)


# Per step and sample a gate multiplies (inputs + hidden) x hidden; 21 steps of samples in (7, 3, 8).
RECURRENT = [
    ("LSTM", (8, 12), {}, "7,3,8", 21 * 4 * 12 * (8 + 12)),
    ("GRU", (8, 12), {}, "7,3,8", 21 * 3 * 12 * (8 + 12)),
    ("RNN", (8, 12), {"bias": False}, "7,3,8", 21 * 12 * (8 + 12)),
    ("LSTM", (8, 12), {"batch_first": True}, "3,7,8", 21 * 4 * 12 * (8 + 12)),
    ("LSTM", (8, 12), {}, "21,8", 21 * 4 * 12 * (8 + 12)),  # unbatched
    # two directions; the second layer reads both
    ("LSTM", (8, 12, 2), {"bidirectional": True}, "7,3,8", 21 * 2 * 4 * 12 * ((8 + 12) + (24 + 12))),
    # the hidden state has 5 elements, projected from 12
    ("LSTM", (8, 12), {"proj_size": 5}, "7,3,8", 21 * (4 * 12 * (8 + 5) + 12 * 5)),
]


@pytest.mark.parametrize(("kind", "sizes", "options", "spec", "macs"), RECURRENT)
def test_recurrent_macs(kind: str, sizes: tuple[int, ...], options: dict[str, Any], spec: str, macs: int) -> None:
    assert fxcount.analyze(_rnn(kind, *sizes, **options), spec).macs == macs


def test_lstm_of_symbolic_length() -> None:
    report = fxcount.analyze(nn.LSTM(8, 12), "S,B,8")
    assert str(report.macs) == "960*B*S"
    assert report.at(S=7, B=3).macs == 20160


def test_multihead_attention() -> None:
    """E = 16, 2 samples of 5 tokens: three projections in, scores, weighted values, one projection out."""
    macs = 3 * 10 * 16 * 16 + 2 * 5 * 5 * 16 + 2 * 5 * 5 * 16 + 10 * 16 * 16
    mha = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    for weights in (True, False):
        q = "2,5,16"
        assert fxcount.analyze(mha, q, q, q, need_weights=weights).macs == macs == 11840


def test_cross_attention_of_other_widths() -> None:
    """Queries of 16 wide, keys of 11, values of 7: 5 queries, 3 keys."""
    mha = nn.MultiheadAttention(16, 4, kdim=11, vdim=7, batch_first=True).eval()
    report = fxcount.analyze(mha, "B,5,16", "B,3,11", "B,3,7")
    per_sample = 5 * 16 * 16 + 3 * 11 * 16 + 3 * 7 * 16 + 2 * (5 * 3 * 16) + 5 * 16 * 16
    assert report.at(B=13).macs == 13 * per_sample


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_encoder(training: bool, norm_first: bool) -> None:
    """Two layers of width 16 and 48: the fast path of eval mode must not hide the work."""
    layer = nn.TransformerEncoderLayer(16, 4, 48, batch_first=True, norm_first=norm_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(training)
    report = fxcount.analyze(model, "B,S,16")
    B, S = sympy.symbols("B S", positive=True, integer=True)
    one = B * S * (4 * 16 * 16 + 2 * 16 * 48) + 2 * B * S**2 * 16
    assert sympy.expand(report.macs - 2 * one) == 0


def test_transformer_of_torch() -> None:
    """Encoder and decoder of one layer each: S source and T target tokens."""
    model = nn.Transformer(16, 4, 1, 1, 48, batch_first=True).eval()
    report = fxcount.analyze(model, "B,S,16", "B,T,16")
    b, s, t = 3, 7, 5
    attention = lambda q, k: 2 * q * 256 + 2 * k * 256 + 2 * q * k * 16  # noqa: E731
    mlp = 2 * 16 * 48
    expected = b * (attention(s, s) + s * mlp + attention(t, t) + attention(t, s) + t * mlp)
    assert report.at(B=b, S=s, T=t).macs == expected
