"""``nn.Transformer`` and its parts with a mask: given, made in the forward, symbolic; bool and float; eval and training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import fxcount

D, HEADS, WIDE = 8, 2, 12
# one layer, for each of B*S tokens: 3*D*D into queries, keys and values, D*D out of them, 2*D*WIDE in the feed-forward part;
# for each pair of tokens D in the scores and D in what they weigh
ENCODER = "16*B*S**2 + 448*B*S"


def encoder(training: bool = False) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(D, HEADS, WIDE, batch_first=True)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).train(training)


def causal(s: int, dtype: torch.dtype) -> torch.Tensor:
    float_mask = nn.Transformer.generate_square_subsequent_mask(s)
    return float_mask if dtype.is_floating_point else float_mask != 0


class MakesItsMask(nn.Module):
    """The mask is made in the forward, of the size of the input, in one of the ways people do."""

    def __init__(self, way: str, training: bool) -> None:
        super().__init__()
        self.encoder, self.way = encoder(training), way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = x.size(1)
        masks = {
            "subsequent": lambda: nn.Transformer.generate_square_subsequent_mask(s, device=x.device),
            "triu": lambda: torch.triu(torch.ones(s, s, device=x.device), diagonal=1).bool(),
            "filled": lambda: torch.full((s, s), float("-inf"), device=x.device).triu(1),
            "compared": lambda: torch.arange(s, device=x.device)[None] > torch.arange(s, device=x.device)[:, None],
        }
        result: torch.Tensor = self.encoder(x, mask=masks[self.way]())
        return result


def counted(model: nn.Module, *args: Any, **kwargs: Any) -> int:
    """macs of a plain run by torch's own counter, products that it would fuse for inference apart."""
    before = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with FlopCounterMode(display=False) as counter:
            model.to("meta")(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return int(counter.get_total_flops()) // 2


SIZES = ({"B": 3, "S": 5}, {"B": 7, "S": 13})


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("spec", ["f32[S,S]", "bool[S,S]"])
def test_a_symbolic_mask(spec: str, training: bool) -> None:
    report = fxcount.analyze(encoder(training), f"B,S,{D}", mask=spec)
    assert str(report.macs) == ENCODER
    dtype = torch.bool if spec.startswith("bool") else torch.float32
    for at in SIZES:
        x, mask = torch.empty(at["B"], at["S"], D, device="meta"), torch.empty(at["S"], at["S"], dtype=dtype, device="meta")
        assert report.at(**at).macs == counted(encoder(training), x, mask=mask, is_causal=False)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_a_mask_given_with_its_data(dtype: torch.dtype, training: bool) -> None:
    report = fxcount.analyze(encoder(training), f"B,11,{D}", mask=causal(11, dtype))
    assert str(report.macs) == f"{16 * 11**2 + 448 * 11}*B"
    assert fxcount.analyze(encoder(training), torch.zeros(3, 11, D), mask=causal(11, dtype)).macs == 3 * (16 * 121 + 448 * 11)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("way", ["subsequent", "triu", "filled", "compared"])
def test_a_mask_made_in_the_forward(way: str, training: bool) -> None:
    report = fxcount.analyze(MakesItsMask(way, training), f"B,S,{D}")
    assert str(report.macs) == ENCODER
    assert set(report.symbols) == {"B", "S"}
    assert all(report.at(**at).macs == 16 * at["B"] * at["S"] ** 2 + 448 * at["B"] * at["S"] for at in SIZES)


@pytest.mark.parametrize("training", [False, True])
def test_a_mask_of_padding(training: bool) -> None:
    for spec in ("bool[B,S]", "f32[B,S]"):
        report = fxcount.analyze(encoder(training), f"B,S,{D}", src_key_padding_mask=spec)
        assert str(report.macs) == ENCODER


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["f32", "bool"])
def test_decoder_and_the_whole_transformer(dtype: str, training: bool) -> None:
    """A decoder layer has a second attention: D*D for each of T queries and outputs, 2*D*D for each of S keys and values."""
    layer = nn.TransformerDecoderLayer(D, HEADS, WIDE, batch_first=True)
    decoder = nn.TransformerDecoder(layer, 1).train(training)
    report = fxcount.analyze(decoder, f"B,T,{D}", f"B,S,{D}", tgt_mask=f"{dtype}[T,T]", memory_mask=f"{dtype}[T,S]")
    whole = nn.Transformer(D, HEADS, 1, 1, WIDE, batch_first=True).train(training)
    both = fxcount.analyze(whole, f"B,S,{D}", f"B,T,{D}", src_mask=f"{dtype}[S,S]", tgt_mask=f"{dtype}[T,T]")
    for b, s, t in ((3, 5, 7), (2, 13, 11)):
        inner = 16 * b * t * t + 448 * b * t  # as in an encoder, for T tokens
        across = 16 * b * s * t + 128 * b * t + 128 * b * s
        assert report.at(B=b, S=s, T=t).macs == inner + across
        assert both.at(B=b, S=s, T=t).macs == inner + across + 16 * b * s * s + 448 * b * s


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_summary_of_a_model_with_a_mask(dtype: torch.dtype) -> None:
    mask = causal(11, dtype)
    shown = fxcount.summary(encoder(), input_data=(torch.zeros(3, 11, D),), mask=mask, verbose=0)
    assert shown.total_mult_adds > 0
    assert "TransformerEncoder" in str(shown)


def test_in_a_model_that_already_says_it_is_causal() -> None:
    report = fxcount.analyze(encoder(), f"B,S,{D}", mask="f32[S,S]", kwargs={"is_causal": True})
    assert str(report.macs) == ENCODER


@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
@pytest.mark.parametrize("given", [None, True, False])
@pytest.mark.parametrize("padding", [None, "bool", "f32"])
@pytest.mark.parametrize(("norm_first", "batch_first"), [(False, True), (True, False)])
def test_masks_of_all_kinds_together(norm_first: bool, batch_first: bool, padding: str | None, given: bool | None) -> None:
    """Whether the mask is causal or not, told or not, padding masked or not: the products are those of a plain run."""
    layer = nn.TransformerDecoderLayer(D, HEADS, WIDE, batch_first=batch_first, norm_first=norm_first)
    model = nn.TransformerDecoder(layer, 1).eval()
    sizes = ("B,T", "B,S") if batch_first else ("T,B", "S,B")
    kwargs: dict[str, Any] = {"tgt_mask": "f32[T,T]", "memory_mask": "f32[T,S]"}
    if padding:
        kwargs |= {"tgt_key_padding_mask": f"{padding}[B,T]", "memory_key_padding_mask": f"{padding}[B,S]"}
    if given is not None:
        kwargs |= {"tgt_is_causal": given, "memory_is_causal": given}
    report = fxcount.analyze(model, *[f"{s},{D}" for s in sizes], kwargs=kwargs)
    assert (set(report.symbols), report.uncounted) == ({"B", "S", "T"}, ())
    for b, s, t in ((3, 5, 7), (2, 13, 11)):
        within = 16 * b * t * t + 448 * b * t  # as in an encoder, for T tokens
        across = 16 * b * s * t + 128 * b * t + 128 * b * s
        assert report.at(B=b, S=s, T=t, extend=False).macs == within + across
    at = {"B": 2, "S": 13, "T": 11}
    real = {k: torch.zeros([at[n] for n in v.partition("[")[2][:-1].split(",")], dtype=DTYPES[v.partition("[")[0]])
            if isinstance(v, str) else v for k, v in kwargs.items()}  # fmt: skip
    tokens = [torch.randn([at[n] for n in s.split(",")] + [D]) for s in sizes]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*tokens, **real)
    assert report.at(**at).macs == counter.get_total_flops() // 2


DTYPES = {"f32": torch.float32, "bool": torch.bool}
