"""``summary`` and ``summary_string`` of torchsummary, with its text.

The text equals torchsummary's, except where that is mistaken: a module called again says ``(shared)`` and counts once,
parameters of any name count (torchsummary knows ``weight`` and ``bias``), parameters the model itself holds or never uses are
in the totals, several inputs or outputs are added and not multiplied, and numbers have the bytes of their dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from fxcount.compat.analysis import analysed, dtypes_of, sizes_in
from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.passes.elements import elements_of
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, prod, sum_, to_text
from fxcount.trace.inputs.inventory import declared
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.tape import ModuleCall

__all__ = ["summary", "summary_string"]

_BATCH_OF_TRACE = 2  # as torchsummary: batch norm in training wants more than one sample
_MEBI = 1024**2


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    shapes: list[list[Size]]
    sample_bytes: Size
    params: str


def summary(
    model: nn.Module, input_size: Any, batch_size: int = -1, device: Any = "cuda", dtypes: Sequence[Any] | None = None
) -> tuple[int, int]:
    """Print the layers of a model; a drop-in for ``torchsummary.summary``. Returns the numbers of all and of trainable
    parameters. The arguments are those of :func:`summary_string`.
    """
    text, counts = summary_string(model, input_size, batch_size, device, dtypes)
    print(text)
    return counts


def summary_string(
    model: nn.Module, input_size: Any, batch_size: int = -1, device: Any = "cuda", dtypes: Sequence[Any] | None = None
) -> tuple[str, tuple[int, int]]:
    """The table as text, and the numbers of all and of trainable parameters.

    ``input_size`` is the shape of one sample, or a list of shapes for several inputs; sizes may be symbols. ``batch_size``
    is what sizes are shown for (-1: of any, in bytes for one). ``dtypes`` are torch's, their names, or the old types of
    tensors (``torch.FloatTensor``). Nothing runs on ``device``. Raises
    :class:`~fxcount.errors.InputError` for a device that is neither cpu nor cuda.

    >>> text, (total, trainable) = summary_string(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 9, 7), device="cpu")
    >>> print(text.splitlines()[3])
                Conv2d-1              [-1, 8, 7, 5]             224
    """
    if torch.device(device).type not in ("cuda", "cpu"):
        raise InputError(f"the device {device} is neither cuda nor cpu", hint="leave device out: nothing runs")
    shapes = [input_size] if isinstance(input_size, tuple) else list(input_size)
    kinds: Sequence[torch.dtype | None] = dtypes_of(dtypes) or [None] * len(shapes)
    specs = tuple(InputSpec((_BATCH_OF_TRACE, *sizes_in(shape)), dtype) for shape, dtype in zip(shapes, kinds))
    report = analysed(model, specs, {}, training=None)
    rows = list(_rows(report, model, batch_size))
    p = report.params
    samples = abs(batch_size)
    given = sum_([prod(v.fact.shape[1:]) * samples * v.fact.itemsize for v in report.trace.inputs])
    outputs = sum_([row.sample_bytes * samples * 2 for row in rows])  # twice, for gradients
    rule, double = "-" * 64, "=" * 64
    lines = [
        rule,
        f"{'Layer (type)':>20}  {'Output Shape':>25} {'Param #':>15}",
        double,
        *[f"{row.name:>20}  {_shapes_text(row.shapes):>25} {row.params:>15}" for row in rows],
        double,
        f"Total params: {p.total:,}",
        f"Trainable params: {p.trainable:,}",
        f"Non-trainable params: {p.frozen:,}",
        rule,
        _megabytes("Input size", given),
        _megabytes("Forward/backward pass size", outputs),
        _megabytes("Params size", p.bytes),
        _megabytes("Estimated Total Size", given + outputs + p.bytes),
        rule,
    ]
    return "\n".join(lines), (p.total, p.trainable)


def _rows(report: Report, model: nn.Module, batch_size: int) -> Iterator[_Row]:
    """One for every module call but those of the model and of containers, in the order in which they end."""
    held = {id(m): sum(elements_of([declared(p, ("",)) for p in m.parameters(recurse=False)]).fresh) for m in model.modules()}
    skipped = {id(m) for m in model.modules() if isinstance(m, (nn.Sequential, nn.ModuleList)) or m is model}
    seen: set[int] = set()
    number = 0
    for call in _ending(report):
        if call.module_id in skipped or call.module_id not in held:
            continue
        number += 1
        own = held[call.module_id]
        again = call.module_id in seen
        seen.add(call.module_id)
        shapes: list[list[Size]] = [[batch_size, *f.shape[1:]] for f in call.outputs]
        sample_bytes = sum_([prod(f.shape[1:]) * f.itemsize for f in call.outputs])
        yield _Row(f"{call.class_name}-{number}", shapes, sample_bytes, "(shared)" if again and own else f"{own:,}")


def _ending(report: Report) -> Iterator[ModuleCall]:
    """Module calls in the order in which they return."""
    running: list[ModuleCall] = []
    for call in report.trace.modules:
        while running and running[-1].index != call.parent:
            yield running.pop()
        running.append(call)
    yield from reversed(running)


def _shapes_text(shapes: list[list[Size]]) -> str:
    return str(shapes[0] if len(shapes) == 1 else shapes)


def _megabytes(label: str, nbytes: Size) -> str:
    if isinstance(nbytes, Expr):
        return f"{label} (B): {to_text(nbytes)}"
    return f"{label} (MB): {nbytes / _MEBI:0.2f}"
