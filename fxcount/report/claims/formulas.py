"""What frameworks and papers claim a language model costs, each as published, in terms.

A formula says FLOPs of the forward for each token, by term; a training step is three times that in all of them. Where it says
nothing of a model (no attention, say) it gives ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from fxcount.dataclass import dataclass
from fxcount.report.claims.architecture import Architecture
from fxcount.report.claims.exact import Weights
from fxcount.symbolic import Size, ceildiv, min_

__all__ = ["FORMULAS", "Formula", "Pairs", "Situation"]

Pairs = Literal["none", "all", "half", "window"]
"""Which pairs of a query and a key a formula counts: of ``length ** 2``, all, half, or those of a window of each layer."""

_PADDED = 128  # Megatron-LM: --make-vocab-size-divisible-by


@dataclass(frozen=True)
class Situation:
    """What a formula may ask: the architecture (``None``: not known), the parameters, and the length of a sequence."""

    architecture: Architecture | None
    weights: Weights
    length: Size

    def parameters(self, *without: str) -> dict[str, Size]:
        """2 FLOPs for each parameter, but for those of some terms."""
        return {term: 2 * n for term, n in self.weights.numel.items() if term not in without}

    def active(self, found: dict[str, Size]) -> dict[str, Size]:
        """The same with the share of the experts that a token is sent to."""
        a = self.architecture
        if a is not None and a.experts:
            found["experts"] = 2 * (self.weights.numel["experts"] * a.active // a.experts)
        return found


@dataclass(frozen=True)
class Formula:
    """A claim: its formula as published for a training step, where it is published, which pairs of attention it counts."""

    name: str
    text: str
    source: str
    pairs: Pairs
    forward: Callable[[Situation], Mapping[str, Size] | None]


Claimed = Mapping[str, Size] | None


def _of_attention(formula: Callable[[Situation, Architecture], Claimed]) -> Callable[[Situation], Claimed]:
    """A formula that asks for heads of attention, and says nothing of a model that has none, or of which that is not known."""

    def forward(s: Situation) -> Claimed:
        return formula(s, s.architecture) if s.architecture is not None and s.architecture.heads else None

    return forward


def _six_n(s: Situation) -> Mapping[str, Size]:
    return s.parameters()


def _trainer(s: Situation) -> Mapping[str, Size]:
    return {term: n - 2 * s.weights.tables[term] for term, n in s.parameters().items()}


@_of_attention
def _kaplan(s: Situation, a: Architecture) -> Mapping[str, Size]:
    width = a.heads * a.head_dim
    return {
        "projections": 2 * a.layers * 4 * a.hidden * width, "feed-forward": 2 * a.layers * 2 * a.hidden * a.ffn,
        "attention": 2 * a.layers * s.length * width,
    }  # fmt: skip


@_of_attention
def _chinchilla(s: Situation, a: Architecture) -> Mapping[str, Size]:
    width = a.heads * a.head_dim
    return {
        "embedding": 2 * a.vocab * a.hidden, "projections": a.layers * 8 * a.hidden * width,
        "attention": a.layers * 4 * s.length * width, "softmax": a.layers * 3 * a.heads * s.length,
        "feed-forward": a.layers * 4 * a.hidden * a.ffn, "logits": 2 * a.hidden * a.vocab,
    }  # fmt: skip


@_of_attention
def _palm(s: Situation, a: Architecture) -> Mapping[str, Size]:
    return {**s.parameters(), "attention": 4 * a.layers * a.heads * a.head_dim * s.length}


@_of_attention
def _nanogpt(s: Situation, a: Architecture) -> Mapping[str, Size]:
    return {**s.parameters("positions"), "attention": 4 * a.layers * a.heads * (a.hidden // a.heads) * s.length}


@_of_attention
def _torchtitan(s: Situation, a: Architecture) -> Mapping[str, Size]:
    found = s.active(s.parameters("embedding", "towers"))
    return {**found, "attention": 2 * len(a.attention) * a.heads * (a.head_dim + a.value_dim) * s.length}


@_of_attention
def _olmo(s: Situation, a: Architecture) -> Mapping[str, Size] | None:
    if a.latent:
        return None
    found = s.active(s.parameters("embedding", "positions", "towers"))
    found["vectors"] = 2 * (s.weights.inside + s.weights.last_norm)
    width = 4 * a.heads * a.head_dim
    reached = [min_(r.size, s.length) if r.kind == "window" else s.length for r in a.attention]
    return {**found, "attention": sum([width * r for r in reached], 0)}


def _megatron(s: Situation) -> Mapping[str, Size] | None:
    a = s.architecture
    if a is None or (not a.heads and a.scan is None):
        return None
    if a.heads and len(a.attention) < a.layers:
        return None  # its hybrids have layers of Mamba's second kind, which these are not
    padded = ceildiv(a.vocab, _PADDED) * _PADDED
    logits = 2 * a.hidden * padded
    if not a.heads:
        return {"projections": a.layers * _mamba(a), "other products": a.layers * _mamba_scan(a), "logits": logits}
    matrices = 3 if a.gated else 2
    dense = a.layers - a.moe_layers
    routed = 2 * a.hidden * a.expert_ffn * a.active * matrices
    shared = 2 * a.hidden * a.shared_ffn * matrices
    plain = 2 * a.hidden * a.ffn * matrices
    projections, core = _megatron_attention(a, s.length)
    last = routed + shared if a.moe_layers else plain
    further = projections + core + last + 2 * (3 * a.hidden + 2 * a.hidden**2) + logits
    return {
        "projections": a.layers * projections, "attention": a.layers * core,
        "feed-forward": dense * plain + a.moe_layers * shared,
        "experts": a.moe_layers * routed, "logits": logits, "MTP": a.mtp * further,
    }  # fmt: skip


def _megatron_attention(a: Architecture, length: Size) -> tuple[int, Size]:
    """Projections of a layer, and its scores and sums of values under a causal mask."""
    if a.latent is None:
        query, others = a.heads * a.head_dim, 2 * a.kv_heads * a.head_dim
        return 2 * (a.hidden * (query + others) + query * a.hidden), 2 * query * length
    of = a.latent
    queries = a.heads * (of.plain + of.rotated)
    asked = of.query * (a.hidden + queries + 1) if of.query else a.hidden * queries
    kept = of.key_value * (a.hidden + a.heads * (of.plain + a.value_dim) + 1) + a.hidden * of.rotated
    return 2 * (asked + kept + a.heads * a.value_dim * a.hidden), (queries + a.heads * a.value_dim) * length


def _mamba(a: Architecture) -> int:
    assert a.scan is not None
    inner = 2 * a.hidden
    return 2 * a.hidden * (2 * inner + 2 * a.scan.groups * a.scan.state + a.scan.heads) + 2 * inner * a.hidden


def _mamba_scan(a: Architecture) -> int:
    assert a.scan is not None
    return 7 * 2 * a.hidden * a.scan.state


FORMULAS: Mapping[str, Formula] = {f.name: f for f in (
    Formula(
        "6N", "6 * N, N all parameters", "the rule of thumb from Kaplan et al. 2020, arXiv 2001.08361, section 2.1", "none",
        _six_n,
    ),
    Formula(
        "transformers", "6 * tokens * num_parameters(exclude_embeddings=True)",
        "transformers 5.23, trainer.py: Trainer.floating_point_ops", "none", _trainer,
    ),
    Formula(
        "Kaplan", "3 * (2N + 2 * n_layer * n_ctx * d_attn), N = 2 * d_model * n_layer * (2 * d_attn + d_ff)",
        "Kaplan et al. 2020, arXiv 2001.08361, table 1 and equation 2.2", "half", _kaplan,
    ),
    Formula(
        "Chinchilla",
        "3 * (2*V*d + L * (6*d*k*h + 2*T*k*h + 3*h*T + 2*T*k*h + 2*k*h*d + 4*d*f) + 2*d*V), k = head size, f = d_ff",
        "Hoffmann et al. 2022, arXiv 2203.15556, appendix F", "all", _chinchilla,
    ),
    Formula(
        "PaLM", "6N + 12*L*H*Q*T, N all parameters", "Chowdhery et al. 2022, arXiv 2204.02311, appendix B", "all", _palm,
    ),
    Formula(
        "nanoGPT", "6N + 12*L*H*Q*T, N without positions, Q = n_embd // n_head",
        "karpathy/nanoGPT, 3adf61e, model.py: GPT.estimate_mfu", "all", _nanogpt,
    ),
    Formula(
        "Megatron-LM",
        "6 * (matrices of attention, feed-forward and k experts + d * padded V) + 6 * L * H * Q * T (half the pairs), "
        "each again for layers of MTP",
        "NVIDIA/Megatron-LM, d98e8a6, megatron/training/training.py: num_floating_point_operations", "half", _megatron,
    ),
    Formula(
        "torchtitan", "6 * (N - embedding unless tied, k of E experts) + 6 * L * H * (D_qk + D_v) * T",
        "pytorch/torchtitan, b5bcd76, torchtitan/models/utils.py: get_dense_model_nparams_and_flops, "
        "get_moe_model_nparams_and_flops", "all", _torchtitan,
    ),
    Formula(
        "OLMo-core", "6 * (weights of attention, feed-forward, k of E experts and head) + 12 * H * D * min(window, T) a layer",
        "allenai/OLMo-core, fa6c501, src/olmo_core/nn: num_flops_per_token of attention, feed_forward, moe, lm_head", "window",
        _olmo,
    ),
)}  # fmt: skip
"""By name. The repositories at the commits named; the papers' formulas were compared with their renderings in public code
(nanoGPT's ``scaling_laws.ipynb`` for Chinchilla's)."""
