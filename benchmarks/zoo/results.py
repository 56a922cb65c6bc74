"""RESULTS.md, written from the records of a run, never by hand."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from benchmarks.zoo.failures import failures, fit_of
from benchmarks.zoo.registry import FAMILIES

__all__ = ["added", "results"]

Record = dict[str, Any]
Test = Callable[[Record], bool]

_PACKAGES = ("torch", "torchvision", "timm", "transformers", "diffusers", "torch_geometric")
_INTRODUCTION = """\
# Every model of the zoos

Written by `python -m benchmarks.zoo --results`. Versions: {versions}.

A model counts as *runnable* if fxcount traces it or torch's own counter can run it on meta or fake tensors; the others
cannot be built with their defaults here, or depend on data. *Equal* means that twice fxcount's multiply-accumulates are the
flops `FlopCounterMode` counts on the same call, to the last digit. A symbol *stays* if the formulas hold at other sizes, in
the trace at the hint or, where the model takes another branch there (position embeddings are resized at every size but one),
in a trace elsewhere, or, where the model loops over it, if `report.fit()` finds a closed form that torch's counter agrees with
at another size, but for what has a reason. It is left out of the share if the model itself refuses other sizes (it is run at
them). *Proof*: the traced graph, run on random inputs with random weights, gives the outputs of the model, at two sizes.
*Dead*: the parameters that get
no gradient in a run of the model (the loss is the sum of its outputs) are those the report names.{wild}
"""
_WILD = """

*wild* are {models} models of {packages} packages outside the zoos: {versions}."""
_FELL_SHORT = "## What fell short"
_LATER = """\
The table is of one run of these zoos together. The sections below are of later runs, each of one family: what their runs did
not ask (torch's counter, proofs) is not in them."""
_BEGIN, _END = "<!-- section: {} -->", "<!-- end of section: {} -->"


def results(records: Iterable[Record]) -> str:
    """The page: one table of shares, a column for each family, then everything that fell short, by cause."""
    found = list(records)
    families = [name for name in FAMILIES if any(r["family"] == name for r in found)]
    by_family = {name: [r for r in found if r["family"] == name] for name in families}
    if len(families) > 1:
        by_family["all"] = found
    rows = [[title, *(cell(group) for group in by_family.values())] for title, cell in _ROWS]
    head = _INTRODUCTION.format(versions=", ".join(_versions(_PACKAGES)), wild=_wild(by_family.get("wild", ())))
    return "\n".join([head, _table(["", *by_family], rows), "", failures(found, _FELL_SHORT)])


def added(page: str, records: Iterable[Record]) -> str:
    """The page with a section of one family at its end, in the place of the one that was there: a run of that family alone.

    What fell short in the run of all families is left out: sections tell of later ones. So is what a section's run did not ask.
    """
    found = list(records)
    (family,) = {r["family"] for r in found}
    begin, end = _BEGIN.format(family), _END.format(family)
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    rows = [[title, text] for title, text in ((title, cell(found)) for title, cell in _ROWS) if text != "-"]
    title = f"## {family}\n\nWritten by `python -m benchmarks.zoo --add-to`. Versions: {', '.join(_versions(_PACKAGES))}."
    parts = [begin, title + (_wild(found) if family == "wild" else ""), "", _table(["", family], rows), ""]
    section = "\n".join([*parts, failures(found, "### What fell short"), end])
    return f"{_without_failures(before)}\n\n{section}\n{after.lstrip()}"


def _without_failures(page: str) -> str:
    """The page before a section, its table kept and what fell short left out."""
    head, _, rest = page.partition(f"\n{_FELL_SHORT}")
    _, mark, sections = rest.partition(_BEGIN.partition("{")[0])
    note = _LATER if rest else ""
    return "\n\n".join(part.strip("\n") for part in (head, note, mark + sections) if part.strip())


def _versions(packages: Iterable[str]) -> Iterable[str]:
    """Each package with its version, of the distribution that has a module of this name if it is not a distribution's own."""
    owners: Mapping[str, Sequence[str]] = {}
    for package in packages:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            owners = owners or packages_distributions()
            found = owners.get(package, ())
            yield f"{found[0]} {version(found[0])}" if found else f"{package} not installed"


def _wild(records: Sequence[Record]) -> str:
    """What the family of packages outside the zoos is made of."""
    packages = sorted({r["file"] for r in records if "file" in r}, key=str.lower)
    versions = ", ".join(_versions(packages))
    return _WILD.format(models=len(records), packages=len(packages), versions=versions) if packages else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# -- what is asked of a record ---------------------------------------------------------------------------------------
def _traced(r: Record) -> bool:
    return bool(r["status"] == "traced")


def _traced_whole(r: Record) -> bool:
    return _traced(r) and r["level"] == "all"


def _runnable(r: Record) -> bool:
    return _traced(r) or any(c.get("flops") is not None for c in r.get("reference", ()))


def _counted(place: int) -> Test:
    return lambda r: _traced(r) and len(r.get("reference", ())) > place and r["reference"][place]["flops"] is not None


def _equal(place: int) -> Test:
    return lambda r: bool(r["reference"][place]["equal"])


def _explained(r: Record) -> bool:
    return any(c["flops"] is not None and c.get("reason") for c in r.get("reference", ()))


def _unexplained(r: Record) -> bool:
    return _traced(r) and any(c["flops"] is not None and not c["equal"] and not c.get("reason") for c in r.get("reference", ()))


def _stays(names: str) -> Test:
    """Whether one of the symbols stays, at the hint or in a trace elsewhere."""

    def test(r: Record) -> bool:
        asked = [name for name in r["asked"] if name in names]
        where = r.get("elsewhere", {})
        free = {*r["symbolic"], *(n for n in r["pinned"] if "pinned" in where and n not in where["pinned"]), *_fitted(r)}
        return any(name in free for name in asked)

    return test


def _fitted(r: Record) -> list[str]:
    found = fit_of(r)
    return list(found["names"]) if found else []


def _could_stay(names: str) -> Test:
    return lambda r: (
        _traced(r) and any(n in names and not (r.get("refused") and n in r["pinned"]) for n in r["asked"])
    )


def _tried(r: Record) -> bool:
    return r.get("proof", {}).get("status") in ("passed", "failed")


def _proved(r: Record) -> bool:
    return bool(r["proof"]["status"] == "passed")


def _compared_dead(r: Record) -> bool:
    return r.get("dead", {}).get("status") in ("equal", "differs")


def _dead_equal(r: Record) -> bool:
    return bool(r["dead"]["status"] == "equal")


def _verified(r: Record) -> bool:
    return bool(r["verify"]["status"] == "agrees")


def _verified_by_runs(r: Record) -> bool:
    return _verified(r) and r["verify"]["executed"] > 0


# -- cells -----------------------------------------------------------------------------------------------------------
def _number(test: Test) -> Callable[[list[Record]], str]:
    return lambda group: str(sum(map(test, group)))


def _share(test: Test, among: Test) -> Callable[[list[Record]], str]:
    def cell(group: list[Record]) -> str:
        chosen = [r for r in group if among(r)]
        hits = sum(map(test, chosen))
        return f"{hits} of {len(chosen)} ({100 * hits / len(chosen):.1f}%)" if chosen else "-"

    return cell


def _seconds(key: str, of: Callable[[list[float]], float], unit: float = 1.0) -> Callable[[list[Record]], str]:
    def cell(group: list[Record]) -> str:
        found = sorted(r[key] for r in group if key in r)
        return f"{of(found) * unit:.0f}" if found else "-"

    return cell


def _late(found: list[float]) -> float:
    return found[int(0.95 * (len(found) - 1))]


_ROWS: tuple[tuple[str, Callable[[list[Record]], str]], ...] = (
    ("models", _number(lambda r: True)),
    ("runnable", _number(_runnable)),
    ("traced with all symbols, of the runnable", _share(_traced_whole, _runnable)),
    ("traced at all, of the runnable", _share(_traced, _runnable)),
    ("equal at the hint", _share(_equal(0), _counted(0))),
    ("equal at another size", _share(_equal(1), _counted(1))),
    ("differ with a reason", _number(_explained)),
    ("differ without a reason", _number(_unexplained)),
    ("batch stays", _share(_stays("B"), _could_stay("B"))),
    ("H, W or S stays", _share(_stays("HWS"), _could_stay("HWS"))),
    ("some of these by a fit over sizes, checked", _number(lambda r: bool(_fitted(r)))),
    ("some op without a cost rule", _number(lambda r: bool(r.get("uncounted")))),
    ("some op by the slow fallback", _number(lambda r: bool(r.get("slow_ops")))),
    ("sizes that depend on data", _number(lambda r: bool(r.get("unbacked")))),
    ("proof passed, of those run", _share(_proved, _tried)),
    ("dead parameters equal autograd's, of those run", _share(_dead_equal, _compared_dead)),
    ("report.verify() agrees at 4 sizes, of those asked", _share(_verified, lambda r: "verify" in r)),
    ("of these also run, at as many as are small enough", _number(lambda r: "verify" in r and _verified_by_runs(r))),
    ("trace, median ms", _seconds("trace_seconds", statistics.median, 1000)),
    ("trace, 95th percentile ms", _seconds("trace_seconds", _late, 1000)),
    ("all work on all models, s of one core", _seconds("seconds", sum)),
)
