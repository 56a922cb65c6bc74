"""The exact work of a trace by the terms that formulas of frameworks have: which weights are multiplied, and what else is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from fxcount.dataclass import dataclass
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.symbolic import Size, sum_
from fxcount.trace.tape import Call, State

__all__ = ["TERMS", "Sorted", "Weights", "Work", "weights_of", "work_of"]

TERMS = (
    "embedding", "positions", "projections", "feed-forward", "experts", "vectors", "logits", "attention", "other products",
    "towers",
)  # fmt: skip
"""``vectors``: weights in no product: biases, norms, decays; ``towers``: all outside the decoder and its head, as a vision
tower; ``other products`` of activations: a scan's, and angles of positions."""


@dataclass(frozen=True)
class Weights:
    """Elements of parameters by term, each tensor once; of those that are ``nn.Embedding``'s; of vectors ``inside`` mixers and
    feed-forwards, which are not a layer's own norms; of the last norm; whether the head is the table of tokens."""

    numel: Mapping[str, int]
    tables: Mapping[str, int]
    inside: int
    last_norm: int
    tied: bool


@dataclass(frozen=True)
class Work:
    """FLOPs of contractions by term; of the attention of each layer that has one, in order, and of its forward alone: fused
    kernels compute the scores again in the backward. ``causal``: no layer says that it looks ahead."""

    terms: Mapping[str, Size]
    attention: tuple[Size, ...]
    forward_attention: tuple[Size, ...]
    causal: bool

    @property
    def total(self) -> Size:
        return sum_(self.terms.values())


class Sorted:
    """The products of a trace and the parameters of its model by term; ``length`` is that of the sequences in the trace."""

    def __init__(self, report: ReportData, model: nn.Module, length: Size) -> None:
        self.report, self.model = report, model
        self.trace = report.trace
        self.calls = _forward(report)
        self.paths = [m.path for m in self.trace.modules]
        costs = report.costs
        self.products = [c for c in self.calls if costs.of(c).macs != 0]
        self.weights = {s.value.storage: s for s in self.trace.states if s.value.origin == "parameter"}
        self.held = self._with_converted()
        self.decoder, self.head = _parts(model)
        own = [c for c in self.products if not self._weight_of(c)]
        self.attending = {self.path(c) for c in own if c.op.kind == "attention" or _scores(c, length)}
        scans = {self.path(c) for c in own} - self.attending - {""}
        self.mixers = {path for path in self.attending | scans if self._inside(path)}

    def _with_converted(self) -> dict[int, State]:
        """Storages of weights, and of those in another dtype or layout that are computed of one alone."""
        found = dict(self.weights)
        for call in self.calls:
            if len(call.operands) == len(call.outputs) == 1 and call.operands[0].storage in found:
                state, result = found[call.operands[0].storage], call.outputs[0]
                if result.fact.numel == state.value.fact.numel:
                    found[result.storage] = state
        return found

    def path(self, call: Call) -> str:
        return self.paths[call.module] if call.module >= 0 else ""

    def _inside(self, name: str) -> bool:
        return not self.decoder or _below(name, self.decoder) or _below(name, self.head)

    def _weight_of(self, call: Call) -> str:
        """The name of the matrix that a product takes."""
        found = [self.held[o.storage] for o in call.operands if o.storage in self.held]
        return next((s.names[0] for s in found if len(s.value.fact.shape) > 1), "")

    def term_of_call(self, call: Call, terms: Mapping[str, str]) -> str:
        name = self._weight_of(call)
        path = self.path(call)
        if self.head and _below(path, self.head):
            return "logits"
        if name:
            return terms[name]
        if not self._inside(path):
            return "other products" if not path or _below(self.decoder, path) else "towers"
        return "attention" if path in self.attending else "other products"

    def terms(self) -> dict[str, str]:
        """The term of each parameter, by its first name."""
        multiplied = {self._weight_of(c) for c in self.products}
        looked_up = [(c.operands[c.op.looks_up[0]], c.operands[c.op.looks_up[1]]) for c in self.calls if c.op.looks_up]
        read_names = {self.weights[t.storage].names[0] for t, _ in looked_up if t.storage in self.weights}
        tokens = self.token_table()
        found = {}
        for state in self.weights.values():
            found[state.names[0]] = self._term(state.names, multiplied, read_names, tokens)
        for name, _ in self.model.named_parameters():  # what the forward does not touch
            if not any([name in s.names for s in self.weights.values()]):
                found[name] = self._term((name,), multiplied, read_names, tokens)
        return found

    def token_table(self) -> str:
        """The name of the table in which tokens are looked up: the model says, or else it is the first to be asked with an
        input."""
        named = _token_table(self.model)
        if named:
            return named
        given = {v.storage for v in self.trace.inputs}
        for call in self.calls:
            if call.op.looks_up is not None and call.operands[call.op.looks_up[1]].storage in given:
                state = self.weights.get(call.operands[call.op.looks_up[0]].storage)
                if state is not None:
                    return state.names[0]
        return ""

    def _term(self, names: tuple[str, ...], multiplied: set[str], read: set[str], tokens: str) -> str:
        name = names[0]
        if self.head and any([_below(n, self.head) for n in names]) and name in multiplied:
            return "logits"
        if not self._inside(name):
            return "towers"
        if tokens in names:
            return "logits" if name in multiplied else "embedding"
        if name in read:
            return "positions"
        if "experts" in name.split("."):
            return "experts"
        if name not in multiplied:
            return "vectors"
        return "projections" if any([_below(name, path) for path in self.mixers]) else "feed-forward"


def weights_of(found: Sorted) -> tuple[Weights, dict[str, str]]:
    """Elements of a model's parameters by term, and the term of each parameter."""
    terms, model = found.terms(), found.model
    modules = dict(model.named_modules())
    numel, tables = dict.fromkeys(TERMS, 0), dict.fromkeys(TERMS, 0)
    inside = last = 0
    for name, p in model.named_parameters():
        term = terms[name]
        owner = name.rpartition(".")[0]
        numel[term] += p.numel()
        if isinstance(modules[owner], nn.Embedding):
            tables[term] += p.numel()
        if term == "vectors":
            above = owner.rpartition(".")[0]
            in_layer = any([part.isdigit() for part in above.split(".")])
            own_norm = above.rpartition(".")[2].isdigit() and not any(True for _ in modules[owner].children())
            inside += p.numel() if in_layer and not own_norm else 0
            last += p.numel() if above == found.decoder else 0
    tied = terms.get(found.token_table()) == "logits"
    return Weights(numel, tables, inside, last, tied), terms


def work_of(found: Sorted, terms: Mapping[str, str]) -> Work:
    """What forward, and of a training step backward, multiply, by term."""
    report, costs = found.report, found.report.costs
    term_of = {call.index: (found.term_of_call(call, terms), found.path(call)) for call in found.products}
    parts: dict[str, list[Call]] = {term: [] for term in TERMS}
    layers: dict[str, list[Call]] = {}
    for call, forward in _counted(report):
        if costs.of(call).macs == 0:
            continue
        term, path = term_of.get(forward, ("", ""))
        if not term:
            term, path = found.term_of_call(call, terms), found.path(call)
        parts[term].append(call)
        if term == "attention":
            layers.setdefault(path, []).append(call)
    alone = {c.index for c in found.calls}
    ahead = [[c for c in calls if c.index in alone] for calls in layers.values()]
    flops = {term: report.size(2 * costs.sum(calls).macs) for term, calls in parts.items()}
    each, forward_each = ([report.size(2 * costs.sum(calls).macs) for calls in kept] for kept in (layers.values(), ahead))
    modules = dict(found.model.named_modules())
    causal = all([getattr(modules.get(path), "is_causal", True) is not False for path in layers])
    return Work(flops, tuple(each), tuple(forward_each), causal)


def _scores(call: Call, length: Size) -> bool:
    """Whether a product has a row and a column for each token: scores of queries and keys."""
    return any([len(v.fact.shape) > 2 and v.fact.shape[-1] == v.fact.shape[-2] == length for v in call.outputs])


def _forward(report: ReportData) -> list[Call]:
    calls = report.trace.calls
    if isinstance(report, TrainingData):
        return [c for p in report.step.of("forward") for c in calls[p.calls.start : p.calls.stop]]
    return list(calls)


def _counted(report: ReportData) -> Iterable[tuple[Call, int]]:
    """The calls of forward and backward, each with the call of the forward that it belongs to."""
    calls = report.trace.calls
    if not isinstance(report, TrainingData):
        return [(c, c.index) for c in calls]
    phases = report.step.of("forward", "backward")
    of = report.step.backward_of
    return [(c, of.get(c.index, c.index)) for p in phases for c in calls[p.calls.start : p.calls.stop]]


def _below(name: str, path: str) -> bool:
    return bool(path) and (name == path or name.startswith(f"{path}."))


def _parts(model: nn.Module) -> tuple[str, str]:
    """Paths of the decoder and of the head; of a model that names none of its own the decoder is all of it."""
    names = {id(m): path for path, m in model.named_modules()}

    decoder, head = (names.get(id(_asked(model, name)), "") for name in ("get_decoder", "get_output_embeddings"))
    return decoder, head


def _asked(model: nn.Module, name: str) -> Any:
    """What a method of transformers' models gives, or ``None``."""
    get: Any = getattr(model, name, None)
    try:
        return get() if get is not None else None
    except (AttributeError, NotImplementedError):
        return None


def _token_table(model: nn.Module) -> str:
    """The name of the table in which tokens are looked up."""
    weight = getattr(_asked(model, "get_input_embeddings"), "weight", None)
    return next((name for name, p in model.named_parameters() if p is weight), "")
