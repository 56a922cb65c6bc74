"""How readable the totals are: the MACs of ResNet-50 and Swin-T as text, and its length.

``python benchmarks/readable.py``; the exit status is 1 if a formula of a resolution in steps is longer than 200
characters.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fxcount
from benchmarks.cases import CASES

__all__ = ["Formula", "formulas", "main"]

LIMIT = 200  # characters
_INPUTS = (
    ("resnet50", "B,3,32*h,32*w"),
    ("swin_t", "B,3,224*h,224*w"),
    ("resnet50", "B,3,H,W"),
    ("swin_t", "B,3,H,W"),
)


@dataclass(frozen=True)
class Formula:
    """The total MACs of a model on an input; ``depth``: how many floors stand one in another (1: none nested)."""

    model: str
    spec: str
    text: str
    depth: int

    @property
    def kept(self) -> bool:
        """In steps: a polynomial within the limit. In free sizes: no floor inside another."""
        return len(self.text) <= LIMIT and self.depth == 0 if "*" in self.spec else self.depth <= 1


def formulas() -> list[Formula]:
    """Analyse each model on each input."""
    found = []
    for name, spec in _INPUTS:
        text = str(fxcount.analyze(CASES[name].on_meta(), spec).costs.total.macs)
        found.append(Formula(name, spec, text, _depth(text)))
    return found


def _depth(text: str) -> int:
    """The deepest nesting of floor() and ceil() in a formula.

    >>> _depth("B*floor(H/2)"), _depth("ceil((W - 4*floor(W/8))/7)")
    (1, 2)
    """
    deepest, stack = 0, [False]
    for i, character in enumerate(text):
        if character == "(":
            stack.append(text[:i].endswith(("floor", "ceil")))
            deepest = max(deepest, sum(stack))
        elif character == ")":
            stack.pop()
    return deepest


def main() -> int:
    """Print the formulas; whether all those in steps keep within the limit."""
    kept = True
    for f in formulas():
        kept &= f.kept or "*" not in f.spec
        verdict = "yes" if f.kept else "NO"
        print(f"{f.model} {f.spec}: {len(f.text)} characters, floors nested {f.depth} deep, readable: {verdict}")
        print(f"    {f.text}\n")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
