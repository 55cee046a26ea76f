"""Nothing is left behind by opening and closing, searching, and failing, a thousand times."""

from __future__ import annotations

import gc
import os
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from conftest import made

import loomdb

ROWS = made(100, 16)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def check(work: Callable[[int], None], times: int, allowed_bytes: int) -> None:
    for turn in range(times // 4):
        work(turn)
    gc.collect()
    before = open_files(), open_threads(), resident_bytes()
    for turn in range(times):
        work(turn)
    gc.collect()
    after = open_files(), open_threads(), resident_bytes()
    assert after[0] <= before[0], "open files"
    assert after[1] <= before[1] + 2, "threads"
    assert after[2] - before[2] < allowed_bytes, "memory"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("closed", [True, False])
def test_open_and_close(tmp_path: pathlib.Path, closed: bool) -> None:
    def work(turn: int) -> None:
        db = loomdb.open(tmp_path / "my.loom", durability="buffered", threads=1)
        docs = db.collection("docs")
        docs.upsert([turn % 10], ROWS[turn % 100 : turn % 100 + 1], [{"turn": turn}])
        assert docs.search(ROWS[turn % 100], k=1)[0].id == turn % 10
        if closed:
            db.close()

    check(work, 1000, 20 << 20)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_searches_and_failures() -> None:
    docs = loomdb.open(":memory:").collection("docs")
    docs.add(vectors=ROWS, metadata=[{"n": row, "t": "x" * 100} for row in range(100)])

    def work(turn: int) -> None:
        hits = docs.search(ROWS[:10], k=10)
        assert hits.ids.shape == (10, 10)
        assert len(hits[3].metadata) == 10 and hits[0].vectors.shape == (10, 16)
        for bad in (lambda: docs.search([1.0]), lambda: docs.count({"nope": 1})):
            with pytest.raises(loomdb.Error):
                bad()
        with pytest.raises(loomdb.IdExistsError):
            docs.add([0], np.ones((1, 16)))

    check(work, 1000, 10 << 20)
