"""The claims of frameworks beside the exact FLOPs of a report, and the terms in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError, InputError
from fxcount.report.claims.architecture import Architecture, Reach, architecture_of
from fxcount.report.claims.exact import Sorted, Work, weights_of, work_of
from fxcount.report.claims.formulas import FORMULAS, Formula, Pairs, Situation
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.report.views.units import count_text
from fxcount.symbolic import Size, floordiv, min_, prod, sum_
from fxcount.trace.tape import Value
from fxcount.wording import visible

__all__ = ["REASONS", "Claim", "Claims", "Term", "claims_of", "reason"]

_PAIRS: Mapping[Pairs, str] = {
    "none": "attention is left out",
    "all": "pairs of a query and a key are left out",
    "half": "pairs of a query with later keys, which a causal mask hides and the code multiplies, are left out",
    "window": "pairs outside of a window, which a mask hides and the code multiplies, are left out",
}
REASONS: Mapping[str, tuple[str, str]] = {
    "embedding": ("the table of tokens is counted, and a look-up multiplies nothing", "the table of tokens is multiplied"),
    "positions": ("the table of positions is counted, and a look-up multiplies nothing", "positions are multiplied"),
    "projections": (
        "as many heads of keys and values as of queries are counted (GQA), full instead of latent widths (MLA), or attention "
        "in layers that have none",
        "projections are counted narrower than they are, or those of layers without attention, or what a convolution does over "
        "its padding, is left out",
    ),
    "feed-forward": (
        "feed-forwards are counted in layers that have experts instead, or of another width",
        "the third matrix of a gated feed-forward, a router, or an expert that always runs is left out",
    ),
    "experts": (
        "experts that a token is not sent to (MoE), or their biases, are counted",
        "experts that run are left out: all, or those that the code runs for every token",
    ),
    "vectors": ("biases, norms and decays are counted as if they were matrices", "vectors are multiplied"),
    "logits": ("the vocabulary is padded", "the product with the vocabulary is left out"),
    "attention: pairs": ("more pairs of a query and a key are counted than are multiplied", ""),
    "attention: widths": (
        "heads are counted wider than they are, or in layers that have no attention",
        "heads are counted narrower than they are: hidden size over heads, or without the rotated part",
    ),
    "attention: again": ("", "a fused kernel computes the scores again in the backward, which is no work of the model's"),
    "other products": ("a scan is counted for more than its products", "a scan, or angles of positions, are left out"),
    "towers": (
        "weights of other towers are counted for every token",
        "other towers, as of vision, are left out, or see more than tokens",
    ),
    "softmax": ("arithmetic of the softmax is counted, which is no product", ""),
    "MTP": ("layers that predict further tokens (MTP) are counted, and the model is built without them", ""),
}
"""Why a claim says more, and why less, by term."""


def reason(term: str, over: bool, pairs: Pairs | None = None) -> str:
    """Why a claim with these pairs of attention, or any, is ``over`` or under in a term."""
    if term == "attention: pairs" and not over:
        return _PAIRS[pairs] if pairs else "; or ".join(dict.fromkeys(_PAIRS.values()))
    return REASONS[term][0 if over else 1]


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the work: FLOPs that are ``claimed``, and FLOPs that are done (``exact``)."""

    name: str
    claimed: Any
    exact: Any

    @property
    def off(self) -> Any:
        """FLOPs by which the claim is above."""
        return self.claimed - self.exact


@dataclass(frozen=True, slots=True)
class Claim:
    """What a framework says. ``terms`` add up to ``flops`` and to the exact number; those that are not equal are in
    :attr:`differences`."""

    formula: Formula
    flops: Any
    exact: Any
    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        return self.formula.name

    @property
    def differences(self) -> tuple[Term, ...]:
        """The terms in which it differs from what is done."""
        return tuple([t for t in self.terms if t.off != 0])

    @property
    def off(self) -> Any:
        """FLOPs by which the claim is above what is done."""
        return self.flops - self.exact

    def why(self, term: Term) -> str:
        """The reason for a difference.

        Raises :class:`TypeError` while the term is a formula of which the sign is not known."""
        return reason(term.name, term.off > 0, self.formula.pairs)


@dataclass(frozen=True)
class Claims:
    """FLOPs of contractions of a report, and what frameworks claim them to be.

    ``exact`` is what the model's code multiplies, masked pairs of attention included; ``unmasked`` leaves out pairs that a
    causal mask, a window or a chunk hides (``None`` if the architecture is not known). ``silent`` names the formulas that say
    nothing of such a model. Numbers, or formulas while sizes are symbols.
    """

    model: str
    training: bool
    tokens: Any
    exact: Any
    unmasked: Any
    rows: tuple[Claim, ...]
    silent: tuple[str, ...]
    architecture: Architecture | None

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Claim:
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            known = ", ".join([row.name for row in self.rows])
            raise InputError(f"there is no claim {name!a}", hint=f"there are {known}")
        return found

    def __str__(self) -> str:
        if not isinstance(self.exact, int):
            lines = [f"{visible(self.model)}: {self.exact} FLOPs of contractions"]
            return "\n".join([*lines, *[f"  {row.name:<14}{row.flops}" for row in self.rows]])
        kind = "a training step" if self.training else "a forward"
        lines = [f"{visible(self.model)}, {kind} of {self.tokens:,} tokens"]
        lines += [f"  {'multiplied':<14}{count_text(self.exact):>12}FLOPs  {self._each(self.exact)}"]
        if self.unmasked is not None:
            part = f"{self.unmasked / self.exact - 1:+.1%}" if self.exact else ""
            lines += [f"  {'unmasked':<14}{count_text(self.unmasked):>12}FLOPs  {self._each(self.unmasked)}  {part}"]
        lines += ["", *[line for row in self.rows for line in self._lines(row)]]
        return "\n".join([*lines, *([f"  no claim: {', '.join(self.silent)}"] if self.silent else [])])

    def _each(self, flops: int) -> str:
        return f"{count_text(flops // self.tokens)} for each token"

    def _lines(self, row: Claim) -> Iterator[str]:
        share = f"{row.off / self.exact:+.1%}" if self.exact else ""
        yield f"  {row.name:<14}{count_text(row.flops):>12}FLOPs  {share:>8}  {row.formula.text}"
        for term in sorted(row.differences, key=lambda t: -abs(t.off)):
            part = f"{term.off / self.exact:+.2%}" if self.exact else ""
            yield f"      {part:>9}  {term.name}: {row.why(term)}"


def claims_of(report: ReportData, architecture: Architecture | None = None) -> Claims:
    """:meth:`fxcount.TrainingReport.claims` and :meth:`fxcount.Report.claims`."""
    model = report.recipe.present() if report.recipe is not None else None
    if model is None or not hasattr(model, "named_modules"):
        raise AssumptionError("the report has no model: it is of a file", hint="analyse the model itself")
    tokens = _tokens(report)
    traced = tokens.fact.shape[-1]
    found = Sorted(report, model, traced)
    weights, terms = weights_of(found)
    work = work_of(found, terms)
    if architecture is None and hasattr(model, "config"):
        named = [(name, tuple(p.shape)) for name, p in model.named_parameters()]
        architecture = architecture_of(model.config, named)
    length = report.size(traced)
    situation = Situation(architecture, weights, length)
    count = report.size(prod(tokens.fact.shape))
    times = 3 if isinstance(report, TrainingData) else 1
    rows, silent = [], []
    for formula in FORMULAS.values():
        said = formula.forward(situation)
        if said is None:
            silent.append(formula.name)
            continue
        scaled = {term: times * count * per_token for term, per_token in said.items()}
        rows.append(_claim(report, formula, scaled, work, situation))
    public = report.public
    hidden = _hidden(work, architecture, length)
    unmasked = None if hidden is None else public(work.total - hidden)
    name, total = report.trace.model_name, public(work.total)
    return Claims(name, times == 3, public(count), total, unmasked, tuple(rows), tuple(silent), architecture)


def _tokens(report: ReportData) -> Value:
    """The numbers of tokens among the inputs."""
    found = [v for v in report.trace.inputs if not v.fact.dtype.is_floating_point and len(v.fact.shape) == 2]
    if not found:
        raise InputError("no input has the numbers of tokens", hint="claims are made of language models: i64[B,S]")
    return found[0]


def _claim(report: ReportData, formula: Formula, claimed: Mapping[str, Size], work: Work, situation: Situation) -> Claim:
    names = dict.fromkeys([*work.terms, *claimed])
    public = report.public
    terms = []
    for name in names:
        said, done = claimed.get(name, 0), work.terms.get(name, 0)
        if name != "attention":
            terms.append(Term(name, public(said), public(done)))
            continue
        once = _once(report, work)
        pairs = _of_pairs(formula, once, _reaches(work, situation.architecture), situation.length)
        terms.append(Term("attention: pairs", public(pairs), public(sum_(once))))
        terms.append(Term("attention: widths", public(said - pairs), 0))
        terms.append(Term("attention: again", 0, public(done - sum_(once))))
    return Claim(formula, public(sum_(claimed.values())), public(work.total), tuple(terms))


def _once(report: ReportData, work: Work) -> list[Size]:
    """The attention of each layer if nothing is computed again: of a step three times the forward's."""
    return [3 * flops for flops in work.forward_attention] if isinstance(report, TrainingData) else list(work.attention)


def _of_pairs(formula: Formula, layers: Sequence[Size], reaches: Sequence[Reach] | None, length: Size) -> Size:
    """The model's own attention with as many pairs as a formula counts."""
    if formula.pairs == "none":
        return 0
    if formula.pairs == "half":
        return floordiv(sum_(layers), 2)
    if formula.pairs == "all" or reaches is None:
        return sum_(layers)
    seen = [min_(r.size, length) if r.kind == "window" else length for r in reaches]
    return sum_([floordiv(flops * n, length) for flops, n in zip(layers, seen, strict=True)])


def _reaches(work: Work, architecture: Architecture | None) -> tuple[Reach, ...] | None:
    """What each layer that attends lets a token see; ``None`` if that is not known."""
    if architecture is None or len(architecture.attention) != len(work.attention):
        return None
    return architecture.attention


def _hidden(work: Work, architecture: Architecture | None, length: Size) -> Size | None:
    """FLOPs of pairs that masks hide."""
    reaches = _reaches(work, architecture)
    if reaches is None:
        return None
    if not work.causal:
        return 0 if all([r.kind == "full" for r in reaches]) else None
    seen = [
        floordiv(flops * r.twice_the_pairs(length), 2 * length * length)
        for flops, r in zip(work.attention, reaches, strict=True)
    ]
    return work.terms["attention"] - sum_(seen)
