"""What one row of a sweep asks: a model by name, its inputs, and the sizes its numbers are for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError

__all__ = ["Job", "jobs_of"]

@dataclass(frozen=True, slots=True)
class Job:
    """``model`` as :func:`fxcount.load_model` takes it, built with ``arguments``; ``inputs`` and ``kwargs`` as
    :func:`fxcount.analyze` takes them, or else the model's own; ``at`` are the sizes of the numbers, as far as the model has
    such symbols; ``train``: in training mode.

    Everything is data that JSON can hold, so that a job is known again when a sweep goes on.

    >>> Job("timm:resnet50", at={"B": 1}).key
    '{"at": {"B": 1}, "model": "timm:resnet50"}'
    """

    model: str
    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, int] = field(default_factory=dict)
    train: bool = False

    @property
    def key(self) -> str:
        """The same for the same question. Raises :class:`~fxcount.errors.InputError` for what JSON cannot hold."""
        said = {
            "model": self.model, "inputs": list(self.inputs), "kwargs": dict(self.kwargs), "arguments": dict(self.arguments),
            "at": dict(self.at), "train": self.train,
        }  # fmt: skip
        try:
            return json.dumps({name: value for name, value in said.items() if value}, sort_keys=True)
        except TypeError as error:
            raise InputError(
                f"{self.model}: a job of a sweep is asked in another process, and kept: {error}",
                hint='give shapes as text, such as "B,3,H,W", and arguments that JSON can hold',
            ) from error


def jobs_of(models: Iterable[str | Job], at: Mapping[str, int], train: bool) -> list[Job]:
    """The jobs, each once, in the order they come in; a job that says nothing about sizes or mode takes these.

    >>> [job.model for job in jobs_of(["demo", Job("demo", train=True), "demo"], {"B": 2}, False)]
    ['demo', 'demo']
    """
    found: dict[str, Job] = {}
    for model in [models] if isinstance(models, str) else models:
        if isinstance(model, str):
            model = Job(model)
        elif not isinstance(model, Job):
            raise InputError(
                f"a sweep takes names of models or fxcount.Job, not {type(model).__name__}",
                hint="a model is built in the process that counts it: give its name, such as package.module:callable",
            )
        job = Job(
            model.model, tuple(model.inputs), model.kwargs, model.arguments, model.at or dict(at), model.train or train
        )  # fmt: skip
        found.setdefault(job.key, job)
    return list(found.values())
