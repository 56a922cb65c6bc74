"""Every size a model takes: ``report.at(...)`` of 52 models against torch's own counter, run afresh at each.

    python -m benchmarks.any_size --jobs 2 --resume --out any_size.jsonl [MODEL ...]
    python -m benchmarks.any_size --table docs/any_size.md any_size.jsonl

Vision models are asked at 0.5, 1, 2 and 4 times their usual side, those of fixed resolution built for each, language models at
so many times their usual length and at lengths of 1, 2048 and 4096; all at batches of 1 and 64. Each model is analysed once, at
its usual size and a batch of 2. Another copy of it is run on meta tensors under ``FlopCounterMode``, in a plain run: nothing
tells it that it is being compiled. A point is

``equal``    twice the macs is what the counter says
``named``    it is not, and ``report.conventions("torch")`` says which ops make all of the difference: the counter has no
             formula for products of groups, nor for a multiplication, which is what an einsum over a size of 1 becomes
``refused``  ``at()`` says that the model itself refuses, and a run of it does raise: on meta, or on the CPU with a batch of 1
``wrong``    anything else
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from benchmarks.tables import table
from benchmarks.zoo.build import on_cpu, on_meta
from benchmarks.zoo.entry import Entry, Inputs, tensors
from benchmarks.zoo.records import Record, appended, read
from benchmarks.zoo.registry import entries
from benchmarks.zoo.runner import Limits, Task

__all__ = ["FIXED", "SUBJECTS", "TEXT", "VISION", "measure", "page", "points"]


VISION = {
    "torchvision": (
        "resnet50 vgg16 densenet121 mobilenet_v3_large efficientnet_b0 convnext_tiny regnet_y_400mf googlenet "
        "shufflenet_v2_x1_0 swin_t swin_v2_t deeplabv3_resnet50"
    ),
    "timm": (
        "maxvit_tiny_tf_224 nfnet_l0 edgenext_small mobilevit_s mobilevitv2_050 pvt_v2_b0 focalnet_tiny_srf davit_tiny "
        "hrnet_w18 twins_svt_small xcit_tiny_12_p16_224 coat_lite_tiny fastvit_t8 gcvit_tiny tiny_vit_5m_224"
    ),
}  # fmt: skip
"""Models that take images of any size, or of several."""

FIXED = (
    "vit_base_patch16_224 deit3_small_patch16_224 beit_base_patch16_224 cait_s24_224 mixer_b16_224 resmlp_12_224 gmlp_s16_224 "
    "swin_tiny_patch4_window7_224 tnt_s_patch16_224 volo_d1_224 hiera_tiny_224 nest_tiny"
)
"""Models of timm that are built for one size: ``img_size`` is an argument."""

TEXT = "gpt-sw3 llama mistral qwen2 gemma2 phi gpt_neox opt bloom bert distilbert t5 mixtral"
"""Types of transformers, two layers of each; the zoo has GPT-2 under the first name of its classes, gpt-sw3."""

SIDES = (0.5, 1, 2, 4)
BATCHES = (1, 64)
LENGTH = 512
LENGTHS = (1, 256, 512, 1024, 2048, 4096)

SUBJECTS: tuple[Task, ...] = (
    *[(library, name) for library, names in VISION.items() for name in names.split()],
    *[("fixed", name) for name in FIXED.split()],
    *[("transformers", name) for name in TEXT.split()],
)


@dataclass(frozen=True)
class Asked:
    """One point: its sizes, what fxcount says (macs, torch's own number by its rules, or a refusal), and how to run the model
    there."""

    sizes: dict[str, int]
    report: fxcount.Report | None
    said: str
    refused: bool
    model: Callable[[], torch.nn.Module]
    real: Callable[[], torch.nn.Module]
    inputs: Inputs


@cache
def _entry(library: str, name: str) -> Entry:
    return next(iter(entries(library, name)))


def points(sizes: Iterable[Mapping[str, int]]) -> list[dict[str, int]]:
    """Each of these sizes at both batches."""
    return [{"B": batch, **at} for at in sizes for batch in BATCHES]


def asked(task: Task, record: Record) -> Iterator[Asked]:
    """Every point of one model, as fxcount answers it; what the analyses took is noted in the record."""
    library, name = task
    if library == "fixed":
        yield from _asked_of_builds(name, record)
        return
    entry = _entry(library, name)
    model, counted = on_meta(entry), cache(partial(on_meta, entry))
    inputs = entry.inputs(model)
    hints = {**inputs.hints, **{n: LENGTH for n in ("S", "T") if n in inputs.hints}, "B": 2}
    started = time.perf_counter()
    report = fxcount.analyze(model, *inputs.args, hints=hints, kwargs=dict(inputs.kwargs))
    record["analysis_seconds"] = time.perf_counter() - started
    if library == "transformers":
        over: list[dict[str, int]] = [{n: length for n in ("S", "T") if n in hints} for length in LENGTHS]
    else:
        over = [{n: int(hints[n] * part) for n in ("H", "W")} for part in SIDES]
    spent = 0.0
    for sizes in points(over):
        started = time.perf_counter()
        found, said, refused = _answer(report, sizes)
        spent += time.perf_counter() - started
        record.update(at_seconds=spent, pieces=len(report.family.pieces))
        yield Asked(sizes, found, said, refused, counted, partial(on_cpu, entry), inputs)


def _asked_of_builds(name: str, record: Record) -> Iterator[Asked]:
    entry = _entry("timm", name)
    channels, usual, _ = on_meta(entry).pretrained_cfg["input_size"]  # type: ignore[index]
    record.update(pieces=0, analysis_seconds=0.0, at_seconds=0.0)
    for part in SIDES:
        side = int(usual * part)
        build = partial(entry.build, img_size=side)  # type: ignore[call-arg]
        built = Entry("fixed", name, entry.file, build, entry.inputs)
        inputs = Inputs((f"f32[B,{channels},{side},{side}]",), hints={"B": 2})
        try:
            model = on_meta(built)
            started = time.perf_counter()
            report = fxcount.analyze(model, *inputs.args, hints={"B": 2})
        except Exception as error:  # it cannot be built, or not be run
            said = _words(error)
            for sizes in points([{"H": side}]):
                yield Asked(sizes, None, said, True, partial(on_meta, built), partial(on_cpu, built), inputs)
            continue
        record["analysis_seconds"] += time.perf_counter() - started
        counted = cache(partial(on_meta, built))
        for sizes in points([{"H": side}]):
            started = time.perf_counter()
            found, said, refused = _answer(report, {"B": sizes["B"]})
            record["at_seconds"] += time.perf_counter() - started
            yield Asked(sizes, found, said, refused, counted, partial(on_cpu, built), inputs)
        record["pieces"] += len(report.family.pieces)


def _answer(report: fxcount.Report, sizes: dict[str, int]) -> tuple[fxcount.Report | None, str, bool]:
    try:
        return report.at(**sizes), "", False
    except fxcount.RefusedError as error:
        return None, error.what, True
    except fxcount.FxcountError as error:
        return None, _words(error), False


def judged(point: Asked) -> Record:
    """The point held to torch's counter."""
    record: Record = {"sizes": point.sizes}
    if point.report is None:
        record["said"] = point.said[:300]
        raised = point.refused and (_raises(point.model, point) or _raises(point.real, point, "cpu"))
        return {**record, "status": "refused" if raised else "wrong"}
    flops, how = counted(point)
    mine = 2 * int(point.report.macs)
    record.update(flops=flops, twice_macs=mine, how=how)
    if flops == mine:
        return {**record, "status": "equal"}
    (row,) = point.report.conventions("torch")
    if row.number == flops:
        return {**record, "status": "named", "named": [f"{d.kind}: {d.rule}" for d in row.differences]}
    return {**record, "status": "wrong"}


def counted(point: Asked) -> tuple[int | None, str]:
    """What the counter says of a plain run on meta tensors; where the model looks at data, as the zoo's runner counts it."""
    from benchmarks.zoo.counter import count

    model = point.model()
    args, kwargs = tensors((point.inputs.args, dict(point.inputs.kwargs)), {**point.inputs.hints, **point.sizes})
    try:
        with FlopCounterMode(display=False) as counter:
            model.requires_grad_(False)(*args, **kwargs)
        return int(counter.get_total_flops()), "plain"
    except Exception:
        found = count(model, point.inputs, {**point.inputs.hints, **point.sizes})
        return found.flops, found.how or found.error


def _raises(build: Callable[[], torch.nn.Module], point: Asked, device: str = "meta") -> str:
    """What a run of the model says; on the CPU with a batch of 1, which these refusals do not depend on."""
    sizes = {**point.inputs.hints, **point.sizes, **({"B": 1} if device == "cpu" else {})}
    try:
        args, kwargs = tensors((point.inputs.args, dict(point.inputs.kwargs)), sizes, device, point.inputs.below)
        with torch.no_grad():
            build()(*args, **kwargs)
    except Exception as error:
        return _words(error)
    return ""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def measure(task: Task, emit: Callable[[Record], None]) -> bool:
    """All points of one model: what a worker does for one task."""
    warnings.simplefilter("ignore")  # of the libraries, about their own defaults
    logging.disable(logging.WARNING)
    record: Record = {"key": "/".join(task), "status": "failed", "points": []}
    for point in asked(task, record):
        record["points"].append(judged(point))
    emit({**record, "status": "done"})
    return True


# -- the page -----------------------------------------------------------------------------------------------------------
_KINDS = {"torchvision": "any size", "timm": "any size", "fixed": "built for one size", "transformers": "text"}


def page(records: Sequence[Record]) -> str:
    """The records as a page of documentation."""
    order = ["/".join(task) for task in SUBJECTS]
    found = sorted([r for r in records if r["key"] in order], key=lambda r: order.index(r["key"]))
    all_points = [p for r in found for p in r.get("points", ())]
    counts = {status: sum(p["status"] == status for p in all_points) for status in ("equal", "named", "refused", "wrong")}
    named = {text: None for r in found for p in r.get("points", ()) for text in p.get("named", ())}
    refusals = [f"* {_name(r)}: {said}" for r in found if (said := _refusal(r))]
    wrong = [f"* {r['key']} at {_at(p)}: {_said(p)}" for r in found for p in r.get("points", ()) if p["status"] == "wrong"]
    wrong += [f"* {r['key']}: stopped" for r in found if r["status"] != "done"]
    wrong += [f"* {key}: not run" for key in order if key not in {r["key"] for r in found}]
    head = ["model", "kind", "points", "equal", "named", "refused", "wrong", "pieces", "analysis ms", "at() ms a point"]
    text = [
        "# Every size", "",
        f"`report.at(...)` of {len(found)} models at {len(all_points)} points against torch's `FlopCounterMode`, run "
        f"afresh at each: {counts['equal']} equal, {counts['named']} apart by what the counter leaves out, {counts['refused']} "
        f"refused by the model itself, {counts['wrong']} wrong. Written by `python -m benchmarks.any_size`, which says "
        "how; times are those of one thread on a shared machine.", "",
        table(head, [_row(r) for r in found]), "",
    ]  # fmt: skip
    if named:
        listed = "; ".join(named)
        text += [f"Named: {listed}. fxcount counts these exactly; `report.count(\"torch\")` is the counter's number.", ""]
    if refusals:
        text += ["Refused, in the models' own words:", "", *refusals, ""]
    if wrong:
        text += ["Not as it should be:", "", *wrong, ""]
    return "\n".join(text)


def _row(record: Record) -> list[str]:
    points = record.get("points", ())
    kind = _KINDS[record["key"].partition("/")[0]]
    counts = [str(sum(p["status"] == status for p in points) or "-") for status in ("equal", "named", "refused", "wrong")]
    analysis, at = record.get("analysis_seconds", 0.0), record.get("at_seconds", 0.0)
    return [
        _name(record), kind, str(len(points)), *counts, str(record.get("pieces", "-")), f"{1000 * analysis:.0f}",
        f"{1000 * at / max(len(points), 1):.0f}",
    ]  # fmt: skip


def _name(record: Record) -> str:
    return str(record["key"].partition("/")[2]).replace("gpt-sw3", "gpt2")


def _refusal(record: Record) -> str:
    said = next((p["said"] for p in record.get("points", ()) if p["status"] == "refused"), "")
    return str(said).removeprefix("the model itself refuses ")


def _at(point: Record) -> str:
    return ", ".join(f"{n}={v}" for n, v in point["sizes"].items())


def _said(point: Record) -> str:
    if point.get("said"):
        return str(point["said"])
    theirs = "nothing" if point["flops"] is None else f"{point['flops']:,}"
    return f"fxcount {point['twice_macs']:,}, torch {theirs} ({point.get('how', '')})"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure models, or write the page from records of earlier runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.any_size", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="models to measure (default: all), or with --table files of records")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--out", default="any_size.jsonl", help="where records are appended")
    parser.add_argument("--resume", action="store_true", help="leave out models the file has a record of")
    parser.add_argument("--limit-s", type=float, default=900.0, help="seconds for one model")
    parser.add_argument("--limit-gib", type=float, default=24.0, help="address space of one worker")
    parser.add_argument("--table", metavar="FILE.md", help="write the page from records")
    options = parser.parse_args(argv)
    if options.table:
        Path(options.table).write_text(page([r for file in options.names for r in read(Path(file))]), encoding="utf-8")
        return 0
    return _run(options)


def _wrong(record: Record) -> list[str]:
    return [f"{_at(p)}: {_said(p)}" for p in record.get("points", ()) if p["status"] == "wrong"]


def _line(record: Record) -> str:
    return f"{record['status']} {' '.join(_row(record)[2:])} {'; '.join(_wrong(record)) or record.get('errors', '')}"


def _run(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if not options.resume:
        out.unlink(missing_ok=True)
    done = {r["key"] for r in read(out) if r["status"] == "done"}
    tasks = [t for t in SUBJECTS if "/".join(t) not in done and (not options.names or t[1] in options.names)]
    bad = False
    for record in appended(out, tasks, measure, options.jobs, Limits(options.limit_s, options.limit_gib), _line):
        bad = bad or bool(_wrong(record)) or record["status"] != "done"
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
