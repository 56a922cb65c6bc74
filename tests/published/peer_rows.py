"""The cases of the peers' own tests and READMEs, each put to fxcount as the peer puts it to itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from tests.published import peers_fvcore, peers_small, peers_torch
from tests.published.check import Check, rows
from tests.published.peers_diffusion import DIFFUSION
from tests.published.peers_hub import HUB
from tests.published.peers_readme import README_REASONS, READMES

__all__ = ["REASONS", "ROWS", "checks", "key"]

ROWS = rows("peers_cases")
_ELEMENTWISE = "0.2% apart, presumably in elementwise operations; not taken apart"
REASONS = {
    **peers_torch.REASONS, **peers_small.REASONS, **README_REASONS,
    "timm vit_base16 (fused attn off)": _ELEMENTWISE,
    "resnet50": _ELEMENTWISE,
}  # fmt: skip
_ANSWERS: dict[str, dict[str, Callable[[], Any]]] = {
    "torch test/test_flop_counter.py": peers_torch.ANSWERS, "fvcore tests": peers_fvcore.ANSWERS,
}  # fmt: skip
# The tests of the peers themselves allow for so much.
_TOLERANCE = re.compile(r"tolerance \+-(1e\+\d+)")


def key(row: dict[str, str]) -> str:
    """What a row is called."""
    return f"{row['source']}: {row['case']} {row['inputs']}".strip()


def checks(row: dict[str, str]) -> list[Check]:
    """The row's numbers; one without a number if it cannot be put to fxcount."""
    reason = REASONS.get(row["case"], "")
    if row["source"] in READMES:
        if not _is_asked(row["case"]):
            return [_unasked(row, reason)]
        return [c if c.equal else replace(c, reason=reason) for c in READMES[row["source"]](row)]
    answer = _answer(row)
    if answer is None:
        return [_unasked(row, reason)]
    found, published = answer(), row["expected"]
    allowed = float(_TOLERANCE.findall(row["note"])[0]) if _TOLERANCE.search(row["note"]) else 0.0
    equal = found == published if isinstance(found, str) else abs(found - float(published)) <= allowed
    return [Check(row["source"], row["case"], row["quantity"], published, str(found), equal, "" if equal else reason)]


def _answer(row: dict[str, str]) -> Callable[[], Any] | None:
    answers = _ANSWERS.get(row["source"], peers_small.ANSWERS)
    case = f"{row['case']} thop" if row["source"] == "thop tests" else row["case"]
    return answers.get(case) or answers.get(f"{case} {row['inputs']}")


def _is_asked(case: str) -> bool:
    return case.startswith("torchvision") or case in HUB or (case in DIFFUSION and find_spec("diffusers") is not None)


def _unasked(row: dict[str, str], reason: str) -> Check:
    return Check(row["source"], row["case"], row["quantity"], row["expected"], "-", False, reason)
