"""``.pt2`` files: read as data, so that nothing of a hostile file runs, and a damaged one is one kind of error."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import Dim, export, save

import fxcount
from fxcount.cli.main import main
from fxcount.errors import InputError
from fxcount.torch_private import VERSION
from fxcount.trace.frontends.archive.formulas import why_no_formula

Change = Callable[[dict[str, bytes], Path], None]


class Net(torch.nn.Module):
    """Tied weights, buffers of both kinds, a constant, a region without gradients, a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(7, 7), torch.nn.Linear(7, 7)
        self.second.weight = self.first.weight
        self.register_buffer("order", torch.tensor([6, 5, 4, 3, 2, 1, 0]))
        self.register_buffer("fleeting", torch.ones(7), persistent=False)
        self.scale = torch.tensor([2.0, 3.0])

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        with torch.no_grad():
            y = self.first(x)
        return {"a": self.second(y)[:, self.order] + self.fleeting, "b": [x * self.scale[0], x.shape[0]]}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "net.pt2"
    save(export(Net(), (torch.zeros(4, 7),), dynamic_shapes=({0: 2 * Dim("b")},)), path)
    if not any(name.endswith("models/model.json") for name in _records(path)):
        pytest.skip("this torch writes programs in the format before PT2 archives")
    return path


def _records(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _changed(file: Path, path: Path, change: Change, kind: int = zipfile.ZIP_STORED) -> str:
    records = _records(file)
    change(records, path.parent)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return str(path)


def _in_program(edit: Callable[[Any, Path], None]) -> Change:
    def change(records: dict[str, bytes], folder: Path) -> None:
        name = next(n for n in records if n.endswith("models/model.json"))
        program = json.loads(records[name])
        edit(program, folder)
        records[name] = json.dumps(program).encode()

    return change


def _graph(program: Any) -> Any:
    return program["graph_module"]["graph"]


class Touch:
    """Unpickling it makes a directory: what ``os.system`` would do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.folder / "ran"),)


def _pickled(folder: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(((Touch(folder),), {}), buffer)
    return buffer.getvalue()


def _python(folder: Path) -> str:
    return f"__import__('os').mkdir({str(folder / 'ran')!r}) or 4"


def _sample_inputs(records: dict[str, bytes], folder: Path) -> None:
    records[next(n for n in records if "sample_inputs" in n)] = _pickled(folder)


def _weights(records: dict[str, bytes], folder: Path) -> None:
    name = next(n for n in records if n.endswith("model_weights_config.json"))
    config = json.loads(records[name])
    config["config"]["order"]["use_pickle"] = True
    records[name] = json.dumps(config).encode()
    records[name.replace("model_weights_config.json", config["config"]["order"]["path_name"])] = _pickled(folder)


def _legacy_weights(records: dict[str, bytes], folder: Path) -> None:
    root = next(iter(records)).partition("/")[0]
    records[f"{root}/data/weights/model.pt"] = _pickled(folder)


def _opaque(records: dict[str, bytes], folder: Path) -> None:
    name = next(n for n in records if n.endswith("model_constants_config.json"))
    config = json.loads(records[name])
    config["config"]["scale"].update(path_name="opaque_obj_0", use_pickle=True)
    records[name] = json.dumps(config).encode()
    records[name.replace("model_constants_config.json", "opaque_obj_0")] = pickle.dumps(Touch(folder))


def _expression(program: Any, folder: Path) -> None:
    _graph(program)["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"] = _python(folder)


def _placeholder(program: Any, folder: Path) -> None:
    """A name that is a default value in the code of the graph."""
    text = json.dumps(program).replace('"x"', json.dumps("x=" + _python(folder).replace(" or 4", "")))
    program.clear()
    program.update(json.loads(text))


def _target(target: str) -> Callable[[Any, Path], None]:
    def edit(program: Any, folder: Path) -> None:
        node = _graph(program)["nodes"][1]
        node["target"] = target
        node["inputs"] = [{"name": "", "arg": {"as_string": str(folder / "ran")}, "kind": 1}]

    return edit


def _structure(context: Any) -> Callable[[Any, Path], None]:
    def edit(program: Any, folder: Path) -> None:
        (folder / "hostile_module.py").write_text(f"import os\nos.mkdir({str(folder / 'ran')!r})\nfactory = dict\n")
        leaf = {"type": None, "context": None, "children_spec": []}
        spec = {**context, "children_spec": [leaf, leaf, leaf]}
        program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, spec])

    return edit


_FACTORY = {"default_factory_module": "hostile_module", "default_factory_name": "factory", "dict_context": [1, 2, 3]}
_ENUM = json.dumps([{"__enum__": True, "fqn": "hostile_module:factory", "name": "a"}, 1, 2])

HOSTILE: dict[str, Change] = {
    "sample inputs are a pickled command": _sample_inputs,
    "a size is Python": _in_program(_expression),
    "a weight is a pickled command": _weights,
    "old weights are a pickled command": _legacy_weights,
    "a constant is a pickled command": _opaque,
    "a name is code": _in_program(_placeholder),
    "a call of os": _in_program(_target("torch.os.mkdir")),
    "an output imports a module": _in_program(_structure({"type": "collections.defaultdict", "context": _FACTORY})),
    "a key imports a module": _in_program(_structure({"type": "builtins.dict", "context": _ENUM})),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_of_a_hostile_file_runs(
    case: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _changed(file, tmp_path / "hostile.pt2", HOSTILE[case])
    monkeypatch.syspath_prepend(str(tmp_path))
    for read in (lambda: fxcount.analyze(path), lambda: fxcount.load_model(path)):
        if case.startswith("sample inputs"):  # which nothing needs
            read()
        else:
            with pytest.raises(InputError, match="trust=True"):
                read()
    main([path])
    capsys.readouterr()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("case", [c for c in HOSTILE if c != "a call of os"])
def test_the_hostile_files_are_hostile(case: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``trust`` lets through: ``torch.export.load`` runs the code of these files. (A call runs with the graph.)"""
    if case == "a constant is a pickled command" and VERSION < (2, 13):
        pytest.skip("torch itself loads constants without pickle")
    path = _changed(file, tmp_path / "hostile.pt2", HOSTILE[case])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hostile_module", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(InputError):  # with what the code returned, torch could not go on
            fxcount.load_model(path, trust=True)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load", "torch.load", "torch.ops.load_library", "torch.ops.aten.save.default", "torch.Tensor.__init__",
        "torch.ops.aten.from_file.default", "torch.ops.prim.Print.default", "torch.ops.aten.mm", "torch.nn.functional.relu",
        "torch.ops.higher_order.flat_apply", "_operator.methodcaller", "_operator.call", "math.factorial", "builtins.eval",
        "torch.ops.nobody.knows.it",
    ],
)  # fmt: skip
def test_only_operators_on_tensors_are_called(target: str, file: Path, tmp_path: Path) -> None:
    path = _changed(file, tmp_path / "net.pt2", _in_program(_target(target)))
    with pytest.raises(InputError, match="trust=True"):
        fxcount.analyze(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda p, _: p["range_constraints"].update({"u99999999999": {"min_val": 0, "max_val": None}}),
        lambda p, _: _graph(p)["tensor_values"]["x"]["sizes"].__setitem__(1, {"as_int": -7}),
        lambda p, _: _graph(p)["tensor_values"]["x"]["sizes"].__setitem__(1, {"as_int": 10**30}),
        lambda p, _: _graph(p)["tensor_values"]["x"].__setitem__("dtype", 99),
        lambda p, _: _graph(p)["tensor_values"]["x"].__setitem__("device", {"type": "moon", "index": None}),
        lambda p, _: p["schema_version"].__setitem__("major", 1),
        lambda p, _: _graph(p)["nodes"].append(7),
        lambda p, _: _graph(p).__setitem__("nodes", None),
        lambda p, _: p["graph_module"]["signature"]["input_specs"].pop(),
        lambda p, _: p.__setitem__("graph_module", [[]]),
        lambda p, _: p["graph_module"]["module_call_graph"][0].__setitem__("fqn", "2**(2**40)"),
    ],
)  # fmt: skip
def test_a_damaged_program_is_one_kind_of_error(edit: Callable[[Any, Path], None], file: Path, tmp_path: Path) -> None:
    path = _changed(file, tmp_path / "net.pt2", _in_program(edit))
    with pytest.raises(InputError):
        fxcount.analyze(path)


def test_products_of_products_are_bounded(file: Path, tmp_path: Path) -> None:
    def edit(program: Any, _: Path) -> None:
        nodes = _graph(program)["nodes"]
        size = next(n for n in nodes if n["target"] == "torch.ops.aten.sym_size.int")
        last = size["outputs"][0]["as_sym_int"]["as_name"]
        for i in range(40):  # 4 to the power of 2**40
            nodes.insert(nodes.index(size) + 1 + i, {
                "target": "_operator.mul", "metadata": {}, "is_hop_single_tensor_return": None, "name": f"square_{i}",
                "inputs": [{"name": n, "arg": {"as_sym_int": {"as_name": last}}, "kind": 1} for n in "ab"],
                "outputs": [{"as_sym_int": {"as_name": f"square_{i}"}}],
            })  # fmt: skip
            last = f"square_{i}"

    with pytest.raises(InputError, match="bits"):
        fxcount.analyze(_changed(file, tmp_path / "net.pt2", _in_program(edit)))


def test_truncated_and_corrupt_files(file: Path, tmp_path: Path) -> None:
    data, path = file.read_bytes(), tmp_path / "net.pt2"
    draw = random.Random(7)
    for _ in range(25):
        path.write_bytes(data[: draw.randrange(len(data))])
        with pytest.raises(InputError):
            fxcount.load_model(str(path))
    for _ in range(40):  # a flipped byte of a weight is no error; of anything else it is this one
        spoiled = bytearray(data)
        for _ in range(3):
            spoiled[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(spoiled)
        try:
            fxcount.load_model(str(path))
        except InputError:
            continue


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name, data in {"empty.pt2": b"", "text.pt2": b"no archive", "null\x00.pt2": None}.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            fxcount.load_model(str(tmp_path / name))
    with pytest.raises(InputError, match="no file"):
        fxcount.load_model(str(tmp_path) + ".pt2")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.pt2")
    with pytest.raises(InputError, match=r"torch\.load"):
        fxcount.load_model(str(tmp_path / "weights.pt2"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(tmp_path / "script.pt"))
    with pytest.raises(InputError, match=r"TorchScript[\s\S]*torch\.jit\.load"):
        fxcount.analyze(str(tmp_path / "script.pt"))


def test_a_bomb_does_not_go_off(file: Path, tmp_path: Path) -> None:
    def bomb(records: dict[str, bytes], _: Path) -> None:
        name = next(n for n in records if n.endswith("models/model.json"))
        records[name] = b"[" + b" " * (1 << 27)

    with pytest.raises(InputError, match="bytes"):
        fxcount.load_model(_changed(file, tmp_path / "net.pt2", bomb, zipfile.ZIP_DEFLATED))

    def deep(records: dict[str, bytes], _: Path) -> None:
        name = next(n for n in records if n.endswith("models/model.json"))
        records[name] = b"[" * (1 << 20)

    with pytest.raises(InputError):
        fxcount.load_model(_changed(file, tmp_path / "net.pt2", deep))


def test_records_of_other_places_are_only_names(file: Path, tmp_path: Path) -> None:
    def absolute(records: dict[str, bytes], _: Path) -> None:
        name = next(n for n in records if n.endswith("model_weights_config.json"))
        records[name] = records[name].replace(b'"weight_0"', b'"/etc/passwd"')

    with pytest.raises(InputError, match="no record"):
        fxcount.load_model(_changed(file, tmp_path / "net.pt2", absolute))

    def elsewhere(records: dict[str, bytes], folder: Path) -> None:
        records[str(folder / "ran")] = records["../ran"] = b"never written"

    with pytest.raises(InputError):
        fxcount.load_model(_changed(file, tmp_path / "net.pt2", elsewhere))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt2"]


def test_an_honest_file_is_read_as_torch_reads_it(file: Path, tmp_path: Path) -> None:
    """The same graph, weights and structure, plain, compressed, and in the layout of torch 2.7 and before."""

    def legacy(records: dict[str, bytes], _: Path) -> None:
        program = records[next(n for n in records if n.endswith("models/model.json"))]
        theirs = torch.export.load(file)
        fleeting = {k: v for k, v in theirs.constants.items() if k not in theirs.state_dict}
        records.clear()
        records.update({"version": b"8.0", "serialized_exported_program.json": program, "serialized_example_inputs.pt": b""})
        for stem, content in {"state_dict": dict(theirs.state_dict), "constants": fleeting}.items():
            buffer = io.BytesIO()
            torch.save(content, buffer)
            records[f"serialized_{stem}.pt"] = buffer.getvalue()

    compressed = _changed(file, tmp_path / "compressed.pt2", lambda *_: None, zipfile.ZIP_DEFLATED)
    old = _changed(file, tmp_path / "old.pt2", legacy)
    x = torch.randn(6, 7)
    theirs = torch.export.load(file)
    expected = theirs.module()(x)
    for path in (str(file), compressed, old):
        ours = fxcount.load_model(path)
        assert [(n.name, n.target) for n in ours.graph.nodes] == [(n.name, n.target) for n in theirs.graph.nodes]
        assert list(ours.state_dict) == list(theirs.state_dict)
        for name, tensor in theirs.state_dict.items():
            assert torch.equal(ours.state_dict[name], tensor)
            assert isinstance(ours.state_dict[name], torch.nn.Parameter) == isinstance(tensor, torch.nn.Parameter)
        torch.testing.assert_close(ours.module()(x), expected)
        report = fxcount.analyze(path, "2*b,7")
        assert report.params.total == 7 * 7 + 7 + 7
        assert report.at(b=5).macs == 2 * (10 * 7 * 7)
        found = report.graph_module(x)
        assert torch.equal(found["a"], expected["a"])


class Decides(torch.nn.Module):
    """Ways that no op of the exported graph knows of: only guards tell that the other was not taken."""

    def forward(self, x: torch.Tensor, more: list[torch.Tensor]) -> torch.Tensor:
        n = x.shape[0]
        if n % 2 == 0 and more[0].shape[0] > 2 * n:
            return x @ x.mT
        return x + more[0][0]


def test_decisions_of_a_program_are_assumed_out_of_its_file(tmp_path: Path) -> None:
    auto = {0: Dim.AUTO}
    program = export(Decides(), (torch.zeros(6, 5), [torch.zeros(31, 5)]), dynamic_shapes=(auto, [auto]))
    if not getattr(program, "_guards_code", None):
        pytest.skip("this torch does not write guards")
    save(program, tmp_path / "net.pt2")
    for given in (program, str(tmp_path / "net.pt2")):
        report = fxcount.analyze(given, "A,5", ["C,5"])
        assert report.macs == 5 * report.symbol("A") ** 2
        assert report.at(A=14, C=29, extend=False).macs == 5 * 14 * 14
        for refused in ({"A": 7, "C": 100}, {"A": 14, "C": 28}):
            with pytest.raises(fxcount.AssumptionError, match=r"torch\.export recorded"):
                report.at(**refused, extend=False)


def test_guards_that_say_more_than_comparisons_of_sizes_pin_them(file: Path, tmp_path: Path) -> None:
    def guarded(text: str) -> Change:
        def change(records: dict[str, bytes], _: Path) -> None:
            name = next(n for n in records if n.endswith("models/model.json"))
            program = json.loads(records[name])
            program["guards_code"] = [text]
            records[name] = json.dumps(program).encode()

        return change

    for text, pinned in {
        "L['x'].size()[0] ** 0.5 > 1": True,
        f"__import__('os').mkdir({str(tmp_path / 'ran')!r}) or True": True,
        "(" * 5000: True,
        "L['x'].size()[0] >= 4": False,
        "L['x'].size()[1] == 7": False,
    }.items():
        path = _changed(file, tmp_path / "guarded.pt2", guarded(text))
        report = fxcount.analyze(path)
        assert any(a.relation == "==" for a in report.assumptions) is pinned, (text, report.assumptions)
        fxcount.load_model(path).module()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)", "s0", "2*s65", "Mul(Integer(2), Symbol('u0', integer=True))",
        "Add(Pow(Symbol('s0', integer=True), Integer(2)), Integer(-1))", "Max(1, s0)", "Mod(s0 + 1, 8)", "-s1", "s0/2",
        "FloorDiv(Symbol('s1', integer=True), Integer(3))", "StrictLessThan(Symbol('s0'), Integer(3))", "Eq(s0, 2)", "true",
        "ToFloat(Symbol('s0'))", "Float('0.5', precision=53)", "Piecewise(ExprCondPair(s0, s1 < 3), ExprCondPair(1, true))",
        "OpaqueUnaryFn_sqrt(Symbol('zuf0'))", "Pow(s0, Integer(-1))",
    ],
)  # fmt: skip
def test_sizes_as_torch_writes_them(text: str) -> None:
    assert why_no_formula(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "os", "s0.conjugate()", "s0.__class__", "[s0]", "lambda: 1", "f(s0)", "eval('1')", "Symbol('x; import os')", "'a'",
        "Symbol(name='s0')", "Integer(x=1)", "s0 if s1 else 2", "(s0 := 3)", "S(1)", "__import__('os')", "s0; s1", "s0 = 3",
        "2**2**40", "9**9**9", "(s0 + s1 + s2 + s3 + s4)**40", "((s0**60)**60)**60", "10**5000", "s0**s1**2", "1 << 900000000",
        "Pow(Integer(10), Integer(100000))", "(" * 300 + "s0" + ")" * 300, "-" * 5000 + "1", "*".join(["(s0 + s1 + s2)"] * 40),
        "Float('1e999999999')", "Function('f')(s0)", "s0\x00", "\ud800", "s999999999",
    ],
)  # fmt: skip
def test_what_is_no_size(text: str) -> None:
    assert why_no_formula(text)
