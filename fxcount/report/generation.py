"""What ``fxcount.generation`` returns: the data of a generation, and its text."""

from __future__ import annotations

from fxcount.report.data.generation import GenerationData, Part
from fxcount.report.formats import Format
from fxcount.report.views.units import bytes_text, count_text
from fxcount.wording import fitting, visible

__all__ = ["GenerationReport"]


class GenerationReport(GenerationData):
    __doc__ = GenerationData.__doc__

    to_json = Format[str](
        "fxcount.report.views.saved.written:generation_to_json", ".json", "generation",
        "all of it, as JSON that fxcount.load reads"
    )

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, GenerationReport):
            return self is other
        from fxcount.report.views.graphs.encode import encode

        same = (self.names, self.values, self.extend) == (other.names, other.values, other.extend)
        return same and encode(self.turns) == encode(other.turns)

    def __hash__(self) -> int:
        return hash((self.turns.trace.model_name, self.names, frozenset(self.values.items())))

    def table(self) -> str:
        """The prompt, one step, and all of it, on one screen."""
        known = ", ".join([f"{n}={v}" for n, v in self.values.items()]) or "all sizes"
        lines = [f"a generation of {visible(self.turns.trace.model_name)} at {known}", ""]
        parts = {"prompt": self.prefill, f"step at past {self.names.past}": self.step, "in all": self.total}
        for name, part in parts.items():
            lines += [f"  {name}", *[f"    {key:<10} {text}" for key, text in _texts(part)]]
        lines += [f"  cache with {self.names.past} tokens", f"    bytes      {_text(self.kv_bytes, bytes_text)}"]
        lines += [f"    each token {_text(self.kv_bytes_per_token, bytes_text)} for each sequence"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import generation_html

        return generation_html(self)

    def __str__(self) -> str:
        return fitting(self.table())


def _texts(part: Part) -> list[tuple[str, str]]:
    return [
        ("FLOPs", _text(2 * part.macs, count_text)), ("read", _text(part.read_bytes, bytes_text)),
        ("written", _text(part.write_bytes, bytes_text)), ("peak", _text(part.peak_bytes, bytes_text)),
    ]  # fmt: skip


def _text(number: object, units: object) -> str:
    return f"{number:,} ({units(number)})" if isinstance(number, int) and callable(units) else str(number)
