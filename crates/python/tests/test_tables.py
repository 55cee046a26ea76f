"""Tables of other libraries go in, files of other programs come out."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import made

import loomdb

ROWS = made(30, 4)
TABLE = pa.table(
    {
        "id": [f"p{row}" for row in range(30)],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 4),
        "year": pa.array([2000 + row if row % 3 else None for row in range(30)], pa.int16()),
        "lang": pa.array(["en", "de"] * 15).dictionary_encode(),
    }
)


def batches() -> Iterator[pa.RecordBatch]:
    yield from TABLE.to_batches(max_chunksize=7)


class OnlyArray:
    """Has only the interface of a single batch."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.batch.__arrow_c_array__(requested_schema)


class OnlyStream:
    """Has only the interface of a stream, as a relation of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "table",
    [
        lambda: TABLE,
        lambda: pa.Table.from_batches(batches()),
        lambda: TABLE.combine_chunks().to_batches()[0],
        lambda: pa.RecordBatchReader.from_batches(TABLE.schema, batches()),
        lambda: pl.DataFrame(TABLE),
        lambda: TABLE.to_pandas(),
        lambda: OnlyArray(TABLE.combine_chunks().to_batches()[0]),
        lambda: OnlyStream(),
        lambda: TABLE.set_column(1, "vector", TABLE["vector"].cast(pa.list_(pa.float64()))),
        lambda: TABLE.set_column(1, "vector", TABLE["vector"].cast(pa.large_list(pa.float32()))),
    ],
    ids=[
        "table", "chunks", "batch", "reader", "polars", "pandas", "array", "stream", "f64", "large"
    ],
)
def test_every_table_is_taken(table: Any) -> None:
    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    assert docs.add(table()).tolist() == TABLE["id"].to_pylist()
    assert len(docs) == 30
    for row in (0, 7, 29):
        point = docs[f"p{row}"]
        assert np.array_equal(point.vector, ROWS[row])
        year = {"year": 2000 + row} if row % 3 else {}
        assert point.metadata == {**year, "lang": ["en", "de"][row % 2]}
    assert docs.count({"year": {"$gte": 2020}}) == 7


def test_columns_are_named(docs: loomdb.Collection) -> None:
    table = TABLE.rename_columns(["url", "emb", "year", "lang"])
    docs = loomdb.open(":memory:").collection("docs")
    docs.upsert(table, vector_column="emb", id_column="url")
    assert docs["p3"].metadata == {"lang": "de"}
    with pytest.raises(loomdb.NotFoundError, match="no column \"embb\"; the columns are url, emb"):
        docs.upsert(table, vector_column="embb")
    with pytest.raises(loomdb.InvalidTypeError, match="are for tables"):
        docs.upsert(["x"], [[1.0] * 4], vector_column="emb")


def test_a_table_without_ids_gets_some() -> None:
    docs = loomdb.open(":memory:").collection("docs")
    assert docs.add(TABLE.drop_columns(["id"])).tolist() == list(range(30))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.drop_columns(["vector"]), "no column holds lists"),
        (TABLE.append_column("s", pa.array([[1]] * 30)), "the metadata field \"s\""),
        (pa.table({"id": [1, None], "vector": [[1.0], [2.0]]}), "row 1: the id is null"),
        (pa.table({"vector": [[1.0], [1.0, 2.0]]}), "row 1: the vector has 2 values"),
        (pa.table({"vector": [[1.0], None]}), "row 1: the vector is null"),
        (pa.table({"vector": [[1.0], [None]]}), "row 1: the value at position 0 is null"),
        (pa.table({"id": [1, 1], "vector": [[1.0], [2.0]]}), "row 0 has the same id"),
    ],
)
def test_wrong_tables_are_explained(table: Any, message: str) -> None:
    docs = loomdb.open(":memory:").collection("docs")
    with pytest.raises(loomdb.Error) as caught:
        docs.add(table)
    assert message in str(caught.value)
    assert len(docs) == 0


def test_what_a_reader_raises_is_told() -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches()
        raise ValueError("the source is gone")

    docs = loomdb.open(":memory:").collection("docs")
    with pytest.raises(loomdb.InvalidInputError, match="the source is gone"):
        docs.add(pa.RecordBatchReader.from_batches(TABLE.schema, failing()))
    assert len(docs) == 0


def test_updates_change_what_is_given(docs: loomdb.Collection) -> None:
    docs.update(["a", "c"], [{"year": None, "lang": "fr"}, {"new": True}])
    assert docs["a"].metadata == {"lang": "fr", "tags": ["new", "short"]}
    assert docs["c"].metadata == {"lang": "en", "stars": 4.5, "new": True}
    assert docs["a"].vector.tolist() == [0.0, 0.0]
    docs.update("b", {"year": 2022})
    assert docs["b"].metadata == {"lang": "de", "year": 2022}
    with pytest.raises(loomdb.NotFoundError, match="nobody"):
        docs.update(["a", "nobody"], [{"lang": "x"}, {"lang": "x"}])
    with pytest.raises(loomdb.InvalidInputError, match="the field \"year\" holds integer"):
        docs.update(["a"], [{"year": "text"}])
    assert docs["a"].metadata == {"lang": "fr", "tags": ["new", "short"]}


def test_exports_are_read_by_others(docs: loomdb.Collection, tmp_path: pathlib.Path) -> None:
    [path] = docs.export(tmp_path / "docs.parquet")
    table = pq.read_table(path)
    assert table["id"].to_pylist() == ["a", "b", "c"]
    assert table["vector"].to_pylist() == [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]
    assert table["stars"].to_pylist() == [None, None, 4.5]
    with pytest.raises(loomdb.ExistsError):
        docs.export(path)
    docs.export(path, replace=True)
    again = loomdb.open(":memory:").collection("docs", metric="l2")
    again.add(pd.read_parquet(path))
    assert list(again) == list(docs)
    vectors, points = docs.export(tmp_path / "docs.npy")
    assert np.load(vectors).tolist() == [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]
    assert pq.read_table(points)["id"].to_pylist() == ["a", "b", "c"]


def test_files_are_loaded(tmp_path: pathlib.Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    docs = loomdb.open(":memory:").collection("docs")
    assert docs.load(tmp_path / "a.parquet").tolist() == TABLE["id"].to_pylist()
    assert docs["p1"].metadata == {"year": 2001, "lang": "de"}
    with pytest.raises(loomdb.IdExistsError):
        docs.load(tmp_path / "a.parquet")
    docs.load(tmp_path / "a.parquet", replace=True)
    with pytest.raises(FileNotFoundError):
        docs.load(tmp_path / "none.parquet")
    np.save(tmp_path / "b.npy", ROWS)
    other = loomdb.open(":memory:").collection("other")
    assert other.load([tmp_path / "b.npy", tmp_path / "b.npy"]).tolist() == list(range(60))


def test_columns_that_cannot_be_metadata_are_told(tmp_path: pathlib.Path) -> None:
    table = TABLE.append_column("s", pa.array([[1]] * 30))
    pq.write_table(table, tmp_path / "a.parquet")
    docs = loomdb.open(":memory:").collection("docs")
    with pytest.warns(UserWarning, match="left out: s"):
        docs.load(tmp_path / "a.parquet")


def test_checks_and_backups(tmp_path: pathlib.Path) -> None:
    with loomdb.open(tmp_path / "my.loom") as db:
        docs = db.collection("docs")
        docs.add(TABLE)
        assert db.check(recall_queries=5)["findings"] == []
        assert db.backup(tmp_path / "copy.loom")["files"] > 0
        docs.delete(filter={})
        with pytest.raises(loomdb.ExistsError):
            db.backup(tmp_path / "copy.loom")
    with loomdb.open(tmp_path / "copy.loom") as copy:
        assert len(copy["docs"]) == 30


def test_nested_metadata_become_fields_with_a_dot(tmp_path: pathlib.Path) -> None:
    records = [{"a": {"b": 1, "c": {"d": "x"}}}, {"a": {"b": None}}, {"a.b": 3}, None]
    docs = loomdb.open(":memory:").collection("docs")
    docs.add(vectors=np.ones((4, 1)), metadata=records)
    found = [docs[row].metadata for row in range(4)]
    assert found == [{"a.b": 1, "a.c.d": "x"}, {}, {"a.b": 3}, {}]
    docs.update([0], [{"a": {"b": 7, "c": {"d": None}}}])
    assert docs[0].metadata == {"a.b": 7}
    assert docs.count({"a.b": {"$gte": 3}}) == 2
    with pytest.raises(loomdb.InvalidInputError, match="row 0.*two values"):
        docs.add([9], [[1.0]], [{"a.b": 1, "a": {"b": 2}}])
    deep: dict[str, Any] = {}
    deep["deep"] = deep
    with pytest.raises(loomdb.InvalidInputError, match="more than 256 bytes"):
        docs.add([9], [[1.0]], [deep])

    structs = pa.array([{"b": 1, "c": "x"}, None, {"b": 3, "c": None}])
    table = pa.table({"id": [0, 1, 2], "vector": [[1.0], [2.0], [3.0]], "a": structs})
    expected = [{"a.b": 1, "a.c": "x"}, {}, {"a.b": 3}]
    tables = loomdb.open(":memory:").collection("tables")
    tables.add(table)
    assert [tables[row].metadata for row in range(3)] == expected
    pq.write_table(table, tmp_path / "a.parquet")
    loaded = loomdb.open(":memory:").collection("loaded")
    loaded.load(tmp_path / "a.parquet")
    assert [loaded[row].metadata for row in range(3)] == expected
