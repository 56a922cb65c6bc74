"""What ``scaling`` finds: formulas in hyper-parameters and in the inputs' symbols, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from numbers import Integral
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError, SizeError
from fxcount.interpolation.family import Fitted, Refused
from fxcount.interpolation.formula import Formula
from fxcount.interpolation.grid import Axis
from fxcount.interpolation.points import Failure, Point, Source
from fxcount.symbolic import Assumption, free_symbols

__all__ = ["Scaling"]


@dataclass(frozen=True, repr=False)
class Scaling:
    """Formulas over the builds of a model. Each quantity is a ``sympy.Expr`` in the hyper-parameters and the inputs' symbols,
    or an ``int`` once all of them are known.

    ``fitted`` lists the builds the formulas were made from, ``checked`` those they were held to, ``skipped`` those that raised
    an error, with ``constraint`` if divisibility tells them from those that work. ``reasons`` says of each quantity without a
    formula why. ``totals`` explains symbols for sizes that data decide: builds have one for each expert, the formulas their
    sum.
    """

    model_name: str
    axes: tuple[Axis, ...]
    outcomes: Mapping[str, Fitted | Refused]
    conditions: tuple[Assumption, ...]
    fitted: tuple[dict[str, int], ...]
    checked: tuple[dict[str, int], ...]
    skipped: tuple[tuple[dict[str, int], str], ...]
    constraint: str
    totals: Mapping[str, str]
    symbols: tuple[str, ...]
    builds: Source = field(compare=False)
    values: Mapping[str, int] = field(default_factory=dict)

    # -- formulas -------------------------------------------------------------------------------------------------------
    @property
    def params(self) -> Any:
        """Parameters, each unique one counted once."""
        return self._public("params")

    @property
    def trainable(self) -> Any:
        """Parameters that ask for a gradient."""
        return self._public("trainable")

    @property
    def param_bytes(self) -> Any:
        """Bytes of the parameters."""
        return self._public("param_bytes")

    @property
    def buffer_bytes(self) -> Any:
        """Bytes of the buffers."""
        return self._public("buffer_bytes")

    @property
    def macs(self) -> Any:
        """Multiply-accumulates of contractions."""
        return self._public("macs")

    @property
    def flops(self) -> Any:
        """All scalar floating-point operations, two for each multiply-accumulate included."""
        return self._public("flops")

    @property
    def transcendentals(self) -> Any:
        """Those of the flops that are exp, log, tanh, erf, sin and the like."""
        return self._public("transcendentals")

    @property
    def kv_bytes(self) -> Any:
        """Bytes of the key-value cache that the model returns for the next token."""
        return self._public("kv_bytes")

    @property
    def read_bytes(self) -> Any:
        """Bytes read: each operand once for each op."""
        return self._public("read_bytes")

    @property
    def write_bytes(self) -> Any:
        """Bytes written: each result once for each op."""
        return self._public("write_bytes")

    @property
    def activation_bytes(self) -> Any:
        """Bytes of all results added up."""
        return self._public("activation_bytes")

    @property
    def peak_bytes(self) -> Any:
        """Largest sum of bytes alive at one moment of inference, inputs included, parameters and buffers not."""
        return self._public("peak_bytes")

    @property
    def formulas(self) -> dict[str, Formula]:
        """Those that were found, by quantity."""
        return {name: found.formula for name, found in self.outcomes.items() if isinstance(found, Fitted)}

    @property
    def reasons(self) -> dict[str, str]:
        """Why there is no formula, by quantity."""
        return {name: found.reason for name, found in self.outcomes.items() if isinstance(found, Refused)}

    @property
    def domain(self) -> dict[str, str]:
        """The values of each hyper-parameter that were looked at, and of which others the formulas speak.

        >>> import torch
        >>> from fxcount import scaling
        >>> scaling(lambda d: torch.nn.Linear(d, 3), "B,{d}", d=range(8, 65, 8)).domain
        {'d': '8 to 64 in steps of 8'}
        """
        return {axis.name: _described(axis) for axis in self.axes}

    @property
    def assumptions(self) -> list[str]:
        """Decisions on sizes the formulas rest on, in hyper-parameters where these decide them."""
        return list(dict.fromkeys(map(str, self.conditions)))

    @property
    def periods(self) -> dict[str, dict[str, int]]:
        """The period of each hyper-parameter in each quantity that has one."""
        found = {name: dict(o.periods) for name, o in self.outcomes.items() if isinstance(o, Fitted)}
        return {name: periods for name, periods in found.items() if periods}

    def _public(self, name: str) -> Any:
        found = self.outcomes.get(name)
        if isinstance(found, Fitted):
            return found.formula.public()
        if found is None:
            raise AssumptionError(
                f"the {self.model_name} has no {name}: it returns no key-value cache",
                hint="return it from forward under the name past_key_values (use_cache=True in transformers)",
            )
        raise AssumptionError(
            f"no single formula for {name}: {found.reason}", hint="give ranges on one side of it; .reasons lists all"
        )

    # -- numbers --------------------------------------------------------------------------------------------------------
    def at(self, /, **values: int) -> Scaling:
        """With numbers for some of the hyper-parameters and symbols, or for all.

        Hyper-parameters may lie outside of the ranges (``checked`` has builds from there), a whole number of steps away.

        Raises :class:`~fxcount.errors.SizeError` for unknown names and impossible values, and
        :class:`~fxcount.errors.AssumptionError` where the formulas do not hold.
        """
        values = {name: self._asked(name, value) for name, value in values.items()}
        known = {**self.values, **values}
        for condition in self.conditions:
            if free_symbols(condition.expr) <= known.keys() and not condition.holds(known):
                raise AssumptionError(
                    f"the formulas assume {condition}, which does not hold at {_listed(known)}"
                    + (f": {condition.why}" if condition.why else ""),
                    where=condition.where, hint=_way_out(condition),
                )  # fmt: skip
        ranges = {axis.name: axis.values for axis in self.axes}
        outside = any(not ranges[n][0] <= v <= ranges[n][-1] for n, v in values.items() if n in ranges)
        return replace(
            self, values=known, outcomes={name: _at(name, outcome, values, outside) for name, outcome in self.outcomes.items()}
        )

    def _asked(self, name: str, value: Any) -> int:
        """A value given to ``at()``."""
        axes = {axis.name: axis for axis in self.axes}
        symbols = {*self.symbols, *[n for f in self.formulas.values() for n in f.names]}
        symbols |= {n for c in self.conditions for n in free_symbols(c.expr)}
        names = [n for n in [*axes, *sorted(symbols - axes.keys())] if n not in self.values]
        if name not in names:
            raise SizeError(f"at() got {name!r}; the names are {', '.join(names) or 'none: all is known'}")
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise SizeError(f"at({name}={ascii(value)[:80]}): it must be an integer of at least 1")
        if name in axes and not axes[name].fits(int(value)):
            raise AssumptionError(
                f"{name}={value} is not among the values the formulas speak of: {_described(axes[name])}",
                hint=f"ask scaling() for a range of {name} that has it",
            )
        return int(value)

    def verify(self, /, **hyper: int) -> bool:
        """Build the model afresh at these hyper-parameters and compare every formula that is claimed there, in all symbols at
        once.

        Returns ``True``; raises :class:`~fxcount.errors.AssumptionError` for a quantity that differs, and whatever the build
        raises.
        """
        wanted = [axis.name for axis in self.axes]
        if sorted(hyper) != sorted(wanted):
            raise SizeError(f"verify() needs a value for each of {', '.join(wanted)}")
        point: Point = tuple([int(hyper[name]) for name in wanted])
        found = self.builds.at(point)
        if isinstance(found, Failure):
            raise found.error
        for name, predicted in self.at(**hyper).formulas.items():
            built = Formula.largest(found.sizes.get(name, ()))
            if not predicted.same(built):
                raise AssumptionError(f"{name} of the model built there is {built}, the formula gives {predicted}")
        return True

    # -- views ----------------------------------------------------------------------------------------------------------
    def table(self) -> str:
        """Quantities, formulas and what they rest on, as text."""
        width = max(map(len, self.outcomes))
        rows = []
        for name, found in self.outcomes.items():
            text = str(found.formula) if isinstance(found, Fitted) else f"no single formula: {found.reason}"
            rows.append(f"{name:{width}}  {text}")
        notes = [f"{axis}: {text}" for axis, text in self.domain.items() if axis not in self.values]
        notes += [f"a period of {n} in {axis}: {', '.join(names)}" for (axis, n), names in self._by_period().items()]
        notes += [
            f"{name} only inside of the ranges: {f.inside}"
            for name, f in self.outcomes.items() if isinstance(f, Fitted) and f.inside
        ]  # fmt: skip
        fitted = [(name, f) for name, f in self.outcomes.items() if isinstance(f, Fitted)]
        notes += [f"{name} from {axis}={low} on" for name, f in fitted for axis, low in f.least]
        notes += [f"assumes {text}" for text in self.assumptions]
        notes += [f"{name}: {meaning}" for name, meaning in self.totals.items()]
        notes.append(self.evidence)
        if self.skipped:
            example = f", e.g. {_listed(self.skipped[0][0])}: {self.skipped[0][1]}"
            why = f"; those that can have {self.constraint}" if self.constraint else example
            notes.append(f"{len(self.skipped)} combinations cannot be built{why}")
        return "\n".join([*rows, "", *notes])

    def _by_period(self) -> dict[tuple[str, int], list[str]]:
        found: dict[tuple[str, int], list[str]] = {}
        for name, periods in self.periods.items():
            for axis, length in periods.items():
                found.setdefault((axis, length), []).append(name)
        return found

    @property
    def evidence(self) -> str:
        """Where it was fitted and checked; the values themselves where there is one hyper-parameter."""
        if len(self.axes) > 1:
            return f"fitted at {len(self.fitted)} builds, checked at {len(self.checked)} others"
        (axis,) = self.axes
        fitted, checked = (", ".join(str(p[axis.name]) for p in points) for points in (self.fitted, self.checked))
        return f"fitted at {axis.name} = {fitted}, checked at {axis.name} = {checked}"

    def to_latex(self) -> str:
        """The formulas as an ``align*`` environment."""
        rows = [rf"\mathrm{{{_escaped(name)}}} &= {formula.to_latex()}" for name, formula in self.formulas.items()]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def __repr__(self) -> str:
        shown = [f"{name} = {_short(str(self.formulas[name]))}" for name in ("params", "macs") if name in self.formulas]
        shown += [f"no formula for {', '.join(self.reasons)}"] if self.reasons else []
        shown.append(self.evidence)
        return f"<fxcount.Scaling of {self.model_name}: {'; '.join(shown)}>"


def _at(quantity: str, outcome: Fitted | Refused, values: Mapping[str, int], outside: bool) -> Fitted | Refused:
    if isinstance(outcome, Refused):
        return outcome
    below = [f"{name}={low}" for name, low in outcome.least if values.get(name, low) < low]
    if below:
        return Refused(f"below {below[0]} {quantity} follows no formula that holds above")
    if outside and outcome.inside:
        return Refused(outcome.inside)
    return replace(outcome, formula=outcome.formula.at(values))


def _way_out(condition: Assumption) -> str:
    if condition.kind == "pin":
        name = min(free_symbols(condition.expr))
        return f"the model needs the number: write {{{name}}} in the inputs, and give {name}=range(...) as a hyper-parameter"
    return "give hints={...} at which the model decides as it does there"


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _described(axis: Axis) -> str:
    values = axis.values
    if axis.least > 1:
        return f"{_described(replace(axis, least=1))}; below {axis.least} the model counts otherwise"
    if len(values) == 1:
        return str(values[0])
    if axis.regular:
        return f"{values[0]} to {values[-1]}" + (f" in steps of {axis.step}" if axis.step > 1 else "")
    return ", ".join(map(str, values)) + (f" (multiples of {axis.step} apart)" if axis.step > 1 else "")


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")

