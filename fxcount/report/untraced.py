"""The report of a model that was not called: what it holds, and nothing of what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from fxcount.errors import InputError
from fxcount.report.report import Report

__all__ = ["Untraced"]


class _Nothing:
    """A number or a view that only a trace has."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, report: Any, owner: type) -> Any:
        return self if report is None else self.refuse(report)

    def refuse(self, report: Report) -> NoReturn:
        raise InputError(
            f"{report.trace.model_name} was not traced, so it has no {self.name}: {report.trace.ended}",
            hint='give inputs, e.g. analyze(model, "B,3,H,W") or analyze(model, input_ids="i64[B,S]")',
        )


class Untraced(Report):
    """The parameters, buffers, bytes and sharing groups of a model that was analysed without inputs: nothing was traced, and
    all that a trace tells is an :class:`~fxcount.errors.InputError`.

    >>> import torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Bilinear(3, 4, 5))
    >>> report.params.total, report.params.bytes
    (65, 260)
    >>> report.macs
    Traceback (most recent call last):
    fxcount.errors.InputError: Bilinear was not traced, so it has no macs: no inputs were given, so nothing was traced
      to fix: give inputs, e.g. analyze(model, "B,3,H,W") or analyze(model, input_ids="i64[B,S]")
    """

    # typed as in a report, of which this is one
    macs: Any = _Nothing()
    flops: Any = _Nothing()
    transcendentals: Any = _Nothing()
    read_bytes: Any = _Nothing()
    write_bytes: Any = _Nothing()
    macs_by_dtype: Any = _Nothing()
    memory: Any = _Nothing()
    ops: Any = _Nothing()
    by_op: Any = _Nothing()
    by_module: Any = _Nothing()
    count: Any = _Nothing()
    conventions: Any = _Nothing()
    verify: Any = _Nothing()
    curve: Any = _Nothing()
    pieces: Any = _Nothing()
    largest: Any = _Nothing()
    roofline: Any = _Nothing()
    at: Any = _Nothing()
    params_for: Any = _Nothing()
    to_networkx: Any = _Nothing()
    to_graph_json: Any = _Nothing()
    to_dot: Any = _Nothing()
    to_graphml: Any = _Nothing()
    to_gexf: Any = _Nothing()
    to_explorer: Any = _Nothing()
    to_explorer_data: Any = _Nothing()
    to_netron: Any = _Nothing()
    to_graphdef: Any = _Nothing()
    to_mermaid: Any = _Nothing()
    to_speedscope: Any = _Nothing()
    to_folded: Any = _Nothing()
    to_html: Any = _Nothing()
    to_timeline: Any = _Nothing()
    to_svg: Any = _Nothing()
    show: Any = _Nothing()

    def table(
        self, depth: int | None = 2, *, fold: bool = True, columns: Sequence[str] | str | None = None, sort: str | None = None,
        width: int | None = None, colour: bool = False,
    ) -> str:  # fmt: skip
        """What the model holds, in all and for each module down to ``depth``; the other arguments are of tables of a trace."""
        from fxcount.report.views.parameter_tables import untraced

        return untraced(self.params, self.trace, depth, width)

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import untraced_html

        return untraced_html(self.params, self.trace)

    def __repr__(self) -> str:
        return f"<fxcount.{type(self).__name__} of {self.trace.model_name}: {self.params.total:,} parameters>"
