"""The page about conventions, made from the conventions themselves."""

from __future__ import annotations

from collections.abc import Iterator

from fxcount.report.views.conventions.convention import Convention
from fxcount.report.views.conventions.registry import CONVENTIONS

__all__ = ["document"]

_HEAD = """# Counting conventions

Why does one tool say 4.09 G and another 4.13 G? Each counts in its own *convention*: another unit, other ops, other rules, and
here and there a mistake. fxcount applies a tool's rules to the records of its own trace:

```python
report = fxcount.analyze(model, "B,3,H,W")
report.count("fvcore")                  # a formula; after at(...) an int
report.conventions("fvcore", "thop")    # rows: number, unit, and by which ops it is off the exact macs
```

```sh
fxcount conventions torchvision:resnet50 "B,3,H,W" --at B=1,H=224,W=224
fxcount conventions torchvision:resnet50 "B,3,H,W" --tool fvcore    # with sources and known mistakes
```

A *mistake* of a tool is reproduced, so that the numbers agree, unless it says *not reproduced*. As formulas, counts that a tool
rounds are exact; they are rounded as the tool rounds once all sizes are numbers. Tools that patch functions see
`torch.matmul(x, y)` and `x.matmul(y)` but not `x @ y`; fxcount tells them apart by the instruction of the model that made
the call. The number is that of the model as traced: in eval or training mode, with gradients enabled, attention not fused
into a fast path. [benchmarks/CONVENTIONS.md](../benchmarks/CONVENTIONS.md) compares each with the tool.
How the drop-ins of `fxcount.compat` fare in the tools' own tests, and what stays different, is in [peers.md](peers.md).
"""

_PARAMETERS = """
## Parameters

A drop-in's work is the tool's, by the conventions above; its number of parameters is `report.params.total`: all that the model
has, trained or frozen, called or not, each element once. `report.params.trainable` is the part that asks for a gradient. The
tools differ, as the nets of [parameters.md](parameters.md) show:

| tool | what it takes for the number of parameters | so the drop-in says more or less for |
|:--|:--|:--|
| ptflops, calflops | those that ask for a gradient | a frozen backbone, the base of a LoRA: more |
| thop | those of called modules that have a rule | weights of functions, normalised weights, what is never called: more |
| torchinfo | those of each module | a tied table, which it counts twice: less |
| torchsummary | weights and biases, at each call | modules called again: less; other names, what is never called: more |

fvcore's `parameter_count` is taken over as it is: each tensor once.
"""


def document() -> str:
    """Markdown: a table of all conventions, then one section for each."""
    lines = [_HEAD, "| convention | unit | tool |", "|:--|:--|:--|"]
    lines += [f"| [{c.name}](#{c.name}) | {c.unit} | {c.tool} |" for c in CONVENTIONS.values()]
    for c in CONVENTIONS.values():
        lines += _section(c)
    return "\n".join(lines) + "\n" + _PARAMETERS


def _section(c: Convention) -> Iterator[str]:
    yield from ("", f"## {c.name}", "", f"`{c.tool}`, {c.unit}. Rules from {c.versions}, {c.source}.", "")
    yield f"- includes: {c.includes}"
    yield f"- leaves out: {c.excludes}"
    for m in c.mistakes:
        yield f"- mistake, *{m.name}*: {m.what}" + ("" if m.copied else " (not reproduced)")
