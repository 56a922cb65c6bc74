"""The private names of torch: each is there and is what it is taken for, and one that is gone says so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount
from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.torch_private import NAMES, NEWEST, OLDEST, VERSION, Name
from tests.ops.harness import SIZES

ROOT = Path(fxcount.__file__).parent.parent
LATER = {"program_from_bytes": (2, 9), "predispatch": (2, 9)}  # known to be there since; what 2.6 cannot do without, it refuses


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_there(name: str) -> None:
    """Where this fails, this version of torch has moved a name: the message says which, and what fxcount needs it for."""
    wanted = NAMES[name]
    if LATER.get(name, VERSION) > VERSION:
        with pytest.raises(UnsupportedError, match=re.escape(wanted.path)):
            getattr(torch_private, name)
        return
    try:
        found = torch_private._at(wanted.path)
    except (AttributeError, ImportError):
        pytest.fail(f"torch {torch.__version__} has no {wanted.path}, which fxcount needs to {wanted.purpose}")
    assert found is getattr(torch_private, name)


@pytest.mark.parametrize("name", [n for n, wanted in NAMES.items() if wanted.fallback is not None])
def test_the_fallback_is_as_good(name: str) -> None:
    """Public stand-ins are the same object, or answer alike; what no model can call any more needs no answer."""
    real, other = torch_private._at(NAMES[name].path), NAMES[name].fallback()
    if name in ("is_all_true", "tensor_is_all_true", "assert_async", "nnz", "shallow_copies"):
        assert type(other) is object
    elif name == "AdaptiveOutput":
        assert (other.__name__, other._fields, other(1, loss=2)) == (real.__name__, real._fields, real(1, loss=2))
    elif name == "VF":
        for function in ("lstm", "gru", "rnn_tanh", "rnn_relu_cell", "unique_consecutive", "stft"):
            assert getattr(other, function) is getattr(real, function)
    elif name == "is_any_autocast_enabled":
        assert other() is real() is False
        with torch.autocast("cpu"):
            assert other() is real() is True
    elif name == "set_grad_enabled":
        with torch.enable_grad():
            other(False)
            assert not torch.is_grad_enabled()
    elif name == "default_device":
        assert getattr(other, "device_context", None) is getattr(real, "device_context", None) is None
    elif name == "sdp_priority_order":
        assert other()[:4] == real()[:4]  # the fifth is of kernels that other devices bring
    elif name == "get_schemas":
        assert {str(s) for s in other("aten::relu")} <= {str(s) for s in real("aten::relu")}
    elif name == "HigherOrderOperator":
        assert issubclass(other, real)
        assert isinstance(torch.ops.higher_order.flex_attention, real)
    elif name == "saved_hooks":  # where nobody knows, there may be some
        assert real(False) is None
        assert other(False)
    elif name == "graph_name":  # the graph calls a wrapper of every method then
        assert other(torch.Tensor.unflatten) in real(torch.Tensor.unflatten)
        assert not other(torch.Tensor.unflatten).startswith("torch.Tensor.")
    else:
        assert other is real


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A torch without a name that fxcount asks for."""
    names = {**NAMES, "gone": Name("torch._C._no_such_name", "do its work"), "moved": Name("torch._C._none", "x", lambda: 7)}
    monkeypatch.setattr(torch_private, "NAMES", names)
    yield
    torch_private._found.cache_clear()


@pytest.mark.usefixtures("gone")
def test_a_missing_name_says_what_is_known_to_work() -> None:
    with pytest.raises(UnsupportedError, match=r"no torch\._C\._no_such_name, which fxcount needs to do its work") as caught:
        torch_private.gone  # noqa: B018
    assert f"{OLDEST} to {NEWEST}" in caught.value.hint
    assert torch_private.moved == 7


def test_a_misspelt_name_is_our_own_fault() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DisableTorchFunktion'"):
        torch_private.DisableTorchFunktion  # noqa: B018


def test_a_torch_without_an_essential_name_says_so() -> None:
    done = _analysed_after("del torch.overrides._get_current_function_mode_stack")
    assert "UnsupportedError: torch" in done.stderr
    assert "no torch.overrides._get_current_function_mode_stack, which fxcount needs to" in done.stderr


def test_a_torch_without_names_that_have_a_fallback_is_analysed() -> None:
    """Four gates, each with a product of the input (5) and one of the state (3)."""
    done = _analysed_after("del torch._C._disabled_torch_function_impl, torch._VF; sys.modules['torch._VF'] = None")
    assert done.stdout == f"{4 * 3 * (5 + 3)}*B*S\n", done.stderr


def _analysed_after(change: str) -> subprocess.CompletedProcess[str]:
    """A new process that changes torch and analyses an LSTM with it."""
    code = f"import sys, torch; {change}; import fxcount; print(fxcount.analyze(torch.nn.LSTM(5, 3), 'S,B,5').macs)"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_version_is_torchs() -> None:
    assert torch.__version__.startswith(".".join(map(str, VERSION)))


def test_checks_are_torchs() -> None:
    assert {f.__name__ for f in torch_private.checks()} == set(torch_private._CHECKS)


def test_storage_key_tells_storages_apart() -> None:
    x, y = torch.zeros(7), torch.zeros(7)
    key = torch_private.storage_key
    assert key(x.untyped_storage()) == key(x[3:].view(2, 2).untyped_storage()) != key(y.untyped_storage())
    with pytest.raises(UnsupportedError, match="_cdata"):
        key(object())


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore:.torch.jit:FutureWarning")
def test_parts_of_scripts() -> None:
    script = torch.jit.script(nn.Linear(2, 3))
    compiled = torch_private.script_module(script)
    assert torch_private.script_class(compiled) == "Linear"
    assert "input" in str(torch_private.script_method(compiled, "forward").schema)
    with pytest.raises(UnsupportedError, match=r"_c, which fxcount needs to read a TorchScript module"):
        torch_private.script_module(nn.Linear(2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch about its own code
def test_parts_of_graphs_and_compiled_modules() -> None:
    layer = nn.Linear(2, 3)
    assert torch_private.compiled_from(torch.compile(layer)) is layer
    assert torch_private.compiled_from(layer) is None
    program = torch.export.export(layer, (torch.zeros(5, 2),))
    assert torch_private.graph_tree(program.module().graph).out_spec.num_leaves == 1
    assert torch_private.graph_tree(torch.fx.symbolic_trace(layer).graph) is None
    if LATER["predispatch"] <= VERSION:
        assert torch_private._at(torch_private.PREDISPATCH).__name__ == torch_private.PREDISPATCH


def test_modules_keep_what_they_hold_in_these_dicts() -> None:
    bn = nn.BatchNorm1d(SIZES[0]["N"])
    bn.register_buffer("fleeting", torch.zeros(1), persistent=False)
    assert {*bn._parameters} == {"weight", "bias"}
    assert {*bn._buffers} == {"running_mean", "running_var", "num_batches_tracked", "fleeting"}
    assert bn._non_persistent_buffers_set == {"fleeting"}
    assert nn.Sequential(bn)._modules == {"0": bn}


def test_every_schema_of_an_op() -> None:
    overloads = torch.ops.aten.add.overloads()
    assert {s.overload_name or "default" for s in torch_private.schemas("add")} >= set(overloads)
    assert torch_private.schema(torch.ops.aten.add.Tensor).name == "aten::add"
