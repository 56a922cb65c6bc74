"""Formulas in hyper-parameters against fresh builds: ``python -m benchmarks.scaling [--configs 20] [FAMILY ...]``.

``--write docs/scaling.md`` puts the table of what came out between the two marks of that page.

Each family is fitted over small builds (:func:`fxcount.scaling`); then random configurations outside of the fitted ranges are
built. Parameters are compared with a sum over ``model.parameters()``, macs with torch's own counter on meta tensors, the KV
cache with the tensors the model returns on meta, and every other formula with a fresh analysis, in all symbols at once.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import fxcount

__all__ = ["FAMILIES", "Family", "measure"]


@dataclass(frozen=True)
class Family:
    """A builder, its inputs and the ranges it is fitted over; ``beyond`` are the ranges random configurations come from."""

    build: Callable[..., Any]
    inputs: tuple[Any, ...]
    hyper: dict[str, Any]
    beyond: dict[str, Any]
    symbols: dict[str, Any] = field(default_factory=dict)
    plain: Callable[[Any], Any] = lambda model: model  # how torch's counter can run it
    uncounted: Callable[..., int] = lambda **_: 0  # macs that torch's counter does not know


def gpt2(layers: int, d_model: int, heads: int, vocab: int, positions: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(n_layer=layers, n_embd=d_model, n_head=heads, vocab_size=vocab, n_positions=positions, **_NO_TOKENS)
    ).eval()


def llama(layers: int, heads: int, kv_heads: int, head_dim: int, d_ff: int, vocab: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            num_hidden_layers=layers, hidden_size=heads * head_dim, num_attention_heads=heads, num_key_value_heads=kv_heads,
            intermediate_size=d_ff, vocab_size=vocab, **_NO_TOKENS,
        )
    ).eval()  # fmt: skip


def mixtral(layers: int, d_model: int, d_ff: int, experts: int, vocab: int) -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(
        MixtralConfig(
            num_hidden_layers=layers, hidden_size=d_model, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=d_ff, num_local_experts=experts, num_experts_per_tok=2, vocab_size=vocab, **_NO_TOKENS,
        )
    ).eval()  # fmt: skip


def vit(layers: int, d_model: int, heads: int, d_ff: int, classes: int) -> Any:
    from torchvision.models import VisionTransformer

    return VisionTransformer(64, 16, layers, heads, d_model, d_ff, num_classes=classes).eval()


def resnet(width: int, n1: int, n2: int, n3: int, n4: int, classes: int) -> Any:
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [n1, n2, n3, n4], width_per_group=width, num_classes=classes).eval()


def _experts(layers: int, d_model: int, d_ff: int, B: int, S: int, **_: int) -> int:
    """Macs of grouped products: each token goes through two experts, of three products of d_model by d_ff."""
    return layers * B * S * 2 * 3 * d_model * d_ff


_NO_TOKENS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}

FAMILIES = {
    "gpt2": Family(
        gpt2, ("i64[B,S]",),
        {"layers": range(1, 6), "d_model": range(64, 641, 64), "heads": range(1, 9), "vocab": range(101, 200),
         "positions": range(150, 300)},
        {"layers": range(6, 13), "d_model": range(704, 1281, 64), "heads": [2, 4, 8, 16, 32], "vocab": range(200, 60000),
         "positions": range(300, 3000)},
        {"B": range(1, 20), "S": range(2, 300)},
    ),
    "llama": Family(
        llama, ("i64[B,S]",),
        {"layers": range(1, 5), "kv_heads": range(1, 5), "groups": range(2, 5), "heads": "kv_heads*groups",
         "head_dim": range(8, 33, 8), "d_ff": range(32, 97), "vocab": range(101, 200)},
        {"layers": range(5, 10), "kv_heads": range(5, 9), "groups": range(5, 9), "head_dim": range(40, 129, 8),
         "d_ff": range(97, 14000), "vocab": range(200, 130000)},
        {"B": range(1, 20), "S": range(2, 300)},
    ),
    "mixtral": Family(
        mixtral, ("i64[B,S]",),
        {"layers": range(1, 5), "d_model": range(32, 129, 32), "d_ff": range(32, 97), "experts": range(2, 7),
         "vocab": range(101, 200)},
        {"layers": range(5, 9), "d_model": range(160, 1025, 32), "d_ff": range(104, 4000, 8), "experts": range(7, 17),
         "vocab": range(200, 60000)},
        {"B": range(1, 20), "S": range(2, 300)},
        torch.nn.Module.bfloat16,  # the grouped product has no float32 on meta
        _experts,
    ),
    "vit": Family(
        vit, ("B,3,64,64",),
        {"layers": range(1, 5), "d_model": range(32, 193, 32), "heads": range(1, 5), "d_ff": range(32, 97),
         "classes": range(2, 30)},
        {"layers": range(5, 13), "d_model": range(224, 1025, 32), "heads": [8, 16, 32], "d_ff": range(97, 4096),
         "classes": range(30, 2000)},
        {"B": range(1, 65)},
    ),
    "resnet": Family(
        resnet, ("B,3,H,W",),
        {"width": range(8, 65, 8), "n1": range(1, 4), "n2": range(1, 4), "n3": range(1, 4), "n4": range(1, 4),
         "classes": range(2, 30)},
        {"width": range(72, 257, 8), "n1": range(4, 6), "n2": range(4, 7), "n3": range(4, 9), "n4": range(4, 6),
         "classes": range(30, 2000)},
        {"B": range(1, 9), "H": range(33, 300), "W": range(33, 300)},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A family fitted and compared: builds made, configurations that are equal, and what is not."""

    found: Any
    seconds: float
    builds: int
    configurations: int
    equal: int
    wrong: tuple[str, ...]


def measure(family: Family, configurations: int, seed: int = 0) -> Outcome:
    """Fit a family and compare with fresh builds outside of its ranges."""
    start = time.perf_counter()
    found = fxcount.scaling(family.build, *family.inputs, **family.hyper)
    seconds, builds = time.perf_counter() - start, len(found.builds.known)
    chance, wrong, equal, done = random.Random(seed), [], 0, 0
    while done < configurations:
        hyper = {name: chance.choice(list(values)) for name, values in family.beyond.items()}
        if "heads" in hyper and hyper["d_model"] % hyper["heads"]:
            continue
        sizes = {name: chance.choice(list(values)) for name, values in family.symbols.items()}
        done += 1
        differences = list(compare(family, found, hyper, sizes))
        wrong += [f"{hyper} {sizes}: {text}" for text in differences]
        equal += not differences
    return Outcome(found, seconds, builds, configurations, equal, tuple(wrong))


def compare(family: Family, found: Any, hyper: dict[str, int], sizes: dict[str, int]) -> Any:
    """What differs between the formulas and a fresh build."""
    from torch.utils.flop_counter import FlopCounterMode

    arguments = dict(hyper)
    if "groups" in arguments:
        arguments["heads"] = arguments.pop("groups") * arguments["kv_heads"]
    with torch.device("meta"):
        model = family.build(**arguments)
    wide = next(model.parameters()).dtype.itemsize
    numbers = found.at(**hyper, **sizes)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        output = family.plain(model)(_tensor(family.inputs[0], sizes))
    macs = counter.get_total_flops() // 2 + family.uncounted(**hyper, **sizes)
    torchs = {"params": sum(p.numel() for p in model.parameters()), "macs": macs}
    cache = getattr(output, "past_key_values", None)
    if cache is not None:
        torchs["kv_bytes"] = sum(wide * t.numel() for layer in cache.layers for t in (layer.keys, layer.values))
    for name, number in torchs.items():
        if getattr(numbers, name) != number:
            yield f"{name} is {number} by torch, {getattr(numbers, name)} by the formula"
    try:
        found.verify(**hyper)
    except fxcount.FxcountError as error:
        yield str(error)


def _tensor(spec: str, sizes: dict[str, int]) -> torch.Tensor:
    body = spec.removeprefix("i64[").removesuffix("]")
    shape = [sizes[part] if part in sizes else int(part) for part in body.split(",")]
    return torch.zeros(shape, dtype=torch.int64 if spec.startswith("i64") else torch.float32, device="meta")


HEAD = (
    "| family | formulas | builds fitted | builds checked | fresh configurations equal | s |",
    "|:--|:--|--:|--:|--:|--:|",
)
MARKS = ("<!-- written by python -m benchmarks.scaling -->", "<!-- until here -->")


def row(name: str, outcome: Outcome) -> str:
    """A line of the table: what was fitted, and at how many builds nobody had fitted it holds."""
    found = outcome.found
    said = "<br>".join(_formulas(found))
    equal = f"{outcome.equal} of {outcome.configurations}"
    return f"| {name} | {said} | {len(found.fitted)} | {len(found.checked)} | {equal} | {outcome.seconds:.1f} |"


def _formulas(found: Any) -> Iterator[str]:
    for quantity in ("params", "macs", "flops", "kv_bytes", "peak_bytes"):
        if quantity in found.reasons:
            yield f"{quantity}: none, {found.reasons[quantity]}"
        elif quantity in found.formulas:
            inside = " (inside of the ranges)" if found.outcomes[quantity].inside else ""
            yield f"{quantity} = `{found.formulas[quantity]}`{inside}"


def between_marks(page: str, lines: list[str]) -> str:
    """The page with these lines between its marks.

    >>> between_marks("\\n".join(["a", *MARKS, "b"]), ["x"]).split("\\n") == ["a", MARKS[0], "", "x", "", MARKS[1], "b"]
    True
    """
    before, _, rest = page.partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    if not mark:
        raise SystemExit(f"the page has no lines {MARKS[0]} and {MARKS[1]}")
    return "\n".join([before + MARKS[0], "", *lines, "", MARKS[1] + after])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--configs", type=int, default=20)
    parser.add_argument("--table", action="store_true", help="print every formula")
    parser.add_argument("--write", metavar="FILE.md", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    from fxcount.adapters import torchvision_ops  # noqa: F401  (declares torchvision's ops where its library has none)

    failed = False
    rows = []
    for name in options.families:
        outcome = measure(FAMILIES[name], options.configs)
        rows.append(row(name, outcome))
        found = outcome.found
        counts = f"{len(found.fitted)} fitted, {len(found.checked)} checked, {len(found.skipped)} cannot be built"
        print(f"{name}: {outcome.builds} builds in {outcome.seconds:.1f} s ({counts})")
        print(f"   {outcome.equal} of {outcome.configurations} fresh ones outside equal")
        if options.table:
            print(found.table())
        for text in [*(f"{q}: {reason}" for q, reason in found.reasons.items()), *outcome.wrong]:
            print("  ", text)
        failed = failed or bool(outcome.wrong)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(between_marks(page, [*HEAD, *rows]), encoding="utf-8")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
