"""The rooms of the package: who imports whom, how long a file is, what importing costs, who prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import fxcount
from fxcount.ops import LESS_USUAL, REGISTRY

PACKAGE = Path(fxcount.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("symbolic", "ops", "trace", "passes", "training", "report", "adapters")
# a room may import itself and the rooms before it; api stands on report, the command line on everything
ORDER = {
    "errors": set(), "symbolic": {"errors"}, "ops": {"errors", "symbolic"}, "trace": {"errors", "symbolic", "ops"},
    "passes": {"errors", "symbolic", "ops", "trace"}, "training": {"errors", "symbolic", "ops", "trace", "passes"},
    "interpolation": {"errors", "symbolic"}, "columns": {"errors"},
    "report": {"errors", "columns", "symbolic", "ops", "trace", "passes", "training", "interpolation"},
}  # fmt: skip
ORDER = {room: below | {"torch_private", "wording"} for room, below in ORDER.items() if room != "errors"} | {
    "wording": set(), "errors": {"wording"}, "torch_private": {"errors"}
}  # fmt: skip
ORDER["api"] = ORDER["report"] | {"report"}
ORDER["compile_backend"] = ORDER["api"]
ORDER["fitting"] = ORDER["api"] | {"api"}
ORDER["adapters"] = ORDER["api"] | {"api", "demo"}
ORDER["measurement"] = ORDER["report"]
ORDER["compat"] = ORDER["adapters"] | {"adapters", "measurement"}
ORDER["review"] = ORDER["api"] | {"api"}
ORDER["demo"] = ORDER["version"] = ORDER["dataclass"] = set()
ORDER["sweeping"] = ORDER["adapters"] | {"adapters", "version"}
ORDER["cli"] = ORDER["sweeping"] | {"sweeping", "fitting", "review"}
ORDER["__init__"] = ORDER["cli"] | ORDER["compat"] | {"compat"}
ORDER["__main__"] = {"cli"}
ORDER = {room: below | {"dataclass"} for room, below in ORDER.items()}


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _name(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def _imports(file: Path) -> Iterator[str]:
    """Every module imported anywhere in the file, inside functions too; relative ones spelled out."""
    package = ["fxcount", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names if origin == "fxcount")


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_rooms_import_only_rooms_below(file: Path) -> None:
    room = _room(file)
    for module in _imports(file):
        parts = module.split(".")
        if parts[0] == "fxcount" and len(parts) > 1:
            assert parts[1] == room or parts[1] in ORDER[room], f"{_name(file)} imports {module}"


MODULES = {".".join(["fxcount", *f.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): f for f in FILES}
_MENTION = re.compile(r"(fxcount(?:\.\w+)+)(?::\w+)?")  # by such a text a module is loaded later: "fxcount.api:rule"
STILL_CIRCULAR: list[set[str]] = []
"""Circles that were there before this test; a set goes once its files do without, and none may join."""


def _mentions(file: Path) -> Iterator[str]:
    """The modules of fxcount that a file knows: imports anywhere in it, also for type checkers, and modules named in texts."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = ["fxcount", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            named = [f"{origin}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else origin for name in named)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := _MENTION.fullmatch(node.value)):
            yield found[1]


def _circles(graph: nx.DiGraph) -> list[set[str]]:
    return [{m.removeprefix("fxcount.") for m in c} for c in nx.strongly_connected_components(graph) if len(c) > 1]


def test_no_circles_between_files() -> None:
    """Any file can be read after those it names, wherever in it the import stands."""
    graph = nx.DiGraph((name, other) for name, file in MODULES.items() for other in _mentions(file) if other in MODULES)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    for circle in _circles(graph):
        assert any(circle <= known for known in STILL_CIRCULAR), f"a circle of files: {sorted(circle)}"
    assert not [known for known in STILL_CIRCULAR if not any(c & known for c in _circles(graph))], "take it off the list"


def _read_first(name: str, file: Path) -> Iterator[str]:
    """The modules that Python reads before this one is whole: those imported by statements outside of functions, and the
    packages that these are in, whose ``__init__`` runs before them."""
    waiting: list[ast.AST] = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            for module in [module if module in MODULES else node.module for module in named]:
                parts = module.split(".")
                within = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
                yield from (m for m in within if m in MODULES and m != "fxcount" and not f"{name}.".startswith(f"{m}."))
        elif isinstance(node, (ast.If, ast.Try, ast.With)) and "TYPE_CHECKING" not in ast.dump(getattr(node, "test", node)):
            waiting += ast.iter_child_nodes(node)


def test_any_file_can_be_the_first_that_is_read() -> None:
    """What is imported on use comes in any order: no file waits for one that waits for it, packages on the way included."""
    graph = nx.DiGraph((name, other) for name, file in MODULES.items() for other in _read_first(name, file))
    assert not _circles(graph)


@pytest.mark.parametrize("file", [f for f in FILES if _room(f) == "report"], ids=_name)
def test_data_of_reports_knows_no_view(file: Path) -> None:
    """data <- views <- what puts them together."""
    inside = {m.split(".")[2] for m in _mentions(file) if m.startswith("fxcount.report.")}
    part = file.relative_to(PACKAGE).parts[1]
    assert part not in ("data", "views") or inside <= {"data", part}


@pytest.mark.parametrize("file", [f for f in FILES if _room(f) in ("symbolic", "ops")], ids=_name)
def test_rules_are_pure_arithmetic(file: Path) -> None:
    """Nothing above them, no graph library, no tables."""
    names = {m.split(".")[0] for m in _imports(file)}
    assert not names & {"networkx", "pandas", "matplotlib", "rich", "torchvision", "timm", "transformers", "logging"}


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_only_the_command_line_prints(file: Path) -> None:
    if _room(file) in ("cli", "__main__", "compat"):  # drop-ins print what the tools they stand for print
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert not [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input", "breakpoint")
    ]  # fmt: skip


_GROWING = {"append", "extend", "insert", "update", "setdefault", "add", "pop", "clear", "popitem", "remove", "discard"}


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_no_module_level_container_changes_at_run_time(file: Path) -> None:
    """Functions write to no dict, list or set of their module: what one analysis leaves behind changes no other."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    containers = {
        target.id
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, (ast.Dict, ast.List, ast.Set, ast.Call))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }  # fmt: skip
    written = []
    for function in [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.Lambda))]:
        own = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        own |= {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
                name = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWING:
                name = node.func.value
            else:
                continue
            if isinstance(name, ast.Name) and name.id in containers - own:
                written.append((name.id, node.lineno))
    assert not written


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_every_file_says_what_it_is_and_what_it_offers(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "no docstring"
    if file.name != "__main__.py" and len(tree.body) > 2:
        assigned = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        assert "__all__" in assigned


# nn.Module keeps what it holds in these dicts, under names that are part of every pickled model; others are not torch's
_SHARED = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_call_impl"}
_SHARED |= {"_forward_hooks", "_forward_pre_hooks"}
_SHARED |= {"_getframe", "_fields", "_at_fork_reinit", "_is_owned", "_actions", "_lru_cache_wrapper"}  # Python's
_SHARED |= {"_bit_generator", "_has_ops"}  # numpy's, torchvision's
_SHARED |= {"_print"}  # what methods that sympy's printers call have to call in turn


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _named_here(tree: ast.AST) -> Iterator[str]:
    """Names that the file gives to attributes, methods and classes of its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _dotted(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else [""]


def _private_names_of_torch(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    """``torch._C``, ``from torch.utils import _pytree``, ``"torch._dynamo"``, and attributes that are nobody's here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = _dotted(node)
            if parts[0] == "torch" and parts[1] != "ops" and any(map(_private, parts)):
                yield ".".join(parts)
            elif _private(node.attr) and node.attr not in ours | _SHARED and parts[:2] != ["torch", "ops"]:
                yield f"{node.attr} (line {node.lineno})"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            module = (getattr(node, "module", None) or "").split(".")
            for alias in node.names:
                parts = [*module, *alias.name.split(".")]
                if "torch" in (parts[0], alias.name.split(".")[0]) and any(map(_private, parts)):
                    yield ".".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("torch._"):
            yield repr(node.value)


TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
OURS = {name for tree in TREES.values() for name in _named_here(tree)}


@pytest.mark.parametrize("file", [f for f in FILES if f.name != "torch_private.py"], ids=_name)
def test_private_names_of_torch_live_in_one_module(file: Path) -> None:
    """What torch does not promise to keep is looked up in ``fxcount/torch_private.py``: add it to ``NAMES`` there."""
    assert not list(_private_names_of_torch(TREES[file], OURS))


@pytest.mark.parametrize(
    "code",
    [
        "torch._C.f()", "import torch._dynamo", "from torch.utils import _pytree", "from torch._ops import OpOverload",
        "sys.modules['torch._dynamo.eval_frame']", "x.untyped_storage()._cdata",
        "from torch.nn.modules.batchnorm import _NormBase",
    ],
)  # fmt: skip
def test_private_names_are_seen(code: str) -> None:
    assert list(_private_names_of_torch(ast.parse(code), OURS))


def test_importing_is_light() -> None:
    """Importing fxcount loads nothing beyond torch that only some results need."""
    heavy = "sympy networkx pandas matplotlib rich torchvision timm transformers torch._dynamo torch.export".split()
    code = (
        "import sys, torch; before = set(sys.modules); import fxcount; "
        f"print(*[m for m in {heavy!r} if m in sys.modules and m not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_analysing_needs_no_sympy() -> None:
    """Formulas are sympy's only once they are asked for."""
    code = (
        "import sys, torch; before = set(sys.modules); import fxcount; "
        "r = fxcount.analyze(torch.nn.Conv2d(3, 5, 3), 'B,3,H,W'); str(r); r.at(B=2, H=7, W=11).memory; "
        "print('sympy' in sys.modules and 'sympy' not in before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_an_analysis_loads_what_it_takes() -> None:
    """Few files before the first analysis, none of them for models of another kind, and next to none during it."""
    code = (
        "import sys, torch\nbefore = set(sys.modules)\nfrom fxcount import analyze\nloaded = set(sys.modules) - before\n"
        "r = analyze(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Flatten()), 'B,3,H,W')\n"
        "r.costs.total, r.peaks, r.params\n"
        "print(*sorted(loaded))\nprint(*sorted(set(sys.modules) - before - loaded))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, later = map(str.split, done.stdout.splitlines())
    ours = {name for name in loaded if name.startswith("fxcount")}
    assert len(ours) <= 185, "a file that few analyses need is imported where they need it"
    assert not [m for m in ours | set(later) if m.removeprefix("fxcount.ops.") in set(LESS_USUAL) - {"quantise.packed"}]
    assert not [m for m in later if m.startswith("fxcount")]
    assert not {"inspect", "ast", "dis", "numpy.random.mtrand", "networkx", "sympy", "fxcount.training"} & {*loaded, *later}


_VIEWS = {
    "str(r), r.table(), r.at(B=2, H=7, W=11).table()": ("fxcount.interpolation", "fxcount.training", "networkx", "sympy"),
    "r.conventions()": ("fxcount.training", "fxcount.ops.backward", "fxcount.ops.sparse.layouts", "fxcount.ops.linalg"),
    "r.to_graph_json(), r.to_json(), r.to_html()": ("fxcount.training", "fxcount.ops.backward", "fxcount.ops.contraction.rnn"),
}
"""Views, and what none of them takes."""


@pytest.mark.parametrize("view", _VIEWS)
def test_a_view_loads_what_it_takes(view: str) -> None:
    code = (
        "import sys, torch\nbefore = set(sys.modules)\nimport fxcount\n"
        "model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Flatten())\n"
        f"r = fxcount.analyze(model, 'B,3,H,W')\n{view}\n"
        f"print(*[m for m in {_VIEWS[view]} if m in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names() -> None:
    assert sorted(fxcount.__all__) == sorted(set(fxcount.__all__))
    for name in fxcount.__all__:
        assert getattr(fxcount, name).__doc__


# Words that are names of ops as well: functions of the algebra, of sympy and of Python, names in other tools.
_OTHER_VOCABULARIES = ("symbolic", "arithmetic.py", "archive", "compat")
_OPS_NAMES = REGISTRY.names | {entry.name for entry in REGISTRY.ops}


def _is_name_of_op(node: ast.AST) -> bool:
    """``call.op.name``, ``op.name``, ``entry.name``."""
    if not (isinstance(node, ast.Attribute) and node.attr == "name"):
        return False
    owner = node.value
    return (isinstance(owner, ast.Attribute) and owner.attr in ("op", "torchs")) or (
        isinstance(owner, ast.Name) and owner.id in ("op", "entry")
    )


def _decides_by_name(node: ast.AST) -> bool:
    """Whether it compares an op's name, looks it up, or takes it apart."""
    if isinstance(node, ast.Compare):
        return any(map(_is_name_of_op, (node.left, *node.comparators)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        looked_up = node.func.attr == "get" and len(node.args) == 1 and _is_name_of_op(node.args[0])
        apart = node.func.attr in ("startswith", "endswith", "removesuffix", "removeprefix", "rstrip", "strip", "partition")
        return looked_up or (apart and _is_name_of_op(node.func.value))
    return False


def _words(node: ast.AST) -> list[str]:
    """The strings of a collection of strings, or the words of one string."""
    if isinstance(node, (ast.Set, ast.List, ast.Tuple)):
        return [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
    if isinstance(node, ast.Dict):
        return [k.value for k in node.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)]
    return node.value.split() if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


_BEYOND_OPS = [f for f in FILES if _room(f) != "ops" and "conventions" not in f.parts]


@pytest.mark.parametrize("file", _BEYOND_OPS, ids=_name)
def test_no_op_is_known_by_its_name(file: Path) -> None:
    """What an op is, is a trait of it: nothing outside of ``ops`` and the conventions decides by its name."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    assert not [ast.unparse(n) for n in nodes if _decides_by_name(n)]
    if not set(file.relative_to(PACKAGE).parts) & set(_OTHER_VOCABULARIES):
        lists = [w for w in map(_words, nodes) if len(_OPS_NAMES.intersection(w)) >= 3]
        assert not [w for w in lists if 2 * len(_OPS_NAMES.intersection(w)) > len(w)]


@pytest.mark.parametrize(
    "code",
    [
        "call.op.name in _SUMS", "entry.name == 'linear'", "_RULES.get(op.name)", "op.name.startswith('conv')",
        "_X = frozenset('add sub mul'.split())", "_X = {'conv1d': 1, 'conv2d': 2, 'conv3d': 3}",
    ],
)  # fmt: skip
def test_names_that_decide_are_found(code: str) -> None:
    nodes = list(ast.walk(ast.parse(code)))
    assert any(map(_decides_by_name, nodes)) or any(len(_OPS_NAMES.intersection(_words(n))) >= 3 for n in nodes)
