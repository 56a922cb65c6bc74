"""What is saved is loaded again, equal: reports, training steps, curves, pieces, comparisons, generations."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import AssumptionError, FxcountError, InputError
from fxcount.report.family import Pieces
from fxcount.report.graphs import schema


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
