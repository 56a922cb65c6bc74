"""The records of a zip archive, with bounds: what a file says of itself is not believed."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterable
from typing import Any

from fxcount.errors import InputError, first_line

__all__ = ["Records", "refused"]

MAX_RECORDS = 1_000_000
MAX_JSON = 1 << 29
"""Bytes of a JSON record; the largest exported language models have some 50 MB."""

MAX_UNPACKED = 1 << 26
"""Bytes a compressed record may become. ``torch`` itself compresses none."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")


def refused(path: str, found: str, why: str) -> InputError:
    """The error for what only a trusted file may have."""
    return InputError(
        f"{path!r} holds {found}: {why}",
        hint="if you trust whoever wrote the file: load_model(path, trust=True), or --trust; that may run code of the file's",
    )


class Records:
    """Records of the archive by name, without the folder that ``torch`` puts all of them into.

    Raises :class:`~fxcount.errors.InputError` for a file that is no zip archive, is cut off, or names a record twice.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = os.path.getsize(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
            raise InputError(
                f"{path!r} cannot be loaded: it is no archive, or a damaged one ({first_line(error)})",
                hint="write it with torch.export.save(program, path)",
            ) from error
        entries = [e for e in self._zip.infolist() if not e.is_dir()]
        if len(entries) > MAX_RECORDS:
            raise InputError(f"{path!r} has {len(entries):,} records, more than any exported program")
        root = _root([e.filename for e in entries])
        self.entries = {e.filename[len(root) :]: e for e in entries}
        if len(self.entries) < len(entries):
            raise InputError(f"{path!r} has two records of one name", hint="write it with torch.export.save(program, path)")

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def names(self) -> Iterable[str]:
        return self.entries

    def close(self) -> None:
        self._zip.close()

    def read(self, name: str, limit: int = MAX_UNPACKED) -> bytes:
        """The bytes of a record. Raises :class:`~fxcount.errors.InputError` if there are more than ``limit``."""
        entry = self._entry(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            limit = min(limit, MAX_UNPACKED)
        if entry.file_size > limit:
            raise InputError(f"the record {name!r} of {self.path!r} has {entry.file_size:,} bytes: more than {limit:,}")
        try:
            with self._zip.open(entry) as file:
                return file.read(limit + 1)
        except Exception as error:  # zlib, lzma and bz2 have their own; so have encrypted records
            raise InputError(f"the record {name!r} of {self.path!r} is damaged: {first_line(error)}") from error

    def json(self, name: str) -> Any:
        """The content of a JSON record."""
        try:
            return json.loads(self.read(name, MAX_JSON))
        except (ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"the record {name!r} of {self.path!r} is no JSON: {first_line(error)}") from error

    def span(self, name: str) -> tuple[int, int] | None:
        """Where the bytes of a record lie in the file, and how many they are; ``None`` if it is compressed."""
        entry = self._entry(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            return None
        with open(self.path, "rb") as file:
            file.seek(entry.header_offset)
            header = file.read(_LOCAL_HEADER.size)
        if len(header) == _LOCAL_HEADER.size:
            signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
            start = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
            if signature == b"PK\x03\x04" and start + entry.file_size <= self.size:
                return start, entry.file_size
        raise InputError(f"the record {name!r} of {self.path!r} is damaged: the file ends before it does")

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self.entries.get(name)
        if entry is None:
            raise InputError(
                f"{self.path!r} has no record {name!r}: it is no exported program, or a damaged one",
                hint="write it with torch.export.save(program, path)",
            )
        return entry


def _root(names: list[str]) -> str:
    """The folder all names begin with, with its slash, or ""."""
    roots = {name.partition("/")[0] if "/" in name else "" for name in names}
    root = roots.pop() if len(roots) == 1 else ""
    return f"{root}/" if root else ""
