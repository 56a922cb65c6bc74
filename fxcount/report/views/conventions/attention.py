"""``nn.MultiheadAttention`` as tools with a hook on it count it; its sizes are those of the products inside."""

from __future__ import annotations

from fxcount.dataclass import dataclass
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.sites import Counted
from fxcount.symbolic import Size

__all__ = ["ptflops_attention", "ultralytics_attention"]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Batch, heads, queries, keys (appended ones included) and keys given, embedding, widths of key and value."""

    batch: Size
    heads: Size
    queries: Size
    keys: Size
    keys_given: Size
    embedding: int
    key_width: Size
    value_width: Size
    biased: bool


def _sizes(site: ModuleSite) -> _Sizes | None:
    out = site.parameters.get("in_proj_weight") or site.parameters.get("q_proj_weight")
    fused, unfused = site.op("scaled_dot_product_attention"), site.op("bmm") or site.op("baddbmm")
    if out is None or len(site.call.inputs) < 3 or (fused is None and unfused is None):
        return None
    _, key, value = site.call.inputs[:3]
    embedding = out.shape[1]
    if fused is not None:
        q, k = fused.tensor(0, "query").shape, fused.tensor(1, "key").shape
        batch, heads, queries, keys = q[0], q[1], q[2], k[2]
    else:
        assert unfused is not None
        at = 1 if unfused.name.startswith("baddbmm") else 0
        q, k = unfused.tensor(at, "batch1").shape, unfused.tensor(at + 1, "batch2").shape
        heads = embedding // int(q[2])
        batch, queries, keys = q[0] // heads, q[1], k[2]
    given = keys
    if "bias_k" in site.parameters:
        given = keys - 1
    return _Sizes(
        batch, heads, queries, keys, given, embedding, key.shape[-1], value.shape[-1], "in_proj_bias" in site.parameters
    )


def ptflops_attention(site: ModuleSite) -> Counted | None:
    """Scaling, projections as square matrices, scores, softmax, mix, output with its bias."""
    s = _sizes(site)
    if s is None:
        return None
    e, k, v = s.embedding, s.key_width, s.value_width
    projections = s.queries * e * e + s.keys_given * (k * k + v * v)
    bias = (s.queries + 2 * s.keys_given) * e if s.biased else 0
    pairs = s.queries * s.keys_given
    heads = s.heads * pairs * (e // s.heads + 1 + v // s.heads)
    total = s.batch * (s.queries * e + projections + bias + heads + s.queries * v * (v + 1))
    return Counted(total, "projections, scores, softmax (1 per score), mix, biases")


def ultralytics_attention(site: ModuleSite) -> Counted | None:
    """Projections without biases, both products, and 3 per score for softmax."""
    s = _sizes(site)
    if s is None:
        return None
    e = s.embedding
    projections = e * (2 * s.queries * e + s.keys_given * (s.key_width + s.value_width))
    softmax = s.batch * s.heads * s.queries * (3 * s.keys - 1)
    total = s.batch * (projections + 2 * s.queries * s.keys * e) + softmax
    return Counted(total, "projections, scores, mix, softmax (3 per score)")
