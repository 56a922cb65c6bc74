"""What is saved is loaded again, equal: reports, training steps, curves, pieces, comparisons, generations."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from benchmarks.depth import Resized
from fxcount.errors import AssumptionError, FxcountError, InputError
from fxcount.report.family import Pieces
from fxcount.report.graphs import schema
from fxcount.symbolic import SharedTexts


class Decides(nn.Module):
    """One piece for short sequences, one for long ones; it refuses 13."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == 13:
            raise ValueError("thirteen is none")
        return x @ x.mT if x.shape[1] > 8 else x + 1


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.drop, self.out = nn.LSTM(5, 7, num_layers=2), nn.Dropout(0.1), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.utils.checkpoint.checkpoint(self.out, self.drop(self.lstm(x)[0]), use_reentrant=False)  # type: ignore[no-any-return]


def _net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)
    )


class Deep(nn.Module):
    """Sizes nested in one another: what a stride of 2 rounds is tripled, over and over."""

    def __init__(self, depth: int = 12) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = nn.functional.interpolate(conv(x), scale_factor=3)
        return x


DEEP = Deep()
DECIDES = Decides()


def _decided() -> fxcount.Report:
    report = fxcount.analyze(DECIDES, "B,S,5", hints={"S": 16})
    report.at(B=2, S=3)
    return report


def _own_step() -> fxcount.TrainingReport:
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(model: Any, x: Any) -> None:
        optimizer.zero_grad()
        (model(x).sum() / 2).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return fxcount.training_step(net, "B,3,33,33", step=step)


MADE: dict[str, Callable[[], Any]] = {
    "report": lambda: fxcount.analyze(_net(), "B,3,H,W"),
    "report of two pieces": _decided,
    "report at some sizes": lambda: fxcount.analyze(_net(), "B,3,H,W").at(B=2),
    "report at all sizes": lambda: fxcount.analyze(_net(), "B,3,H,W").at(B=2, H=33, W=41),
    "step": lambda: fxcount.training_step(_net(), "B,3,H,W"),
    "step with an optimizer": lambda: fxcount.training_step(_net(), "B,3,H,W", optimizer="adamw"),
    "step at all sizes": lambda: fxcount.training_step(_net(), "B,3,H,W", optimizer="sgd").at(B=2, H=33, W=41),
    "step of recurrent layers": lambda: fxcount.training_step(Recurrent(), "S,B,5", optimizer="momentum"),
    "step of one's own": _own_step,
    "step of a tracker": lambda: fxcount.training_step(_net(), "B,3,33,33", tracker=True),
    "report of a deep model": lambda: fxcount.analyze(DEEP, "B,3,H,W"),
    "report of symbols named as in tables": lambda: fxcount.analyze(DEEP, "B,3,h1,H1"),
    "step of a deep model": lambda: fxcount.training_step(Deep(8), "B,3,H,W", optimizer="sgd"),
    "curve of a deep model": lambda: fxcount.analyze(DEEP, "B,3,H,W").curve(H=range(90, 100), W="H", B=1),
    "pieces of a deep model": lambda: fxcount.analyze(DEEP, "B,3,H,H").pieces(H=(90, 120), B=(1, 8)),
    "comparison of deep models": lambda: fxcount.compare(DEEP, Deep(11), "B,3,H,W"),
    "curve": lambda: fxcount.analyze(_net(), "B,3,H,W").curve(H=range(1, 60, 7), W="H", B=1),
    "curve of pieces": lambda: _decided().curve(B=[1, 2], S=range(5, 15)),
    "pieces": lambda: _decided().pieces(B=(1, 64), S=(1, 512)),
    "comparison": lambda: fxcount.compare(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), nn.Sequential(nn.Linear(3, 7)), "B,3"),
    "comparison of equals": lambda: fxcount.compare(nn.Linear(3, 5), nn.Linear(3, 5), "B,3"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_what_is_saved_is_loaded(name: str) -> None:
    made = MADE[name]()
    text = made.to_json()
    loaded = fxcount.load(text)
    assert type(loaded) is type(made)
    assert loaded == made
    if not isinstance(made, fxcount.Comparison):  # which holds dicts
        assert hash(loaded) == hash(made)
    assert loaded.to_json() == text
    assert str(loaded) == str(made)
    assert fxcount.load(json.loads(text)) == made


@pytest.mark.skipif(importlib.util.find_spec("jsonschema") is None, reason="jsonschema is not installed")
@pytest.mark.parametrize("name", MADE)
def test_one_schema_describes_them_all(name: str) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema())
    data = json.loads(MADE[name]().to_json())
    assert not [error.message for error in validator.iter_errors(data)]
    for key in ("fxcount", {"report": "report", "step": "report"}.get(name.split()[0], "")):
        if key:
            assert list(validator.iter_errors({k: v for k, v in data.items() if k != key}))


def test_a_loaded_step_is_the_step() -> None:
    """Also at sizes that were not asked for before: totals, peaks, places, rows, what is held."""
    for name in ("step with an optimizer", "step of recurrent layers"):
        made = MADE[name]()
        loaded = fxcount.load(made.to_json())
        assert loaded.formulas() == made.formulas()
        sizes = {symbol: 7 + 2 * i for i, symbol in enumerate(made.symbols)}
        one, two = loaded.at(**sizes), made.at(**sizes)
        for what in ("forward_flops", "backward_flops", "saved_bytes", "gradient_bytes", "optimizer_bytes", "forward_peak",
                     "peak", "step_peak", "total_peak", "peak_place", "total_peak_place", "timeline", "phases"):  # fmt: skip
            assert getattr(one, what) == getattr(two, what), what
        assert one.held() == two.held()
        assert one.by_module() == two.by_module()
        assert one.table() == two.table()
        assert one.params.rows("dead") == two.params.rows("dead")
        assert one.count("torch") == two.count("torch")
        with pytest.raises(FxcountError, match="without the model"):
            loaded.what_if(freeze="*")


def test_a_step_is_pickled_and_copied() -> None:
    step = MADE["step with an optimizer"]()
    again = pickle.loads(pickle.dumps(step))
    assert again == step
    assert again.at(B=3, H=33, W=41).total_peak == step.at(B=3, H=33, W=41).total_peak
    assert copy.deepcopy(step) is step
    assert step != step.at(B=3)
    assert step != fxcount.analyze(_net(), "B,3,H,W")


def test_other_results_are_others() -> None:
    made = {name: make() for name, make in MADE.items()}
    for name, one in made.items():
        assert [other for other, two in made.items() if one == two] == [name]


def test_pieces_come_along() -> None:
    report = _decided()
    loaded = fxcount.load(report.to_json())
    assert loaded.at(B=3, S=5).macs == 0
    assert loaded.at(B=3, S=11).macs == 3 * 11 * 11 * 5
    with pytest.raises(AssumptionError):
        loaded.at(B=1, S=13)
    pieces = fxcount.load(report.pieces(B=(1, 64), S=(1, 512)).to_json())
    assert pieces.macs == report.pieces(B=(1, 64), S=(1, 512)).macs


def test_a_generation_is_saved() -> None:
    transformers = pytest.importorskip("transformers")
    import fxcount.adapters.torchvision_ops

    config = transformers.GPT2Config(n_embd=24, n_layer=2, n_head=3, vocab_size=29)
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(config)
    made = fxcount.generation(model)
    loaded = fxcount.load(made.to_json())
    assert loaded == made
    assert loaded != made.at(B=1)
    assert loaded.at(B=2, P=7, N=5).total == made.at(B=2, P=7, N=5).total
    assert str(loaded) == str(made)


def test_files(tmp_path: Path) -> None:
    """``to_json`` takes a path as the other formats do, or an indent."""
    for name in ("report", "step", "curve", "pieces", "comparison"):
        made, path = MADE[name](), tmp_path / f"{name}.json"
        assert made.to_json(path) == path.read_text("utf-8") == made.to_json()
        assert fxcount.load(path) == fxcount.load(str(path)) == made
        assert made.to_json(1) == made.to_json(indent=1) != made.to_json()


def test_a_report_is_asked_for_where_there_is_another() -> None:
    with pytest.raises(InputError, match="holds a Curve, and not a Report"):
        fxcount.compare(json.loads(MADE["curve"]().to_json()), nn.Linear(3, 5), "B,3")


def test_pieces_are_pieces() -> None:
    assert isinstance(fxcount.load(MADE["pieces"]().to_json()), Pieces)


def test_what_deep_formulas_share_is_written_once() -> None:
    """Formulas of a net of depth 24 are no longer than the rest of its file; the names of the table are no symbols."""
    for model in (Resized(24, 2), Resized(24, 3)):
        symbolic, numbers = (fxcount.analyze(model, spec) for spec in ("B,3,H,W", "1,3,1021,1019"))
        assert len(symbolic.to_graph_json()) < len(numbers.to_graph_json()) + 100_000
        assert len(symbolic.to_json()) < len(numbers.to_json()) + 150_000
    data = json.loads(fxcount.analyze(DEEP, "B,3,h1,H1").to_json())
    names = [name for name, _ in data["where"]]
    assert len(set(names)) == len(names) > 3
    assert not {"B", "h1", "H1"} & set(names)
    assert "where" not in json.loads(fxcount.analyze(_net(), "B,3,H,W").to_json())


def test_the_table_of_names_suffices_to_read_a_formula() -> None:
    """As another program would do it: in Python, from the text alone."""
    report = fxcount.analyze(DEEP, "B,3,H,W")
    data = json.loads(report.to_json())
    known: dict[str, Any] = {"B": 3, "H": 1013, "W": 1019, "floor": lambda x: x.numerator // x.denominator}
    known["ceil"] = lambda x: -(-x.numerator // x.denominator)

    def value(text: str) -> int:
        exact = {n: Fraction(v) if isinstance(v, int) else v for n, v in known.items()}
        return int(eval(text, {"__builtins__": {}}, exact))

    for name, text in data["where"]:
        known[name] = value(text)
    at = report.at(B=3, H=1013, W=1019)
    assert value(data["totals"]["macs"]) == at.macs
    assert value(data["totals"]["flops"]) == at.flops


def test_a_file_of_version_2_is_read() -> None:
    """Written by the last version of fxcount whose formulas each stand by themselves."""
    old = Path(__file__).parent / "saved_version_2.json"
    loaded = fxcount.load(old)
    model = Deep(7)
    fresh = fxcount.analyze(model, "B,3,H,W")
    assert loaded.macs == fresh.macs
    assert loaded.at(B=3, H=1013, W=1019).to_dict()["totals"] == fresh.at(B=3, H=1013, W=1019).to_dict()["totals"]
    assert json.loads(loaded.to_json())["fxcount"]["schema"] == 3


def _table(rows: Any, macs: str = "c1") -> dict[str, Any]:
    data: dict[str, Any] = json.loads(fxcount.analyze(nn.Linear(3, 5), "B,3").to_json())
    data["where"] = rows
    data["report"]["signatures"][0]["cost"][0] = macs
    return data


def test_a_table_of_names_is_read() -> None:
    assert fxcount.load(_table([["c1", "floor(B/2)"], ["c2", "floor(7*c1/3)"]], "c2 + 1")).at(B=8).macs == 10


@pytest.mark.parametrize(
    "rows",
    [
        7, {}, [["c1"]], [["c1", 7]], [["c1", "floor(B/2)", "B"]], [["c1", "7"]], [["c1", "B - B"]],
        [["c1", "floor(B/2)"], ["c1", "floor(B/3)"]], [["c 1", "floor(B/2)"]],
        [["self", "floor(B/2)"]], [["c1", "floor(B/0)"]], [["c1", "__import__('os')"]], [["c1", "floor(B/2)"]] * 2,
        [["c1", "floor((a+b+c+d+e)**40/7)"]],
        [["c0", "floor((B + 1)/7)"], *[[f"c{i}", f"floor((3*c{i - 1} + (a+b+c+d+e+f)**12)/7)"] for i in range(1, 400)]],
        [["c1", "floor(B/2)"], *[[f"c{i}", f"floor(c{i - 1}**1000/7)"] for i in range(2, 40)]],
        [["c1", "(" * 9000]], [["c" * 100_000, "floor(B/2)"]],
    ],
    ids=lambda rows: str(rows)[:30],
)  # fmt: skip
def test_a_table_of_names_that_is_none(rows: Any) -> None:
    started = time.perf_counter()
    with pytest.raises(InputError):
        fxcount.load(_table(rows))
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("view", ["to_json", "to_graph_json"])
def test_a_formula_is_written_once_whatever_the_depth(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, text = [], SharedTexts.text
    monkeypatch.setattr(SharedTexts, "text", lambda texts, size: written.append(size) or text(texts, size))

    def asked(layers: int) -> int:
        report = fxcount.analyze(nn.Sequential(*[nn.Linear(7, 7) for _ in range(layers)]), "B,7")
        written.clear()
        getattr(report, view)()
        return len(written)

    assert 0 < asked(40) <= asked(5)  # totals are other numbers, and as many
