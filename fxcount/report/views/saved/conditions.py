"""Assumptions as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxcount.report.views.saved.sizes import Read, Write
from fxcount.symbolic import Assumption, Expr, claim_from, plain_claim
from fxcount.wording import quoted

__all__ = ["assumption_from", "plain_assumption"]


def plain_assumption(a: Assumption, write: Write) -> dict[str, Any]:
    """With the line of the model, as a file may be read where there is no such file."""
    return {
        "relation": a.relation, "expr": write(a.expr), "modulus": a.modulus, "kind": a.kind, "reason": a.reason,
        "where": a.where, "quote": list(quoted(a.where) if a.quote is None else a.quote), "text": str(a),
        "claim": None if a.claim is None else plain_claim(a.claim, write),
    }  # fmt: skip


def assumption_from(row: Mapping[str, Any], read: Read) -> Assumption:
    """The inverse of :func:`plain_assumption`. Raises ValueError for what it does not write."""
    expr = read(row["expr"])
    if not isinstance(expr, Expr):
        raise ValueError(f"the assumption {row['text']!r} depends on no symbol")
    claim = None if row.get("claim") is None else claim_from(row["claim"], read)
    if (row["relation"] == "float") != (claim is not None):
        raise ValueError(f"the assumption {row['text']!r} says not what floats come to")
    line, comment = row.get("quote", ("", ""))  # of this file alone: it may name any other, which nobody opens
    return Assumption(
        row["relation"], expr, row["modulus"], row["kind"], row["reason"], row["where"], claim, (str(line), str(comment))
    )
