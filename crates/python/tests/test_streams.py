"""Readers and iterators of tables are written piece by piece.

The story: somebody adds a stream that is larger than the memory of the machine. Each piece is
there as soon as it is written, the memory that it took is used for the next, and when something
goes wrong in the middle the pieces before stay, and the error says how many points they are.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import made

import loomdb

DIM = 1024
#: Rows of a batch of 16 MiB, of which four are a piece.
ROWS = 4096
PIECE = 4 * ROWS

VALUES = made(ROWS, DIM)


def batch(number: int, first: int | None = None) -> pa.RecordBatch:
    """Points with the ids behind `first`, or else those of their number."""
    first = number * ROWS if first is None else first
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VALUES.ravel()), DIM)
    columns = {
        "id": pa.array(range(first, first + ROWS), pa.uint64()),
        "vector": vectors,
        "number": pa.array([number] * ROWS),
    }
    return pa.RecordBatch.from_pydict(columns)


SCHEMA = batch(0).schema


def reader(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(SCHEMA, batches)


def frames(kind: Callable[[pa.Table], Any]) -> Callable[[Iterator[pa.RecordBatch]], Any]:
    """An iterator of tables of another library."""
    return lambda batches: (kind(pa.Table.from_batches([one])) for one in batches)


@pytest.fixture
def docs(tmp_path: pathlib.Path) -> Iterator[loomdb.Collection]:
    with loomdb.open(tmp_path / "my.loom", durability="buffered") as db:
        yield db.collection("docs", metric="l2")


@pytest.mark.parametrize(
    "given",
    [reader, iter, frames(lambda table: table), frames(pl.DataFrame), frames(pa.Table.to_pandas)],
    ids=["reader", "batches", "tables", "polars", "pandas"],
)
def test_pieces_are_there_while_the_stream_goes_on(docs: loomdb.Collection, given: Any) -> None:
    seen = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(9):
            seen.append(len(docs))
            yield batch(number)

    ids = docs.add(given(batches()))
    assert ids.tolist() == list(range(9 * ROWS))
    assert seen[:4] == [0] * 4
    # A reader may read ahead of what is asked for.
    assert set(seen) >= {0, PIECE} and set(seen) <= {0, PIECE, 2 * PIECE}
    assert len(docs) == 9 * ROWS
    assert docs[8 * ROWS + 5].metadata == {"number": 8}
    assert np.array_equal(docs[3 * ROWS + 7].vector, VALUES[7])
    info = docs.info()["index"]
    assert (info["tail_rows"], info["unreachable_nodes"]) == (0, 0)


def test_a_stream_larger_than_the_bound_takes_no_more_memory_than_it() -> None:
    """128 batches of 16 MiB take the places of each other, so what is kept stays small.

    It takes 289 MiB when the places are given back at once. They are given back on another thread,
    so the bound has room for all of them: 16 MiB for each of 32 pieces.
    """
    program = """
        import resource, sys
        sys.path.insert(0, sys.argv[1])
        from test_streams import *

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

        docs = loomdb.open(":memory:").collection("docs", metric="l2")
        docs.upsert(iter([batch(0)]))
        before = peak()
        docs.upsert(reader(batch(number, first=0) for number in range(128)))
        assert len(docs) == ROWS and docs[0].metadata == {"number": 127}
        print(peak() - before)
    """
    tests = str(pathlib.Path(__file__).parent)
    command = [sys.executable, "-c", textwrap.dedent(program), tests]
    grown = int(subprocess.check_output(command))
    assert grown < 896 << 20, f"{grown >> 20} MiB more for a stream of 2048 MiB"


def test_a_large_batch_is_cut(docs: loomdb.Collection) -> None:
    table = pa.Table.from_batches([batch(number) for number in range(9)]).combine_chunks()
    [whole] = table.to_batches()
    seen: set[int] = {0}

    def told(phase: str, done: int, total: int) -> None:
        if phase == "write":
            seen.add(done)

    docs.add(reader(iter([whole])), progress=told)
    assert len(docs) == 9 * ROWS
    # The last piece is told by the phases of the build.
    steps = np.diff(sorted(seen))
    assert len(steps) == 2 and PIECE - 100 < steps.min() and steps.max() <= PIECE
    assert docs[9 * ROWS - 1].metadata == {"number": 8}


def test_an_error_in_the_middle_leaves_the_pieces_before(docs: loomdb.Collection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from (batch(number) for number in range(6))
        raise LookupError("the source is gone")

    with pytest.raises(LookupError, match="the source is gone") as caught:
        docs.add(batches())
    assert len(docs) == PIECE
    [note] = caught.value.__notes__
    assert note.startswith(f"{PIECE} points of the stream were written before this, and stay")

    docs.upsert(batch(number) for number in range(6))
    assert (len(docs), docs.count({"number": 5})) == (6 * ROWS, ROWS)


def test_rows_of_errors_are_counted_from_the_first(docs: loomdb.Collection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from (batch(number) for number in range(5))
        yield batch(5, first=3)

    with pytest.raises(loomdb.IdExistsError) as caught:
        docs.add(batches())
    assert caught.value.row == 5 * ROWS
    assert len(docs) == PIECE
    assert len(caught.value.__notes__) == 1


def test_a_small_stream_is_all_or_nothing(docs: loomdb.Collection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield batch(0)
        yield batch(1, first=5)

    with pytest.raises(loomdb.Error) as caught:
        docs.add(batches())
    assert len(docs) == 0
    assert not hasattr(caught.value, "__notes__")
    assert docs.upsert(batches()).tolist() == [*range(ROWS), *range(5, 5 + ROWS)]
    assert len(docs) == ROWS + 5
    assert docs[4].metadata == {"number": 0} and docs[5].metadata == {"number": 1}


def test_what_progress_raises_stops_a_stream(docs: loomdb.Collection) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        if done >= PIECE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        docs.add((batch(number) for number in range(20)), progress=stop)
    assert len(docs) == PIECE
    assert "were written before this" in caught.value.__notes__[0]


def test_fields_may_come_up_later_and_ids_may_be_left_out(docs: loomdb.Collection) -> None:
    tables = [
        pa.table({"vector": [[1.0, 0.0]], "lang": ["en"]}),
        pd.DataFrame({"vector": [[2.0, 0.0], [3.0, 0.0]], "year": [1, 2]}),
    ]
    assert docs.add(iter(tables)).tolist() == [0, 1, 2]
    assert [point.metadata for point in docs] == [{"lang": "en"}, {"year": 1}, {"year": 2}]
    assert docs.add(tables[:1]).tolist() == [3]
    with pytest.raises(loomdb.NotFoundError, match='no column "emb"'):
        docs.add(iter(tables), vector_column="emb")
    with pytest.raises(loomdb.InvalidTypeError, match="a table has its own metadata"):
        docs.add(iter(tables), metadata=[{}])
    with pytest.raises(loomdb.InvalidTypeError, match="a int has no Arrow interface"):
        docs.add(iter([tables[0], 5]))
    assert len(docs) == 4


def test_a_stream_without_rows_adds_nothing(docs: loomdb.Collection) -> None:
    assert docs.add(reader(iter([]))).tolist() == []
    assert docs.add(reader(iter([batch(0)[:0]]))).tolist() == []
    empty = pa.table({"vector": pa.array([], pa.list_(pa.float32()))})
    assert docs.add(iter([empty, empty])).tolist() == []
    assert len(docs) == 0
