"""Generation with a language model of transformers: a prompt, then a token at a time with a cache of those before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from fxcount.api import analyze
from fxcount.errors import InputError
from fxcount.ops import Op
from fxcount.report.data.generation import ROOM, TURN, Names, Turns
from fxcount.report.data.recipe import Recipe
from fxcount.report.generation import GenerationReport

__all__ = ["CACHES", "generation", "greedily"]

_HINTS = {"prompt": 128, "new": 32}


def generation(
    model: nn.Module, prompt: str | int = "P", new: str | int = "N", *, batch: str | int = "B", past: str = "T",
    cache: str | Callable[..., Any] = "dynamic", hints: Mapping[str, int] | None = None, strict: bool = False,
    rules: Iterable[Op] = (), inputs: Mapping[str, Any] | None = None,
) -> GenerationReport:  # fmt: skip
    """Analyse a generation of ``new`` tokens after a ``prompt`` with a causal language model of transformers.

    What is analysed is the greedy loop as its documentation writes it: the prompt at once, whose last logits give the first
    token, and a step for each further one, whose keys and values the cache keeps (``generate()`` does the same work). It is
    traced once, with symbols for the sequences of a batch, the tokens of the prompt and those in the cache; numbers for
    ``prompt``, ``new`` and ``batch`` are put in afterwards. ``past`` names the tokens in the cache of one step.

    ``cache`` is ``"dynamic"`` (transformers' default; windows and recurrent states as the config says), ``"static"`` (made for
    all tokens of the prompt and the new ones, or for ``at(M=...)``), ``"fp8"`` (quantised), or makes one: ``cache(config)``, or
    ``cache(config, room)`` for one of a fixed size. ``inputs`` are further inputs of the prompt, as an encoder's states.
    ``hints``, ``strict`` and ``rules`` are those of :func:`fxcount.analyze`. The model is left as it was found.

    Raises:
        InputError: the model keeps no cache, or there is none of this name.
        ShapeError, DataDependentError, UncountedError: as :func:`fxcount.analyze`.

    >>> import fxcount
    >>> sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=97)
    >>> model = fxcount.load_model("hf:llama", num_key_value_heads=2, **sizes)
    >>> found = generation(model, prompt="P", new="N")
    >>> found.kv_bytes, found.step.macs
    (384*B*T, 192*B*T + 26336*B)
    >>> found.macs
    96*B*N**2 + 192*B*N*P + 26048*B*N + 192*B*P**2 + 22848*B*P - 23040*B
    >>> all_of_it = found.at(B=2, P=11, N=7)
    >>> all_of_it.macs - all_of_it.prefill.macs == sum([found.at(B=2, P=11, T=past).step.macs for past in range(11, 17)])
    True
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a generation needs the model itself, not a {type(model).__name__}")
    if not cache_argument(model) or not hasattr(model, "config"):
        raise InputError(
            f"{type(model).__name__} takes no past_key_values: it keeps no cache",
            hint="give a causal language model of transformers, e.g. LlamaForCausalLM",
        )
    if getattr(model.config, "is_encoder_decoder", False):
        raise InputError(
            f"{type(model).__name__} has an encoder: its prompt is not what its cache begins with, and the closed form is that "
            "of a decoder alone",
            hint="count the encoder and a call of the decoder with analyze(model, ...)",
        )
    called = [n if isinstance(n, str) else default for n, default in ((batch, "B"), (prompt, "P"), (new, "N"))]
    names = Names(called[0], called[1], called[2], past)
    if len({names.batch, names.prompt, names.new, names.past, ROOM}) < 5:
        raise InputError("a name stands for two sizes", hint=f"give other names; {ROOM} is the room of a cache of a fixed size")
    make, fixed = _maker(cache)
    values = {name: n for name, n in ((names.batch, batch), (names.prompt, prompt), (names.new, new)) if isinstance(n, int)}
    known = _sampled(names, fixed, {**values, **(hints or {})})
    given = {"ids": f"i64[{names.batch},{names.prompt}]", **({"room": f"bool[{ROOM}]"} if fixed else {}), **(inputs or {})}

    def analysed(model: nn.Module, args: Any, kwargs: Any, hints: Mapping[str, int] | None) -> Turns:
        with torch.no_grad():  # as generate() does
            report = analyze(_Loop(model, make), hints=hints, strict=strict, rules=rules, kwargs=kwargs)
        report.trace.model_name = type(model).__name__  # the loop is ours
        found = Turns(report.trace, report.costs)
        found.recipe = Recipe.of(model, args, kwargs, hints, analysed)
        return found

    return GenerationReport(analysed(model, (), given, known), names, values)


def cache_argument(model: nn.Module) -> str:
    """The input that takes keys and values of before, which transformers 5.24 calls ``cache``; empty if there is none."""
    parameters = inspect.signature(model.forward).parameters
    return next((name for name in ("past_key_values", "cache") if name in parameters), "")


def _sampled(names: Names, fixed: bool, given: Mapping[str, int]) -> dict[str, int]:
    """The sizes at which decisions are taken: a prompt, and room for it and the new tokens."""
    prompt = given.get(names.prompt, _HINTS["prompt"])
    found = {names.batch: given.get(names.batch, 2), names.prompt: prompt}
    if fixed:
        found[ROOM] = given.get(ROOM, prompt + given.get(names.new, _HINTS["new"]) - 1)
    return found


# -- caches ---------------------------------------------------------------------------------------------------------------
def _dynamic(config: Any) -> Any:
    from transformers import DynamicCache

    return DynamicCache(config=config)


def _static(config: Any, room: Any) -> Any:
    from transformers import StaticCache

    return StaticCache(config=config, max_cache_len=room)


def _quantised(backend: str, config: Any) -> Any:
    from transformers import QuantizedCache

    return QuantizedCache(backend=backend, config=config)


CACHES: Mapping[str, Callable[..., Any]] = {
    "dynamic": _dynamic, "static": _static, **{name: partial(_quantised, name) for name in ("fp8", "quanto", "hqq")}
}  # fmt: skip


def _maker(cache: str | Callable[..., Any]) -> tuple[Callable[..., Any], bool]:
    """What makes the cache, and whether it is told its size."""
    make = CACHES.get(cache) if isinstance(cache, str) else cache
    if make is None or not callable(make):
        raise InputError(f"there is no cache {cache!a}; there are {', '.join(CACHES)}", hint="or give what makes one")
    return make, len(inspect.signature(make).parameters) > 1


# -- the loop -------------------------------------------------------------------------------------------------------------
class _Loop(nn.Module):
    """A prompt and two steps."""

    def __init__(self, model: nn.Module, make: Callable[..., Any]) -> None:
        super().__init__()
        self.training = model.training
        self.make = make
        setattr(self, TURN, _Turn(model))

    def forward(self, ids: torch.Tensor, room: torch.Tensor | None = None, **inputs: Any) -> None:
        turn = getattr(self, TURN)
        cache = self.make(turn.model.config, *(() if room is None else room.shape))
        token = turn(ids, cache, **inputs)[0]
        token = turn(token, cache)[0]
        turn(token, cache)


class _Turn(nn.Module):
    """The next token of each sequence, and what is in the cache then."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.training = model.training
        self.model = model

    def forward(self, ids: torch.Tensor, cache: Any, **inputs: Any) -> tuple[torch.Tensor, ...]:
        return (greedily(self.model, ids, cache, **inputs), *_held(cache))


def greedily(model: Any, ids: torch.Tensor, cache: Any, **inputs: Any) -> torch.Tensor:
    """The most likely token after these, for each sequence; their keys and values go into the cache."""
    last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    found = model(input_ids=ids, use_cache=True, **{cache_argument(model): cache}, **last, **inputs)
    token: torch.Tensor = found.logits[:, -1].argmax(-1, keepdim=True)
    return token


def _held(cache: Any) -> Iterator[torch.Tensor]:
    """What the layers of a cache hold: not the numbers by which they count."""
    seen: set[int] = set()
    for layer in cache.layers:
        for tensor in _tensors(list(vars(layer).values())):
            if id(tensor) not in seen and (tensor.dim() or tensor.dtype.is_floating_point):
                seen.add(id(tensor))
                yield tensor


def _tensors(held: Any) -> Iterator[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, (list, tuple)):
        for part in held:
            yield from _tensors(part)
    elif isinstance(held, dict):
        yield from _tensors(list(held.values()))
