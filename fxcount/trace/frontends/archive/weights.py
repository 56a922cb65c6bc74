"""Tensors of an archive: mapped from the file as they lie there, so that gigabytes of weights are neither read nor held."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import torch

from fxcount.errors import first_line
from fxcount.trace.frontends.archive.records import Records, refused
from fxcount.trace.frontends.archive.vetted import Vetter

__all__ = ["Weights"]

MAX_PICKLED = 1 << 31
MAX_MISSING = 1 << 30
"""Bytes of weights that the archive does not hold and that are filled with zeros; larger ones get no memory (meta)."""

DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 9: "complex32",
    10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2",
    31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip
"""The file's numbers of dtypes (``torch._export.serde.schema.ScalarType``)."""


class Weights:
    """Reads the tables of weights and constants of one archive."""

    def __init__(self, records: Records, vetter: Vetter) -> None:
        self.records = records
        self.vetter = vetter
        self._file: Any = None  # the storage of the whole file
        self._storages: dict[str, torch.UntypedStorage] = {}

    def table(self, config: str, legacy: str, folder: str) -> dict[str, Any]:
        """Tensors by name: ``config`` lists the records in ``folder``; older archives have one pickle, ``legacy``."""
        if legacy in self.records:
            return self.pickled(legacy)
        plain = self.records.json(config)
        rows = plain.get("config") if isinstance(plain, dict) else None
        if not isinstance(rows, dict):
            raise self.vetter.damaged(f"{config!r} lists no tensors")
        return {name: self._tensor(name, row, folder) for name, row in rows.items()}

    def pickled(self, record: str) -> dict[str, Any]:
        """A dict of tensors that ``torch.save`` wrote, read with ``weights_only=True``, which runs no code."""
        found = self._unpickled(record)
        if not isinstance(found, dict):
            raise self.vetter.damaged(f"{record!r} holds a {type(found).__name__}, no dict of tensors")
        return found

    def _unpickled(self, record: str) -> Any:
        data = self.records.read(record, MAX_PICKLED)
        if not data:
            return {}
        try:
            return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        except Exception as error:
            why = f"it is no plain tensor ({_named(error)})"
            raise refused(self.records.path, f"a pickle, {record!r}", why) from error

    def _tensor(self, name: str, row: Any, folder: str) -> Any:
        record = row.get("path_name") if isinstance(row, dict) else None
        if not isinstance(record, str):
            raise self.vetter.damaged(f"{name!r} has no record")
        if "custom_obj" in record or "opaque_obj" in record:
            raise refused(self.records.path, f"the pickled object {name!r}", "it is no tensor")
        if row.get("use_pickle"):
            return self._unpickled(folder + record)
        try:
            return self._strided(folder + record, row, row["tensor_meta"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise self.vetter.damaged(f"the tensor {name!r} does not fit its record ({first_line(error)})") from error

    def _strided(self, record: str, row: Mapping[str, Any], meta: Mapping[str, Any]) -> torch.Tensor:
        dtype = getattr(torch, DTYPES[meta["dtype"]])
        shape = [_number(n) for n in meta["sizes"]]
        stride = [_number(n) for n in meta["strides"]]
        offset = _number(meta["storage_offset"])
        storage = self._storage(record, dtype.itemsize)
        if storage.nbytes():
            tensor = torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)
        else:  # fake weights, or none
            tensor = _missing(shape, stride, dtype)
        grad = bool(meta["requires_grad"]) and (dtype.is_floating_point or dtype.is_complex)
        return torch.nn.Parameter(tensor, requires_grad=grad) if row.get("is_param") else tensor

    def _storage(self, record: str, alignment: int) -> torch.UntypedStorage:
        found = self._storages.get(record)
        if found is None:
            found = self._storages[record] = self._mapped(record, alignment)
        return found

    def _mapped(self, record: str, alignment: int) -> torch.UntypedStorage:
        span = self.records.span(record)
        if span is None or span[0] % alignment:
            data = self.records.read(record, MAX_PICKLED)
            return torch.frombuffer(bytearray(data), dtype=torch.uint8).untyped_storage() if data else _nothing()
        start, nbytes = span
        if not nbytes:
            return _nothing()
        if self._file is None:
            whole: Any = torch.UntypedStorage.from_file(self.records.path, False, self.records.size)
            self._file = whole
        part: torch.UntypedStorage = self._file[start : start + nbytes]
        return part


def _nothing() -> torch.UntypedStorage:
    return torch.empty(0, dtype=torch.uint8).untyped_storage()


def _missing(shape: list[int], stride: list[int], dtype: torch.dtype) -> torch.Tensor:
    if min([*shape, *stride], default=0) < 0:
        raise ValueError("negative sizes")
    last = sum([(n - 1) * s for n, s in zip(shape, stride, strict=True)]) + 1 if math.prod(shape) else 0
    small = last * dtype.itemsize <= MAX_MISSING
    return torch.zeros(last, dtype=dtype, device=None if small else "meta").as_strided(shape, stride)


def _number(size: Mapping[str, Any]) -> int:
    value = size["as_int"]
    if type(value) is not int:
        raise TypeError("a size is no integer")
    return value


def _named(error: Exception) -> str:
    """What a pickle asks for, from the error of ``torch.load``."""
    text = " ".join(str(error).split())
    start = text.find("GLOBAL ")
    return text[start : start + 80].split(" was ")[0] if start >= 0 else first_line(error)[:120]
