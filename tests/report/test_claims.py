"""What frameworks claim: against numbers worked out by hand, transformers' own function, and masks counted pair by pair."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops  # noqa: F401  (before transformers, which imports torchvision)
from fxcount.cli.main import main
from fxcount.errors import AssumptionError, InputError
from fxcount.report.claims.architecture import Architecture, Reach
from fxcount.report.claims.formulas import FORMULAS
from fxcount.report.claims.result import REASONS, Claims, reason

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 211, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2,
}  # fmt: skip
MOE = {**SMALL, "num_local_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 44}
LATENT = {
    **SMALL, "num_key_value_heads": 8, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6,
    "v_head_dim": 10, "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2,
    "moe_intermediate_size": 12, "first_k_dense_replace": 1, "n_shared_experts": 1, "num_mtp_layers": 2,
}  # fmt: skip
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=211, n_embd=64, n_layer=3, n_head=4, n_positions=128)
    ),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SMALL, sliding_window=13, head_dim=10)),
    "mixtral": lambda: transformers.MixtralForCausalLM(transformers.MixtralConfig(**MOE)),
    "deepseek_v3": lambda: transformers.DeepseekV3ForCausalLM(transformers.DeepseekV3Config(**LATENT)),
    "falcon": lambda: transformers.FalconForCausalLM(
        transformers.FalconConfig(vocab_size=211, hidden_size=64, num_hidden_layers=2, num_attention_heads=4)
    ),
    "mamba2": lambda: transformers.Mamba2ForCausalLM(
        transformers.Mamba2Config(
            vocab_size=211, hidden_size=24, state_size=6, num_heads=4, head_dim=12, n_groups=2, num_hidden_layers=2,
            chunk_size=16,
        )
    ),
}  # fmt: skip
BATCH, LENGTH = 3, 53


@pytest.fixture(autouse=True)
def quiet() -> None:
    transformers.logging.set_verbosity_error()


_MADE: dict[str, tuple[Any, Any, Claims]] = {}


def _found(name: str) -> tuple[Any, Any, Claims]:
    """The model, its step at sizes, and the claims of it."""
    if name not in _MADE:
        model = MODELS[name]().train()
        if name != "mamba2":
            model.set_attn_implementation("eager")
        step = fxcount.training_step(model, "i64[B,S]", use_cache=False)
        _MADE[name] = model, step, step.at(B=BATCH, S=LENGTH).claims()
    return _MADE[name]


@pytest.mark.parametrize("name", MODELS)
def test_terms_add_up_and_every_difference_has_a_reason(name: str) -> None:
    _, step, claims = _found(name)
    assert claims.exact == step.at(B=BATCH, S=LENGTH).flops
    assert {row.name for row in claims} | set(claims.silent) == set(FORMULAS)
    for row in claims:
        assert sum(t.claimed for t in row.terms) == row.flops
        assert sum(t.exact for t in row.terms) == row.exact == claims.exact
        assert sum(t.off for t in row.differences) == row.off
        assert all(row.why(t) for t in row.differences), row.name
    assert str(claims)


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_formulas_are_the_numbers(name: str) -> None:
    _, step, claims = _found(name)
    symbolic = step.claims()
    values = {step.symbol("B"): BATCH, step.symbol("S"): LENGTH}
    for row in symbolic:
        assert int(row.flops.subs(values)) == claims[row.name].flops
    assert int(symbolic.unmasked.subs(values)) == claims.unmasked


@pytest.mark.parametrize("name", MODELS)
def test_transformers_is_what_its_trainer_says(name: str) -> None:
    model, _, claims = _found(name)
    assert claims["transformers"].flops == 6 * BATCH * LENGTH * model.num_parameters(exclude_embeddings=True)
    assert claims["6N"].flops == 6 * BATCH * LENGTH * model.num_parameters()


def test_a_forward_is_claimed_a_third() -> None:
    model, _, step = _found("llama")
    claims = fxcount.analyze(model, "i64[B,S]", use_cache=False).at(B=BATCH, S=LENGTH).claims()
    assert [3 * row.flops for row in claims] == [row.flops for row in step]
    assert claims["6N"].flops == 2 * BATCH * LENGTH * model.num_parameters()


def test_nanogpt_of_gpt2() -> None:
    """124,439,808 parameters less 1024 * 768 positions; 12 layers of 12 heads of 64."""
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    claims = fxcount.training_step(model, "i64[B,S]", use_cache=False).at(B=1, S=1024).claims()
    per_token = 6 * (124_439_808 - 1024 * 768) + 12 * 12 * 12 * 64 * 1024
    assert per_token == 855_166_464
    assert claims["nanoGPT"].flops == 1024 * per_token
    assert [t.name for t in claims["nanoGPT"].differences] == ["vectors"]


def test_llama_by_hand() -> None:
    """8 heads of 8, 2 of keys and values; a feed-forward of 3 matrices of 64 x 172; 211 tokens, of which Megatron makes 256."""
    _, _, claims = _found("llama")
    tokens, layers = BATCH * LENGTH, 3
    projections, feed_forward, pairs = 64 * 64 + 2 * 64 * 16 + 64 * 64, 3 * 64 * 172, 2 * LENGTH * 64
    exact = 6 * tokens * (layers * (projections + feed_forward + pairs) + 211 * 64)
    assert claims.exact == exact
    assert claims["Megatron-LM"].flops == 6 * tokens * (layers * (projections + feed_forward + pairs // 2) + 256 * 64)
    norms = layers * 2 * 64 + 64
    assert claims["torchtitan"].flops == exact + 6 * tokens * norms
    assert claims["OLMo-core"].flops == exact + 6 * tokens * 64  # the head's norm
    assert claims["PaLM"].flops == exact + 6 * tokens * (norms + 211 * 64)
    attention = 2 * 3 * 64 * 64 + 2 * LENGTH * 64 + 3 * 8 * LENGTH + 2 * LENGTH * 64 + 2 * 64 * 64
    assert claims["Chinchilla"].flops == 3 * tokens * (2 * 2 * 211 * 64 + layers * (attention + 2 * 2 * 64 * 172))
    parameters = 2 * 64 * layers * (2 * 64 + 172)
    assert claims["Kaplan"].flops == 3 * tokens * (2 * parameters + 2 * layers * LENGTH * 64)
    causal = LENGTH * (LENGTH + 1) // 2
    assert claims.unmasked == exact - 6 * BATCH * layers * 2 * 64 * (LENGTH * LENGTH - causal)


def test_scores_that_a_kernel_computes_again() -> None:
    """The fused kernel of the CPU has 2 products in its forward and 5 in its backward."""
    _, _, eager = _found("llama")
    model = MODELS["llama"]().train()
    model.set_attn_implementation("sdpa")
    claims = fxcount.training_step(model, "i64[B,S]", use_cache=False).at(B=BATCH, S=LENGTH).claims()
    again = 2 * 3 * BATCH * LENGTH * LENGTH * 64
    assert claims.exact == eager.exact + again
    off = {t.name: t.off for t in claims["PaLM"].differences}
    assert off == {**{t.name: t.off for t in eager["PaLM"].differences}, "attention: again": -again}


def test_experts_that_run() -> None:
    """2 of 5 experts of 3 matrices of 64 x 44."""
    _, _, claims = _found("mixtral")
    one = 6 * BATCH * LENGTH * 3 * 3 * 64 * 44
    named = {t.name: t for t in claims["6N"].terms}
    assert (named["experts"].claimed, named["experts"].exact) == (5 * one, 2 * one)
    for name in ("Megatron-LM", "torchtitan", "OLMo-core"):
        assert {t.name: t.off for t in claims[name].terms}["experts"] == 0
    router = {t.name: t.off for t in claims["Megatron-LM"].terms}["feed-forward"]
    assert router == -6 * BATCH * LENGTH * 3 * 64 * 5


def test_latent_attention_and_further_tokens() -> None:
    """Heads of 6 + 4 for scores and 10 for values; a dense layer and two with 2 of 8 experts and one for all."""
    _, _, claims = _found("deepseek_v3")
    tokens = BATCH * LENGTH
    queries = 64 * 24 + 24 * 8 * 10
    kept = 64 * (16 + 4) + 16 * 8 * (6 + 10)
    projections = queries + kept + 8 * 10 * 64
    dense, shared, routed = 3 * 64 * 172, 3 * 64 * 12, 2 * 3 * 64 * 12
    pairs = LENGTH * 8 * (10 + 10)
    router = 64 * 8
    assert claims.exact == 6 * tokens * (3 * (projections + pairs) + dense + 2 * (shared + routed + router) + 211 * 64)
    norms = 24 + 16  # Megatron counts those of the compressed queries and keys
    layer = projections + norms + pairs // 2
    further = layer + shared + routed + 3 * 64 + 2 * 64 * 64 + 256 * 64
    assert claims["Megatron-LM"].flops == 6 * tokens * (3 * layer + dense + 2 * (shared + routed) + 256 * 64 + 2 * further)
    assert "OLMo-core" in claims.silent
    assert {t.name for t in claims["PaLM"].differences} >= {"experts", "embedding", "vectors"}


def test_windows_and_heads() -> None:
    """Every other layer sees 13 tokens; 8 heads of 10 and a hidden size of 64."""
    _, _, claims = _found("gemma2")
    windowed = [layer for layer in claims.architecture.attention if layer.kind == "window"]  # type: ignore[union-attr]
    assert 0 < len(windowed) < 3
    one = 6 * BATCH * 2 * 80
    off = {t.name: t.off for t in claims["OLMo-core"].differences}
    assert off["attention: pairs"] == -len(windowed) * one * LENGTH * (LENGTH - 13)
    widths = {t.name: t.off for t in claims["nanoGPT"].differences}["attention: widths"]
    assert widths == 3 * (64 - 80) * 6 * BATCH * 2 * LENGTH**2
    seen = sum(_pairs(layer, LENGTH) for layer in claims.architecture.attention)  # type: ignore[union-attr]
    assert claims.exact - claims.unmasked == one * (3 * LENGTH**2 - seen)


def test_projections_of_one_head_of_keys() -> None:
    _, _, claims = _found("falcon")
    named = {t.name: t for t in claims["Megatron-LM"].terms}
    assert named["projections"].off == 0
    assert {t.name: t.off for t in claims["Chinchilla"].terms}["projections"] == 6 * BATCH * LENGTH * 2 * 2 * 3 * 16 * 64


def test_a_scan_is_no_attention() -> None:
    """Megatron's in_proj, out_proj and scan of a layer of Mamba's second kind, which has 2 * hidden inside."""
    _, _, claims = _found("mamba2")
    inner = 2 * 24
    layer = 2 * 24 * (2 * inner + 2 * 2 * 6 + 4) + 7 * inner * 6 + 2 * inner * 24
    assert claims["Megatron-LM"].flops == 3 * BATCH * LENGTH * (2 * layer + 2 * 24 * 256)
    assert {"PaLM", "nanoGPT", "torchtitan"} <= set(claims.silent)
    assert {t.name for t in claims["6N"].differences} >= {"other products", "embedding"}


def test_what_looks_ahead_hides_nothing() -> None:
    config = transformers.BertConfig(
        vocab_size=211, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    model = transformers.BertForMaskedLM(config)
    claims = fxcount.training_step(model, "i64[B,S]").at(B=2, S=LENGTH).claims()
    assert claims.unmasked == claims.exact


def _pairs(reach: Reach, length: int) -> int:
    def seen(query: int, key: int) -> bool:
        if key > query:
            return False
        if reach.kind == "window":
            return query - key < reach.size
        return reach.kind == "full" or query // reach.size == key // reach.size

    return sum(seen(q, k) for q in range(length) for k in range(length))


@pytest.mark.parametrize("length", [1, 2, 7, 13, 14, 31])
@pytest.mark.parametrize("reach", [Reach(), Reach("window", 7), Reach("window", 1), Reach("chunk", 7), Reach("chunk", 5)])
def test_pairs_are_those_of_the_mask(reach: Reach, length: int) -> None:
    assert reach.twice_the_pairs(length) == 2 * _pairs(reach, length)


class Own(nn.Module):
    """A language model without a configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(31, 12)
        self.q, self.k, self.v, self.o = (nn.Linear(12, 12, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(12, 29, bias=False), nn.Linear(29, 12, bias=False)
        self.head = nn.Linear(12, 31, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        scores = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        x = x + self.o(scores @ self.v(x))
        return self.head(x + self.down(self.up(x).relu()))


def test_a_model_without_a_configuration() -> None:
    model = Own()
    step = fxcount.training_step(model, "i64[B,S]")
    claims = step.at(B=5, S=7).claims()
    assert [row.name for row in claims] == ["6N", "transformers"]
    assert claims.unmasked is None
    assert {t.name: t.off for t in claims["6N"].differences} == {
        "embedding": 6 * 35 * 31 * 12, "attention: pairs": -6 * 5 * 2 * 7 * 7 * 12,
    }  # fmt: skip
    known = step.at(B=5, S=7).claims(Architecture(1, 12, 31, 29, (Reach(),), heads=2, kv_heads=2, head_dim=6, value_dim=6))
    assert {row.name for row in known} == set(FORMULAS)
    assert known["Megatron-LM"].flops == 6 * 35 * (4 * 144 + 2 * 12 * 29 + 7 * 12 + 12 * 128)
    assert known.unmasked == known.exact - 6 * 5 * 2 * 12 * (49 - 28)


def test_what_is_no_language_model() -> None:
    model = nn.Linear(3, 5)
    with pytest.raises(InputError, match="numbers of tokens"):
        fxcount.training_step(model, "B,3").claims()
    with pytest.raises(InputError, match="no claim 'PaML'"):
        _found("llama")[2]["PaML"]


def test_a_report_from_a_file_has_no_model() -> None:
    model = Own()
    loaded = fxcount.load(fxcount.analyze(model, "i64[B,S]").to_json())
    with pytest.raises(AssumptionError, match="no model"):
        loaded.claims()


def test_every_reason_is_said() -> None:
    for term, reasons in REASONS.items():
        assert any(reasons)
        assert (reason(term, True), reason(term, False))[1 if not reasons[0] else 0]


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["hidden_size=32", "intermediate_size=48", "num_hidden_layers=2", "num_attention_heads=4", "vocab_size=97"]
    given = [piece for size in sizes for piece in ("--arg", size)]
    assert main(["claims", "hf:llama", *given, "--at", "B=2,S=16"]) == 0
    shown = capsys.readouterr().out
    assert "a training step of 32 tokens" in shown
    assert "Megatron-LM" in shown
    assert "causal mask" in shown
