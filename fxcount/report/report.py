"""The report a user holds: the data, and every view of it as a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fxcount.errors import AssumptionError
from fxcount.report.data.report import ReportData
from fxcount.report.formats import Formats
from fxcount.report.parameters import Parameters, shown
from fxcount.report.value import Value
from fxcount.wording import fitting

if TYPE_CHECKING:
    from fxcount.report.allocator import Allocation
    from fxcount.report.claims.architecture import Architecture
    from fxcount.report.claims.result import Claims
    from fxcount.report.curves import Curve
    from fxcount.report.data.roofline import Machine
    from fxcount.report.data.verification import Verification
    from fxcount.report.family import Pieces
    from fxcount.report.fit import Fit
    from fxcount.report.largest import Largest
    from fxcount.report.roofline import Roofline
    from fxcount.report.views.conventions import ConventionRow

__all__ = ["Report"]


class Report(Value, Formats, ReportData):
    """What :func:`fxcount.analyze` found. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    >>> import torch, fxcount
    >>> r = fxcount.analyze(torch.nn.Linear(3, 5), "B,3")
    >>> r.flops, r.at(B=7).flops
    (35*B, 245)
    """

    def table(
        self, depth: int | None = 2, *, fold: bool = True, columns: Sequence[str] | str | None = None, sort: str | None = None,
        width: int | None = None, colour: bool = False,
    ) -> str:  # fmt: skip
        """The text table, down to ``depth`` module levels, or ``None`` for all.

        Equal siblings are one row that adds them up, unless ``fold`` is false. ``columns`` are some of ``shape``, ``params``,
        ``macs``, ``flops``, ``transcendentals``, ``read_bytes``, ``write_bytes``, ``share``; ``sort`` is a count or ``params``:
        rows inside a module are sorted by it, largest first. Lines are no longer than ``width``; ``colour`` is for terminals.

        Raises :class:`~fxcount.errors.InputError` for columns that there are not.

        >>> import torch, fxcount
        >>> net = torch.nn.Sequential(*[torch.nn.Linear(5, 5) for _ in range(7)])
        >>> for line in fxcount.analyze(net, (3, 5)).table(columns="params,macs").splitlines()[3:6]: print(line.rstrip())
        ──────────────────────────────────
        Sequential               210   525
        └─ 0 .. 6: Linear x7     210   525
        """
        from fxcount.report.views.table import render

        return render(self, depth, fold=fold, columns=columns, sort=sort, width=width, colour=colour)

    def __str__(self) -> str:
        return fitting(self.table())

    @property
    def params(self) -> Parameters:
        """Parameters, each unique one counted once: ``total``, ``trainable``, ``frozen``, ``shared``, ``dead``, ``bytes``."""
        return shown(self.piece)

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import report_html

        return report_html(self)

    def show(self, height: int = 800, **options: Any) -> Any:
        """The interactive page, in the cell of a notebook or else in the browser; ``options`` are those of :meth:`to_html`."""
        from fxcount.report.views.html.show import show

        return show(self, height, **options)

    def count(self, convention: str = "fxcount") -> Any:
        """What another tool would say of this model: its number in its own unit (``fxcount``: exact macs).

        ``int``, or ``sympy.Expr`` while symbols remain. The conventions are in ``fxcount.report.conventions.CONVENTIONS``,
        each with its unit, its source and its known mistakes. Raises :class:`~fxcount.errors.InputError` for a name that
        is not among them.

        >>> import torch, fxcount
        >>> r = fxcount.analyze(torch.nn.Linear(3, 5), "B,3")
        >>> r.count("torch"), r.count("fvcore"), r.at(B=7).count("torch")
        (30*B, 15*B, 210)
        """
        from fxcount.report.views.conventions import count

        return self.macs if convention == "fxcount" else self.public(count(self, convention))

    def conventions(self, *names: str) -> list[ConventionRow]:
        """One row for each convention (or those named): number, unit, and the ops by which it differs from exact macs.

        >>> import torch, fxcount
        >>> row, = fxcount.analyze(torch.nn.Linear(3, 5), (7, 3)).conventions("ptflops")
        >>> row.number - row.exact, row.differences[0].kind, row.differences[0].rule
        (35, 'Linear', 'products, and 1 per output element with a bias')
        """
        from fxcount.report.views.conventions import convention_rows

        return [row.with_sizes(self.public) for row in convention_rows(self, names or None)]

    def verify(self, n: int = 5, *, execute: bool = False, strict: bool = False, seed: int = 0) -> Verification:
        """Check the report by other means, at ``n`` sizes it admits: corners of the domain, 1, odd, prime and far ones.

        The model is analysed afresh at each, with numbers in place of symbols and all memo tables emptied, and macs, flops,
        bytes, parameters, peak and output shapes are compared. ``execute`` also runs a copy of the model and the
        :attr:`graph_module` on random data on the CPU, at sizes small enough. ``seed`` draws other sizes. Nothing is raised
        for a difference unless ``strict``: the result is false then, and says the first op that differs.

        Raises:
            AssumptionError: the model is gone or has changed since, or the report was read from a file; ``strict`` and
                there is a difference.
            InputError: ``execute`` and the model has no weights on the CPU.

        >>> import torch, fxcount
        >>> model = torch.nn.Linear(3, 5)
        >>> found = fxcount.analyze(model, "B,3").verify(n=3, execute=True)
        >>> bool(found), len(found.checked), found.differences
        (True, 3, ())
        """
        from fxcount.report.data.verification import verify

        found = verify(self, self.recipe, n, execute, seed)
        if strict and not found:
            raise AssumptionError(str(found), hint="analyse the sizes named by themselves")
        return found

    def curve(
        self, /, *, extend: int = True, guess: int = False, progress: Callable[[int], None] | None = None, **sizes: Any
    ) -> Curve:
        """Exact totals at every point of a range, from as few analyses as possible.

        For each symbol give a number, a range or sequence of them, or a tie to others as text: ``W="H"``, ``T="2*S"``. Several
        that run give a grid. Where no piece holds the model is analysed again, as :meth:`at` does; sizes that it refuses are
        rows without counts that say why, and so are sizes outside the pieces with ``extend=False``. ``progress`` is told how
        many points are left before each analysis.

        Raises :class:`~fxcount.errors.SizeError` for symbols without a value, for what is no size, and for guesses, unless
        ``guess`` takes them.

        >>> import torch, fxcount
        >>> model = torch.nn.Linear(3, 5)
        >>> [row.macs for row in fxcount.analyze(model, "B,S,3").curve(B=2, S=range(7, 10))]
        [210, 240, 270]
        """
        from fxcount.report.curves import Curve
        from fxcount.report.data.curve import curve_of

        parts = curve_of(
            self.family, self.piece, self.trace.model_name, sizes, fixed=self._settled, extend=bool(extend), guess=bool(guess),
            progress=progress,
        )  # fmt: skip
        return Curve(**parts)

    def pieces(
        self, /, *, extend: int = True, guess: int = False, progress: Callable[[int], None] | None = None, **sizes: Any
    ) -> Pieces:
        """Every piece over a range of sizes, found by analysing where none of those known holds; see :class:`Pieces`.

        For each symbol give bounds ``(32, 2048)``, a range, a number, or a tie as text: ``H=(32, 2048), W="H", B=(1, 64)``.
        Sizes the model refuses are regions with its words. ``extend=False`` looks at the pieces that are there. ``progress`` is
        told how many analyses were made.

        Raises:
            SizeError: symbols without a range; what is no range; decisions that bring too many sizes together; guesses.
            FxcountError: the model decides anew at so many sizes that hundreds of analyses do not cover the range.
        """
        from fxcount.report.data.pieces import found_over
        from fxcount.report.family import Pieces

        found, refused = found_over(
            self.family, self.piece, sizes, fixed=self._settled, extend=bool(extend), guess=bool(guess), progress=progress
        )
        over = ", ".join(f"{n}={v}" for n, v in {**self._settled, **sizes}.items())
        return Pieces(self.trace.model_name, over, found, refused)

    def fit(self, /, *, checks: int = 8, guess: bool = False, **sizes: Any) -> Fit:
        """The closed form over sizes that the model takes as numbers: its loops over a sequence, a batch, images.

        Such a size is pinned: the analysis holds at that one alone. Here the model is analysed at a few small sizes, which
        decide formulas by exact interpolation, and at others, which check them: the result says at which. ``sizes`` gives a
        range or a list of sizes for each symbol; without any, all that are pinned are looked at, from 1 on. The other symbols
        stay. It is evidence and no proof, unlike all else in a report: a model that counts otherwise at one size in between
        is not noticed. The result's ``curve(...)`` evaluates the formulas over a range, where :meth:`curve` analyses the model
        at each size it loops over.

        A detector's loop over the images of a batch has sizes of its own in each turn, which the data decide (boxes that are
        kept). Those that only add up are one symbol of the formulas; with ``guess=True`` all take their defaults, as in
        ``at(guess=True)``: all boxes, all elements of a mask.

        Raises:
            SizeError: no size is pinned, and none given; what is given is no range.
            FxcountError: the model takes none of the sizes.

        >>> import torch, fxcount
        >>> class Recurrence(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.cell = torch.nn.Linear(16, 16)
        ...     def forward(self, x):
        ...         state = torch.zeros_like(x[:, 0])
        ...         for t in range(x.shape[1]):
        ...             state = torch.tanh(self.cell(state) + x[:, t])
        ...         return state
        >>> model = Recurrence()
        >>> found = fxcount.analyze(model, "B,S,16", hints={"S": 100}).fit()
        >>> found.macs, found.at(S=4096, B=2).macs
        (256*B*S, 2097152)
        >>> found.evidence
        'fitted at S = 1, 2, 3, checked at S = 10, 20, 30, 40, 41, 42, 100, 101'
        """
        from fxcount.report.data.fitted import fitted_over
        from fxcount.report.fit import Fit

        return Fit.of(fitted_over(self.family, self.piece, sizes, fixed=self._settled, checks=checks, guess=guess))

    def largest(self, symbol: str, /, memory: int | str, **sizes: int) -> Largest:
        """The largest value of a symbol, a batch or a length, at which inference fits into a memory (``"24GB"``, ``"80GiB"``).

        What counts is what is alive at the worst moment: parameters, buffers, inputs and activations. Where the model decides
        otherwise it is analysed again, as by :meth:`at`; sizes that it refuses are passed over. ``sizes`` are the other
        symbols. An allocator rounds and libraries take workspaces: neither is in it.

        Raises:
            InputError: ``memory`` is no amount of memory.
            SizeError: symbols without a value, or a memory in which even 2**40 fits.

        >>> import torch, fxcount
        >>> model = torch.nn.Linear(3, 5)
        >>> found = fxcount.analyze(model, "B,3").largest("B", 1000)
        >>> found.value, found.need.nbytes, found.beyond[1].nbytes
        (28, 976, 1008)
        """
        from fxcount.report.largest import Need, check_others, largest_of

        check_others(self, symbol, sizes)

        def nbytes(values: dict[str, int]) -> int:
            at = self.at(**values)
            return int(at.params.bytes + at.params.buffer_bytes + at.memory.peak)

        def need(values: dict[str, int]) -> Need:
            at = self.at(**values)
            parameters, buffers, inputs, peak = at.params.bytes, at.params.buffer_bytes, at.memory.inputs, at.memory.peak
            parts = (("parameters", parameters), ("buffers", buffers), ("inputs", inputs), ("activations", peak - inputs))
            line = at.peak_line
            return Need(parameters + buffers, peak, f"{at.memory.peak_op} ({line})" if line else at.memory.peak_op, parts)

        return largest_of(nbytes, need, symbol, memory, sizes, self.trace.scope.hints.get(symbol, 1))

    def roofline(
        self, device: str | Machine, *, dtype: Any = None, efficiency: float = 1, bandwidth: float = 1
    ) -> Roofline:
        """A lower bound of time on a device (``"H100"``, ``"A100"``, ``"RTX 4090"``, ... or a ``Machine`` of your own).

        Each op takes as long as its arithmetic at peak or its traffic at full bandwidth, whichever is longer.

        Arithmetic runs in each op's own dtype, or all of it in ``dtype`` (also ``"tf32"``). ``efficiency`` and ``bandwidth``
        are the parts of the two peaks that are assumed to be reached. While sizes are symbols, intensities and
        conditions are formulas; ``row.turns("B", S=4096)`` says from which size on an op is bound by arithmetic.

        Raises :class:`~fxcount.errors.InputError` for a device or a dtype of which no rate is known.

        >>> import torch, fxcount
        >>> model = torch.nn.Linear(4096, 4096, bias=False, dtype=torch.bfloat16)
        >>> row, = fxcount.analyze(model, "bf16[B,4096]").roofline("H100").rows
        >>> row.intensity.simplify(), row.turns("B")
        (2048*B/(B + 2048), 345)
        """
        from fxcount.report.roofline import roofline_of

        return roofline_of(self, device, dtype, efficiency, bandwidth)

    def allocator(self, *, cublas: str | int = 0, cudnn: str | int = 0, multiprocessors: int = 0) -> Allocation:
        """What CUDA's caching allocator would hold, by its documented rules and without a device.

        Requests are rounded to 512 bytes, and come of pools, of segments of 2 and 20 MiB, of blocks that are split and joined.
        Parameters and buffers are in it; of three forwards the last counts.

        ``cublas``: bytes of cuBLAS' workspace, or ``"ampere"``, ``"hopper"``, ``"blackwell"`` for torch's default there;
        ``cudnn``: bytes that each convolution takes while it runs, which nobody documents, or ``"copies"`` for as many as all
        that it reads and writes has, as kernels take that work in another layout; ``multiprocessors`` of the device (132 of an
        H100): sums over many rows, as the gradient of a bias, take scratch memory by their number. All three are 0 unless they
        are given.

        Raises:
            SizeError: sizes without a value.
            InputError: no such workspace.

        >>> import torch, fxcount
        >>> report = fxcount.analyze(torch.nn.Linear(300, 500), "B,300").at(B=700)
        >>> found = report.allocator()
        >>> found.requested, found.requested == report.memory.peak + report.params.bytes
        (2842000, True)
        >>> found.allocated, found.reserved
        (2842624, 23068672)
        """
        from fxcount.report.allocator import allocation_of

        return allocation_of(self, cublas, cudnn, multiprocessors)

    def claims(self, architecture: Architecture | None = None) -> Claims:
        """What frameworks claim a forward of this language model costs (``2N`` and the like: a third of what they say of a
        training step), each term beside the exact one; see :meth:`fxcount.TrainingReport.claims`."""
        from fxcount.report.claims.result import claims_of

        return claims_of(self, architecture)
