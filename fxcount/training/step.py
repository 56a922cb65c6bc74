"""One training step of a model as it is written in a loop: forward, loss, backward, optimizer step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, UnsupportedError
from fxcount.training.optimizers import maker_of

__all__ = ["Loss", "OwnStep", "Phases", "Step", "default_loss", "step_of", "tensors_in"]

Loss = Callable[..., torch.Tensor]


def tensors_in(result: Any) -> Iterator[torch.Tensor]:
    """All tensors a model returned, in nested tuples, lists, dicts and outputs of transformers."""
    if isinstance(result, torch.Tensor):
        yield result
        return
    if hasattr(result, "to_tuple"):
        result = result.to_tuple()
    elif isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from tensors_in(part)


def own_loss(result: Any) -> torch.Tensor | None:
    """The loss a model computed itself, as those of transformers do where they are given labels."""
    found = result.get("loss") if isinstance(result, Mapping) else getattr(result, "loss", None)
    return found if isinstance(found, torch.Tensor) and found.dim() == 0 else None


def default_loss(result: Any) -> torch.Tensor:
    """The model's own loss if it has one, else the sum of all its outputs that have a gradient.

    Raises :class:`~fxcount.errors.InputError` if none has.
    """
    own = own_loss(result)
    if own is not None:
        return own
    total = None
    for tensor in tensors_in(result):
        if tensor.requires_grad:
            one = tensor.sum()
            total = one if total is None else total + one
    if total is None:
        raise InputError(
            "no output of the model has a gradient: there is nothing to train",
            hint="let some parameter require a gradient, and call it where gradients are on (not under torch.no_grad())",
        )
    return total


class Phases(Protocol):
    """Where a step says in which phase it is."""

    def phase(self, name: str, body: Callable[[], Any], round: int = 0) -> Any:
        """Run a part of the step under its name."""

    def stepping(self, optimizer: Any) -> Callable[[], Any]:
        """What does one step of an optimizer after the other."""

    def loop(self, body: Callable[[], Any]) -> None:
        """Run a step of the user's own."""

    def note_loss(self, loss: torch.Tensor) -> None:
        """What the user holds between the phases."""

    def note_gradients(self) -> None:
        """The gradients that parameters and inputs hold now."""


@dataclass(frozen=True)
class Step:
    """What is done: ``loss(result, *targets)`` of the model's result, its backward, and steps of ``optimizer(parameters)``:
    a first one, which makes its states, and a later one. Before them the same is done ``turns`` times, so that gradients add
    up."""

    loss: Loss
    optimizer: Callable[[Any], Any] | None = None
    turns: int = 1

    def __call__(self, phases: Phases, model: torch.nn.Module, given: tuple[Any, ...], targets: tuple[Any, ...]) -> None:
        args, kwargs = given
        make, optimizer = self.optimizer, None
        if make is not None:
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = phases.phase("setup", lambda: make(trained))
            _check_closure(optimizer)
        for _ in range(self.turns):
            loss = phases.phase("forward", lambda: self.loss(model(*args, **kwargs), *targets))
            phases.note_loss(loss)
            phases.phase("backward", loss.backward)
            phases.note_gradients()
        if optimizer is not None:
            one_step = phases.stepping(optimizer)
            for number in range(2):
                phases.phase("optimizer", one_step, number)


def _check_closure(optimizer: Any) -> None:
    """An optimizer that calls the model itself has no step of its own to count."""
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    asked = inspect.signature(optimizer.step).parameters.values()
    needed = [p.name for p in asked if p.default is p.empty and p.kind not in any_number]
    if needed:
        raise UnsupportedError(
            f"{type(optimizer).__name__} takes the whole of forward and backward as a {needed[0]}, and calls it as often as "
            "the data say: how often, and how much of what it remembers is there, no analysis knows",
            hint="count one call, which is the step without an optimizer; what the optimizer holds comes on top (LBFGS: about "
            "2 * history_size + 5 copies of the gradients)",
        )


@dataclass(frozen=True)
class OwnStep:
    """A step of the user's own: ``body(model, *inputs, *targets)`` does it all, from zeroed gradients to the optimizer."""

    body: Callable[..., Any]
    given: Any

    def __call__(self, phases: Phases, model: torch.nn.Module, given: tuple[Any, ...], targets: tuple[Any, ...]) -> None:
        args, kwargs = given
        phases.loop(lambda: self.body(self.given, *args, *targets, **kwargs))


def step_of(loss: Loss | None, optimizer: str | Callable[..., Any] | None) -> Step:
    """The step of these arguments of :func:`fxcount.training_step`."""
    return Step(default_loss if loss is None else loss, None if optimizer is None else maker_of(optimizer))
