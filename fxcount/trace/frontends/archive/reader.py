"""From the path of a ``.pt2`` file to a ``torch.export.ExportedProgram``."""

from __future__ import annotations

import json
import os
from typing import Any

from fxcount import torch_private
from fxcount.errors import FxcountError, InputError, UnsupportedError, first_line
from fxcount.trace.frontends.archive.records import Records
from fxcount.trace.frontends.archive.vetted import Vetter
from fxcount.trace.frontends.archive.weights import Weights

__all__ = ["load_pt2"]

_WRITE_AGAIN = (
    "write it with torch.export.save of this version of torch; import first what registers its custom ops and output classes"
)


def load_pt2(path: str | os.PathLike[str], *, trust: bool = False) -> Any:
    """The exported program in a ``.pt2`` file, read as data: sample inputs, compiled libraries and code of guards are left out.

    ``trust``: have ``torch.export.load`` read it, which may run code of the file's.

    Raises :class:`~fxcount.errors.InputError` if there is none, or if it holds what needs trust.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise InputError(f"no file {name!r}", hint="give the path of a file that torch.export.save wrote")
    try:
        return _trusted(name) if trust else _read(name)
    except FxcountError:
        raise
    except Exception as error:
        what = f"{name!r} cannot be loaded as an exported program: {first_line(error)[:400]}"
        raise InputError(what, hint=_WRITE_AGAIN) from error


def _trusted(path: str) -> Any:
    import torch.export

    return torch.export.load(path)


def _read(path: str) -> Any:
    records = Records(path)
    try:
        vetter = Vetter(path)
        weights = Weights(records, vetter)
        if "serialized_exported_program.json" in records:  # up to torch 2.7
            plain = records.json("serialized_exported_program.json")
            state, constants = (_legacy(records, weights, f"serialized_{part}") for part in ("state_dict", "constants"))
        else:
            model = _model(records)
            plain = records.json(f"models/{model}.json")
            state, constants = (
                weights.table(f"data/{part}/{model}_{part}_config.json", f"data/{part}/{model}.pt", f"data/{part}/")
                for part in ("weights", "constants")
            )
        program = _deserialized(vetter.program(plain), state, constants)
        program.call_spec  # noqa: B018 - torch checks its call graph when it is asked for its inputs and outputs
        program._texts_of_guards = vetter.guards  # beside those that torch would run
        return program
    finally:
        records.close()


def _model(records: Records) -> str:
    models = [n[len("models/") : -len(".json")] for n in records.names() if n.startswith("models/") and n.endswith(".json")]
    if not models:
        found = "TorchScript" if "constants.pkl" in records else "pickled weights or objects" if "data.pkl" in records else ""
        raise InputError(
            f"{records.path!r} holds no exported program" + (f", but {found}" if found else ""),
            hint="load what it holds yourself (torch.jit.load, torch.load) and give the module" if found else _WRITE_AGAIN,
        )
    if "model" not in models and len(models) > 1:
        raise InputError(f"{records.path!r} holds several programs: {', '.join(sorted(models))[:200]}", hint="save one of them")
    return "model" if "model" in models else models[0]


def _legacy(records: Records, weights: Weights, stem: str) -> dict[str, Any]:
    record = next((name for name in (f"{stem}.pt", f"{stem}.json") if name in records), "")
    if not record:
        raise InputError(f"{records.path!r} has no record {stem + '.pt'!r}", hint=_WRITE_AGAIN)
    return weights.pickled(record)


def _deserialized(plain: Any, state: dict[str, Any], constants: dict[str, Any]) -> Any:
    """``torch``'s own reading of the vetted program; of the tensors it asks nothing more."""
    try:
        import torch.export  # noqa: F401

        read, made_of = torch_private.ProgramReader, torch_private.program_from_bytes
        program = made_of(torch_private.SerializedProgram, json.dumps(plain).encode())
    except UnsupportedError as error:
        raise UnsupportedError(
            f"this version of torch reads exported programs in another way: {error.what}",
            hint="load_model(path, trust=True) has torch.export.load read the file, which may run code of its",
        ) from error
    return read().deserialize(program, state, constants)
