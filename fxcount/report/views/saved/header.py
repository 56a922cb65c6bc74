"""What stands at the head of every file of fxcount's JSON, and the schema of all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "READABLE", "SCHEMA_VERSION", "header", "schema"]

SCHEMA_VERSION = 3
READABLE = (2, SCHEMA_VERSION)
"""Versions that this fxcount reads: in those of 2 every formula stands by itself, without ``where``."""

KINDS = {
    "report": "report", "step": "report", "curve": "curve", "pieces": "piecewise", "comparison": "comparison",
    "generation": "generation",
}  # fmt: skip
"""What a file can hold, and the key under which it is."""


def header(kind: str) -> dict[str, Any]:
    """The version of the schema, and which of :data:`KINDS` it is."""
    return {"fxcount": {"schema": SCHEMA_VERSION, "kind": kind}}


def schema() -> dict[str, Any]:
    """The JSON schema of all files.

    >>> schema()["title"]
    'What fxcount found'
    """
    path = Path(__file__).parent.parent / "graphs" / "graph.schema.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
