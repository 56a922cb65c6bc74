"""Generations against transformers' own: FLOPs of ``generate()`` as torch counts them, bytes of real loops, sums of steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

import fxcount
from fxcount.adapters import torchvision_ops  # noqa: F401  (before transformers, which imports torchvision)
from fxcount.adapters.generation import CACHES, greedily
from fxcount.cli.generate import _named
from fxcount.cli.main import main
from fxcount.errors import InputError
from tests.training import real

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 211, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2,
}  # fmt: skip
WINDOW = {"sliding_window": 13}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=211, n_embd=64, n_layer=3, n_head=4)),
    "mistral": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(**SMALL, **WINDOW)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SMALL)),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SMALL, **WINDOW, head_dim=8)),
}
SIZES = [(2, 7, 5), (1, 11, 9), (3, 17, 4), (2, 5, 1)]
OPTIONS = {
    "dynamic": {}, "static": {"cache_implementation": "static", "disable_compile": True},
    "fp8": {"cache_implementation": "quantized", "cache_config": {"backend": "fp8"}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> None:
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)


def _model(name: str, attention: str = "eager") -> Any:
    model = MODELS[name]().eval()
    model.set_attn_implementation(attention)
    return model


def _generated(model: Any, ids: torch.Tensor, new: int, cache: str) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.generate(
            ids, max_new_tokens=new, min_new_tokens=new, do_sample=False, attention_mask=torch.ones_like(ids), pad_token_id=0,
            **OPTIONS[cache],
        )  # fmt: skip
    for attribute in ("_previous_max_cache_length", "_cache"):  # what it leaves in the model
        model.__dict__.pop(attribute, None)
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    ("name", "cache"),
    [(name, cache) for name in MODELS for cache in OPTIONS if not (cache == "fp8" and name in ("mistral", "gemma2", "gpt2"))],
)
def test_flops_are_those_of_generate(name: str, cache: str) -> None:
    """The window of 13 is full before, in the middle of, and after the steps."""
    model = _model(name)
    found = fxcount.generation(model, cache=cache)
    answers = [found.at(B=batch, P=prompt, N=new).macs for batch, prompt, new in SIZES]
    real_ones = [_generated(model, torch.randint(5, 200, (b, p)), n, cache) for b, p, n in SIZES]
    assert [2 * macs for macs in answers] == real_ones


class _Generating(torch.nn.Module):
    """``generate()`` as it is, as the forward."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__()
        self.model, self.options = model, options

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model.generate(ids, **self.options)
        return found


@pytest.mark.parametrize(
    ("name", "cache", "options"),
    [
        ("llama", "dynamic", {}), ("llama", "static", {}), ("llama", "fp8", {}), ("gpt2", "dynamic", {}),
        ("mistral", "dynamic", {}), ("llama", "dynamic", {"do_sample": True}),
        ("llama", "dynamic", {"repetition_penalty": 1.3}),
    ],
)  # fmt: skip
def test_generate_itself_is_analysed(name: str, cache: str, options: dict[str, Any]) -> None:
    """No sequence ends early: each decision on data is taken as no (``branch=0``), and the loop ends where its length says, as
    what is or-ed with true is true. Its mask is of ones, whatever the tokens are, since what pads is what ends."""
    model = _model(name)
    model.generation_config.eos_token_id = 2
    whole = _Generating(model, max_new_tokens=4, **OPTIONS[cache], **options)
    with torch.no_grad():
        report = fxcount.analyze(whole, "i64[B,P]", hints={"B": 2, "P": 7, "branch": 0})
    for batch, prompt in ((2, 7), (3, 19)):
        assert 2 * report.at(B=batch, P=prompt).macs == _generated(model, torch.randint(5, 200, (batch, prompt)), 4, cache)
    assert report.at(B=3, P=19).macs == fxcount.generation(model, cache=cache).at(B=3, P=19, N=4).macs


def _loop(model: Any, ids: torch.Tensor, new: int, cache: str, room: tuple[int, ...]) -> None:
    with torch.no_grad():
        held = CACHES[cache](model.config, *room)
        token = ids
        for _ in range(new):
            token = greedily(model, token, held)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral"])
def test_bytes_are_those_of_a_loop(name: str, cache: str, attention: str) -> None:
    model = _model(name, attention)
    found = fxcount.generation(model, cache=cache)
    for batch, prompt, new in SIZES[:3]:
        ids = torch.randint(5, 200, (batch, prompt))
        room = (prompt + new - 1,) if cache == "static" else ()
        measured = real.allocated_at_most(partial(_loop, model, ids, new, cache, room), lambda: None) + ids.nbytes
        wrapped = 8 if name == "gpt2" else 0  # a Python number that is multiplied with a tensor, while the op runs
        assert found.at(B=batch, P=prompt, N=new).peak_bytes == measured - wrapped


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_a_generation_is_the_sum_of_traced_steps(cache: str) -> None:
    """Each step traced by itself, at its own past; and the closed form."""
    model = _model("llama")
    found = fxcount.generation(model, cache=cache)
    batch, prompt, new = 3, 19, 11
    room = {"M": prompt + new - 1} if cache == "static" else {}
    steps = []
    for past in range(prompt, prompt + new - 1):
        alone = fxcount.generation(model, cache=cache, hints={"P": past, "N": 5}).at(B=batch, T=past, P=past, **room)
        steps.append(alone.step)
    first = found.at(B=batch, P=prompt, N=new)
    sizes = {found.symbol(name): size for name, size in (("B", batch), ("P", prompt), ("N", new))}
    for quantity in ("macs", "flops", "read_bytes", "write_bytes"):
        expected = getattr(first.prefill, quantity) + sum(getattr(step, quantity) for step in steps)
        assert getattr(first.total, quantity) == expected
        assert getattr(found.total, quantity).subs(sizes) == expected
    assert found.total.peak_bytes.subs(sizes) == first.peak_bytes


def test_closed_forms() -> None:
    """By hand, of one head of 4 in one layer: 2 * 4 * (past + 1) macs of attention in a step."""
    tiny = {**SMALL, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**tiny)).eval()
    found = fxcount.generation(model)
    weights = 4 * 4 * 4 + 3 * 4 * 172 + 4 * 211
    assert found.at(B=1, P=9, T=9).step.macs == weights + 8 * 10
    assert str(found.kv_bytes) == "32*B*T"
    assert found.kv_bytes_per_token == 32
    static = fxcount.generation(model, cache="static")
    assert str(static.kv_bytes.expand()) == "32*B*N + 32*B*P - 32*B"


def test_windows_split_where_they_are_full() -> None:
    model = _model("mistral")
    found = fxcount.generation(model)
    assert [found.at(B=1, P=p, T=t).kv_bytes_per_token for p, t in ((5, 5), (200, 200))] == [384, 0]
    long = found.at(B=1, P=4, N=100)
    steps = [found.at(B=1, P=t, T=t).step.macs for t in range(4, 103)]
    assert long.macs == long.prefill.macs + sum(steps)
    assert steps[-1] == steps[20] > steps[2]


CHECKPOINTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "llama-2-7b": ("Llama", {}, 524_288),
    "llama-3-8b": ("Llama", {"num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}, 131_072),
    "qwen2.5-7b": ("Qwen2", {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                             "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064}, 57_344),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_bytes_for_each_token_of_known_models(name: str) -> None:
    """2 tensors * layers * heads of keys and values * size of a head * 2 bytes."""
    stem, settings, expected = CHECKPOINTS[name]
    with torch.device("meta"):
        config = getattr(transformers, f"{stem}Config")(**settings)
        model = getattr(transformers, f"{stem}ForCausalLM")(config).to(torch.float16)
    found = fxcount.generation(model)
    assert found.kv_bytes_per_token == expected
    assert found.at(B=3, P=5, T=1000).kv_bytes == 3000 * expected


def test_numbers_for_names() -> None:
    model = _model("llama")
    found = fxcount.generation(model, prompt=19, new="K", batch=3)
    assert found.symbols == ("K",)
    assert found.at(K=11).macs == fxcount.generation(model).at(B=3, P=19, N=11).macs
    with pytest.raises(fxcount.SizeError, match="the sizes are B, P, K"):
        found.at(N=3)


def test_what_keeps_no_cache() -> None:
    with pytest.raises(fxcount.InputError, match="keeps no cache"):
        fxcount.generation(torch.nn.Linear(3, 5))
    with pytest.raises(fxcount.InputError, match="no cache 'paged'"):
        fxcount.generation(_model("llama"), cache="paged")
    with pytest.raises(fxcount.InputError, match="two sizes"):
        fxcount.generation(_model("llama"), prompt="T")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    settings = [word for name, value in SMALL.items() for word in ("--arg", f"{name}={value}")]
    assert main(["generate", "hf:llama", *settings, "--prompt", "P=1024", "--new", "N=256", "--batch", "1"]) == 0
    said = capsys.readouterr().out
    expected = fxcount.generation(_model("llama", "sdpa")).at(B=1, P=1024, N=256)
    assert f"{2 * expected.macs:,}" in said
    assert f"{expected.peak_bytes:,}" in said
    assert main(["generate", "hf:llama", *settings, "i64[B,S]"]) == 2
    assert main(["generate", "hf:llama", "--prompt", "P=x"]) == 2
    assert _named("K=9", "P", "--prompt") == ("K", 9)


def test_a_model_with_an_encoder_is_refused_in_words() -> None:
    config = transformers.T5Config(vocab_size=97, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    with pytest.raises(InputError, match="T5ForConditionalGeneration has an encoder"):
        fxcount.generation(transformers.T5ForConditionalGeneration(config))
