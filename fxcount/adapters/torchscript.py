"""TorchScript in a ``.pt`` file, if loading it runs nothing of the file's.

``torch.jit.load`` builds objects and calls their ``__setstate__``, which is code of the file; operators that read and write
files are code as well. A file that has neither is data to load; with one it has to be trusted.
"""

from __future__ import annotations

import re
import zipfile
from typing import Any

from fxcount.errors import InputError, first_line

__all__ = ["load_script"]

_RUNS = re.compile(rb"def (__setstate__)\b|\b(aten\.save|aten\.from_file|torch\.save|torch\.load|ops\.aten\.save)\(")
_MOST = 1 << 28  # bytes of code that are looked at


def load_script(path: str, *, trust: bool = False) -> Any:
    """The script module in a file, on the CPU.

    Raises:
        InputError: there is no such file, or it holds no TorchScript; it may run code, and there is no ``trust``.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as file:
            names = {name.partition("/")[2]: name for name in file.namelist()}
            runs = _code_that_runs(file, names) if "constants.pkl" in names else ""
    except OSError as error:
        raise InputError(f"cannot read {path!r} ({error.strerror})", hint="give the path of a file") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{path!r} holds no TorchScript ({first_line(error)})", hint=_NAME_THE_CODE) from error
    if "constants.pkl" not in names:
        held = "an exported program" if any(n.startswith("models/") for n in names) else "pickled weights or objects"
        raise InputError(
            f"{path!r} holds no TorchScript, but {held}",
            hint="name it .pt2" if held.startswith("an") else _NAME_THE_CODE,
        )
    if runs and not trust:
        raise InputError(
            f"loading {path!r} would run code of the file's ({runs})",
            hint="if you trust whoever wrote the file: load_model(path, trust=True), or --trust",
        )
    return torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]


_NAME_THE_CODE = "weights have no code: name what builds the model, e.g. net.py:Net"


def _code_that_runs(file: zipfile.ZipFile, names: dict[str, str]) -> str:
    """What in the code of an archive runs by itself or touches files; "" if nothing does."""
    left = _MOST
    for inside, name in names.items():
        if not inside.startswith("code/") or not inside.endswith(".py"):
            continue
        left -= file.getinfo(name).file_size
        if left < 0:
            return "too much code to be looked at"
        found = _RUNS.search(file.read(name))
        if found:
            return (found[1] or found[2]).decode()
    return ""
