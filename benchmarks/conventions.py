"""Every counting tool beside fxcount's convention for it, in one process: are the numbers equal, and if not, why?

``python benchmarks/conventions.py --write`` writes CONVENTIONS.md. thop and ultralytics-thop share a package name, so one of
them has to lie in a directory of its own: ``pip install --no-deps --target DIR ultralytics-thop``, then ``--other-thop DIR``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

import fxcount
from benchmarks.tables import table
from benchmarks.torchvision_ops import torchvision
from fxcount.report.views.conventions import convention
from fxcount.report.views.conventions.render import render
from tests.report.conventions_tools import MODULES, TOOLS, undisturbed, which_thop

OUTPUT = Path(__file__).with_name("CONVENTIONS.md")
HUGE = (  # hundreds of megabytes of weights
    "convnext_large", "efficientnet_b7", "regnet_x_32gf", "regnet_y_128gf", "regnet_y_16gf", "regnet_y_32gf", "vit_h_14",
    "vit_l_16", "vit_l_32",
)  # fmt: skip
HEAVY = (
    "convnext_base", "efficientnet_b5", "efficientnet_b6", "efficientnet_v2_l", "efficientnet_v2_m", "regnet_x_16gf",
    "resnext101_32x8d", "resnext101_64x4d", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "wide_resnet101_2",
)  # fmt: skip
ATTENTION = ("vit", "swin", "maxvit")
WIDE = ("fvcore", "fvcore-activations", "torch")  # run on transformers and heavy models too
MEGABYTES = ("torchsummary", "torchsummary-forward")  # printed with two decimals, in units of 2**20 bytes


@dataclass(frozen=True)
class Outcome:
    """One tool on one model: its number, or the class of what it raised."""

    tool: str
    model: str
    theirs: float | None
    ours: int
    error: str = ""

    @property
    def equal(self) -> bool:
        if self.theirs is None:
            return False
        if self.tool in MEGABYTES:
            return abs(self.theirs - self.ours / 2**20) <= 0.0051
        return self.theirs == self.ours


def build(name: str) -> torch.nn.Module:
    """The model in eval mode; weights are left as the memory was, where no tool looks at them."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    try:
        with torch.device("cpu" if name.startswith(ATTENTION) else "meta"):  # these index by their buffers
            model = torchvision.models.get_model(name, weights=None, **options)
    except NotImplementedError:  # regnet's constructor reads data
        return torchvision.models.get_model(name, weights=None, **options).eval()
    return (model if name.startswith(ATTENTION) else model.to_empty(device="cpu")).eval()


def shape(name: str) -> tuple[int, ...]:
    """Small and odd, where the model allows it: rounding shows, and a forward pass is cheap."""
    size = 224 if name.startswith(("vit", "maxvit")) else 107 if name == "inception_v3" else 97
    return (1, 3, size, size)


def outcomes(name: str, tools: Iterable[str]) -> Iterator[Outcome]:
    """Every tool on one model."""
    model = build(name)
    report = fxcount.analyze(model, shape(name))
    for tool in tools:
        ours = int(report.count(tool))
        try:
            with undisturbed(model) as copy:
                theirs = TOOLS[tool](copy, torch.rand(shape(name)))
            yield Outcome(tool, name, theirs, ours)
        except Exception as error:  # whatever a tool raises is its result
            yield Outcome(tool, name, None, ours, type(error).__name__)


def published() -> list[Outcome]:
    """torchvision's own numbers, of every weight of every classification model: 1e9 MACs to three decimals."""
    found = []
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            meta = weights.meta
            crop = getattr(weights.transforms.keywords.get("crop_size"), "__index__", lambda: 224)()
            if name in HUGE or "_ops" not in meta:
                continue
            options = {"aux_logits": False} if name == "googlenet" else {}
            extra = {"image_size": crop} if name.startswith("vit") else {}
            extra |= {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            try:
                with torch.device("meta"):
                    model = torchvision.models.get_model(name, weights=None, **options, **extra).eval()
            except NotImplementedError:
                model = torchvision.models.get_model(name, weights=None, **options, **extra).eval()
            ours = fxcount.analyze(model, (1, 3, crop, crop)).count("torchvision")
            found.append(Outcome("torchvision", f"{name} {weights.name}", meta["_ops"], round(ours / 1e9, 3)))
    return found


def run(quick: bool, other_thop: str) -> list[Outcome]:
    present = [t for t in TOOLS if importlib.util.find_spec(MODULES[t]) and t not in ("thop", "ultralytics-thop")]
    present += [which_thop()] if which_thop() else []
    names = [n for n in torchvision.models.list_models(module=torchvision.models) if n not in HUGE]
    names = names[::9] if quick else names
    found: list[Outcome] = []
    start = time.perf_counter()
    for name in names:
        narrow = name in HEAVY or name.startswith(ATTENTION)
        found += outcomes(name, [t for t in present if t in WIDE or not narrow])
        odd = [f"{o.tool}: {o.theirs} {o.ours} {o.error}" for o in found if o.model == name and not o.equal]
        print(f"{time.perf_counter() - start:.0f} s", name, *odd, file=sys.stderr, flush=True)
    if other_thop:
        for loaded in [m for m in sys.modules if m.partition(".")[0] == "thop"]:
            del sys.modules[loaded]
        sys.path.insert(0, other_thop)
        importlib.invalidate_caches()
        for name in names:
            if name not in HEAVY and not name.startswith(ATTENTION):
                found += outcomes(name, [which_thop()])
    return found if quick else [*found, *published()]


def summary(found: Sequence[Outcome]) -> str:
    rows = []
    for tool in dict.fromkeys(o.tool for o in found):
        mine = [o for o in found if o.tool == tool]
        failed = [o for o in mine if o.error]
        equal = sum(o.equal for o in mine)
        rows.append([tool, convention(tool).versions, convention(tool).unit, str(len(mine)), str(equal),
                     str(len(mine) - equal - len(failed)), str(len(failed))])  # fmt: skip
    return table(["convention", "version", "unit", "models", "equal", "different", "tool fails"], rows)


def exceptions(found: Sequence[Outcome]) -> str:
    lines = [
        f"- {o.tool} on {o.model}: "
        + (f"the tool raises {o.error}" if o.error else f"the tool says {o.theirs}, fxcount {o.ours}")
        for o in found
        if not o.equal
    ]
    return "\n".join(lines) or "None."


def document(found: Sequence[Outcome]) -> str:
    report = fxcount.analyze(build("resnet50"), "B,3,H,W").at(B=1, H=224, W=224)
    return f"""# Other tools' numbers

Written by `python benchmarks/conventions.py --write`. Every tool ran in one process with fxcount on torchvision's
classification models, at batch 1 and 97 x 97 (inception_v3 107, ViT and MaxViT 224); *torchvision* is compared with what its
weights publish, at their own resolution and to their three decimals. torchstat's report crashes with today's pandas: its totals
are sums of what its hooks left in the modules. Rules, units and known mistakes: [docs/conventions.md](../docs/conventions.md).

torch {torch.__version__}, torchvision {importlib.metadata.version("torchvision")}, Python {platform.python_version()}.

{summary(found)}

## Where they are not equal

{exceptions(found)}

## One model, every number

`fxcount conventions torchvision:resnet50 "B,3,H,W" --at B=1,H=224,W=224` prints

```text
{render(report, report.conventions())}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT.name}")
    parser.add_argument("--quick", action="store_true", help="every ninth model, no published numbers")
    parser.add_argument("--other-thop", default="", metavar="DIR", help="where the thop that is not installed lies")
    options = parser.parse_args()
    text = document(run(options.quick, options.other_thop))
    if options.write:
        OUTPUT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
