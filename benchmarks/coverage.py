"""Which ops fxcount knows, and whether its rules agree with torch on torch's own sample calls.

``python benchmarks/coverage.py`` compares some samples of each operator (a minute), ``--full`` all samples of all kinds of
dtypes (``--jobs 2``: a quarter of an hour); ``--write`` writes COVERAGE.md. The exit status is 1 if anything differs that has
no reason.
"""

from __future__ import annotations

import argparse
import logging
import sys
import types
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from fxcount.ops import REGISTRY, Zero
from fxcount.ops.core.registry import Unknown
from fxcount.trace.tracer.special import METADATA, SPECIAL
from fxcount.trace.tracer.standin import StandIn
from tests.ops.differential import compare
from tests.ops.opinfo import ATEN_KNOWN, NOT_GROWN, REFUSED, aten_calls, dtypes_of, full_name, infos, samples

__all__ = ["Compared", "aten_table", "callable_table", "compared", "main"]

HERE = Path(__file__).parent
KINDS = ("rule", "zero", "uncounted", "special", "Python", "fallback", "unknown")


# --- which ops -------------------------------------------------------------------------------------------------------


def _known(func: Any) -> tuple[str, str] | None:
    """What the registry says of a callable: the kind, and the reason if it counts nothing."""
    try:
        entry = REGISTRY[func]
    except (KeyError, TypeError):
        return None
    if isinstance(entry.cost, Zero):
        return "zero", entry.cost.reason
    return ("uncounted", entry.cost.hint) if isinstance(entry.cost, Unknown) else ("rule", "")


OTHER_LAYOUTS = (
    "sparse", "coo", "csr", "csc", "bsr", "bsc", "nested", "jagged", "values", "crow", "ccol", "row_indices", "col_indices",
    "coalesce", "indices",
)  # fmt: skip
QUANTISED = ("quantize", "quant", "q_scale", "q_zero", "q_per", "fbgemm", "int_repr", "qparams", "weight_int4", "dyn_quant")
DEVICES = ("cudnn", "miopen", "mkldnn", "mps", "vulkan", "xnnpack", "nnpack", "cslt", "thnn", "onednn", "hip", "cuda", "mkl")
OPTIMIZERS = ("foreach", "fused_adam", "fused_sgd", "fused_adagrad", "amp_", "fused_moving")
NAMES = ("name", "align", "rename", "refine")


def _family(name: str) -> str:
    """Why nobody misses a rule of an op: what it belongs to."""
    for family, words in (
        ("of sparse and nested layouts", OTHER_LAYOUTS), ("of quantised tensors", QUANTISED),
        ("kernels of one library or device", DEVICES), ("of optimizers", OPTIMIZERS), ("of named dimensions", NAMES),
    ):  # fmt: skip
        if any(word in name for word in words):
            return family
    if name.endswith("_backward") or "backward" in name or "_jvp" in name or "_grad" in name:
        return "gradients"
    return "internal (leading underscore)" if name.startswith("_") else "others"


def aten_table() -> dict[str, tuple[str, str]]:
    """Every ATen op of the dispatcher (in-place and ``out`` variants with their base): kind and reason."""
    names: dict[str, list[Any]] = defaultdict(list)
    for qualified in torch._C._dispatch_get_all_op_names():
        if qualified.startswith("aten::"):
            name, _, overload = qualified[len("aten::") :].partition(".")
            if not (overload.endswith("out") or name.endswith("_out")):
                names[name].append(getattr(getattr(torch.ops.aten, name), overload or "default"))
    table = {name: _aten_kind(name, overloads) for name, overloads in names.items()}
    return {n: k for n, k in sorted(table.items()) if not (n.endswith("_") and n[:-1] in table and not n.startswith("__"))}


def _aten_kind(name: str, overloads: list[Any]) -> tuple[str, str]:
    for overload in overloads:
        known = _known(overload)
        if known is not None:
            return known
    method = getattr(torch.Tensor, name, None)
    if any(f in SPECIAL or f in METADATA for f in (method, getattr(torch, name, None)) if f is not None):
        return "special", "answered by the tracer"
    return ("fallback" if any(map(_has_fake, overloads)) else "unknown"), _family(name)


def _has_fake(overload: Any) -> bool:
    """Whether torch can work out the shape of the result without data."""
    name = overload.name()
    keys = ("Meta", "CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")
    if any(torch._C._dispatch_has_kernel_for_dispatch_key(name, key) for key in keys):
        return True
    from torch._decomp import meta_table

    return overload in meta_table


def callable_table() -> dict[str, tuple[str, str]]:
    """Every function of torch that can be overridden, by its public name: kind and reason."""
    below, table = aten_table(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for functions in torch.overrides.get_overridable_functions().values():
            for func in functions:
                name = torch.overrides.resolve_name(func) or str(func)
                table[name] = _callable_kind(name, func, below)
    return dict(sorted(table.items()))


def _callable_kind(name: str, func: Any, below: dict[str, tuple[str, str]]) -> tuple[str, str]:
    known = _known(func)
    if known is not None:
        return known
    short = name.rpartition(".")[2] if not name.endswith("__get__") else name.split(".")[-2]
    operator = getattr(torch.Tensor, short.strip("_").removeprefix("i").removeprefix("r"), None)
    if func in SPECIAL or func in METADATA or short in vars(StandIn):
        return "special", "answered by the tracer"
    if short.startswith("__") and _known(operator):
        return "special", "an operator, which arrives as the method"
    if isinstance(func, types.FunctionType):
        return "Python", "its body is traced"
    names = (short.rstrip("_"), "_".join(name.split(".")[-2:]))
    if any(below.get(n, ("", ""))[0] == "fallback" for n in names):
        return "fallback", _family(short)
    return "unknown", _family(short)


# --- whether they agree ----------------------------------------------------------------------------------------------


@dataclass
class Compared:
    """Outcomes of one operator's samples, in its Python form and in the ATen ops it comes down to."""

    name: str
    python: Counter[str] = field(default_factory=Counter)
    aten: Counter[str] = field(default_factory=Counter)
    grown: int = 0
    slow: set[str] = field(default_factory=set)
    bad: list[str] = field(default_factory=list)


@cache
def _by_name() -> dict[str, Any]:
    return {full_name(info): info for info in infos()}


def compared(name: str, full: bool) -> Compared:
    """Compare an operator's samples: ``full``, all of them, else three of the main dtype and one of each other."""
    logging.disable(logging.ERROR)  # FakeTensorMode logs what it fails at
    info, found = _by_name()[name], Compared(name)
    for number, dtype in enumerate(dtypes_of(info)):
        for sample in samples(info, dtype, None if full else 3 if number == 0 else 1):
            outcome = compare(sample.call, sample.args, sample.kwargs, grow=name not in NOT_GROWN)
            found.python[outcome.kind] += 1
            found.grown += outcome.grown
            found.slow |= set(outcome.slow)
            if outcome.kind not in ("agrees", "torch") and not (outcome.kind == "data" and name in REFUSED):
                found.bad.append(f"{name} ({sample.variant}, {dtype}): {outcome.kind}: {outcome.detail}")
    for func, args, kwargs in aten_calls(info, dtypes_of(info)[0], 8 if full else 2) if info.dtypes else ():
        if func._schema.name in ATEN_KNOWN:
            continue
        outcome = compare(func, args, kwargs, grow=False)
        found.aten[outcome.kind] += 1
        if outcome.kind not in ("agrees", "torch"):
            found.bad.append(f"{func} in {name}: {outcome.kind}: {outcome.detail}")
    return found


# --- the page --------------------------------------------------------------------------------------------------------


def _counts(title: str, tables: Iterable[tuple[str, dict[str, tuple[str, str]]]]) -> str:
    lines = [f"| {title} | " + " | ".join(KINDS) + " | all |", "|:--|" + "--:|" * (len(KINDS) + 1)]
    for name, table in tables:
        kinds = Counter(kind for kind, _ in table.values())
        lines.append(f"| {name} | " + " | ".join(str(kinds[k]) for k in KINDS) + f" | {len(table)} |")
    return "\n".join(lines)


def _listed(table: dict[str, tuple[str, str]], kind: str) -> str:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, (found, reason) in table.items():
        if found == kind:
            by_reason[reason].append(name)
    return "\n".join(f"- {reason or kind}: {', '.join(f'`{n}`' for n in names)}" for reason, names in sorted(by_reason.items()))


LEGEND = """*rule*: shape and work. *zero*: no floating-point work, with the reason. *uncounted*: a shape rule alone, so that
calls are listed in `report.uncounted`. *special*: queries of metadata and data that the tracer answers. *Python*: a function of
torch whose body is traced. *fallback*: the shape comes from torch's fake tensors, the work is uncounted. *unknown*: neither
fxcount nor torch knows the shape without data."""
METHOD = """each in its function, method and in-place
form, and the ATen calls they come down to, forward and backward. Compared are shapes, dtypes, strides, shared memory, writes
and gradients, on numbers and with a symbol for every dimension."""


def page(results: list[Compared], full: bool) -> str:
    """COVERAGE.md."""
    aten, functions = aten_table(), callable_table()
    python, below = (sum((getattr(r, side) for r in results), Counter()) for side in ("python", "aten"))
    agree = sum(not r.bad and r.python["agrees"] > 0 and r.name not in REFUSED for r in results)
    wrong = any(r.bad for r in results)
    command = "python benchmarks/coverage.py --write" + (" --full" if full else "")
    sections = [
        "# Which ops fxcount knows",
        f"Written by `{command}` with torch {torch.__version__}.",
        LEGEND,
        _counts("", (("ATen ops", aten), ("functions and methods of torch", functions))),
        "## Compared with torch",
        f"{'All' if full else 'Some'} of torch's own sample calls of {len(results)} operators, " + METHOD,
        "| | operators | calls | agree | of which at other sizes too | refused: data | torch does not run | differ |\n"
        "|:--|--:|--:|--:|--:|--:|--:|--:|\n"
        f"| as called in Python | {agree} of {len(results)} | {python.total()} | {python['agrees']} | "
        f"{sum(r.grown for r in results)} | {python['data']} | {python['torch']} | {_wrong(python)} |\n"
        f"| as ATen ops | | {below.total()} | {below['agrees']} | - | {below['data']} | {below['torch']} | {_wrong(below)} |",
        "Refused, because a number the model asks for is data: " + _reasons(REFUSED) + ".",
        "Not compared: " + ", ".join(f"`{r.name}`" for r in results if not r.python["agrees"] and r.name not in REFUSED)
        + " (sparse, or no samples for the CPU).",
        "Not compared at other sizes, because their data fit one size: " + _reasons(NOT_GROWN) + ".",
        "Not compared as ATen ops: " + _reasons(ATEN_KNOWN) + ".",
        "Through the fallback: " + ", ".join(f"`{n}`" for n in sorted({n for r in results for n in r.slow})) + ".",
        "Differences: " + ("\n".join(["\n", *(f"- {line}" for r in results for line in r.bad)]) if wrong else "none."),
    ]
    for title, table in (("ATen ops", aten), ("Functions and methods", functions)):
        for kind in ("uncounted", "fallback", "unknown", "zero"):
            sections += [f"## {title}: {kind}", _listed(table, kind) or "none"]
        sections += [f"## {title}: rule", ", ".join(f"`{n}`" for n, (k, _) in table.items() if k == "rule")]
    return "\n\n".join(sections) + "\n"


def _wrong(kinds: Counter[str]) -> int:
    return sum(n for kind, n in kinds.items() if kind not in ("agrees", "data", "torch"))


def _reasons(table: dict[str, str]) -> str:
    return ", ".join(f"`{name}` ({reason})" for name, reason in table.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all samples of all kinds of dtypes")
    parser.add_argument("--write", action="store_true", help="write COVERAGE.md")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    names = list(_by_name())
    with ProcessPoolExecutor(options.jobs) as pool:
        results = list(pool.map(compared, names, [options.full] * len(names), chunksize=8))
    for line in (line for r in results for line in r.bad):
        print(line[:300])
    agreed = sum(r.python["agrees"] + r.aten["agrees"] for r in results)
    print(f"{agreed} calls agree; {sum(bool(r.bad) for r in results)} of {len(results)} operators differ somewhere")
    if options.write:
        (HERE / "COVERAGE.md").write_text(page(results, options.full), encoding="utf-8")
    return 1 if any(r.bad for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
