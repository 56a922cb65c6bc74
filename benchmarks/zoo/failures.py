"""What went wrong, grouped so that one line of a cause stands for all the models it stops."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["buckets", "failures", "fit_of", "named"]

Record = dict[str, Any]


def failures(records: Iterable[Record], title: str = "# Failures") -> str:
    """A page of all that failed, differs or was pinned: largest group first, with its models."""
    found = list(records)
    parts = [f"{title}, of {len(found)} models", ""]
    for section, key in _SECTIONS:
        groups = buckets(found, key)
        parts.append(f"**{section}: {sum(map(len, groups.values()))}**\n")
        for text, models in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            parts += [f"- **{len(models)}** {text}", f"  - {named(models)}"]
        parts.append("")
    return "\n".join(parts)


def buckets(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[str]]:
    """The names of the models by what ``key`` says of them; those with an empty text are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for record in records:
        text = key(record)
        if text:
            groups[text].append(record["name"])
    return dict(groups)


def named(models: list[str], most: int = 40) -> str:
    """A list of names, cut where it gets long."""
    return ", ".join(models[:most]) + (f" and {len(models) - most} more" if len(models) > most else "")


def general(message: str) -> str:
    """The message with its numbers and long lists taken out, so that like errors fall together."""
    first = message.strip().splitlines()[0] if message.strip() else ""
    return re.sub(r"\d+", "N", first)[:220]


def _error(record: Record) -> str:
    if not record.get("errors"):
        return f"no message (exit {record.get('exit')})"
    e = record["errors"][0]
    return f"`{e['type']}: {general(e['message'])}` at {e.get('where', '?')}, raised in {e.get('raised', '?')}"


def _unbuilt(record: Record) -> str:
    return _error(record) if record["status"] == "unbuilt" else ""


def _failed(record: Record) -> str:
    if record["status"] == "unbuilt":
        return ""
    if record["status"] == "traced":
        return "" if record["level"] == "all" else f"{_error(record)} [then traced: {record['level']}]"
    if not record.get("errors"):
        return f"{record['status']} (exit {record.get('exit')}) after {record.get('class', 'nothing')} was built"
    runs = any(r.get("flops") is not None for r in record.get("reference", ()))
    return f"{_error(record)} [{'torch' if runs else 'nor does torch'}'s counter run{'s' if runs else ''} it]"


def _differs(record: Record) -> str:
    for r in record.get("reference", ()) if record["status"] == "traced" else ():
        if r["flops"] is not None and not r["equal"] and not r.get("reason"):
            if record["uncounted"]:
                return f"no cost rule for {', '.join(record['uncounted'])}"
            place = "at the hint" if r["at"] == record["hints"] else "at the other size"
            return f"{place}: 2*macs/flops = {r['twice_macs'] / max(1, r['flops']):.4f} ({r['how']})"
    return ""


def _explained(record: Record) -> str:
    return next((r["reason"] for r in record.get("reference", ()) if r.get("reason") and r["flops"] is not None), "")


def _uncounted(record: Record) -> str:
    for r in record.get("reference", ()):
        if record["status"] == "traced" and r["flops"] is None:
            return general(r["error"])
    return ""


def _verify(record: Record) -> str:
    found = record.get("verify") or {}
    said = [*found.get("differences", ()), found.get("error", "")]
    return f"`{general(said[0])}`" if found.get("status") in ("differs", "failed") else ""


def _proof(record: Record) -> str:
    proof = record.get("proof") or {}
    return f"`{general(proof.get('error', ''))}`" if proof.get("status") == "failed" else ""


def _dead(record: Record) -> str:
    found = record.get("dead") or {}
    sides = {"ours alone": found.get("only_ours"), "autograd's alone": found.get("only_autograd")}
    return "; ".join(f"{side}: {', '.join(names)}" for side, names in sides.items() if names)


def _dead_skipped(record: Record) -> str:
    found = record.get("dead") or {}
    return general(found.get("reason", "")) if found.get("status") == "skipped" else ""


def _skipped(record: Record) -> str:
    proof = record.get("proof") or {}
    return general(proof.get("reason", "")) if proof.get("status") == "skipped" else ""


def _held(record: Record, pinned: dict[str, str]) -> str:
    return "; ".join(f"{name}: {general(text)}" for name, text in pinned.items())


def _pinned(record: Record) -> str:
    """Pinned although the model runs at other sizes, in a trace of such a size as well."""
    where = record.get("elsewhere", {})
    if _by_fit(record):
        return ""
    if "error" in where:
        error = where["error"]
        return f"`{error['type']}: {general(error['message'])}` at {error['where']} (a trace elsewhere)"
    return _held(record, where.get("pinned", {}))


def _by_branch(record: Record) -> str:
    where = record.get("elsewhere")
    return _held(record, record["pinned"]) if where and not where.get("pinned") and "error" not in where else ""


def fit_of(record: Record) -> Record | None:
    """A formula fitted over sizes, if torch's counter elsewhere agrees with it but for a reason."""
    found: Record | None = record.get("fitted")
    return found if found and (found["reference"]["equal"] or found["reference"].get("reason")) else None


def _by_fit(record: Record) -> str:
    found = fit_of(record)
    if not found:
        return ""
    return f"{_held(record, {n: text for n, text in record['pinned'].items() if n in found['names']})} ({found['evidence']})"


def _refused(record: Record) -> str:
    return f"`{general(record['refused'])}` {_held(record, record['pinned'])}" if record.get("refused") else ""


def _unclear(record: Record) -> str:
    if "refused" in record or "elsewhere" in record or _by_fit(record):
        return ""
    return _held(record, record.get("pinned", {}))


def _unknown(record: Record) -> str:
    return ", ".join(record.get("uncounted", ()))


def _slow(record: Record) -> str:
    return ", ".join(record.get("slow_ops", ()))


def _stopped(record: Record) -> str:
    if record["status"] != "traced" or "stopped" not in record:
        return ""
    return f"{record['stopped']} {'in the proof' if 'reference' in record else 'in the comparison'}"


def _unclean(record: Record) -> str:
    return ", ".join(record.get("left_behind", ()))


_SECTIONS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    ("Not traced, or with fewer symbols than asked", _failed),
    ("Not built", _unbuilt),
    ("The tracer left a mode behind", _unclean),
    ("Differs from torch's counter without a reason", _differs),
    ("Proof failed", _proof),
    ("Dead parameters differ from autograd's", _dead),
    ("report.verify() found something", _verify),
    ("Stopped after tracing", _stopped),
    ("Ops without a cost rule", _unknown),
    ("Ops by the slow fallback", _slow),
    ("Pinned although the model runs at other sizes", _pinned),
    ("Pinned, and plain PyTorch does not say whether the model runs at other sizes", _unclear),
    ("Pinned by loops over a size, which a fit over sizes has a formula in", _by_fit),
    ("Differs with a reason", _explained),
    ("Pinned by the branch taken at the hint; free elsewhere", _by_branch),
    ("Pinned, as the model refuses other sizes", _refused),
    ("Traced, but torch's counter stopped", _uncounted),
    ("Proof skipped", _skipped),
    ("Dead parameters not compared", _dead_skipped),
)
