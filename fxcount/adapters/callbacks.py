"""Callbacks that say what a training will cost before its first step: for transformers' ``Trainer`` and for Lightning.

The classes exist once their library is asked for: ``trainer_callback()`` and ``lightning_callback()`` make them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount.adapters.metrics import log_report, metrics
from fxcount.api import analyze, training_step
from fxcount.errors import FxcountError, InputError
from fxcount.passes.untraced import parameters

__all__ = ["lightning_callback", "trainer_callback"]

Say = Callable[[str], None]


def trainer_callback(*, say: Say | None = print, run: Any = None) -> Any:
    """A ``TrainerCallback`` for ``transformers.Trainer(callbacks=[...])``: parameters, MACs and the peak of a training step.

    When the training begins, a batch is made of the first samples as the trainer's own collator makes one; a forward and a
    training step of it, with the trainer's optimizer, are analysed. Nothing runs, and no random number is drawn. The callback
    then has ``report``, ``step`` and ``metrics`` (a flat dict, as :func:`~fxcount.adapters.metrics.metrics` gives); ``say``
    gets a line of text (``None``: nothing), and ``run`` is where they are logged
    (:func:`~fxcount.adapters.metrics.log_report`). A model that cannot be analysed is said, and trains all the same.

    Raises :class:`ImportError` without transformers.
    """
    base = importlib.import_module("transformers").TrainerCallback

    class CostCallback(base):  # type: ignore[misc, valid-type]
        """What one step of the training costs."""

        report: Any = None
        step: Any = None
        metrics: Mapping[str, int] = {}

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
            """Analyse a step, once the model, the data and the optimizer are there."""
            try:
                batch = _first_batch(others.get("train_dataloader"), args.per_device_train_batch_size)
                self.report = analyze(model, kwargs=batch)
                self.step = training_step(model, kwargs=batch, optimizer=_remade(others.get("optimizer")))
            except FxcountError as error:
                _tell(say, f"fxcount cannot tell what a step costs: {error}")
                return
            self.metrics = {**metrics(self.report), **metrics(self.step)}
            _log(run, self.report, self.step)
            _tell(say, _line(self.metrics))

    return CostCallback()


def lightning_callback(*, say: Say | None = print, run: Any = None) -> Any:
    """A callback for Lightning's ``Trainer(callbacks=[...])``, as its ``ModelSummary``, with the work and memory beside.

    When the fit starts, a forward of ``example_input_array`` is analysed; without one, parameters alone are counted. The
    callback then has ``report`` (``None`` without an example) and ``metrics``; ``say`` and ``run`` are those of
    :func:`trainer_callback`.

    Raises :class:`ImportError` without Lightning (``lightning`` or ``pytorch_lightning``).
    """
    base = _lightning().Callback

    class CostSummary(base):  # type: ignore[misc, valid-type]
        """What the model is made of and costs."""

        report: Any = None
        metrics: Mapping[str, int] = {}

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            """Analyse the model, once it is set up."""
            example = pl_module.example_input_array
            if example is None:
                held = parameters(pl_module)
                self.metrics = {"fxcount/params": held.total, "fxcount/trainable_params": held.trainable}
                _tell(say, _line(self.metrics))
                return
            args, kwargs = _as_called(example)
            try:
                self.report = analyze(pl_module, *args, kwargs=kwargs)
            except FxcountError as error:
                _tell(say, f"fxcount cannot tell what the model costs: {error}")
                return
            self.metrics = metrics(self.report)
            _log(run, self.report)
            _tell(say, str(self.report))

    return CostSummary()


def _lightning() -> Any:
    try:
        return importlib.import_module("lightning.pytorch")
    except ImportError:
        return importlib.import_module("pytorch_lightning")


def _as_called(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Lightning's example as arguments: a dict by name, a tuple by position."""
    if isinstance(example, dict):
        return (), example
    return (tuple(example) if isinstance(example, (tuple, list)) else (example,)), {}


def _first_batch(loader: Any, size: int) -> dict[str, Any]:
    """The batch of the first samples, made by the loader's own collator. The loader itself is not touched: going through it
    would draw the order of the samples."""
    dataset: Any = getattr(loader, "dataset", None)
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise InputError("the training data cannot be asked for their first samples", hint="analyse a batch of your own")
    with torch.random.fork_rng(devices=[]):
        batch = loader.collate_fn([dataset[i] for i in range(min(size, len(dataset)))])
    if not isinstance(batch, Mapping):
        raise InputError(f"a batch is a {type(batch).__name__}, not a dict of arguments", hint="analyse a batch of your own")
    return dict(batch)


def _remade(optimizer: Any) -> Any:
    """What makes an optimizer like this one of other parameters."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    if inner is None:
        return None
    taken = inspect.signature(type(inner)).parameters
    given = {name: value for name, value in inner.defaults.items() if name in taken}
    return lambda parameters: type(inner)(parameters, **given)


def _log(run: Any, *reports: Any) -> None:
    if run is not None:
        for report in reports:
            log_report(report, run)


def _line(found: Mapping[str, int]) -> str:
    """``params 20, macs 30``"""
    return "fxcount: " + ", ".join([f"{name.removeprefix('fxcount/')} {n:,}" for name, n in found.items()])


def _tell(say: Say | None, text: str) -> None:
    if say is not None:
        say(text)
