"""``sweep``: thousands of models, each a row of counts that is kept as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.sweeping.job import Job, jobs_of
from fxcount.sweeping.row import COLUMNS, Row, cells
from fxcount.sweeping.store import SUFFIXES, Store, exported, read_rows
from fxcount.sweeping.workers import answered, processes

__all__ = ["Sweep", "sweep"]

_AHEAD = 64  # jobs handed to an executor at a time, which knows best how many it can run


@dataclass(frozen=True, slots=True)
class Sweep:
    """The rows of a sweep, in the order of its models."""

    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows without counts; ``error`` says why."""
        return tuple(row for row in self.rows if row.error)

    def to_pandas(self) -> Any:
        """A data frame, a column for each field of :class:`Row`; counts are exact Python integers."""
        import pandas as pd

        return pd.DataFrame(map(cells, self.rows), columns=list(COLUMNS), dtype=object)

    def __len__(self) -> int:
        return len(self.rows)


def sweep(
    models: Iterable[str | Job],
    /,
    *,
    at: Mapping[str, int] = MappingProxyType({}),
    train: bool = False,
    store: str | os.PathLike[str] | None = None,
    resume: bool = False,
    retry: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    limit_seconds: float | None = None,
    progress: Callable[[int, int, Row], None] | None = None,
) -> Sweep:
    """Count many models, each in a process of its own.

    ``models``: names that :func:`fxcount.load_model` takes, or :class:`fxcount.Job`, which says inputs, arguments and sizes of
    its own. ``at``: the sizes of the numbers, as far as a model has such symbols; else 1 for B, and the hints.

    ``store`` is a file in ``.sqlite``, ``.csv`` or ``.parquet``. Each row is committed as it comes, of a table beside it in
    ``FILE.sqlite``, which is removed at the end. ``resume`` goes on with a store that is there: what has a row is not counted
    again, or with ``retry`` only if it has counts. ``executor`` is any of ``concurrent.futures``, also one of Dask's
    (``Client(...).get_executor()``) or Ray's; else there are as many processes as cores, or ``workers``. A model that takes
    longer than ``limit_seconds`` has a row that says so, as has one that cannot be built or whose worker died.
    ``progress(done, of, row)`` is called with each row.

    Raises:
        InputError: a job that cannot be sent to another process, or a store that is there, or cannot be written.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as executor:
    ...     found = sweep(["demo", "torch.nn:Nothing"], at={"B": 2}, executor=executor)
    >>> [(row.model, row.params, row.error) for row in found.rows]
    [('demo', 74346, ''), ('torch.nn:Nothing', None, "InputError: torch.nn has no 'Nothing'")]
    """
    jobs = jobs_of(models, at, train)
    kept = _opened(store, resume)
    known = {row.key: row for row in kept.rows() if not (retry and row.error)} if kept is not None else {}
    todo = [job for job in jobs if job.key not in known]
    found = dict(known)
    runs: Any = nullcontext(executor) if executor is not None else processes(workers, todo) if todo else nullcontext()
    with runs as pool:
        ahead = _AHEAD if executor is not None else 2 * (workers or os.cpu_count() or 1)
        for row in answered(todo, pool, limit_seconds, ahead) if todo else ():
            if kept is not None:
                kept.add(row)
            found[row.key] = row
            if progress is not None:
                progress(len(found), len(jobs), row)
    done = Sweep(tuple(found[job.key] for job in jobs))
    if kept is not None and kept.path != Path(os.fspath(store or "")):
        exported(done.rows, store or "")
        kept.path.unlink()
    return done


def _opened(store: str | os.PathLike[str] | None, resume: bool) -> Store | None:
    """The database that rows go to: the store itself, or one beside it until all are there."""
    if store is None:
        return None
    path = Path(store)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{str(store)!r} is no place for results", hint=f"end it in {', '.join(SUFFIXES)}")
    beside = path if suffix not in (".csv", ".parquet") else path.with_name(f"{path.name}.sqlite")
    for there in {path, beside}:
        if there.exists() and not resume:
            raise InputError(f"{str(there)!r} is there already", hint="go on with it by resume=True, or give another name")
    opened = Store(beside)
    if beside != path and path.exists():  # a sweep that had ended, and has more to do now
        known = {row.key for row in opened.rows()}
        for row in read_rows(path):
            if row.key not in known:
                opened.add(row)
    return opened
