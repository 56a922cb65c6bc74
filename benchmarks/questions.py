"""Are the answers to the questions right? Each beside real runs on the CPU; writes QUESTIONS.md.

    python -m benchmarks.questions                      # all of it, a few minutes
    python -m benchmarks.questions --part fit --part what

``fit``: ``largest`` beside bisection by real training steps, ten models. ``what``: ``what_if(checkpoint=...)`` beside real
steps of the model with these modules wrapped. ``plan``: what to compute again under three budgets, and real steps of that.
``cache``: bytes for each token of known models. ``generate``: FLOPs of ``generate()``, as torch counts them, beside the
closed sum. ``time``: seconds of each answer for a Llama of 7 billion parameters on the meta device.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fxcount
from benchmarks.steps.compare import _filled
from benchmarks.steps.models import made, table
from benchmarks.tables import table as markdown
from tests.report.test_what_if import Again
from tests.training import real

__all__ = ["main"]

_HERE = Path(__file__).resolve().parent
_MODELS = {  # and what is computed again
    "tv_resnet18": "layer?.?", "tv_squeezenet1_1": "features.[34]", "tv_mobilenet_v2": "features.[1-9]",
    "timm_regnetx_002": "s?.b?", "hf_llama": "model.layers", "hf_gpt2": "transformer.h", "hf_bert": "encoder.layer",
    "hf_mixtral": "model.layers", "hf_vit": "layers", "own_mlp": "*",
}  # fmt: skip
Row = Sequence[str]


def _cases(names: Sequence[str]) -> Iterator[tuple[str, nn.Module, Any, Mapping[str, int]]]:
    for name in names:
        torch.manual_seed(0)
        model, case = made(table()[name])
        yield name, model.train(), case, case.sizes[0]


def fit() -> tuple[str, list[Row]]:
    """The largest batch within what a batch of 5 takes, and half a sample."""
    rows = []
    for name, model, case, sizes in _cases(list(_MODELS)):
        step = fxcount.training_step(model, *case.specs, kwargs=case.kwargs)
        others = {n: s for n, s in sizes.items() if n != "B"}
        five, six = (step.at(**others, B=n).total_peak for n in (5, 6))
        memory = (five + six) // 2
        held = _held(model)
        low, high = 0, 16
        while high - low > 1:
            middle = (low + high) // 2
            args, kwargs = _filled(case, {**sizes, "B": middle})
            took = held + real.plain_peak(model, *args, kwargs=kwargs)
            low, high = (middle, high) if took <= memory else (low, middle)
        found = step.largest("B", memory, **others)
        rows.append([name, f"{memory:,}", str(found.value), str(low), found.need.place.split(" (")[0] if found.need else ""])
    return "## Will it fit?\n\n" + markdown(["model", "bytes", "largest B", "by real steps", "what limits"], rows), rows


class _Again(Again):
    def __getattr__(self, name: str) -> Any:  # transformers asks a layer for what it is
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


def _compute_again(model: nn.Module, paths: Sequence[str]) -> None:
    for path in paths:
        above, _, last = path.rpartition(".")
        model.get_submodule(above)._modules[last] = _Again(model.get_submodule(path))


def _held(model: nn.Module) -> int:
    """Bytes of what the model holds by itself."""
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def what() -> tuple[str, list[Row]]:
    """Predicted and real peaks with modules computed again."""
    rows = []
    for name, model, case, sizes in _cases(list(_MODELS)):
        wanted = dict(sizes)
        answers = [
            fxcount.training_step(model, *case.specs, kwargs=case.kwargs, tracker=tracker).what_if(checkpoint=_MODELS[name])
            for tracker in (True, False)
        ]
        tracked, plain = (answer.at(**wanted) for answer in answers)
        _compute_again(model, plain.change.checkpoint)
        args, kwargs = _filled(case, sizes)
        real_tracked = real.tracked(model, *args, kwargs=kwargs)[1]
        real_plain = real.plain_peak(model, *args, kwargs=kwargs)
        rows.append([
            name, str(len(plain.change.checkpoint)), f"{plain.base.peak:,}", f"{tracked.report.peak:,}",
            f"{tracked.report.peak - real_tracked:+,}", f"{plain.report.peak:,}", f"{plain.report.peak - real_plain:+,}",
        ])  # fmt: skip
    head = ["model", "modules", "peak before", "with a tracker", "off", "plain", "off from ends of ops"]
    note = (
        "\n\nThe last column looks at the ends of ops: where what is computed again ends in the middle of one (a norm that is "
        "the\nlast of a layer), its moment is missed, and the prediction is above."
    )
    return "## What if?\n\n" + markdown(head, rows) + note, rows


def plan() -> tuple[str, list[Row]]:
    """Three budgets between the step as it is and with everything computed again: what the plan says, and real steps of it."""
    rows = []
    for name, model, case, sizes in _cases(list(_MODELS)):
        found = fxcount.training_step(model, *case.specs, kwargs=case.kwargs).what_if(checkpoint=_MODELS[name]).at(**sizes)
        held = _held(model)
        high, low = found.base.total_peak, min(point.peak for point in found.curve())
        for quarters in (1, 2, 3):
            budget = high - (high - low) * quarters // 4
            chosen = found.plan(budget)
            assert chosen is not None, f"{name}: the curve reaches {low}"
            torch.manual_seed(0)
            changed = made(table()[name])[0].train()
            _compute_again(changed, chosen.recompute)
            args, kwargs = _filled(case, sizes)
            took = held + real.plain_peak(changed, *args, kwargs=kwargs)
            rows.append([name, f"{budget:,}", str(len(chosen.recompute)), f"{chosen.peak:,}", f"{chosen.peak - took:+,}",
                         "yes" if took <= budget else "NO"])  # fmt: skip
    head = ["model", "budget", "modules computed again", "peak", "off a real step", "fits"]
    return "## Plans under a budget\n\n" + markdown(head, rows), rows


def cache() -> tuple[str, list[Row]]:
    """Bytes for each token of a sequence, half precision."""
    import transformers

    from tests.report.test_generation import CHECKPOINTS

    rows = []
    for name, (stem, settings, expected) in CHECKPOINTS.items():
        with torch.device("meta"):
            config = getattr(transformers, f"{stem}Config")(**settings)
            model = getattr(transformers, f"{stem}ForCausalLM")(config).to(torch.float16)
        rows.append([name, f"{fxcount.generation(model).kv_bytes_per_token:,}", f"{expected:,}"])
    return "## Bytes of the cache for each token\n\n" + markdown(["model", "fxcount", "by hand"], rows), rows


def _more() -> Mapping[str, Callable[[], Any]]:
    """Further architectures, as small as those of the tests."""
    import transformers as t

    from tests.report.test_generation import SMALL

    return {
        "gpt_neox": lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**SMALL)),
        "phi3": lambda: t.Phi3ForCausalLM(t.Phi3Config(**SMALL, pad_token_id=0)),
        "olmo2": lambda: t.Olmo2ForCausalLM(t.Olmo2Config(**SMALL)),
        "starcoder2": lambda: t.Starcoder2ForCausalLM(t.Starcoder2Config(**SMALL)),
        "falcon": lambda: t.FalconForCausalLM(
            t.FalconConfig(vocab_size=211, hidden_size=64, num_hidden_layers=3, num_attention_heads=4)
        ),
    }


def generate() -> tuple[str, list[Row]]:
    """FLOPs of whole generations, ten architectures."""
    from tests.report.test_generation import MODELS, OPTIONS, SIZES, _generated

    rows = []
    for name, build in {**MODELS, **_more()}.items():
        for kind in OPTIONS:
            model = build().eval()
            model.set_attn_implementation("eager")
            try:
                found = fxcount.generation(model, cache=kind)
            except ValueError:  # transformers quantises no windows
                continue
            answers = [found.at(B=b, P=p, N=n).macs for b, p, n in SIZES]
            truths = [_generated(model, torch.randint(5, 200, (b, p)), n, kind) for b, p, n in SIZES]
            off = max(abs(2 * mine - truth) for mine, truth in zip(answers, truths))
            rows.append([name, kind, " ".join(f"{t:,}" for t in truths), f"{off:,}"])
    sizes = ", ".join(f"B={b} P={p} N={n}" for b, p, n in SIZES)
    head = f"## Generations\n\nFLOPs of `generate()` at {sizes}.\n\n"
    return head + markdown(["model", "cache", "FLOPs", "most off"], rows), rows


def allocator() -> tuple[str, list[Row]]:
    """The allocator replayed beside what was measured on a GPU."""
    from benchmarks.gpu_memory import PAGE, again

    rows = [
        [c.model, c.mode, str(c.batch), f"{c.predicted:,}", f"{c.predicted - c.requested:+,}", f"{c.predicted_allocated:,}",
         f"{c.predicted_allocated - c.allocated:+,}"]
        for c in again(PAGE.read_text())
    ]  # fmt: skip
    head = ["model", "mode", "batch", "requested", "off", "allocated", "off"]
    note = (
        "Traced on the meta device with `device=\"cuda\"`, beside the rows of [GPU_MEMORY.md](GPU_MEMORY.md), which says what\n"
        "they are. `reserved`: not measured.\n\n"
    )
    return "## What an allocator makes of it\n\n" + note + markdown(head, rows), rows


def seconds() -> tuple[str, list[Row]]:
    """How long an answer takes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())
    fxcount.analyze(model, "i64[B,S]", use_cache=False)  # loads what is loaded once
    rows = []

    def timed(name: str, ask: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = ask()
        rows.append([name, f"{time.process_time() - started:.2f}"])
        return found

    report = timed("analyze", lambda: fxcount.analyze(model, "i64[B,S]", use_cache=False))
    timed("largest B of inference in 80 GB", lambda: report.largest("B", "80GB", S=4096))
    timed("roofline on an H100", lambda: report.at(B=1, S=4096).roofline("H100").total_seconds)
    step = timed("training step", lambda: fxcount.training_step(model, "i64[B,S]", optimizer="adamw", use_cache=False))
    timed("largest B of a step in 1 TB", lambda: step.largest("B", "1000GB", S=512))
    found = timed("what if all layers are computed again", lambda: step.what_if(checkpoint="model.layers"))
    timed("its peak and FLOPs at B=8, S=4096", lambda: (lambda at: (at.peak_saved, at.flops_paid))(found.at(B=8, S=4096)))
    generation = timed("generation", lambda: fxcount.generation(model))
    timed("its sum at P=1024, N=256", lambda: generation.at(B=1, P=1024, N=256).total)
    head = "## How long an answer takes\n\nA Llama of 7 billion parameters on the meta device; process time.\n\n"
    return head + markdown(["question", "seconds"], rows), rows


PARTS: Mapping[str, Callable[[], tuple[str, list[Row]]]] = {
    "fit": fit, "what": what, "plan": plan, "cache": cache, "generate": generate, "allocator": allocator, "time": seconds,
}  # fmt: skip


def _sections(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Sections by heading; the page's own has none."""
    for text in texts:
        yield text.partition("\n")[0], text if text.startswith("# ") else f"## {text}"


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, print, and write the page if all parts were asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=[*PARTS], help="again for more; all by default")
    parser.add_argument("--out", default=str(_HERE / "QUESTIONS.md"))
    parser.add_argument("--write", action="store_true", help="put the parts that are asked in their places in the page")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    written = f"Written by benchmarks/questions.py, torch {torch.__version__}, on a CPU. On a GPU: not measured."
    texts = [f"# The questions people bring\n\n{written}"]
    for name in options.part or PARTS:
        text, _ = PARTS[name]()
        print(text, flush=True)
        texts.append(text)
    page = Path(options.out)
    if options.part and options.write:
        known = dict(_sections(page.read_text(encoding="utf-8").rstrip("\n").split("\n\n## ")))
        known.update(_sections([text.removeprefix("## ") for text in texts[1:]]))
        page.write_text("\n\n".join(known.values()) + "\n", encoding="utf-8")
    elif not options.part:
        page.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
