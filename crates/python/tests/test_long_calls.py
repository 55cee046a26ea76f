"""Long calls: other threads run, progress is told, and Ctrl-C stops them without a trace."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import made

import loomdb

ROWS = made(60_000, 96)


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    """Presses Ctrl-C once, also where it is ignored, as in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_build_stops_soon() -> None:
    started = time.monotonic()
    with interrupted(0.3), pytest.raises(KeyboardInterrupt):
        while True:
            loomdb.Index.build(ROWS, metric="l2", ef_construction=400, threads=1)
    assert time.monotonic() - started < 20


def test_an_interrupted_add_leaves_the_collection_as_it_was(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.loom"
    with loomdb.open(path) as db:
        docs = db.collection("docs", metric="l2")
        docs.add(["a"], ROWS[:1])

        def stop(phase: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        ids = [f"id-{row}" for row in range(len(ROWS))]
        with pytest.raises(KeyboardInterrupt):
            docs.add(ids, ROWS, progress=stop)
        assert len(docs) == 1 and "id-0" not in docs
        docs.add(["b"], ROWS[1:2])
        assert docs.search(ROWS[1], k=1).ids.tolist() == ["b"]
    with loomdb.open(path) as db:
        assert (len(db["docs"]), db.warnings) == (2, [])


def test_what_progress_raises_comes_out() -> None:
    def stop(phase: str, done: int, total: int) -> None:
        raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        loomdb.Index.build(ROWS, progress=stop)


def test_progress_tells_phases_and_steps() -> None:
    told: list[tuple[str, int, int]] = []
    loomdb.Index.build(ROWS, progress=lambda *state: told.append(state))
    assert told and all(0 <= done <= total or total == 0 for _, done, total in told)
    assert all(isinstance(phase, str) for phase, _, _ in told)
    docs = loomdb.open(":memory:").collection("docs")
    told.clear()
    docs.add(vectors=ROWS, progress=lambda *state: told.append(state))
    assert told and len(docs) == len(ROWS)
    with pytest.raises(loomdb.InvalidTypeError, match="give True or a function"):
        docs.add(vectors=ROWS[:1], progress=5)  # type: ignore[arg-type]


def test_a_rewrite_tells_its_progress_and_can_be_stopped() -> None:
    def stop(phase: str, done: int, total: int) -> None:
        raise ZeroDivisionError("enough")

    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    docs.add(vectors=ROWS)
    docs.delete(list(range(1, 20_000)))
    with pytest.raises(ZeroDivisionError, match="enough"):
        docs.compact(progress=stop)
    assert docs.info()["deleted_rows"] == 19_999
    told: list[tuple[str, int, int]] = []
    docs.compact(progress=lambda *state: told.append(state))
    assert told and docs.info()["deleted_rows"] == 0
    assert docs.search(ROWS[30_000], k=1)[0].distance == 0


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_bar_is_shown(with_tqdm: bool, tmp_path: pathlib.Path) -> None:
    block = "" if with_tqdm else "sys.modules['tqdm'] = sys.modules['tqdm.auto'] = None"
    program = f"""
        import sys
        {block}
        import numpy as np, loomdb
        rows = np.random.default_rng(1).normal(size=(30_000, 64))
        loomdb.Index.build(rows, progress=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout == ""
    assert "%" in run.stderr


@pytest.mark.parametrize("call", ["build", "add", "search", "within"])
def test_other_threads_run_meanwhile(call: str) -> None:
    docs = loomdb.open(":memory:", threads=1).collection("docs", metric="l2")
    docs.add(vectors=ROWS[:20_000])
    work: dict[str, Callable[[], object]] = {
        "build": lambda: loomdb.Index.build(ROWS[:20_000], metric="l2", threads=1),
        "add": lambda: docs.add(vectors=ROWS[:20_000]),
        "search": lambda: docs.search(ROWS[:2_000], k=10, exact=True),
        "within": lambda: [docs.search(ROWS[0], max_distance=1.0) for _ in range(50)],
    }
    thread = threading.Thread(target=work[call])
    longest, last = 0.0, time.perf_counter()
    thread.start()
    while thread.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        time.sleep(0.0005)
    # The lock of the interpreter changes hands every 5 ms, and the machine may be busy.
    assert longest < 0.5, f"nothing else ran for {longest:.3f} s"


def test_many_threads_read_and_write(tmp_path: pathlib.Path) -> None:
    db = loomdb.open(tmp_path / "my.loom", durability="buffered")
    docs = db.collection("docs", metric="l2")
    docs.add(list(range(1000)), ROWS[:1000])
    failures: list[BaseException] = []

    def write(first: int) -> None:
        for row in range(first, first + 200):
            docs.add([row], ROWS[row : row + 1])
            if row % 3 == 0:
                assert docs.delete([row]) == 1

    def read() -> None:
        for row in range(0, 1000, 5):
            hits = docs.search(ROWS[row], k=3)
            assert hits[0].id == row and len(hits) == 3

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    starts = (1000, 2000, 3000)
    works: list[Callable[[], None]] = [functools.partial(write, first) for first in starts]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in [*works, read, read]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = [row for first in starts for row in range(first, first + 200) if row % 3]
    assert sorted(point.id for point in docs) == [*range(1000), *kept]
    db.close()


def test_interrupts_do_not_lose_small_writes(tmp_path: pathlib.Path) -> None:
    docs = loomdb.open(tmp_path / "my.loom").collection("docs")
    done = 0
    with interrupted(0.2), pytest.raises(KeyboardInterrupt):
        while True:
            docs.add([done], np.ones((1, 4)))
            done += 1
    assert len(docs) in (done, done + 1)
