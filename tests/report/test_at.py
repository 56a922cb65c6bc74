"""``at()`` at every size a model takes: inside the piece, outside of it, at some of the sizes, and where there is no answer.

Numbers are torch's own (its counter on meta, afresh) or written derivations; sizes are not the hints.
"""

from __future__ import annotations

import gc
import importlib
import json
import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import AssumptionError, RefusedError, SizeError
from fxcount.report.data.family import MOST_PIECES
from tests.zoo import CASES, inputs

WIDTH = 5


class Net(nn.Module):
    """Above 8 tokens a product of S x S per batch, up to 8 an addition; 13 tokens it does not take."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == 13:
            raise ValueError("no thirteen")
        return x @ x.mT if x.shape[1] > 8 else self.linear(x)


def macs(batch: int, tokens: int) -> int:
    """By definition of the two products."""
    return batch * tokens * tokens * WIDTH if tokens > 8 else batch * tokens * WIDTH * WIDTH


@pytest.fixture
def model() -> Net:
    return Net()


@pytest.fixture
def report(model: Net) -> fxcount.Report:
    return fxcount.analyze(model, f"B,S,{WIDTH}", hints={"S": 16})


# -- outside of the piece -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("batch", "tokens"), [(1, 1), (3, 7), (2, 8), (1, 9), (7, 1021)])
def test_every_size_is_answered(model: Net, report: fxcount.Report, batch: int, tokens: int) -> None:
    found = report.at(B=batch, S=tokens)
    assert found.macs == macs(batch, tokens)
    assert bool(found.piece.because) == (tokens <= 8)
    assert found.at(B=3, S=7).macs == macs(3, 7)
    assert found.at(B=3, S=11).macs == macs(3, 11)  # a copy has the whole family, the first piece too


def test_the_result_says_which_piece_answered(model: Net, report: fxcount.Report) -> None:
    other = report.at(B=3, S=7)
    assert other.piece.hints == {"B": 3, "S": 7}
    assert [str(a) for a in other.piece.assumptions] == ["S != 13", "S <= 8"]
    line = f"test_at.py:{Net.forward.__code__.co_firstlineno + 3}"
    for text in (repr(other), str(other), str(other.piece)):
        assert "analysed again at B=3, S=7, since S >= 9" in text
        assert line in text
    assert "analysed again" not in repr(report.at(B=3, S=11)) + str(report.at(B=3, S=11))


def test_a_piece_is_analysed_once(model: Net, report: fxcount.Report, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = Net.forward
    monkeypatch.setattr(Net, "forward", lambda self, x: (calls.append(1), forward(self, x))[1])
    for tokens in (7, 3, 1, 5, 11):
        report.at(B=2, S=tokens)
        report.at(B=1, S=tokens).at(B=7, S=2)
    assert len(calls) == 1


def test_extend_false_refuses(model: Net, report: fxcount.Report) -> None:
    report.at(B=1, S=7)
    with pytest.raises(AssumptionError, match="assume S >= 9, which does not hold at B=1, S=7"):
        report.at(B=1, S=7, extend=False)
    assert report.at(B=1, S=11, extend=False).macs == macs(1, 11)


def test_the_model_refuses_in_its_own_words(model: Net, report: fxcount.Report) -> None:
    with pytest.raises(RefusedError, match=r"the model itself refuses B=1, S=13: ValueError: no thirteen") as caught:
        report.at(B=1, S=13)
    assert f"test_at.py:{Net.forward.__code__.co_firstlineno + 2}" in caught.value.where
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value, AssumptionError)


def test_an_op_refuses_as_torch_does() -> None:
    model = nn.Conv2d(3, 5, 7)
    report = fxcount.analyze(model, "B,3,H,W")
    with pytest.raises(RefusedError, match="refuses B=1, H=5, W=9"):
        report.at(B=1, H=5, W=9)


def test_sizes_no_tensor_has_are_not_analysed(model: Net, report: fxcount.Report) -> None:
    assert report.at(B=10**30, S=11).macs == macs(10**30, 11)
    with pytest.raises(AssumptionError, match=r"assume S >= 9.*cannot be analysed there: .*2\*\*63"):
        report.at(B=10**30, S=7)


# -- where nothing can be analysed again ----------------------------------------------------------------------------------
def _gone(model: Net, report: fxcount.Report) -> fxcount.Report:
    return fxcount.analyze(Net(), f"B,S,{WIDTH}", hints={"S": 16})


def _in_training(model: Net, report: fxcount.Report) -> fxcount.Report:
    model.eval()
    return report


def _other_parameters(model: Net, report: fxcount.Report) -> fxcount.Report:
    model.linear = nn.Linear(WIDTH, 7)
    return report


def _loaded(model: Net, report: fxcount.Report) -> fxcount.Report:
    return fxcount.load(report.to_graph_json())


def _unpickled(model: Net, report: fxcount.Report) -> fxcount.Report:
    again: fxcount.Report = pickle.loads(pickle.dumps(report))
    return again


@pytest.mark.parametrize(
    ("lose", "why"),
    [(_gone, "is gone"), (_in_training, "training was True, is False"), (_other_parameters, "has changed"),
     (_loaded, "read from a file"), (_unpickled, "another process")],
)  # fmt: skip
def test_without_the_unchanged_model_it_says_why(
    lose: Callable[[Net, fxcount.Report], fxcount.Report], why: str, model: Net, report: fxcount.Report
) -> None:
    report = lose(model, report)
    gc.collect()
    assert report.at(B=1, S=11).macs == macs(1, 11)
    with pytest.raises(AssumptionError, match=rf"assume S >= 9.*cannot be analysed there: .*{why}"):
        report.at(B=1, S=7)


@pytest.mark.parametrize("again", [lambda r: fxcount.load(r.to_graph_json()), lambda r: pickle.loads(pickle.dumps(r))])
def test_all_pieces_are_saved(model: Net, report: fxcount.Report, again: Callable[[fxcount.Report], fxcount.Report]) -> None:
    report.at(B=1, S=7)
    for saved in (report, report.at(B=3), report.at(B=3, S=7), report.at(B=3, S=11)):
        loaded = again(saved)
        assert loaded == saved
        assert [str(p) for p in loaded.family.pieces[1:]] == [str(p) for p in report.family.pieces if p is not saved.piece]
        for tokens in (3, 8, 9, 211):
            assert loaded.at(B=7, S=tokens).macs == macs(7, tokens)
    data = json.loads(report.to_graph_json())
    assert [piece["because"].partition(" (")[0] for piece in data["pieces"]] == ["S >= 9"]
    with pytest.raises(fxcount.InputError, match="pieces in this file"):
        fxcount.load({**data, "pieces": 3})
    with pytest.raises(fxcount.InputError):
        fxcount.load({**data, "pieces": [{**data["pieces"][0], "calls": 3}]})


def test_the_surroundings_are_those_of_then() -> None:
    class Grads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.relu() if torch.is_grad_enabled() else x
            return y.exp() if x.shape[0] > 8 else y

    model = Grads()
    with torch.no_grad():
        report = fxcount.analyze(model, "B,3", hints={"B": 16})
    assert torch.is_grad_enabled()
    assert report.at(B=7).flops == 0  # no relu, as without gradients
    assert torch.is_grad_enabled()


def test_the_model_is_left_as_found_and_not_run_on_data() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.calls = nn.BatchNorm1d(3), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert isinstance(x, torch.Tensor)
            self.calls += 1
            return self.norm(x) if x.shape[0] > 8 else self.norm(x) + 1

    model = Counts()
    report = fxcount.analyze(model, "B,3", hints={"B": 16})
    state = {name: t.clone() for name, t in model.state_dict().items()}
    seed = torch.random.get_rng_state()
    assert report.at(B=7).flops != report.at(B=7, guess=True).macs
    assert model.calls == 0
    assert all([torch.equal(state[name], t) for name, t in model.state_dict().items()])
    assert torch.equal(seed, torch.random.get_rng_state())


def test_threads_share_the_family(model: Net, report: fxcount.Report) -> None:
    sizes = [(batch, tokens) for batch in (1, 3) for tokens in (1, 7, 8, 9, 11)]
    found: dict[tuple[int, int], int] = {}

    def ask(batch: int, tokens: int) -> None:
        found[batch, tokens] = report.at(B=batch, S=tokens).macs

    threads = [threading.Thread(target=ask, args=size) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {size: macs(*size) for size in sizes}


def test_as_many_pieces_are_kept_as_are_allowed() -> None:
    class Pins(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[: int(x.shape[0])] @ x.new_ones(3, 2)

    model = Pins()
    report = fxcount.analyze(model, "B,3")
    for batch in range(3, 3 + MOST_PIECES + 11):
        assert report.at(B=batch).macs == 6 * batch
    assert len(report.family.pieces) == MOST_PIECES + 1
    assert report.at(B=2, extend=False).macs == 12  # the first one stays


# -- some of the sizes ----------------------------------------------------------------------------------------------------
def test_the_rest_stays_symbolic(model: Net, report: fxcount.Report) -> None:
    some = report.at(B=3)
    assert str(some.macs) == f"{3 * WIDTH}*S**2"
    assert some.symbols == {"S": 16}
    assert [str(a) for a in some.assumptions] == ["S != 13", "S >= 9"]
    assert some.at(S=11).macs == macs(3, 11)
    assert some.at(S=7).macs == macs(3, 7)
    assert report.at(S=11).macs.subs({}) == report.subs(S=11).macs == report.subs({"S": 11}).macs
    assert report.at(S=7).at(B=3).macs == macs(3, 7)
    assert str(report.at(S=7).macs) == f"{7 * WIDTH * WIDTH}*B"


def test_views_of_it_have_the_sizes_that_are_known(model: Net, report: fxcount.Report) -> None:
    some = report.at(B=3)
    product = 3 * WIDTH * 4  # bytes of one token of all batches
    assert str(some.memory.inputs) == f"{product}*S"
    assert some.memory.inputs == some.to_dict()["memory"]["inputs"] or some.to_dict()["memory"]["inputs"] == f"{product}*S"
    assert some.to_dict()["totals"]["macs"] == f"{3 * WIDTH}*S**2"
    assert "macs    15*S**2\n        = 3,840" in str(some)  # at the hint S=16
    assert "3, S, 5" in str(some)
    assert f"{3 * WIDTH}*S**2" in some.to_csv("kinds")
    assert some.to_networkx().nodes["op:1"]["macs"] == f"{3 * WIDTH}*S**2"
    assert some.ops[0].output_shapes[0][0] == 3
    assert str(some.count("torch")) == f"{2 * 3 * WIDTH}*S**2"
    assert some.verify(n=3)
    for again in (fxcount.load(some.to_graph_json()), pickle.loads(pickle.dumps(some))):
        assert again == some
        assert str(again.macs) == str(some.macs)
        assert again.at(S=11).macs == macs(3, 11)
    assert some != report


def test_an_assumption_of_several_symbols_is_left_with_the_rest() -> None:
    class Tokens(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() if x.shape[0] * x.shape[1] >= 200 else x

    model = Tokens()
    report = fxcount.analyze(model, "B,S,3", hints={"B": 2, "S": 128})
    assert [str(a) for a in report.at(B=8).assumptions] == ["S >= 25"]
    assert report.at(B=1).flops == 0  # at 1 * 128 tokens, which is below 200
    assert [str(a) for a in report.at(B=1).assumptions] == ["S <= 199"]
    assert report.at(B=1).at(S=211).flops == 633
    assert report.at(B=1, S=211).flops == 633


def test_at_wants_something_to_be_said(report: fxcount.Report) -> None:
    with pytest.raises(SizeError, match="needs a value for one of B, S") as caught:
        report.at()
    assert caught.value.hint == "e.g. at(B=2, S=16)"
    with pytest.raises(SizeError, match=r"at\(\) got 'Q'; the symbols are B, S"):
        report.at(Q=3)


def test_integers_of_numpy_are_taken(model: Net, report: fxcount.Report) -> None:
    found = report.at(B=np.int64(3), S=np.int32(7))
    assert found.macs == macs(3, 7)
    assert type(found.macs) is int


def test_sizes_that_data_decide_are_the_asker_s_own() -> None:
    """What is said of a value in one answer is not taken as said in the next."""

    class Cut(nn.Module):
        def forward(self, x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
            y = x.exp() if x.shape[0] > 8 else x
            return y.new_zeros(n.sum().item(), 7) @ y.new_zeros(7, 2)

    model = Cut()
    report = fxcount.analyze(model, "B,3", "i64[3]", hints={"B": 16})
    assert report.at(B=3, item_1=5).macs == 5 * 7 * 2
    with pytest.raises(SizeError, match="needs a value for item_1"):
        report.at(B=4)
    assert report.at(B=4, item_1=11).macs == 11 * 7 * 2


# -- real models: torch's own counter, afresh -----------------------------------------------------------------------------
def torch_flops(model: nn.Module, *args: torch.Tensor, **kwargs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args, **kwargs)
    return counter.get_total_flops()


REAL: dict[str, list[Mapping[str, int]]] = {
    "swin_t": [{"B": 1, "H": 448, "W": 448}, {"B": 3, "H": 33, "W": 65}, {"B": 1, "H": 230, "W": 150}],
    "resnet50": [{"B": 1, "H": 1, "W": 1}, {"B": 1, "H": 448, "W": 449}],
    "llama": [{"B": 1, "S": 1}, {"B": 1, "S": 7}, {"B": 5, "S": 1}],
    "bert": [{"B": 1, "S": 1}, {"B": 3, "S": 1}, {"B": 1, "S": 512}],
    "gpt2": [{"B": 1, "S": 1}, {"B": 3, "S": 1}, {"B": 1, "S": 256}],
}


@pytest.mark.parametrize("name", [name for name in REAL if name in CASES])
def test_real_models_outside_of_their_first_piece(name: str) -> None:
    case = CASES[name]
    model = case.on("meta")
    kwargs = {n: given for n, given in case.kwargs.items() if n != "use_cache"}  # without a cache Llama looks at values
    report = fxcount.analyze(model, *case.args, **kwargs)
    for sizes in REAL[name]:
        args, named = inputs(case.args, sizes, "meta"), inputs(kwargs, sizes, "meta")
        assert 2 * report.at(**sizes).macs == torch_flops(model, *args, **named), (name, sizes)


def test_a_vision_transformer_at_other_resolutions() -> None:
    timm: Any = importlib.import_module("timm")
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", pretrained=False, dynamic_img_size=True).eval()
    report = fxcount.analyze(model, "B,3,H,W")
    for sizes in ({"B": 1, "H": 448, "W": 448}, {"B": 3, "H": 16, "W": 16}, {"B": 1, "H": 96, "W": 160}):
        x = torch.empty(sizes["B"], 3, sizes["H"], sizes["W"], device="meta")
        assert 2 * report.at(**sizes).macs == torch_flops(model, x)
    with pytest.raises(RefusedError, match=r"AssertionError: Input height \(230\) should be divisible by patch size"):
        report.at(B=1, H=230, W=224)
