"""What ``fxcount.training_step`` returns: the data of a step, and their views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fxcount.errors import InputError, SizeError
from fxcount.report.data.training import TrainingData
from fxcount.report.formats import Format
from fxcount.report.parameters import Parameters, shown
from fxcount.report.value import Value
from fxcount.wording import fitting

if TYPE_CHECKING:
    import torch

    from fxcount.report.allocator import Allocation
    from fxcount.report.claims.architecture import Architecture
    from fxcount.report.claims.result import Claims
    from fxcount.report.data.roofline import Machine
    from fxcount.report.largest import Largest
    from fxcount.report.whatif import WhatIf

__all__ = ["TrainingReport"]


class TrainingReport(Value, TrainingData):
    __doc__ = TrainingData.__doc__

    to_html = Format[str]("fxcount.report.views.html.document:to_html", ".html", "page", "one offline page, its formulas alive")

    to_json = Format[str](
        "fxcount.report.views.saved.written:step_to_json", ".json", "step", "totals and all that fxcount.load reads, as JSON"
    )

    @staticmethod
    def _parts(data: Any) -> tuple[Any, ...]:
        return data.step, data.costs

    def to_dict(self) -> dict[str, Any]:
        """Totals, phases and modules as plain data: numbers, or the texts of formulas while symbols remain."""
        from fxcount.report.views.step import to_dict

        return to_dict(self)

    def table(self) -> str:
        """The step on one screen: totals, the place of the peak, what holds it, the modules that save most."""
        from fxcount.report.views.step import render

        return render(self)

    to_timeline = Format[str](
        "fxcount.report.views.pictures.notebook:to_timeline", ".svg", "timeline", "a picture of the bytes alive at each op"
    )

    @property
    def params(self) -> Parameters:
        """The parameters; dead are those that get no gradient from the loss."""
        return shown(self.piece)

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import training_html

        return training_html(self)

    def show(self, height: int = 800, **options: Any) -> Any:
        """The interactive page, in the cell of a notebook or else in the browser; ``options`` are those of :meth:`to_html`."""
        from fxcount.report.views.html.show import show

        return show(self, height, **options)

    def __str__(self) -> str:
        return fitting(self.table())

    def count(self, convention: str = "torch") -> object:
        """FLOPs of forward and backward as another tool counts them: ``"torch"`` is ``FlopCounterMode``, with its faults."""
        from fxcount.report.views.conventions.training import counted

        return self.public(counted(self, convention))

    def largest(self, symbol: str, /, memory: int | str, **sizes: int) -> Largest:
        """The largest value of a symbol, a batch or a length, at which a step fits into a memory (``"24GB"``, ``"80GiB"``).

        What counts is :attr:`total_peak`: parameters, buffers, the optimizer's states, gradients, inputs, what is saved, and
        temporary tensors, at the worst moment of the steady state. ``sizes`` are the other symbols. Where the model decides
        otherwise it is analysed again, as by :meth:`at`; sizes that it refuses are passed over. An allocator rounds and
        libraries take workspaces: neither is in it.

        Raises:
            InputError: ``memory`` is no amount of memory, or ``symbol`` has a value.
            SizeError: symbols without a value, or a memory in which even 2**40 fits.

        >>> import torch, fxcount
        >>> model = torch.nn.Linear(3, 5)
        >>> found = fxcount.training_step(model, "B,3", optimizer="adamw").largest("B", 1000)
        >>> found.value, found.need.nbytes, found.beyond[1].nbytes
        (23, 988, 1020)
        """
        from fxcount.report.largest import Need, check_others, largest_of

        check_others(self, symbol, sizes)

        def need(values: dict[str, int]) -> Need:
            at = self.at(**values)
            parts = at.held()
            held = parts["parameters"] + parts["buffers"] + parts["states"]
            return Need(held, at.total_peak - held, str(at.total_peak_place), tuple(parts.items()))

        start = self.trace.scope.hints.get(symbol, 1)
        return largest_of(lambda values: self.at(**values).total_bytes, need, symbol, memory, sizes, start)

    def utilisation(self, seconds: float, device: str | Machine, *, dtype: Any, devices: int = 1) -> float:
        """The part of the peak of arithmetic that a step which took so many seconds reaches.

        That is :attr:`flops` over what ``devices`` of a kind could do in ``dtype``: model FLOPs utilisation (MFU). Where
        modules are computed again their FLOPs are among them, and it is hardware's (HFU): ask the step without checkpoints for
        the other.

        Raises:
            InputError: no such device, no rate for the dtype, or no time.
            SizeError: sizes without a value.

        >>> import torch, fxcount
        >>> step = fxcount.training_step(torch.nn.Linear(4096, 4096, bias=False), "B,4096").at(B=8192)
        >>> round(step.utilisation(0.002, "H100", dtype=torch.bfloat16), 3)
        0.278
        """
        from fxcount.report.data.devices import device_of

        machine = device_of(device)
        if dtype not in machine.flops_per_second:
            known = ", ".join([str(d) for d in machine.flops_per_second])
            raise InputError(f"no rate of {machine.name} is known for {dtype}", hint=f"there are {known}")
        if not seconds > 0 or devices < 1:
            raise InputError(f"{seconds!a} seconds on {devices!a} devices are no measurement", hint="give those of one step")
        if self.symbols:
            raise SizeError(f"{', '.join(self.symbols)} have no value", hint="ask step.at(...).utilisation(...)")
        return float(self.flops / (seconds * devices * machine.flops_per_second[dtype]))

    def allocator(self, *, cublas: str | int = 0, cudnn: str | int = 0, multiprocessors: int = 0) -> Allocation:
        """What CUDA's caching allocator would hold for a step in the steady state; see :meth:`fxcount.Report.allocator`.

        Tensors that stay with the processor, as the counters of Adam, are not in it if the model is not there itself: trace it
        on the meta device.

        >>> import torch, fxcount
        >>> step = fxcount.training_step(torch.nn.Linear(300, 500, device="meta"), "B,300", optimizer="sgd").at(B=700)
        >>> found = step.allocator(cublas="hopper")
        >>> found.workspaces, found.reserved > 32 * 2**20 + step.total_peak
        ({'cuBLAS': 33554432}, True)
        """
        from fxcount.report.allocator import allocation_of

        return allocation_of(self, cublas, cudnn, multiprocessors)

    def claims(self, architecture: Architecture | None = None) -> Claims:
        """What frameworks claim a step of this language model costs, each term beside the exact one: ``6N``, PaLM's,
        Chinchilla's, Megatron-LM's, torchtitan's, ... as published, with their sources.

        The architecture is read off the configuration of a model of transformers; of another model it may be given, else only
        those answer that ask for parameters alone.

        Raises:
            InputError: no input has the numbers of tokens; or the configuration is no language model's.
            AssumptionError: the report was read from a file, or the model is gone.

        >>> import fxcount
        >>> sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=97)
        >>> model = fxcount.load_model("hf:llama", num_key_value_heads=2, **sizes)
        >>> claims = fxcount.training_step(model, "i64[B,S]").at(B=2, S=64).claims()
        >>> claims.exact, claims["PaLM"].flops
        (29515776, 32071680)
        >>> [(term.name, term.off) for term in claims["PaLM"].differences]
        [('embedding', 2383872), ('vectors', 172032)]
        """
        from fxcount.report.claims.result import claims_of

        return claims_of(self, architecture)

    def what_if(
        self, *, checkpoint: str | Sequence[str] = (), freeze: str | Sequence[str] = (), dtype: torch.dtype | None = None,
        optimizer: str | Callable[..., Any] | None = None, accumulate: int = 1,
    ) -> WhatIf:  # fmt: skip
        """The same step done otherwise, beside this one: bytes saved and FLOPs paid.

        ``checkpoint``: modules whose inside is not kept but computed again in the backward, by their paths, the ends of these
        (``"encoder.layer"``: a list stands for the modules in it) or patterns; ``freeze``: modules whose parameters get no
        gradient; ``dtype`` of parameters and buffers, and of inputs that are in the model's; another ``optimizer``;
        ``accumulate``: so many forwards and backwards before a step, each of them with a batch of this report. The step is
        analysed again with the model changed, which is left as it was found.

        Raises:
            InputError: there is no such module; the step is a function of the user's, and has its own optimizer.
            AssumptionError: the model is gone, or has changed since.
        """
        from fxcount.report.data.changes import Change
        from fxcount.report.whatif import WhatIf, analysed, paths_of

        if not isinstance(accumulate, int) or accumulate < 1:
            raise InputError(f"accumulate={accumulate!a} is no number of forwards", hint="give an integer of at least 1")
        again, frozen = (paths_of(self, names) if names else () for names in (checkpoint, freeze))
        change = Change(again, frozen, dtype, optimizer, accumulate)
        return WhatIf(self, analysed(self, change), change)
