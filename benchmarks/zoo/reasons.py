"""Why fxcount and torch's counter differ, as far as that can be shown by the numbers themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, combinations

import fxcount
from benchmarks.zoo.counter import Count
from fxcount.trace import Call

__all__ = ["UNSEEN", "added_up", "as_decided", "reason"]

UNSEEN: Mapping[str, str] = {
    "_grouped_mm": "_grouped_mm (mixture of experts)",
    "grouped_mm": "_grouped_mm (mixture of experts)",
    "grouped_mm_fallback": "grouped products of transformers (mixture of experts)",
    "deform_conv2d": "deform_conv2d",
    "lstm": "the products inside an LSTM",
    "gru": "the products inside a GRU",
    "rnn_tanh": "the products inside an RNN",
    "dot": "products of two vectors",
    "vdot": "products of two vectors",
    "cdist": "cdist",
    "linalg_matrix_exp": "matrix_exp",
    "matrix_exp": "matrix_exp",
    "linalg_solve": "the factorisation of a matrix",
    "linalg_solve_ex": "the factorisation of a matrix",
}
"""Ops with multiply-accumulates that torch's counter leaves out."""
_COMPLEX = "that a complex product is four real ones"
_PRODUCTS = ("linear", "matmul", "mv", "addmv")


def as_decided(report: fxcount.Report, found: Count) -> dict[str, int]:
    """The sizes of the report that data decide, as they were on the run; empty if they are not those that were noted there."""
    names = [u.name for u in report.unbacked]
    decided = [(kind, n) for kind, n in found.decided if any(name.startswith(f"{kind}_") for name in names)]
    fits = len(names) == len(decided) and all(name.startswith(f"{kind}_") for name, (kind, _) in zip(names, decided))
    sizes = [n for _, n in decided]
    return dict(zip(names, sizes)) if fits and all(sizes) else {}


def added_up(kinds: Iterable[str], found: Count) -> dict[str, int]:
    """The sizes that data decided on the run, those of each kind together: as they are in a formula over several analyses.

    >>> added_up(["nonzero"], Count(0, "real", decided=(("nonzero", 3), ("unique", 2), ("nonzero", 5))))
    {'nonzero': 8}
    """
    return {kind: sum(n for noted, n in found.decided if noted == kind) for kind in kinds}


def reason(report: fxcount.Report, found: Count) -> str:
    """The reason of a difference, or an empty text: then it is unexplained.

    A reason is given only if the calls it names account for the whole difference.
    """
    if found.flops is None:
        return f"the counter stopped: {found.error}"
    if found.how == "real" and report.unbacked:
        return "sizes that data decide are at their defaults, and on the run at what random data make them"
    missing = 2 * int(report.macs) - found.flops
    left_out: Counter[str] = Counter()
    for call in report.trace.calls:
        macs = int(report.size(report.costs.of(call).macs))
        unseen = _unseen(call) or _of_size_one(report, call, macs)
        if unseen:
            left_out[unseen] += 2 * macs
        elif any(v.fact.dtype.is_complex for v in call.outputs):
            left_out[_COMPLEX] += 2 * macs * 3 // 4
    subsets = chain.from_iterable(combinations(left_out, n) for n in range(1, len(left_out) + 1))
    names = next((s for s in subsets if sum(left_out[name] for name in s) == missing), ())
    return f"torch's counter does not know {' and '.join(names)}" if names else ""


def _of_size_one(report: fxcount.Report, call: Call, macs: int) -> str:
    """torch's einsum multiplies element by element where all sizes that it sums over are 1, and its counter sees no product."""
    if call.op.name != "einsum" or macs != sum(int(report.size(v.fact.numel)) for v in call.outputs):
        return ""
    return "products of an einsum over sizes of 1"


def _unseen(call: Call) -> str:
    if call.op.name in _PRODUCTS and any(v.fact.ndim == 1 for v in call.operands[:2]):
        return "products of a matrix and a vector"
    return UNSEEN.get(call.op.name.replace(".", "_"), "")
