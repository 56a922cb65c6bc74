"""What the formulas of frameworks ask of a language model: layers, heads, widths, experts, as its configuration names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.symbolic import Size, floordiv, max_

__all__ = ["Architecture", "Latent", "Reach", "Scan", "architecture_of"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a token of one layer attends to: those before it, all (``"full"``), the last ``size`` (``"window"``), or those of
    its own chunk of ``size`` (``"chunk"``)."""

    kind: Literal["full", "window", "chunk"] = "full"
    size: int = 0

    def twice_the_pairs(self, length: Size) -> Size:
        """Pairs of a query and a key that a causal mask lets through, times 2, which has no halves.

        >>> Reach().twice_the_pairs(5), Reach("window", 2).twice_the_pairs(5), Reach("chunk", 2).twice_the_pairs(5)
        (30, 18, 14)
        """
        if self.kind == "window":
            beyond = max_(length - self.size, 0)
            return _triangle(length) - _triangle(beyond)
        if self.kind == "chunk":
            whole = floordiv(length, self.size)
            return whole * _triangle(self.size) + _triangle(length - whole * self.size)
        return _triangle(length)


def _triangle(side: Size) -> Size:
    return side * (side + 1)


@dataclass(frozen=True, slots=True)
class Latent:
    """Widths of latent attention (MLA): of the compressed queries (0 if they are not) and of keys and values, of the part of a
    head that is rotated and of the part that is not."""

    query: int
    key_value: int
    rotated: int
    plain: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Widths of a state space layer of the second kind of Mamba."""

    state: int
    heads: int
    groups: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder as formulas see it. ``attention`` says for each layer with attention what a token attends to; ``head_dim`` is
    the width of a head of queries and keys, ``value_dim`` of values; ``gated``: a feed-forward of three matrices, not two;
    ``shared_ffn``: the width of an expert that always runs; ``mtp``: layers that predict further tokens, built or not."""

    layers: int
    hidden: int
    vocab: int
    ffn: int
    attention: tuple[Reach, ...] = ()
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    value_dim: int = 0
    gated: bool = False
    experts: int = 0
    active: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0
    moe_layers: int = 0
    mtp: int = 0
    latent: Latent | None = None
    scan: Scan | None = None


def architecture_of(config: Any, weights: Sequence[tuple[str, tuple[int, ...]]]) -> Architecture:
    """That of a configuration of transformers, and of the names and shapes of a model's weights: whether a feed-forward is
    gated, and which layers have experts, is read off them.

    Raises:
        InputError: the configuration names no layers, width or vocabulary.
    """
    text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    layers, hidden, vocab = (_number(text, n) for n in ("num_hidden_layers", "hidden_size", "vocab_size"))
    if not (layers and hidden and vocab):
        raise InputError(
            f"{type(config).__name__} names no layers, hidden size or vocabulary: it is no language model's",
            hint="give an Architecture: claims(architecture=...)",
        )
    heads = _number(text, "num_attention_heads")
    reach = _reaches(text, layers) if heads else ()
    latent = _latent(text)
    plain = _number(text, "head_dim") or (hidden // heads if heads else 0)
    ffn = _number(text, "intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner") or 4 * hidden
    experts = _number(text, "num_local_experts", "n_routed_experts", "num_experts")
    expert_ffn = (_number(text, "moe_intermediate_size") or _number(text, "intermediate_size")) if experts else 0
    inside = [(name, shape) for name, shape in weights if len(shape) > 1]
    routed = [(n, s) for n, s in inside if "experts" in n.split(".")]
    return Architecture(
        layers, hidden, vocab, ffn, reach, heads, _kv_heads(text, heads),
        latent.plain + latent.rotated if latent else plain, _number(text, "v_head_dim") if latent else plain,
        _gated(inside, hidden, ffn, expert_ffn), experts, _number(text, "num_experts_per_tok") if experts else 0, expert_ffn,
        _shared(inside, hidden), len({_layer(n) for n, _ in routed}),
        _number(text, "num_mtp_layers", "num_nextn_predict_layers"), latent, _scan(text, bool(heads)),
    )  # fmt: skip


def _number(config: Any, *names: str) -> int:
    """The first of these that the configuration has a number for, or 0."""
    found = (getattr(config, name, None) for name in names)
    return next((n for n in found if isinstance(n, int) and not isinstance(n, bool) and n > 0), 0)


def _kv_heads(config: Any, heads: int) -> int:
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        return 1
    return _number(config, "num_key_value_heads", "num_kv_heads") or heads


def _latent(config: Any) -> Latent | None:
    rank = _number(config, "kv_lora_rank")
    if not rank:
        return None
    rotated, plain = _number(config, "qk_rope_head_dim"), _number(config, "qk_nope_head_dim")
    return Latent(_number(config, "q_lora_rank"), rank, rotated, plain)


def _scan(config: Any, attends: bool) -> Scan | None:
    state, heads = _number(config, "state_size", "mamba_d_state"), _number(config, *(() if attends else ("num_heads",)))
    heads = heads or _number(config, "mamba_n_heads", "mamba_num_heads")
    return Scan(state, heads, _number(config, "n_groups", "mamba_n_groups") or 1) if state and heads else None


def _reaches(config: Any, layers: int) -> tuple[Reach, ...]:
    """What each layer with attention lets a token see."""
    window, chunk = _number(config, "sliding_window"), _number(config, "attention_chunk_size")
    if getattr(config, "use_sliding_window", True) is False:
        window = 0
    named = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    if not named:
        return (Reach("window", window) if window else Reach(),) * layers
    kinds = {
        "sliding_attention": Reach("window", window) if window else Reach(), "full_attention": Reach(), "attention": Reach(),
        "chunked_attention": Reach("chunk", chunk) if chunk else Reach(), "hybrid": Reach(),
    }  # fmt: skip
    return tuple([kinds[kind] for kind in named if kind in kinds])


def _layer(name: str) -> str:
    """The part of a name up to its first number.

    >>> _layer("model.layers.3.mlp.gate.weight")
    'model.layers.3'
    """
    parts = name.split(".")
    end = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
    return ".".join(parts[: end + 1])


def _gated(weights: Sequence[tuple[str, tuple[int, ...]]], hidden: int, ffn: int, expert_ffn: int) -> bool:
    """Whether some layer has three matrices of the hidden size and that of a feed-forward, stacked or not."""
    found: dict[str, int] = {}
    for name, shape in weights:
        for width in {ffn, expert_ffn} - {0}:
            if sorted(shape[-2:]) in (sorted((hidden, width)), sorted((hidden, 2 * width))):
                place = name.rpartition(".")[0].rpartition(".")[0]
                found[place] = found.get(place, 0) + shape[-1] * shape[-2] // (hidden * width)
    return any([count == 3 for count in found.values()])


def _shared(weights: Sequence[tuple[str, tuple[int, ...]]], hidden: int) -> int:
    """The width of the experts that always run."""
    found = [s for n, s in weights if {"shared_expert", "shared_experts"} & set(n.split(".")) and min(s) > 1]
    widths = [max(s) if min(s) == hidden else min(s) for s in found]
    return min(widths, default=0)
