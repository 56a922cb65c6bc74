"""The pytest plugin of a run: another tool's name means fxcount's drop-in, and every outcome becomes a line of JSON.

``PEER_ALIASES`` maps names of modules to those of drop-ins (``{"thop": "fxcount.compat.thop"}``; empty: the tool itself), and
``PEER_OUTCOMES`` is the file the outcomes go to.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Aliases", "install", "pytest_collectreport", "pytest_runtest_logreport"]


class Aliases(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds drop-ins under the tools' names. What a drop-in lacks is not found, though the tool itself be installed; the
    tests that lie inside a tool's own package are."""

    def __init__(self, names: dict[str, str], folders: Sequence[str]) -> None:
        self.names = names
        self.folders = folders

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        for theirs, ours in self.names.items():
            if fullname.startswith(theirs + ".tests"):
                return importlib.machinery.PathFinder.find_spec(fullname, path)
            if theirs.startswith(fullname + "."):
                return importlib.util.spec_from_loader(fullname, self, is_package=True)
            if fullname == theirs or fullname.startswith(theirs + "."):
                name = ours + fullname[len(theirs) :]
                if _exists(name):
                    return importlib.util.spec_from_loader(fullname, self, origin=name, is_package=True)
                raise ModuleNotFoundError(f"no module named {name!r}", name=fullname)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return types.ModuleType(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.origin:
            ours = importlib.import_module(spec.origin)
            vars(module).update({name: value for name, value in vars(ours).items() if not name.startswith("__")})
            inside = {name: held for name, held in sys.modules.items() if name.startswith(f"{spec.origin}.")}
            for name, held in inside.items():  # as after an import of the whole package: a function may have a module's name
                sys.modules.setdefault(module.__name__ + name[len(spec.origin) :], held)
        module.__path__ = [str(Path(folder) / module.__name__.replace(".", "/")) for folder in self.folders]


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the part before the last dot is a module, not a package
        return False


def install(names: dict[str, str], folder: str) -> None:
    """Put the drop-ins in the tools' place, before any test file is imported. torchvision may be built for another torch."""
    importlib.import_module("fxcount.adapters.torchvision_ops")
    here = {theirs: ours for theirs, ours in names.items() if ours}  # another plugin sees to the rest
    if here:
        sys.meta_path.insert(0, Aliases(here, [folder]))


def pytest_runtest_logreport(report: Any) -> None:
    """One line for each phase of each test."""
    _write(report.nodeid, report.when, report.outcome, report.longreprtext)


def pytest_collectreport(report: Any) -> None:
    """One line for each file that cannot be imported."""
    if report.failed:
        _write(report.nodeid, "collect", "failed", report.longreprtext)


def _write(nodeid: str, when: str, outcome: str, text: str) -> None:
    with Path(os.environ["PEER_OUTCOMES"]).open("a", encoding="utf-8") as out:
        out.write(json.dumps({"test": nodeid, "when": when, "outcome": outcome, "text": text}) + "\n")


if "PEER_ALIASES" in os.environ:
    install(json.loads(os.environ["PEER_ALIASES"]), os.getcwd())
