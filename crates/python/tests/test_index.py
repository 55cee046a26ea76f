"""The index without a database."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from conftest import made, true_distances

import loomdb

ROWS = made(6000, 32)
QUERIES = made(100, 32, seed=8)


@pytest.fixture(scope="module")
def index() -> loomdb.Index:
    return loomdb.Index.build(ROWS, metric="l2", m=12, ef_construction=100)


def test_links_are_arrays(tmp_path: pathlib.Path) -> None:
    rows = made(6000, 16)
    index = loomdb.Index.build(rows, metric="l2", m=8)
    offsets, targets = index.neighbors()
    assert offsets.shape == (6001,)
    assert {offsets.dtype, targets.dtype} == {np.dtype(np.int64)}
    counts = np.diff(offsets)
    info = index.info()
    assert counts.max() == info["max_degree"] <= 16
    assert abs(counts.mean() - info["mean_degree"]) < 0.01
    sources = np.repeat(np.arange(6000), counts)
    assert not (sources == targets).any() and targets.max() < 6000
    # Links are short: mostly shorter than a distance between any two rows.
    linked = np.linalg.norm(rows[sources] - rows[targets], axis=1)
    others = np.linalg.norm(rows[:-1] - rows[1:], axis=1)
    assert np.median(linked) < np.percentile(others, 10)
    above = [len(index.neighbors(level)[1]) for level in range(info["top_level"] + 2)]
    assert above == sorted(above, reverse=True) and above[1] > 0 == above[-1]
    index.save(tmp_path / "my.index")
    loaded = loomdb.Index.load(tmp_path / "my.index")
    assert all(np.array_equal(*pair) for pair in zip(index.neighbors(), loaded.neighbors()))
    index.add(rows[:3])
    assert len(index.neighbors()[0]) == 6004
    with pytest.raises(loomdb.InvalidInputError, match="level is -1"):
        index.neighbors(-1)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_exact_neighbors_are_those_of_numpy(metric: loomdb.Metric) -> None:
    index = loomdb.Index.build(ROWS, metric=metric)
    ids, distances = index.search(QUERIES, k=5, exact=True)
    assert ids.shape == (100, 5) and ids.dtype == np.int64 and distances.dtype == np.float32
    for query, found, given in zip(QUERIES, ids, distances, strict=True):
        truth = true_distances(metric, query, ROWS)
        assert np.allclose(given, np.sort(truth)[:5], atol=1e-4)
        assert np.allclose(given, truth[found], atol=1e-4)


def test_the_graph_finds_nearly_all(index: loomdb.Index) -> None:
    assert index.info()["graph_rows"] == 6000
    recall = index.recall_at(10, QUERIES, ef_search=200)
    truth = index.search(QUERIES, k=10, exact=True).ids
    found = index.search(QUERIES, k=10, ef_search=200).ids
    shared = [len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
    assert recall >= 0.95
    assert recall == pytest.approx(sum(shared) / 1000, abs=0.01)
    assert index.recall_at(10, QUERIES[0]) <= 1.0


def test_one_query_gives_flat_arrays(index: loomdb.Index) -> None:
    ids, distances = index.search(ROWS[17], k=3)
    assert (ids.shape, distances.shape) == ((3,), (3,))
    assert (ids[0], distances[0]) == (17, 0.0)


def test_the_same_graph_for_any_number_of_threads() -> None:
    one = loomdb.Index.build(ROWS, metric="l2", threads=1, seed=5).search(QUERIES, ef_search=10)
    two = loomdb.Index.build(ROWS, metric="l2", threads=2, seed=5).search(QUERIES, ef_search=10)
    assert np.array_equal(one.ids, two.ids)


def test_rows_that_are_added_are_found(index: loomdb.Index) -> None:
    index = loomdb.Index.build(ROWS[:100], metric="l2")
    assert index.add(ROWS[100:3000]) == range(100, 3000)
    index.wait()
    assert len(index) == 3000
    assert index.search(ROWS[2999], k=1).ids.tolist() == [2999]
    with pytest.raises(loomdb.DimensionError):
        index.add(np.ones((1, 31)))


def test_a_saved_index_finds_the_same(index: loomdb.Index, tmp_path: pathlib.Path) -> None:
    index.save(tmp_path / "index")
    with pytest.raises(loomdb.ExistsError):
        index.save(tmp_path / "index")
    index.save(tmp_path / "index", replace=True)
    loaded = loomdb.Index.load(tmp_path / "index")
    assert (len(loaded), loaded.dim, loaded.metric) == (6000, 32, "l2")
    before, after = index.search(QUERIES, exact=True), loaded.search(QUERIES, exact=True)
    assert np.array_equal(before.distances, after.distances)
    assert np.array_equal(before.ids, after.ids)
    # Rows are rounded anew for the walks, from the sample that their new order gives.
    before, after = (each.search(QUERIES, ef_search=256) for each in (index, loaded))
    same = [len(np.intersect1d(*ids)) for ids in zip(before.ids, after.ids)]
    assert np.mean(same) > 9.9
    again = loomdb.Index.load(tmp_path / "index").search(QUERIES, ef_search=256)
    assert np.array_equal(after.ids, again.ids)
    with pytest.raises(loomdb.MissingFileError):
        loomdb.Index.load(tmp_path / "none")


def test_rows_keep_their_numbers_when_they_are_saved_again(tmp_path: pathlib.Path) -> None:
    index = loomdb.Index.build(ROWS[:4000], metric="l2")
    index.save(tmp_path / "first")
    index = loomdb.Index.load(tmp_path / "first")
    assert index.add(ROWS[4000:4100]) == range(4000, 4100)
    index.save(tmp_path / "second")
    index = loomdb.Index.load(tmp_path / "second")
    found = index.search(ROWS[:4100], k=1, exact=True)
    assert np.array_equal(found.ids[:, 0], np.arange(4100))


def test_a_database_is_no_index(tmp_path: pathlib.Path) -> None:
    with loomdb.open(tmp_path / "db") as db:
        db.collection("default").add(["a"], [[0.0, 1.0]])
        db.commit()
    with pytest.raises(loomdb.InvalidInputError, match="open it with loomdb.open"):
        loomdb.Index.load(tmp_path / "db")


def test_wrong_arguments_are_explained() -> None:
    with pytest.raises(loomdb.InvalidInputError, match="there are no vectors"):
        loomdb.Index.build(np.empty((0, 3)))
    with pytest.raises(loomdb.InvalidInputError, match="m = 1 is not valid: expected 2 to 512"):
        loomdb.Index.build(ROWS, m=1)
    with pytest.raises(TypeError, match=r"made by Index.build"):
        loomdb.Index(ROWS)  # type: ignore[arg-type]
    with pytest.raises(loomdb.InvalidInputError, match="l2, cosine or ip"):
        loomdb.Index.build(ROWS, metric="euclid")  # type: ignore[arg-type]


def test_it_prints_well(index: loomdb.Index) -> None:
    assert repr(index) == "Index(rows=6000, dim=32, metric='l2')"
