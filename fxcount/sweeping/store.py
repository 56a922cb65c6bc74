"""Rows on disk: SQLite, in which each row is committed as it comes, so that an end in the middle loses none.

Counts of more than 63 bits, which SQLite has no integer for, are kept as their digits.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fxcount.errors import InputError
from fxcount.sweeping.row import COLUMNS, COUNTS, Row, cells

__all__ = ["SUFFIXES", "Store", "exported", "read_rows"]

_DATABASES = (".sqlite", ".sqlite3", ".db")
_TABLES = (".csv", ".parquet")
SUFFIXES = (*_DATABASES, *_TABLES)
_NUMBERS = (*COUNTS, "ops", "uncounted")
_MOST = 2**63


class Store:
    """The rows of one sweep in a file, by the keys of their jobs."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in _DATABASES:
            raise InputError(f"{str(path)!r} is no database", hint=f"end it in {', '.join(_DATABASES)}")
        columns = ", ".join(f"{c} PRIMARY KEY" if c == "key" else c for c in COLUMNS)  # of no type: integers stay what they are
        with self._opened() as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS results ({columns})")
            there = {row[1] for row in connection.execute("PRAGMA table_info(results)")}
            for column in [c for c in COLUMNS if c not in there]:  # of an older version
                connection.execute(f"ALTER TABLE results ADD COLUMN {column}")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection of this moment: the file may be read meanwhile, and no handle is left behind."""
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise InputError(f"cannot keep results in {str(self.path)!r}: {error}", hint="give another file") from error

    def add(self, row: Row) -> None:
        """Keep a row, on disk before this returns; one of the same job goes."""
        values = [_kept(cell) for cell in cells(row)]
        with self._opened() as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"INSERT OR REPLACE INTO results ({', '.join(COLUMNS)}) VALUES ({_marks(COLUMNS)})", values)

    def rows(self) -> list[Row]:
        """All rows, in the order they came."""
        with self._opened() as connection:
            found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM results ORDER BY rowid").fetchall()
        return [_row(dict(zip(COLUMNS, line))) for line in found]


def _marks(columns: Iterable[str]) -> str:
    return ", ".join("?" for _ in columns)


def _kept(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not -_MOST <= value < _MOST else value


def _row(line: Mapping[str, Any]) -> Row:
    numbers = {c: int(line[c]) for c in _NUMBERS if line[c] is not None and line[c] != ""}
    texts = {c: "" for c, value in line.items() if value is None and c not in (*_NUMBERS, "seconds")}
    return Row(**{**line, **texts, **numbers})


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a file that a sweep wrote. Raises :class:`~fxcount.errors.InputError` for any other."""
    place = Path(path)
    if not place.exists():
        raise InputError(f"there is no file {str(path)!r}", hint="give the file that a sweep wrote")
    if place.suffix.lower() in _DATABASES:
        return Store(place).rows()
    if place.suffix.lower() == ".csv":
        with place.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        empty: dict[str, Any] = dict.fromkeys(_NUMBERS)
        found = [{**line, **{c: line[c] or None for c in empty if c in line}} for line in lines]
        if any(not set(COLUMNS) <= line.keys() for line in lines):
            raise InputError(f"{str(path)!r} has not the columns of a sweep", hint="give the file that a sweep wrote")
        return [_row({**{c: line[c] for c in COLUMNS}, "seconds": float(line["seconds"] or 0)}) for line in found]
    if place.suffix.lower() == ".parquet":
        import pandas as pd

        frame = pd.read_parquet(place).astype(object)
        return [_row({c: _cell(line.get(c)) for c in COLUMNS}) for line in frame.to_dict("records")]
    raise InputError(f"{str(path)!r} is no file of results", hint=f"it must end in {', '.join(SUFFIXES)}")


def _cell(value: Any) -> Any:
    return None if value is None or value != value else value  # NaN is what a table has for nothing


def exported(rows: Iterable[Row], path: str | os.PathLike[str]) -> None:
    """Write rows as ``.csv`` or, with pandas and pyarrow, ``.parquet``, in the place of what was there, as a whole."""
    place = Path(path)
    beside = place.with_name(f"{place.name}.new")
    if place.suffix.lower() == ".csv":
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(["" if cell is None else cell for cell in cells(row)] for row in rows)
    else:
        _parquet(rows, beside)
    os.replace(beside, place)


def _parquet(rows: Iterable[Row], path: Path) -> None:
    try:
        import pandas as pd
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Parquet needs pandas and pyarrow ({error})", hint='pip install "fxcount[sweep]", or write .csv or .sqlite'
        ) from error
    frame = pd.DataFrame(map(cells, rows), columns=list(COLUMNS))
    for name in _NUMBERS:
        numbers = [n for n in frame[name] if n is not None and n == n]
        frame[name] = frame[name].astype("Int64" if all(-_MOST <= n < _MOST for n in numbers) else "string")
    frame.to_parquet(path, index=False)
