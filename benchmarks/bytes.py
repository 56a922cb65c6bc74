"""Are bytes as exact as MACs? Models of the zoos at small and large sizes, each against an analysis with numbers alone.

    python -m benchmarks.bytes [--models 'timm/*'] [--limit 120] [--write]

A model is analysed once with symbols. At B = 1 and 64, and at its own resolution or length and a large one (608 x 608, 2048
tokens), ``at(..., extend=False)`` either refuses or says what a fresh analysis at these sizes says: macs, flops, bytes read and
written, and the peak of memory. The two differ where a size of 1, or an equality of strides that only some sizes have, decides
whether something is copied. ``--write`` writes BYTES.md; the exit status is 1 if anything differs or fails.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import fxcount
from benchmarks.zoo.build import on_meta
from benchmarks.zoo.entry import Entry, Inputs
from benchmarks.zoo.registry import entries

__all__ = ["MODELS", "Compared", "compared", "main", "points"]

MODELS = (
    "torchvision/resnet50", "torchvision/densenet121", "torchvision/googlenet", "torchvision/mobilenet_v3_large",
    "torchvision/efficientnet_v2_s", "torchvision/convnext_tiny", "torchvision/swin_t", "torchvision/swin_v2_t",
    "torchvision/maxvit_t", "torchvision/vit_b_16", "torchvision/deeplabv3_resnet50",
    "timm/maxvit_rmlp_nano_rw_256", "timm/levit_192", "timm/levit_512d", "timm/twins_pcpvt_large", "timm/twins_svt_small",
    "timm/edgenext_small", "timm/swinv2_tiny_window8_256", "timm/coatnet_0_rw_224", "timm/convit_tiny", "timm/crossvit_15_240",
    "timm/davit_tiny", "timm/focalnet_tiny_srf", "timm/gcvit_tiny", "timm/pvt_v2_b1",
    "timm/sequencer2d_s", "timm/tresnet_m", "timm/volo_d1_224", "timm/xcit_tiny_12_p16_224", "timm/mobilevitv2_100",
    "timm/nest_tiny", "timm/poolformer_s12",
    "transformers/bert", "transformers/llama", "transformers/t5", "transformers/segformer",
    "transformers/florence2", "transformers/mamba", "transformers/longformer", "transformers/whisper", "transformers/detr",
    "transformers/encodec", "transformers/mimi", "transformers/d_fine", "transformers/dpt", "timm/efficientvit_b0",
)  # fmt: skip
LARGE: Mapping[str, int] = {"H": 608, "W": 608, "S": 2048, "T": 2048}
QUANTITIES = ("macs", "flops", "read_bytes", "write_bytes", "peak")
_HERE = Path(__file__).resolve().parent


@dataclass
class Compared:
    """One model: sizes at which it was compared and refused, what differs there, and what went wrong."""

    model: str
    agreed: int = 0
    refused: int = 0
    differences: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def good(self) -> bool:
        return not self.differences and not self.failure


def points(names: Iterable[str], hints: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The sizes asked for: batches of 1 and 64, each at the hints and with all that can be large as large as it gets.

    >>> list(points(["B", "S"], {"B": 2, "S": 128}))
    [{'B': 1, 'S': 128}, {'B': 1, 'S': 2048}, {'B': 64, 'S': 128}, {'B': 64, 'S': 2048}]
    """
    names = list(names)
    large = {n: LARGE.get(n, hints[n]) for n in names}
    own = {n: hints[n] for n in names}
    found = [{**sizes, **({"B": b} if "B" in names else {})} for b, sizes in itertools.product((1, 64), (own, large))]
    yield from (p for i, p in enumerate(found) if p not in found[:i])


def compared(key: str) -> Compared:
    """One model of the zoos, by its key."""
    family, _, name = key.partition("/")
    found = Compared(key)
    chosen = [e for e in entries(family, name) if e.name == name] or entries(family, name + "*")[:1]
    if not chosen:
        found.failure = "no such model in this version"
        return found
    try:
        _compare(chosen[0], found)
    except Exception as error:
        found.failure = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
    return found


def _compare(entry: Entry, found: Compared) -> None:
    model = on_meta(entry)
    inputs = entry.inputs(model)
    report = fxcount.analyze(model, *inputs.args, hints=inputs.hints or None, **inputs.kwargs)
    hints = {n: s for n, s in report.symbols.items() if n in inputs.asked}
    for sizes in points(hints, hints):
        try:
            at = _numbers(report.at(**sizes, extend=False, guess=True))
        except fxcount.FxcountError:
            found.refused += 1
            continue
        fixed: Inputs = replace(inputs, hints=sizes).with_free(())
        fresh = fxcount.analyze(model, *fixed.args, **fixed.kwargs)
        expected = _numbers(fresh.at(guess=True) if fresh.symbols else fresh)
        differing = [f"{q} {at[q]} for {expected[q]}" for q in QUANTITIES if at[q] != expected[q]]
        if differing:
            found.differences.append(f"{', '.join(f'{n}={s}' for n, s in sizes.items())}: {'; '.join(differing)}")
        else:
            found.agreed += 1


def _numbers(report: Any) -> dict[str, Any]:
    return {**{q: getattr(report, q) for q in QUANTITIES[:-1]}, "peak": report.memory.peak}


def _all(keys: list[str], limit: float) -> Iterator[Compared]:
    """Each in a process that is given up after the limit."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context)
    for key in keys:
        future = pool.submit(compared, key)
        try:
            yield future.result(timeout=limit)
        except (TimeoutError, BrokenProcessPool) as error:
            reason = f"not done in {limit:g} s" if isinstance(error, TimeoutError) else "the process died"
            for process in (pool._processes or {}).values():
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            pool = ProcessPoolExecutor(1, mp_context=context)
            yield Compared(key, failure=reason)
    pool.shutdown()


def table(rows: Iterable[Compared]) -> str:
    """BYTES.md."""
    rows = list(rows)
    agreed, refused = sum(r.agreed for r in rows), sum(r.refused for r in rows)
    wrong = sum(len(r.differences) for r in rows)
    lines = [
        "# Bytes against fresh analyses", "",
        f"`python -m benchmarks.bytes --write`: {len(rows)} models, {agreed + wrong} sizes admitted, {wrong} of them differ; "
        f"{refused} refused.",
        "Compared: macs, flops, bytes read and written, peak of memory. Refused: the assumptions of the one symbolic analysis "
        "do not hold there.",
        "", "| model | sizes that agree | refused | differs |", "|:--|--:|--:|:--|",
        *(f"| {r.model} | {r.agreed} | {r.refused} | {r.failure or '<br>'.join(r.differences)} |" for r in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; the exit status is 1 if anything differs or fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="*", help="a pattern, e.g. 'timm/*'")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one model")
    parser.add_argument("--write", action="store_true", help="write BYTES.md")
    given = parser.parse_args(arguments)
    rows = []
    for row in _all([k for k in MODELS if fnmatchcase(k, given.models)], given.limit):
        said = row.failure or " | ".join(row.differences)
        print(f"{row.model}: {row.agreed} agree, {row.refused} refused {said}", flush=True)
        rows.append(row)
    if given.write:
        (_HERE / "BYTES.md").write_text(table(rows), encoding="utf-8")
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
