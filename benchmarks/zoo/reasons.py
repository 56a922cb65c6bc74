"""Why fxcount and torch's counter differ, as far as that can be shown by the numbers themselves."""

from __future__ import annotations

from collections.abc import Mapping

import fxcount
from benchmarks.zoo.counter import Count

__all__ = ["UNSEEN", "reason"]

UNSEEN: Mapping[str, str] = {
    "_grouped_mm": "torch's counter does not know _grouped_mm (mixture of experts)",
    "grouped_mm": "torch's counter does not know _grouped_mm (mixture of experts)",
    "deform_conv2d": "torch's counter does not know deform_conv2d",
    "lstm": "torch's counter does not see the products inside an LSTM",
    "gru": "torch's counter does not see the products inside a GRU",
    "rnn_tanh": "torch's counter does not see the products inside an RNN",
    "_scaled_mm": "torch's counter does not know it",
    "dot": "torch's counter does not know dot and vdot",
    "vdot": "torch's counter does not know dot and vdot",
    "mv": "torch's counter does not know mv",
    "cdist": "torch's counter does not know cdist",
    "_weight_norm": "torch's counter does not know it",
}
"""Ops with multiply-accumulates that torch's counter leaves out."""


def reason(report: fxcount.Report, found: Count) -> str:
    """The reason of a difference, or an empty text: then it is unexplained.

    A reason is given only if the ops it names account for the whole difference.
    """
    if found.flops is None:
        return f"the counter stopped: {found.error}"
    missing = 2 * int(report.macs) - found.flops
    rows = {row.op: 2 * int(row.cost.macs) for row in report.by_op() if row.op in UNSEEN and int(row.cost.macs)}
    for names in ([name] for name in rows):
        if rows[names[0]] == missing:
            return UNSEEN[names[0]]
    if rows and sum(rows.values()) == missing:
        return "; ".join(dict.fromkeys(UNSEEN[name] for name in rows))
    return ""
