"""What frameworks claim of 21 architectures, beside what their code multiplies; writes docs/claims.md.

    python -m benchmarks.claims                      # all of them, some minutes
    python -m benchmarks.claims --model gpt_oss      # print one

Each is built on the meta device from the defaults of its configuration in transformers, and its training step is traced once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

import fxcount
from benchmarks.tables import table as markdown
from fxcount.report.claims.formulas import FORMULAS
from fxcount.report.claims.result import Claims, reason

__all__ = ["ARCHITECTURES", "Case", "claims_of", "main"]

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "claims.md"


@dataclass(frozen=True)
class Case:
    """A configuration of transformers by the stem of its name, the class that is built of it, what differs from the defaults,
    the length of the sequences, and what an image of each is, if there is one."""

    stem: str
    kind: str = "ForCausalLM"
    length: int = 4096
    settings: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""


ARCHITECTURES: Mapping[str, Case] = {
    "llama": Case("Llama"), "qwen2": Case("Qwen2"), "qwen3_moe": Case("Qwen3Moe"), "mixtral": Case("Mixtral"),
    "gemma2": Case("Gemma2", length=16384), "gemma3": Case("Gemma3Text", "Gemma3ForCausalLM", 16384),
    "gpt2": Case("GPT2", "LMHeadModel", 1024), "gpt_neox": Case("GPTNeoX", length=2048), "phi3": Case("Phi3"),
    "gpt_oss": Case("GptOss", length=16384), "deepseek_v3": Case("DeepseekV3"), "mistral": Case("Mistral", length=16384),
    "llama4": Case("Llama4Text", "Llama4ForCausalLM", 16384), "olmo2": Case("Olmo2"), "falcon": Case("Falcon", length=2048),
    "bloom": Case("Bloom", length=2048, settings={"hidden_size": 1024, "n_layer": 24, "n_head": 16}),
    "starcoder2": Case("Starcoder2", length=16384), "cohere": Case("Cohere"),
    "smollm3": Case("SmolLM3"), "mamba2": Case("Mamba2"),
    "llava": Case("Llava", "ForConditionalGeneration", image="bf16[N,3,336,336]"),
}  # fmt: skip


def claims_of(name: str, **settings: Any) -> Claims:
    """The claims of a training step of one of the architectures, of one sequence."""
    import transformers

    case = ARCHITECTURES[name]
    config = getattr(transformers, f"{case.stem}Config")(**case.settings, **settings)
    made = getattr(transformers, case.kind if case.kind.startswith(("Gemma3", "Llama4")) else case.stem + case.kind)
    with torch.device("meta"):
        model = made(config).to(torch.bfloat16)
    inputs = {"input_ids": "i64[B,S]", "use_cache": False, **({"pixel_values": case.image} if case.image else {})}
    step = fxcount.training_step(model, kwargs=inputs)
    return step.at(B=1, S=case.length, **({"N": 1} if case.image else {})).claims()


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:+.1f}%"


def _summary(found: Mapping[str, Claims]) -> str:
    head = ["model", "tokens", "GFLOPs a token", "unmasked", *FORMULAS]
    rows = []
    for name, claims in found.items():
        known = {row.name: row for row in claims}
        unmasked = "" if claims.unmasked is None else _percent(claims.unmasked - claims.exact, claims.exact)
        cells = [_percent(known[f].off, claims.exact) if f in known else "-" for f in FORMULAS]
        rows.append([name, str(claims.tokens), f"{claims.exact / claims.tokens / 1e9:.3f}", unmasked, *cells])
    return markdown(head, rows)


def _terms(claims: Claims) -> str:
    names = list(dict.fromkeys([t.name for row in claims for t in row.differences]))
    rows = []
    for row in claims:
        off = {t.name: t.off for t in row.differences}
        cells = [_percent(off[n], claims.exact) if n in off else "" for n in names]
        rows.append([row.name, *cells, _percent(row.off, claims.exact)])
    return markdown(["claim", *names, "in all"], rows)


def _document(found: Mapping[str, Claims]) -> Iterator[str]:
    import transformers

    yield (
        "# What frameworks claim\n\n"
        "How many FLOPs does a training step of a language model take for each token? Frameworks and papers have formulas for "
        "that, which\nutilisation (MFU) is reckoned with. `claims()` puts each beside what the model's code multiplies, and "
        "says in which terms they differ:\n\n"
        "```python\n"
        'llama = fxcount.load_model("hf:llama", num_hidden_layers=4)\n'
        'step = fxcount.training_step(llama, "i64[B,S]")\n'
        "claims = step.at(B=1, S=4096).claims()\n"
        'claims.exact, claims.unmasked, claims["PaLM"].flops     # also as formulas, without at()\n'
        '[(term.name, term.off) for term in claims["PaLM"].differences]\n'
        "```\n\n"
        "    fxcount claims hf:llama --at B=1,S=4096\n\n"
        f"Written by `python -m benchmarks.claims`: transformers {transformers.__version__}, torch {torch.__version__}. Each "
        "model is built on the meta device from the\ndefaults of its configuration (bloom's are of a toy: it has the sizes of "
        "bloom-560m), in training, without caches.\n\n"
        "## The formulas\n"
    )
    formulas = [[f.name, f"`{f.text}`", f.source] for f in FORMULAS.values()]
    yield markdown(["claim", "for each token of a training step", "source"], formulas)
    yield (
        "\nThe repositories' were read at the commits named. The papers' were compared with their renderings in public code "
        "and notes; the\npapers themselves could not be had here. A formula that says nothing of a kind of model (no "
        "attention; layers it has no term for)\nmakes no claim of it: `-`.\n\n"
        "## Above and below\n\n"
        "FLOPs that the code multiplies for each token, masked pairs of attention included; how many fewer there are without "
        "the pairs\nthat a causal mask, a window or a chunk hides; and how far each claim is off what is multiplied. A claim "
        "that counts half the\npairs is to be compared with the unmasked number.\n"
    )
    yield _summary(found)
    yield "\n## By term\n\nParts of what is multiplied; terms that agree everywhere are left out.\n"
    for name, claims in found.items():
        yield f"\n### {name}\n"
        yield _terms(claims)
    yield "\n## The terms\n"
    used = dict.fromkeys([(t.name, t.off > 0) for claims in found.values() for row in claims for t in row.differences])
    for term, over in sorted(used):
        yield f"- {term}, {'above' if over else 'below'}: {reason(term, over)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Trace, and write the page, or print some of the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=[*ARCHITECTURES], help="again for more; all by default")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    import transformers

    from fxcount.adapters import torchvision_ops  # noqa: F401  (before transformers imports torchvision)

    transformers.logging.set_verbosity_error()
    found = {}
    for name in options.model or ARCHITECTURES:
        found[name] = claims_of(name)
        print(f"{name}\n{found[name]}\n", flush=True)
    if not options.model:
        _PAGE.write_text("\n".join(_document(found)) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
