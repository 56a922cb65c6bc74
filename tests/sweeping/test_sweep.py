"""Many models: rows as single runs have them, kept as they come, whatever ends in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import fxcount
from fxcount import Job
from fxcount.errors import InputError
from fxcount.sweeping.limit import TimeLimit, time_limit
from fxcount.sweeping.row import Row, counted
from fxcount.sweeping.store import Store, exported, read_rows
from tests.sweeping import nets

NETS = "tests.sweeping.nets"
ROOT = Path(__file__).resolve().parents[2]
JOBS = [
    Job(f"{NETS}:dense", ("B,5",), arguments={"width": 11}), Job(f"{NETS}:dense", ("B,5",)),
    Job(f"{NETS}:convolution", ("B,3,H,W",)), Job(f"{NETS}:tied", ("B,5",)), Job(f"{NETS}:Wrong", ("B,5",)),
]  # fmt: skip
AT = {"B": 3, "H": 13, "W": 17}


@pytest.fixture
def here() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def untimed(rows: tuple[Row, ...] | list[Row]) -> list[Row]:
    return [replace(row, seconds=0.0) for row in rows]


def test_a_row_is_what_a_single_run_says(here: Executor) -> None:
    found = fxcount.sweep(JOBS, at=AT, executor=here).rows
    model = fxcount.load_model(f"{NETS}:convolution")
    report = fxcount.analyze(model, "B,3,H,W").at(**AT)
    row = found[2]
    assert (row.macs, row.flops, row.params) == (report.macs, report.flops, report.params.total)
    assert (row.read_bytes, row.write_bytes, row.peak_bytes) == (report.read_bytes, report.write_bytes, report.memory.peak)
    assert row.macs == 3 * 13 * 17 * 3 * 5 * 9
    assert row.macs_formula == "135*B*H*W"
    assert row.sizes == "B=3,H=13,W=17"
    assert [r.params for r in found] == [5 * 11 + 11 + 11 * 3 + 3, 5 * 7 + 7 + 7 * 3 + 3, 3 * 5 * 9 + 5, 25, None]
    assert found[3].shared_params == 25
    assert found[4].error.startswith("ShapeError: ")
    assert fxcount.sweep(JOBS, at=AT, executor=here).failed[0].model == f"{NETS}:Wrong"


def test_without_sizes_a_batch_is_one(here: Executor) -> None:
    row = fxcount.sweep([Job(f"{NETS}:dense", ("B,5",))], executor=here).rows[0]
    assert (row.sizes, row.macs) == ("B=1", 5 * 7 + 7 * 3)


def test_training_mode_is_asked_for(here: Executor) -> None:
    rows = fxcount.sweep([Job("demo"), Job("demo", train=True)], at={"B": 2}, executor=here).rows
    assert [row.mode for row in rows] == ["eval", "train"]


@pytest.mark.parametrize("suffix", [".sqlite", ".csv"])
def test_rows_are_kept_and_not_counted_again(tmp_path: Path, here: Executor, suffix: str) -> None:
    place = tmp_path / f"results{suffix}"
    first = fxcount.sweep(JOBS[:2], at=AT, executor=here, store=place)
    assert [p.name for p in tmp_path.iterdir()] == [place.name]
    with pytest.raises(InputError, match="is there already"):
        fxcount.sweep(JOBS, at=AT, executor=here, store=place)
    counted: list[str] = []
    whole = fxcount.sweep(
        JOBS, at=AT, executor=here, store=place, resume=True, progress=lambda done, of, row: counted.append(row.model)
    )
    assert len(counted) == 3
    assert whole.rows[:2] == first.rows
    assert {row.key: row for row in read_rows(place)} == {row.key: row for row in whole.rows}
    again = fxcount.sweep(
        JOBS, at=AT, executor=here, store=place, resume=True, retry=True,
        progress=lambda done, of, row: counted.append(row.error),
    )  # fmt: skip
    assert counted[3:] == [whole.rows[4].error]  # the one whose row is an error
    assert untimed(again.rows) == untimed(whole.rows)


def test_counts_of_any_length_come_back(tmp_path: Path) -> None:
    row = replace(counted(JOBS[0]), macs=2**63, flops=10**40, params=None)
    for name in ("a.sqlite", "a.csv"):
        if name.endswith("csv"):
            exported([row], tmp_path / name)
        else:
            Store(tmp_path / name).add(row)
        assert read_rows(tmp_path / name) == [row]


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = [counted(job) for job in JOBS]
    exported(rows, tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet") == rows


@pytest.mark.parametrize("name", ["a.txt", "a", "nowhere/a.sqlite"])
def test_a_place_that_cannot_be(tmp_path: Path, name: str, here: Executor) -> None:
    with pytest.raises(InputError):
        fxcount.sweep(JOBS, executor=here, store=tmp_path / name)


def test_what_is_no_store_is_refused(tmp_path: Path, here: Executor) -> None:
    (tmp_path / "a.sqlite").write_text("no database, but a text that is long enough to be looked at" * 20)
    with pytest.raises(InputError, match="cannot keep results"):
        fxcount.sweep(JOBS, executor=here, store=tmp_path / "a.sqlite", resume=True)


@pytest.mark.parametrize("model", [object(), Job(f"{NETS}:dense", (object(),))])
def test_what_no_process_can_be_told(model: object, here: Executor) -> None:
    with pytest.raises(InputError, match="process"):
        fxcount.sweep([model], executor=here)  # type: ignore[list-item]


def test_a_limit_of_time_holds_in_a_thread(here: Executor) -> None:
    rows = fxcount.sweep([f"{NETS}:endless", "demo"], executor=here, limit_seconds=0.5).rows
    assert rows[0].error == "took longer than 0.5 s"
    row = fxcount.sweep(["demo"], executor=here, limit_seconds=60).rows[0]
    assert not row.error


def test_a_limit_leaves_nothing_behind() -> None:
    with pytest.raises(TimeLimit), time_limit(0.05):
        nets.endless()
    with time_limit(0.05):
        pass
    end = time.monotonic() + 0.2
    while time.monotonic() < end:  # nothing comes later
        pass


def test_clocks_that_are_set_change_nothing(here: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    past = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(past)))
    rows = fxcount.sweep(JOBS, at=AT, executor=here, limit_seconds=100).rows
    assert [bool(row.error) for row in rows] == [False] * 4 + [True]
    assert all(0 <= row.seconds < 100 for row in rows)


def test_processes_that_die_or_hang_take_no_other_with_them() -> None:
    jobs = [JOBS[0], Job(f"{NETS}:deadly"), Job(f"{NETS}:hanging"), JOBS[2], Job(f"{NETS}:endless"), JOBS[3]]
    rows = fxcount.sweep(jobs, at=AT, workers=1, limit_seconds=3).rows
    assert rows[1].error.startswith("the worker died: ")
    assert [rows[2].error, rows[4].error] == ["took longer than 3 s"] * 2
    alone = [counted(replace(job, at=AT)) for job in (jobs[0], jobs[3], jobs[5])]
    assert untimed([rows[0], rows[3], rows[5]]) == untimed(alone)


def test_a_worker_that_is_killed_once_costs_no_row(tmp_path: Path) -> None:
    (tmp_path / "once").touch()
    jobs = [JOBS[0], Job(f"{NETS}:deadly", ("B,5",), arguments={"once": str(tmp_path / "once")}), JOBS[3]]
    rows = fxcount.sweep(jobs, at=AT, workers=1).rows
    assert not (tmp_path / "once").exists()
    assert untimed(rows) == untimed([counted(replace(job, at=AT)) for job in jobs])


class Unlucky(ThreadPoolExecutor):
    """Workers die under every job at first, as long as others run beside it: the fault of one of them."""

    def __init__(self, fault: str) -> None:
        super().__init__(1)
        self.fault, self.waiting, self.tried = fault, 0, list[str]()

    def submit(self, work: Any, job: Job, *rest: Any, **named: Any) -> Future[Any]:
        self.waiting += 1
        self.tried.append(job.model)
        return super().submit(self.run, work, job, *rest, **named)

    def run(self, work: Any, job: Job, *rest: Any) -> Any:
        time.sleep(0.05)  # until all are here
        beside, self.waiting = self.waiting, self.waiting - 1
        if job.model == self.fault or beside > 1:
            raise OSError("killed")
        return work(job, *rest)


def test_jobs_that_died_beside_a_deadly_one_are_counted_alone() -> None:
    with Unlucky(JOBS[3].model) as executor:
        rows = fxcount.sweep(JOBS[:4], at=AT, executor=executor).rows
    assert untimed(rows[:3]) == untimed([counted(replace(job, at=AT)) for job in JOBS[:3]])
    assert rows[3].error == "the worker died: OSError: killed"
    assert len(executor.tried) <= 8  # twice each


def test_an_executor_that_breaks_is_told_in_the_rows() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        rows = fxcount.sweep([Job(f"{NETS}:deadly"), JOBS[0]], executor=executor).rows
    assert "BrokenProcessPool" in rows[0].error


_SWEEP = f"""
import sys, fxcount
if __name__ == "__main__":
    jobs = [fxcount.Job("{NETS}:slow", ("B,5",), arguments=dict(seconds=0.1 + n / 100)) for n in range(12)]
    found = fxcount.sweep(jobs, at=dict(B=3), store=sys.argv[1], workers=2, resume=True)
    print(len(found), len(found.failed))
"""


def test_a_sweep_that_is_killed_goes_on(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(_SWEEP)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "a.sqlite")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True)
    try:
        while not (tmp_path / "a.sqlite").exists() or not (kept := Store(tmp_path / "a.sqlite").rows()):
            assert begun.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
    kept = Store(tmp_path / "a.sqlite").rows()
    assert kept
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["12", "0"]
    rows = Store(tmp_path / "a.sqlite").rows()
    assert rows[: len(kept)] == kept  # nothing lost, and nothing counted twice
    assert sorted(row.params or 0 for row in rows) == sorted(6 * int((0.1 + n / 100) * 100) for n in range(12))


_CLUSTER = f"""
import pathlib, sys, fxcount
from distributed import Client, LocalCluster
if __name__ == "__main__":
    once = sys.argv[1]
    jobs = [fxcount.Job("{NETS}:dense", ("B,5",), arguments=dict(width=n)) for n in range(2, 12)]
    jobs.insert(4, fxcount.Job("{NETS}:deadly", ("B,5",), arguments=dict(once=once)))
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            found = fxcount.sweep(jobs, at=dict(B=3), executor=client.get_executor(pure=False), limit_seconds=200)
            killed = not pathlib.Path(once).exists()
            print([row.params for row in found.rows], [row.error for row in found.failed], killed, flush=True)
"""


def test_a_cluster_of_dask_whose_worker_is_killed(tmp_path: Path) -> None:
    """The scheduler gives the job to another worker: the rows are those of single runs.

    On a busy machine a worker needs long to import torch, in which it answers nobody: that is no lost connection, and how long
    the cluster takes to close is not asked. What the script says goes to a file, as a pipe ends with the last worker only.
    """
    pytest.importorskip("distributed")
    (tmp_path / "once").touch()
    (tmp_path / "script.py").write_text(_CLUSTER)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "once")]
    patient = {f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{name}": "200s" for name in ("CONNECT", "TCP")}
    environment = {**os.environ, **patient, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    said = tmp_path / "said.txt"
    with said.open("w") as out, (tmp_path / "errors.txt").open("w") as errors:
        done = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=out, stderr=errors)
        try:
            while done.poll() is None and not said.read_text().endswith("\n"):
                time.sleep(0.1)
            done.wait(timeout=20)
        except subprocess.TimeoutExpired:
            pass  # it has said all it has to say
        finally:
            done.kill()
            done.wait()
    expected = [6 * n + 3 * (n + 1) for n in range(2, 12)]
    expected.insert(4, 66)
    assert said.read_text().splitlines()[-1:] == [f"{expected} [] True"], (tmp_path / "errors.txt").read_text()[-3000:]
