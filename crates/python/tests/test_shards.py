"""Shards that are built apart and searched as one collection, without an engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import loomdb
from loomdb.shards import (
    Manifest,
    Place,
    ShardedCollection,
    build_shard,
    merge_shards,
    shard_of,
)
from loomdb.shards._open import OpenShards
from loomdb.shards._manifest import shard_name

Array = NDArray[np.float32]

ROWS, DIM, SHARDS = 2_000, 24, 4


def made_table(rows: int = ROWS, dim: int = DIM, first: int = 0) -> pa.Table:
    """Points in clusters, with metadata."""
    random = np.random.default_rng(first + 1)
    centers = np.random.default_rng(0).normal(size=(20, dim)) * 3
    vectors = centers[random.integers(20, size=rows)] + random.normal(size=(rows, dim))
    values = pa.array(vectors.astype(np.float32).ravel())
    return pa.table(
        {
            "id": np.arange(first, first + rows, dtype=np.uint64),
            "vector": pa.FixedSizeListArray.from_arrays(values, dim),
            "year": random.integers(2000, 2025, size=rows),
            "lang": pa.array(np.array(["en", "de", "fr"])[random.integers(3, size=rows)].tolist()),
        }
    )


def matrix(table: pa.Table) -> Array:
    column = table.column("vector").combine_chunks()
    rows: Array = column.flatten().to_numpy().reshape(len(table), -1)
    return rows


def build_all(table: pa.Table, out: Path) -> Manifest:
    """What an engine does, as a loop."""
    manifest = Manifest("l2", (None,) * SHARDS, "hash")
    assigned = shard_of(table.column("id").to_numpy(), SHARDS)
    for number in range(SHARDS):
        rows = table.take(np.flatnonzero(assigned == number))
        info = build_shard(rows.to_batches(), out / shard_name(number), metric="l2")
        manifest = manifest.with_shard(number, info)
    manifest.save(Place(out))
    return manifest


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return made_table()


@pytest.fixture(scope="module")
def queries() -> Array:
    return matrix(made_table(50, first=10_000_000))


@pytest.fixture(scope="module")
def single(table: pa.Table) -> loomdb.Collection:
    """The same points in one collection."""
    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    docs.add(table)
    return docs


@pytest.fixture(scope="module")
def built(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    build_all(table, out)
    return out


@pytest.fixture(scope="module")
def sharded(built: Path) -> Iterator[ShardedCollection]:
    with ShardedCollection(built) as opened:
        yield opened


FILTERS = [None, {"lang": "de"}, {"year": {"$gte": 2015}}, {"lang": "en", "year": 2003}]


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_exact_answers_are_those_of_one_collection(
    single: loomdb.Collection, sharded: ShardedCollection, queries: Array, filter: Any
) -> None:
    one = single.search(queries, k=7, filter=filter, exact=True)
    many = sharded.search(queries, k=7, filter=filter, exact=True)
    assert (one.ids == many.ids).all()
    assert (one.distances == many.distances).all()
    assert many[3][2].metadata == one[3][2].metadata
    assert (many[3][2].vector == one[3][2].vector).all()
    first = sharded.search(queries[0], k=7, filter=filter, exact=True)
    assert list(first.ids) == list(one.ids[0]) and first[0].distance == one[0][0].distance


def test_recall_through_the_graphs_is_no_lower(
    single: loomdb.Collection, sharded: ShardedCollection, queries: Array
) -> None:
    truth = single.search(queries, k=10, exact=True).ids

    def recall(found: Any) -> float:
        pairs = zip(found.ids, truth, strict=True)
        return float(np.mean([len(set(found) & set(exact)) for found, exact in pairs])) / 10

    assert recall(sharded.search(queries, k=10)) >= recall(single.search(queries, k=10))


def test_k_come_back_whenever_k_match(
    sharded: ShardedCollection, single: loomdb.Collection
) -> None:
    query = np.zeros(DIM, np.float32)
    for filter in FILTERS:
        found = sharded.search(query, k=150, filter=filter)
        assert len(found) == min(150, single.count(filter))


def test_points_are_found_by_their_ids(sharded: ShardedCollection, table: pa.Table) -> None:
    assert len(sharded) == ROWS
    assert sharded.count({"lang": "fr"}) == table.column("lang").to_pylist().count("fr")
    points = sharded.get([5, ROWS + 1, 1_999])
    assert [point and point.id for point in points] == [5, None, 1_999]
    assert 5 in sharded and ROWS not in sharded
    assert "shards=4" in repr(sharded)


def test_an_id_is_looked_for_in_its_own_shard(
    sharded: ShardedCollection, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = OpenShards.ask

    def noted(self: OpenShards, method: str, given: Any) -> Any:
        asked.extend(given)
        return ask(self, method, given)

    monkeypatch.setattr(OpenShards, "ask", noted)
    ids: list[Any] = [3, np.int64(77), 1_234]
    for id in ids:
        point = sharded.get(id)
        assert point and point.metadata["year"] == table.column("year")[int(id)].as_py()
        assert asked == [shard_of([int(id)], SHARDS)[0]]
        asked.clear()
    assert sharded.get([]) == [] and not asked
    everything = sharded.get(range(ROWS))
    assert [point and point.id for point in everything] == list(range(ROWS))
    assert sorted(asked) == list(range(SHARDS))


def test_points_of_shards_that_no_hash_assigned_are_looked_for_in_all(tmp_path: Path) -> None:
    manifest = Manifest("cosine", (None,) * SHARDS)
    for number in range(SHARDS):
        info = build_shard(made_table(20, first=20 * number), tmp_path / shard_name(number))
        manifest = manifest.with_shard(number, info)
    manifest.save(Place(tmp_path))
    with ShardedCollection(tmp_path) as sharded:
        found = sharded.get(range(20 * SHARDS + 1))
        assert [point and point.id for point in found] == [*range(20 * SHARDS), None]


def test_wrong_ids_are_refused(sharded: ShardedCollection) -> None:
    with pytest.raises(loomdb.InvalidInputError, match="row 1: integers and strings"):
        sharded.get([1, "a"])
    with pytest.raises(loomdb.InvalidInputError, match="row 1: the id -1"):
        sharded.get([5, -1])
    with pytest.raises(loomdb.InvalidInputError, match="integers"):
        sharded.get("a")


def test_merging_brings_back_one_collection(
    built: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    info = merge_shards(built, tmp_path / "one")
    assert info.points == ROWS
    with loomdb.open(tmp_path / "one", read_only=True) as db:
        docs = db["default"]
        exact = single.search(queries, exact=True)
        assert (docs.search(queries, exact=True).ids == exact.ids).all()
        assert docs[17].metadata == single[17].metadata


def test_a_shard_is_built_from_a_stream_and_repeating_it_is_harmless(
    table: pa.Table, tmp_path: Path
) -> None:
    reader = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(300)))
    first = build_shard(reader, tmp_path / "shard", metric="l2")
    again = build_shard((batch for batch in table.to_batches(77)), tmp_path / "shard", metric="l2")
    assert (first.points, first.dim) == (again.points, again.dim) == (ROWS, DIM)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shard"]


def test_a_build_that_fails_leaves_nothing(table: pa.Table, tmp_path: Path) -> None:
    twice = pa.concat_tables([table, table.slice(3, 2)])
    with pytest.raises(loomdb.InvalidInputError, match="same id"):
        build_shard(twice, tmp_path / "shard")
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_fails_leaves_the_shard_that_was_there(
    table: pa.Table, tmp_path: Path
) -> None:
    before = build_shard(table, tmp_path / "shard")
    with pytest.raises(loomdb.NotFoundError, match="vectors"):
        build_shard(table, tmp_path / "shard", vector="vectors")
    manifest = Manifest("cosine", (before,))
    manifest.save(Place(tmp_path))
    with ShardedCollection(tmp_path) as sharded:
        assert len(sharded) == ROWS


@pytest.mark.parametrize("batches", [[], "rows", 3, [{"id": 1}]], ids=str)
def test_what_has_no_batches_is_refused(batches: Any, tmp_path: Path) -> None:
    with pytest.raises(loomdb.Error, match="batch"):
        build_shard(batches, tmp_path / "shard")


def test_a_shard_without_points_is_searched(
    tmp_path: Path, table: pa.Table, queries: Array
) -> None:
    empty = build_shard(table.slice(0, 0), tmp_path / shard_name(0), metric="l2")
    full = build_shard(table, tmp_path / shard_name(1), metric="l2")
    Manifest("l2", (empty, full)).save(Place(tmp_path))
    with ShardedCollection(tmp_path) as sharded:
        assert len(sharded.search(queries[0], k=5)) == 5
        assert sharded.search(queries, k=5).ids.shape == (50, 5)


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "copy")


def test_a_damaged_shard_is_refused_by_its_name(copied: Path) -> None:
    [vectors] = (copied / shard_name(2)).rglob("vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[len(content) // 2] ^= 1
    vectors.write_bytes(content)
    with pytest.raises(loomdb.CorruptionError, match="shard-00002.*vectors.npy"):
        ShardedCollection(copied)


def test_a_shard_that_was_changed_is_refused_by_its_name(copied: Path) -> None:
    with loomdb.open(copied / shard_name(1)) as db:
        db["default"].delete(filter={"year": 2001})
    with pytest.raises(loomdb.CorruptionError, match="shard-00001"):
        ShardedCollection(copied)


def test_a_missing_shard_and_a_missing_manifest_are_named(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / shard_name(3))
    with pytest.raises(loomdb.Error, match="shard-00003"):
        ShardedCollection(copied)
    with pytest.raises(loomdb.MissingFileError, match=r"shards\.json"):
        ShardedCollection(tmp_path)


def test_every_flip_in_the_manifest_is_found(copied: Path) -> None:
    path = copied / "shards.json"
    content = path.read_bytes()
    meaning = json.loads(content)
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            loaded = Manifest.load(copied)
        except loomdb.Error:
            continue
        # White space may change.
        assert json.loads(path.read_bytes()) == meaning, at
        assert loaded.points == ROWS


def test_a_newer_manifest_and_an_unfinished_build_are_refused(copied: Path) -> None:
    path = copied / "shards.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(loomdb.UnsupportedError, match="newer"):
        ShardedCollection(copied)
    Manifest("l2", (None, None)).save(Place(copied))
    with pytest.raises(loomdb.MissingFileError, match="shard-00000"):
        ShardedCollection(copied)


def test_wrong_queries_are_refused(sharded: ShardedCollection, queries: Array) -> None:
    with pytest.raises(loomdb.DimensionError):
        sharded.search(queries[:, :5])
    with pytest.raises(loomdb.FilterError, match="lang"):
        sharded.search(queries[0], filter={"langs": "en"})
    with pytest.raises(loomdb.InvalidInputError, match="cluster"):
        sharded.search(queries[0], probe=1)
    with pytest.raises(TypeError, match="k"):
        sharded.search(queries[0], top_k=3)


def test_ids_are_spread_evenly_and_always_the_same() -> None:
    for ids in (np.arange(40_000), [f"word-{number}" for number in range(40_000)]):
        counts = np.bincount(shard_of(ids, 8), minlength=8)
        assert counts.min() > 4_700 and counts.max() < 5_300
    assert shard_of(np.arange(8), 5).tolist() == shard_of(list(range(8)), 5).tolist()
    assert shard_of(["a", "b", "c"], 7).tolist() == [4, 0, 2]
