"""Budgets: limits that hold are proved, those that do not have a size that shows it; files, formats and exit statuses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fxcount
from fxcount.errors import InputError
from fxcount.review.limits import limit
from fxcount.review.places import made_at
from fxcount.review.quantities import QUANTITIES
from fxcount.symbolic import evaluate, max_, min_, symbol
from fxcount.symbolic.prove import never_exceeds
from tests.cli.conftest import Shell, shell  # noqa: F401

A, B = symbol("A"), symbol("B")
ATOMS = [A, B, A * B, A * A, B // 3, (A + 2) // 4, A % 5, max_(A, 7), min_(B, 5), max_(A, B)]


@st.composite
def formulas(draw: st.DrawFn):
    parts = draw(st.lists(st.tuples(st.integers(-9, 9), st.sampled_from(ATOMS)), min_size=1, max_size=4))
    return sum((c * atom for c, atom in parts), start=draw(st.integers(-9, 9)))


@settings(max_examples=150, deadline=None)
@given(formulas(), formulas(), st.integers(1, 9), st.integers(0, 12))
def test_what_is_proved_holds_and_what_is_refuted_does_not(size, bound, low, width) -> None:
    """Against all points of a box; a formula without symbols is a number."""
    box = {"A": (low, low + width), "B": (1, 13)}
    verdict = never_exceeds([size], bound, box)
    points = [{"A": a, "B": b} for a in range(low, low + width + 1) for b in range(1, 14)]
    broken = [p for p in points if evaluate(size, p) > evaluate(bound, p)]
    if verdict.proved:
        assert not broken
    if verdict.counterexample is not None:
        sizes = {"A": low, "B": 1, **verdict.counterexample}
        assert evaluate(size, sizes) > evaluate(bound, sizes)
        assert all(first <= sizes[n] <= last for n, (first, last) in box.items())


def test_proofs_use_divisors_and_every_argument_of_a_max() -> None:
    half_up, half = (A + 1) // 2, A // 2
    assert never_exceeds([half_up], half, multiples={"A": 2}).proved
    assert never_exceeds([half_up], half).counterexample == {"A": 1}
    assert never_exceeds([max_(3 * A * B, 100 * B)], 103 * A * B).proved
    assert never_exceeds([B * A * A], 100 * A * B).counterexample == {"A": 101, "B": 1}


class Attention(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return torch.softmax(q @ k.mT, -1) @ v


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(3, 5), nn.Linear(7, 11)
        self.twin = self.used

    def forward(self, x):
        return self.twin(self.used(x)[:, :3]) if x.shape[0] > 8 else self.used(x)


def test_formulas_are_proved_over_all_sizes() -> None:
    """Of width 8: 192 macs for each token, and 16 for each pair of tokens."""
    net = Attention()
    assert fxcount.check(net, "B,S,8", max_macs="192*B*S + 16*B*S**2")
    assert fxcount.check(net, "B,S,8", max_macs="208*B*S**2")
    found = fxcount.check(net, "B,S,8", max_macs="300*B*S").broken[0]
    assert found.sizes == {"B": 1, "S": 7}  # 192*7 + 16*49 = 2128 > 2100, and 192*6 + 16*36 = 1728 <= 1800
    assert found.value == 2128
    assert found.blame[0].number + found.blame[1].number == 2128
    found = fxcount.check(net, "B,S,8", max_macs=["300*B*S@S=1:6", "300*B*S@S=1:6,B=1:9"])
    assert ["proved for" in f.said for f in found.findings] == [True, True]
    assert not fxcount.check(net, "B,S,8", max_macs="300*B*S@S=1:7")


def test_ranges_are_proved_on_every_piece() -> None:
    """Above 8 rows it computes twice: 15 macs more for each."""
    net = Branches()
    assert fxcount.check(net, "B,3", max_macs="15*B@B=1:8")
    assert fxcount.check(net, "B,3", max_macs="30*B@B=1:64")
    broken = fxcount.check(net, "B,3", max_macs="15*B@B=1:64").broken[0]
    assert broken.sizes is not None
    assert broken.sizes["B"] > 8
    assert not fxcount.check(net, "B,3", max_macs="15*B")  # the piece at hand has B <= 8, and is not all


def test_a_proof_on_one_piece_says_what_it_assumes() -> None:
    net = Branches()
    found = fxcount.check(net, "B,3", max_macs="40*B").findings[0]
    assert found.holds
    assert "proved for all B >= 1 on 2 pieces" in found.said
    saved = fxcount.load(fxcount.analyze(net, "B,3").to_graph_json())  # without the model there is this piece alone
    assert "proved for all B >= 1, B <= 8" in fxcount.check(saved, max_macs="40*B").findings[0].said


@pytest.mark.parametrize(
    ("quantity", "text", "bound"),
    [
        ("params", "25M", 25_000_000), ("params", 25_000_000, 25_000_000), ("macs", "4.2G", 4_200_000_000),
        ("macs", "0.5k", 500),
        ("macs", "1_000_000", 10**6), ("macs", "4,089,184,256", 4_089_184_256), ("peak", "2GB", 2 * 10**9),
        ("peak", "2GiB", 2**31),
        ("memory", "1.5 MiB", 3 * 2**19), ("macs", "6*B*S", 6 * B * symbol("S")), ("flops", 3 * A, 3 * A),
    ],
)  # fmt: skip
def test_limits_as_they_are_written(quantity: str, text: object, bound: object) -> None:
    assert limit(quantity, text).bound == bound


@pytest.mark.parametrize(
    "text", ["", "2X", "4.2G@B", "4.2G@B=0", "4G@B=1,B=2", "4G@B=9:1", "+5", "x y", "1e9e", True, None, "os.x"]
)
def test_limits_that_are_none(text: object) -> None:
    with pytest.raises(InputError):
        limit("macs", text)


def test_numbers_need_sizes() -> None:
    net = nn.Linear(3, 5)
    with pytest.raises(InputError, match="105@B=2"):
        fxcount.check(net, "B,3", max_macs=105)
    assert fxcount.check(net, "B,3", max_macs=105, at={"B": 7})
    assert not fxcount.check(net, "B,3", max_macs=104, at={"B": 7})
    assert fxcount.check(net, "7,3", max_macs=105, max_peak=7 * 8 * 4)
    assert fxcount.check(net, "B,3", max_macs=["15@B=1", "30@B=2"], max_params=20, max_param_bytes=80)
    with pytest.raises(InputError, match="has the size Q"):
        fxcount.check(net, "B,3", max_macs="15@Q=1")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_has_a_limit_that_just_holds(quantity: str) -> None:
    """The value found is a limit that holds, and one less does not."""
    net = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2))
    def asked(n: int) -> fxcount.Budget:
        return fxcount.check(net, "7,3", optimizer="adamw", **{f"max_{quantity}": n})

    value = asked(0).findings[0].value
    assert value
    assert asked(value)
    assert not asked(value - 1)


def test_growth_is_against_a_saved_report(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(fxcount.analyze(nn.Linear(100, 5), "B,100").to_graph_json())
    wider = nn.Linear(100, 6)
    assert not fxcount.check(wider, "B,100", max_macs="+0%", against=path)
    assert not fxcount.check(wider, "B,100", max_macs="+19.9%", against=path)
    found = fxcount.check(wider, "B,100", max_macs="+20%", max_params="+20%", against=str(path))
    assert found
    assert found.comparison is not None
    assert found.comparison.totals["macs"].numbers == (2 * 500, 2 * 600)
    with pytest.raises(InputError, match="against a saved report"):
        fxcount.check(wider, "B,100", max_macs="+20%")


def test_dead_and_shared_parameters_have_their_lines() -> None:
    found = fxcount.check(Branches(), "4,3", no_dead=True, no_shared=True)
    dead, shared = found.broken
    assert [p.name for p in dead.places] == ["idle.weight", "idle.bias"]
    lines = Path(__file__).read_text("utf-8").splitlines()
    assert "self.used, self.idle =" in lines[dead.places[0].line - 1]
    assert Path(dead.places[0].file).resolve() == Path(__file__).resolve()
    assert {p.name for p in shared.places} == {"used.weight", "used.bias"}
    assert fxcount.check(nn.Linear(3, 5), "B,3", no_dead=True, no_shared=True, no_uncounted=True)


def test_lines_of_what_torch_or_a_base_makes() -> None:
    class Base(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter("scale", nn.Parameter(torch.ones(3)))

    class Net(Base):
        def forward(self, x):
            return x

    place = made_at(Net(), "scale")
    assert place is not None
    assert "register_parameter" in Path(place[0]).read_text().splitlines()[place[1] - 1]
    assert made_at(nn.Sequential(nn.Linear(3, 5)), "0.weight") is not None
    assert made_at(nn.Sequential(), "none.weight") is None


def test_work_that_is_not_counted_proves_nothing() -> None:
    @torch.library.custom_op("fxcount_review::mystery", mutates_args=())
    def mystery(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @mystery.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    class Net(nn.Module):
        def forward(self, x):
            return mystery(x)

    found = fxcount.check(Net(), "7,3", max_macs=10**9, max_peak="1GB", no_uncounted=True)
    assert [(f.rule, f.holds) for f in found.findings] == [("macs", False), ("peak", True), ("uncounted", False)]


def test_the_pytest_helper() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 7), nn.Linear(7, 2), nn.Linear(2, 2))
    assert fxcount.assert_budget(net, "B,3", max_params=200)
    with pytest.raises(AssertionError, match=r"macs <= 60\*B: 68 > 60 at B=1") as caught:
        fxcount.assert_budget(net, "B,3", max_macs="60*B")
    assert isinstance(caught.value, fxcount.BudgetError)
    assert [s.module for s in caught.value.budget.broken[0].blame] == ["1", "0", "2"]


CONFIG = """
[tool.other]
x = 1
[tool.fxcount.check.small]
model = "user_nets.py:Small"
inputs = ["B,3"]
args = {width = 7}
max-params = 44
max-macs = ["35*B", "70@B=2"]
no-dead = true
[tool.fxcount.check.tight]
model = "user_nets.py:Small"
inputs = ["B,3"]
at = "B=2"
max_macs = 49
"""


def test_checks_of_a_file(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    """Of width 7: 3*7 + 7 + 7*2 + 2 parameters; of width 5 2*25 macs at B = 2, one more than allowed."""
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    done = shell("check")
    assert done.status == 1
    assert "all 4 limits hold" in done.out
    assert "FAIL  macs <= 49: 50 > 49 at B=2" in done.out
    assert shell("check", "small").status == 0
    (tmp_path / ".fxcount.toml").write_text('[check]\nmodel = "user_one.py"\ninputs = ["B,3"]\nmax-macs = "15*B"\n')
    assert shell("check").status == 0
    assert shell("check", "--config", "pyproject.toml").status == 1
    (tmp_path / ".fxcount.toml").write_text('[check]\nmodel = "user_one.py"\nmax-mcas = "15*B"\n')
    assert "did you mean 'max-macs'" in shell("check").err
    (tmp_path / ".fxcount.toml").write_text("[check")
    assert "cannot read" in shell("check").err


def test_exit_statuses_and_messages(shell: Shell) -> None:  # noqa: F811
    words = ["check", "user_nets.py:Small", "B,3"]
    assert shell(*words, "--max-params", "32", "--max-macs", "25*B", "--no-dead", "--no-shared").status == 0
    done = shell(*words, "--max-params", "31")
    assert (done.status, done.err) == (1, "")
    assert "inner 20 (62.5%)" in done.out
    for wrong, said in (
        ([], "no limits are given"), (["--max-params", "many"], "has the size many"),
        (["--max-macs", "25"], "say at which sizes"),
        (["--max-mcas", "1"], "did you mean '--max-macs'"),
    ):  # fmt: skip
        done = shell(*words, *wrong)
        assert done.status == 2
        assert said in done.err
    assert "no model is given" in shell("check", "--max-params", "1").err
    assert shell("check", "resnet5O", "--max-params", "1").status == 2
    assert shell(*words, "--max-train-peak", "1kB@B=1", "--optimizer", "sgd").status == 0


def test_why_names_lines_and_modules(shell: Shell) -> None:  # noqa: F811
    assert shell("graph", "user_nets.py:Small", "B,3", "-o", "old.json").status == 0
    done = shell("check", "user_nets.py:Small(7)", "B,3", "--max-macs", "+0%", "--against", "old.json", "--why")
    assert done.status == 1
    assert "lines that cost more macs than before" in done.out
    assert "linear at" in done.out
    assert "weight (5, 3) -> (7, 3)" in done.out
    done = shell("check", "user_nets.py:Small(7)", "B,3", "--max-macs", "+0%", "--against", "old.json", "--markdown", "--why")
    assert "| ❌" in done.out


DEAD = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Linear(3, 5)
        self.idle = nn.Linear(7, 5)

    def forward(self, x):
        return self.used(x)
"""


def test_sarif_and_annotations(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (tmp_path / "user_dead.py").write_text(DEAD)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = shell("check", "user_dead.py:Net", "B,3", "--no-dead", "--max-macs", "1*B", "--github", "--sarif", "out.sarif")
    assert done.status == 1
    assert "::error file=user_dead.py,line=8,title=fxcount%3A dead::idle.weight" in done.out
    assert "### Net: 2 of 2 limits are broken" in (tmp_path / "summary.md").read_text("utf-8")
    log = json.loads((tmp_path / "out.sarif").read_text("utf-8"))
    assert log["version"] == "2.1.0"
    run, = log["runs"]
    assert run["tool"]["driver"]["name"] == "fxcount"
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
    places = [
        (p["artifactLocation"]["uri"], p["region"]["startLine"])
        for result in run["results"] if result["ruleId"] == "fxcount/dead"
        for p in [result["locations"][0]["physicalLocation"]]
    ]  # fmt: skip
    assert places == [("user_dead.py", 8), ("user_dead.py", 8)]


def test_files_for_other_tools_name_what_there_is() -> None:
    """The hook and the action run options that exist."""
    root = Path(fxcount.__file__).parents[1]
    hook, = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "fxcount check"
    action = yaml.safe_load((root / "action.yml").read_text())
    script = action["runs"]["steps"][-1]["run"]
    from fxcount.cli import check
    from fxcount.cli.parser import Parser

    parser = Parser()
    check.add_options(parser)
    known = {name for a in parser._actions for name in a.option_strings}
    assert set(re.findall(r"--[a-z-]+", script)) <= known
    assert set(re.findall(r"inputs\.([a-z-]+)", str(action))) == set(action["inputs"])
    assert os.path.exists(root / "fxcount" / "__main__.py")
