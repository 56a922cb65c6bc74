"""The front door: ``analyze`` a model, and ``rule`` for an op of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from fxcount.errors import FxcountError, InputError, first_line
from fxcount.ops import REGISTRY, Op, Registry, Work, Zero
from fxcount.ops.core.registry import Traits
from fxcount.passes import cost, parameters
from fxcount.passes.gradients import chosen_outputs, reach
from fxcount.report import Report
from fxcount.report.data.recipe import Recipe
from fxcount.trace.frontends import Frontend, trace_any
from fxcount.trace.inputs.guess import guessed, is_plain, needs_inputs
from fxcount.trace.inputs.options import check_flag, check_misspelt, check_option
from fxcount.trace.inputs.specs import parse_inputs
from fxcount.trace.partial import partial_of
from fxcount.trace.tape import Trace

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fxcount.passes.modes import ModeRow
    from fxcount.report.training import TrainingReport
    from fxcount.training.step import Step

__all__ = ["analyze", "compare_modes", "find_unused_parameters", "rule", "training_step"]

_OPTIONS = ("hints", "strict", "rules", "progress", "frontend", "trust", "device", "kwargs")
_OPTIONS_OF_A_STEP = ("loss", "optimizer", "targets", "step", "tracker", "hints", "strict", "rules", "device", "kwargs")


def analyze(
    model: Any,
    /,
    *inputs: Any,
    hints: Mapping[str, int] | None = None,
    strict: bool = False,
    rules: Iterable[Op] = (),
    progress: bool | Callable[[int], None] | None = None,
    frontend: Frontend = "auto",
    trust: bool = False,
    device: str | torch.device | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **named_inputs: Any,
) -> Report:
    """Analyse one call of ``model`` on inputs given by shape; symbols in a shape stay symbols in the result.

    ``model`` is an ``nn.Module``, a function, a ``torch.export.ExportedProgram`` or the path of its ``.pt2`` file, a
    ``torch.fx.GraphModule`` or a TorchScript module or function. A graph that knows its input shapes needs no inputs.

    An input is a shape (``"B,3,H,W"``, ``"i64[B,S]"``, ``("B", 3, 224, 224)``), a tensor (of its data only a
    few integers on the CPU are read, if the model asks for them), or lists, tuples and dicts of these; anything else is
    passed to the model as it is. ``hints`` are the sizes at which the model's decisions on shapes are taken (each is
    listed in ``report.assumptions``), also for sizes that data decide (``report.unbacked``). ``strict`` makes an
    op without a cost rule an error. ``rules`` are ops of your own, made by :func:`rule`. ``frontend`` chooses between
    following the model's Python code (``"trace"``) and ``torch.export`` (``"export"``); ``"auto"`` does the second where
    the first cannot. A ``.pt2`` file is read as data; one that cannot be read so is refused unless ``trust`` is given,
    which may run code of the file's. ``device``: the model and its inputs are taken to lie there, wherever they do, so that
    what torch does otherwise on it is counted as it does it there: ``"cuda"`` needs no GPU, and the model may be on ``meta``.
    ``kwargs`` are further keyword inputs, for a forward whose arguments have names of these.

    Of a model without inputs they are guessed where it tells them (its config, the size it was trained on, its first layer):
    the report then says so, wherever it is shown. Where nothing tells, it has the parameters and buffers alone, and says that
    nothing was traced.

    The model is left as it was found: mode, attributes, buffers, gradients, random state. No weights are allocated. An
    error in the middle of the forward has a report of what came before it: ``error.partial``.

    Raises:
        InputError: the inputs do not describe a call of the model.
        ShapeError: an op does not fit its operands (with the line and module of the model).
        DataDependentError: the model decides on the value of a tensor.
        UncountedError: ``strict`` and some op has no cost rule.

    >>> report = analyze(torch.nn.Linear(5, 7), "B,5")
    >>> report.macs, report.params.total
    (35*B, 42)
    """
    check_misspelt(model, named_inputs, _OPTIONS)
    _check_options(model, hints, rules, kwargs, strict=strict, trust=trust)
    check_option("progress", progress, _is_progress, "True, False or a function", model)
    placed = _device(device, model)
    registry = _registry(rules)
    args, named = _parsed(inputs, named_inputs, kwargs)

    def analysed(
        model: Any, inputs: tuple[Any, ...], named_inputs: Mapping[str, Any], hints: Mapping[str, int] | None,
        progress: Callable[[int], None] | None = None,
    ) -> Report:  # fmt: skip
        trace = trace_any(
            model, inputs, named_inputs, hints=hints, registry=registry, progress=progress, frontend=frontend, trust=trust,
            engine=_engine, device=placed,
        )
        report = Report(trace, cost(trace, strict=strict))
        report.recipe = Recipe.of(model, inputs, named_inputs, hints, analysed, written_down=trace.fingerprint)
        return report

    reporter = _progress(progress)
    if not args and not named and is_plain(model):
        return _without_inputs(model, lambda args, named: analysed(model, args, named, hints, reporter), reporter)
    with _reporting(reporter):
        return analysed(model, args, named, hints, reporter)


@contextmanager
def _reporting(reporter: Callable[[int], None] | None = None) -> Iterator[None]:
    """A block in which a model is analysed: progress ends with it, and an error brings along what was traced before."""
    try:
        yield
    except Exception as error:
        with suppress(Exception):  # that of the model is the one to be told
            trace = partial_of(error)
            if trace is not None and trace.calls:
                error.partial = Report(trace, cost(trace))  # type: ignore[attr-defined]
        raise
    finally:
        if reporter is not None and hasattr(reporter, "close"):
            reporter.close()


def _without_inputs(
    model: torch.nn.Module, analysed: Callable[[tuple[Any, ...], dict[str, Any]], Report],
    reporter: Callable[[int], None] | None,
) -> Report:  # fmt: skip
    """The report of a model alone: on inputs that it can do without, or that are guessed, or of what it holds."""
    from fxcount.passes.untraced import holdings, holds_something

    guess = guessed(model)
    if guess is None and not (needs_inputs(model) and holds_something(model)):
        with _reporting(reporter):
            return analysed((), {})
    why = "no inputs were given, so nothing was traced"
    if guess is not None:
        try:
            with _reporting(reporter):
                return analysed(*guess.marked())
        except Exception as error:  # whatever a forward raises for what it does not take
            said = error.what if isinstance(error, FxcountError) else f"{type(error).__name__}: {first_line(error)}"
            why += f": those guessed from {guess.because}, {' '.join(guess.inputs)}, do not fit"
            why += f" ({' '.join(said.split())[:300]})"
    from fxcount.report.untraced import Untraced

    trace = holdings(model, why)
    return Untraced(trace, cost(trace))


def training_step(
    model: Any,
    /,
    *inputs: Any,
    loss: Callable[..., Any] | None = None,
    optimizer: str | Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    targets: Any = (),
    tracker: bool = False,
    hints: Mapping[str, int] | None = None,
    strict: bool = False,
    rules: Iterable[Op] = (),
    device: str | torch.device | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **named_inputs: Any,
) -> TrainingReport:
    """Analyse one training step of ``model``: forward, loss, backward and, if there is one, the optimizer's step.

    Torch's own autograd engine runs on stand-ins whose sizes are formulas, so that what is saved, added and freed, and when, is
    what eager torch saves, adds and frees. Nothing is computed, and no memory is allocated. Inputs, ``hints``, ``strict``,
    ``rules``, ``device`` and ``kwargs`` are those of :func:`analyze`; the model is taken in the mode it is in, under the
    caller's autocast and grad mode, and left as it was found. On ``device="cuda"`` attention is computed by the kernel that
    torch would choose there, dropout keeps boolean masks, and optimizers work on all parameters at once, as by default.

    ``loss(output, *targets)`` of the model's output and of ``targets`` (given as inputs are) is a tensor with one element;
    without it the model's own loss is taken if its output has one (``output.loss``), else the sum of all outputs that have a
    gradient. ``optimizer`` is a name (``"sgd"``, ``"adamw"``, ...) or takes the parameters and makes one. ``tracker``: bytes
    as a dispatch-mode memory tracker sees them; it keeps the engine from adding gradients in place, as plain eager does.

    ``step(model, *inputs, *targets)`` is a step of your own, with all that belongs to it: zeroed gradients, clipping, a
    gradient scaler, micro-batches, an average of weights. ``model`` is then whatever it takes, also a list or dict of
    models; further models and the optimizers are those that it names. It is done twice, as the first time makes states of
    optimizers; the second time counts.

    Raises:
        InputError: the inputs do not describe a call of the model, or nothing has a gradient.
        ShapeError: an op does not fit its operands (with the line and module of the model).
        DataDependentError: the model decides on the value of a tensor.
        UnsupportedError: the step does what stand-ins cannot follow.

    >>> step = training_step(torch.nn.Linear(5, 7), "B,5", optimizer="adamw")
    >>> step.forward_flops, step.backward_flops, step.gradient_bytes, step.optimizer_bytes
    (70*B, 70*B, 168, 344)
    >>> step.at(B=3).peak, step.at(B=3).step_peak.later
    (236, 792)
    """
    from fxcount.report.training import TrainingReport
    from fxcount.training.frontend import trace_own_step, trace_training
    from fxcount.training.step import step_of

    if step is not None and (loss is not None or optimizer is not None):
        raise InputError(
            "a step of your own has its own loss and optimizer", hint="give step=, or loss= and optimizer=, not both"
        )
    check_misspelt(model, named_inputs, _OPTIONS_OF_A_STEP)
    _check_options(model, hints, rules, kwargs, strict=strict, tracker=tracker)
    placed = _device(device, model)
    registry = _registry(rules)
    args, named = _parsed(inputs, named_inputs, kwargs)
    wanted = targets if isinstance(targets, (tuple, list)) and not _is_shape(targets) else (targets,)
    after = tuple([parse_inputs(t) for t in wanted])
    done = step_of(loss, optimizer)

    def analysed(
        model: Any, inputs: tuple[Any, ...], named_inputs: Mapping[str, Any], hints: Mapping[str, int] | None,
        done: Step = done,
    ) -> TrainingReport:  # fmt: skip
        traced = partial(trace_training, step=done) if step is None else partial(trace_own_step, step=step)
        found = traced(model, inputs, named_inputs, after, hints=hints, registry=registry, tracker=tracker, device=placed)
        report = TrainingReport(found, cost(found.trace, strict=strict))
        report.recipe = Recipe.of(model, inputs, named_inputs, hints, analysed, done if step is None else None)
        return report

    with _reporting():
        return analysed(model, args, named, hints)


def _is_shape(given: Any) -> bool:
    """Whether a tuple is one shape, as ``("B", 10)``, and not several targets."""
    return bool(given) and all(isinstance(n, int) or (isinstance(n, str) and n.isidentifier()) for n in given)


def _check_options(
    model: Any, hints: Any = None, rules: Any = (), kwargs: Any = None, **flags: Any
) -> None:
    """Complain about options that are none of their kind, which may be meant for the model."""
    for name, value in flags.items():
        check_flag(name, value, model)
    check_option("hints", hints, lambda v: v is None or isinstance(v, Mapping), "a dict from names to sizes", model)
    check_option("kwargs", kwargs, lambda v: v is None or isinstance(v, Mapping), "a dict of inputs by name", model)
    check_option("rules", rules, _is_rules, "a list of what fxcount.rule() gives", model)


def _device(given: Any, model: Any) -> torch.device | None:
    """The device of a word, as torch reads it, and with the number that tensors on it say."""
    try:
        found = None if given is None else torch.device(given)
        return found if found is None or found.type in ("cpu", "meta") else torch.device(found.type, found.index or 0)
    except (RuntimeError, TypeError):
        check_option("device", given, lambda v: False, 'a device of torch, as "cuda"', model)
        raise


def _is_rules(given: Any) -> bool:
    once = isinstance(given, Iterator)  # what is in it is seen only once, by the registry
    return once or (isinstance(given, (list, tuple, set, frozenset)) and all(isinstance(r, Op) for r in given))


def _is_progress(given: Any) -> bool:
    return given is None or isinstance(given, bool) or (callable(given) and not isinstance(given, torch.nn.Module))


def _registry(rules: Iterable[Op]) -> Registry:
    """The rules there are, with those of the user's before them."""
    own = tuple(rules)
    return Registry(own, base=REGISTRY) if own else REGISTRY


def _parsed(
    inputs: tuple[Any, ...], named: dict[str, Any], further: Mapping[str, Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named inputs as specifications."""
    return (
        tuple([parse_inputs(x) for x in inputs]),
        {name: parse_inputs(x) for name, x in _together(named, further).items()},
    )


def _together(named: dict[str, Any], further: Mapping[str, Any] | None) -> dict[str, Any]:
    twice = sorted(set(named) & set(further or {}))
    if twice:
        raise InputError(f"the input {twice[0]!r} is given twice", hint="give it by name or in kwargs={...}")
    return {**named, **(further or {})}


def find_unused_parameters(
    model: torch.nn.Module, /, *inputs: Any, outputs: str | Iterable[str] | None = None,
    hints: Mapping[str, int] | None = None, kwargs: Mapping[str, Any] | None = None, **named_inputs: Any,
) -> list[str]:  # fmt: skip
    """Names of the parameters that ask for a gradient and get none, without running the model.

    These are what ``DistributedDataParallel`` complains about ("Expected to have finished reduction"). ``outputs`` are
    the outputs the loss is made of, by key or position, ``"aux.0"`` for what is inside (default: all). A model in eval mode
    is looked at as in training, and left as it was. ``hints`` and ``kwargs`` are those of
    :func:`analyze`. The reasons are in ``analyze(...).params_for(outputs).rows("dead")``.

    Raises:
        InputError: the inputs do not describe a call of the model, or it has no such output.

    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.used, self.idle = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return self.used(x), self.idle(x).detach()
    >>> find_unused_parameters(Net(), "B,3")
    ['idle.weight', 'idle.bias']
    >>> find_unused_parameters(Net(), "B,3", outputs="1")
    ['used.weight', 'used.bias', 'idle.weight', 'idle.bias']
    """
    from fxcount.passes.modes import in_mode

    check_misspelt(model, named_inputs, ("outputs", "hints", "kwargs"))
    _check_options(model, hints, kwargs=kwargs)
    named = _together(named_inputs, kwargs)
    switched = in_mode(model, True) if isinstance(model, torch.nn.Module) and not model.training else nullcontext()
    with torch.enable_grad(), switched:  # the question is about training, whatever the caller's mode
        trace = trace_any(model, inputs, named, hints=hints, engine=_engine)
    reached = reach(trace, chosen_outputs(trace, outputs)).gradient
    return [
        d.names[0] for d in trace.declared if d.kind == "parameter" and d.requires_grad and d.names[0] not in reached
    ]


def compare_modes(
    model: torch.nn.Module,
    /,
    *inputs: Any,
    outputs: str | Iterable[str] | None = None,
    hints: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **named_inputs: Any,
) -> list[ModeRow]:
    """Every parameter in training and in eval mode: alive in both, in one of them, in none, and why.

    The model is traced once in each mode and left in the one it was in; arguments are those of
    :func:`find_unused_parameters`.

    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.head, self.aux = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return (self.head(x), self.aux(x)) if self.training else self.head(x)
    >>> [(row.name, row.state) for row in compare_modes(Net(), "B,3")][1:3]
    [('head.bias', 'in both modes'), ('aux.weight', 'only in training')]
    """
    from fxcount.passes.modes import compared, in_mode

    check_misspelt(model, named_inputs, ("outputs", "hints", "kwargs"))
    _check_options(model, hints, kwargs=kwargs)
    named = _together(named_inputs, kwargs)
    found = []
    with torch.enable_grad():
        for training in (True, False):
            with in_mode(model, training):
                found.append(parameters(trace_any(model, inputs, named, hints=hints, engine=_engine), outputs))
    return compared(*found)


def _engine(*args: Any, **options: Any) -> Trace:
    """Traces a forward that differentiates; imported when there is one."""
    from fxcount.training.forward import trace_forward

    return trace_forward(*args, **options)


def _progress(wanted: bool | Callable[[int], None] | None) -> Callable[[int], None] | None:
    if wanted is None or wanted is False:
        return None
    if callable(wanted):
        return wanted
    from fxcount.report.views.progress import Progress

    return Progress()


def rule(
    *callables: Callable[..., Any],
    shape: Callable[..., Any],
    cost: Callable[..., Work] | None = None,
    zero: str = "",
    **traits: Unpack[Traits],
) -> Op:
    """A rule for an op of your own, to be given to ``analyze(..., rules=[...])``.

    ``callables`` are the Python functions or ``torch.ops`` overloads through which models reach the op. ``shape`` is
    called as the op is, with the scope in front and :class:`~fxcount.ops.TensorFact` for tensors, and returns the
    fact(s) of the result. ``cost`` gets the result in front and returns :class:`~fxcount.ops.Work`; for an op
    without floating-point work give the reason in ``zero`` instead.

    ``callables`` may be classes of ``nn.Module`` instead: a call of such a module, of that very class and no subclass, is one
    op, and its forward is not looked into. Both rules then get, before the inputs, a :class:`~fxcount.ops.ModuleFact`: its
    settings and facts of its tensors, ``layer.out_features``, ``layer.weight``. Its parameters are counted and used as ever,
    and a gradient reaches them as it does the inputs; among the tensors of the call they come first.

    In a training step such a call saves its tensors, and a gradient passes. ``backward`` is the work of that, called as
    ``cost`` is; without it the step lists it among what it did not count.

    ``traits`` say what else passes ask of an op, and are the fields of :class:`~fxcount.ops.Op` of that name:
    ``differentiable=False`` (no gradient passes), ``random=True`` (its values are drawn), ``shape_only=(1,)`` (of the second
    tensor only the shape matters), ``one_to_one``, ``takes_values``, ``writes``, ``inplace``, ``kind``, ``activations``,
    ``temporaries``, ``counted``, ... An op has no trait by its name: one called ``linear`` is not torch's. A rule for a
    callable of torch has those of torch's op, unless it says otherwise.

    Raises:
        InputError: no callable is given, neither cost nor reason, or both; a module instead of its class, classes of modules
            and functions together.

    >>> from fxcount.ops import Work
    >>> relu = rule(torch.relu, shape=lambda scope, x: x, cost=lambda y, x: Work(flops=3 * x.numel))
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.relu(x)
    >>> analyze(Net(), "B,5", rules=[relu]).flops
    15*B
    >>> class Compiled(torch.nn.Linear):
    ...     def forward(self, x):
    ...         return my_extension.matmul(x, self.weight)
    >>> compiled = rule(
    ...     Compiled, shape=lambda scope, layer, x: x.new((*x.shape[:-1], layer.out_features)),
    ...     cost=lambda y, layer, x: Work(macs=y.numel * layer.in_features, flops=2 * y.numel * layer.in_features),
    ... )
    >>> report = analyze(torch.nn.Sequential(Compiled(5, 7), torch.nn.ReLU()), "B,5", rules=[compiled])
    >>> report.macs, report.params.total, report.params.dead
    (35*B, 42, 0)
    """
    _check_callables(callables)
    if (cost is None) == (not zero):
        raise InputError("rule() needs either a cost or, for an op without work, the reason in zero=")
    name = getattr(callables[0], "__name__", str(callables[0]))
    counted = cost if cost is not None else Zero(zero, moves=True)
    overridden = REGISTRY.get(callables[0])
    if overridden is None:
        return Op(name, shape, counted, (), tuple(callables), **traits)
    traits.setdefault("sizes_at", None)  # the user's rule is called as the op is
    return replace(
        overridden, name=name, shape=shape, cost=counted, names=(), extra=tuple(callables),
        overrides=overridden.overrides or overridden, **traits,
    )  # fmt: skip


def _check_callables(callables: tuple[Any, ...]) -> None:
    if not callables:
        raise InputError("rule() needs the callable(s) it is for")
    for found in callables:
        if isinstance(found, torch.nn.Module):
            name = type(found).__name__
            raise InputError(f"rule() was given a module, {name}(...)", hint=f"give its class: rule({name}, ...)")
        if found is torch.nn.Module:
            raise InputError("rule() was given nn.Module itself, of which no layer is", hint="give the class of the layer")
        if not callable(found):
            raise InputError(
                f"rule() was given {found!r}, which nothing can call", hint="give functions, ops or classes of modules"
            )
    classes = [isinstance(found, type) and issubclass(found, torch.nn.Module) for found in callables]
    if any(classes) and not all(classes):
        raise InputError(
            "rule() was given functions and classes of modules together",
            hint="a rule for modules gets the module as well: write two",
        )
