"""What a newcomer does with a collection, on disk and in memory."""

from __future__ import annotations

import asyncio
import pathlib

import numpy as np
import pytest

import loomdb


def test_points_are_there_when_the_database_is_opened_again(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.loom"
    with loomdb.open(path) as db:
        docs = db.collection("docs")
        docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"lang": "en"}, {"lang": "de"}])
    with loomdb.open(path) as db:
        docs = db["docs"]
        hit = docs.search([0.1, 0.9], k=1)[0]
        assert (hit.id, hit.metadata) == ("a", {"lang": "en"})
        assert hit.distance == pytest.approx(1 - 0.9 / np.hypot(0.1, 0.9), abs=1e-6)
        assert hit.vector.tolist() == [0.0, 1.0]


def test_ids_that_are_left_out_are_made_up_and_returned(db: loomdb.Database) -> None:
    docs = db.collection("docs")
    assert docs.add(vectors=[[1.0], [2.0]]).tolist() == [0, 1]
    assert docs.add([[3.0]]).tolist() == [2]
    assert docs.add(ids=[10], vectors=[[4.0]]).dtype == np.uint64
    assert docs.add(vectors=[[5.0]]).tolist() == [11]


def test_add_refuses_what_upsert_replaces(docs: loomdb.Collection) -> None:
    with pytest.raises(loomdb.IdExistsError, match="a exist already; use upsert") as caught:
        docs.add(["z", "a"], [[1.0, 1.0], [2.0, 2.0]])
    assert caught.value.row == 1
    assert "z" not in docs and len(docs) == 3
    docs.upsert(["z", "a"], [[1.0, 1.0], [2.0, 2.0]], [{}, {"lang": "fr"}])
    assert len(docs) == 4
    assert docs["a"].metadata == {"lang": "fr"}
    assert docs["a"].vector.tolist() == [2.0, 2.0]


def test_one_point_needs_no_lists(docs: loomdb.Collection) -> None:
    docs.add("d", [9.0, 9.0], {"lang": "it"})
    assert docs["d"].metadata == {"lang": "it"}
    assert docs.delete("d") == 1


def test_points_are_deleted_by_id_and_by_filter(docs: loomdb.Collection) -> None:
    assert docs.delete(["a", "nobody"]) == 1
    assert docs.delete(filter={"lang": "en"}) == 1
    assert [point.id for point in docs] == ["b"]
    assert docs.delete(filter={}) == 1
    with pytest.raises(loomdb.InvalidTypeError, match="ids or a filter"):
        docs.delete()  # type: ignore[call-overload]


def test_get_returns_points_in_the_order_of_the_ids(docs: loomdb.Collection) -> None:
    found = docs.get(["c", "nobody", "a", "c"])
    assert [point and point.id for point in found] == ["c", None, "a", "c"]
    assert docs.get("nobody") is None
    with pytest.raises(KeyError, match="there is no point 'nobody'"):
        docs["nobody"]


def test_membership(docs: loomdb.Collection) -> None:
    assert "a" in docs and "z" not in docs
    with pytest.raises(TypeError):
        assert 1.5 in docs


def test_scan_goes_through_all_points_in_pages(docs: loomdb.Collection) -> None:
    assert [point.id for point in docs.scan(batch_size=2)] == ["a", "b", "c"]
    assert [point.id for point in docs.scan({"lang": "en"}, batch_size=1)] == ["a", "c"]
    scan = docs.scan()
    docs.delete(["b"])
    assert [point.id for point in scan] == ["a", "b", "c"], "a scan sees one version"
    with pytest.raises(loomdb.InvalidInputError):
        next(docs.scan(batch_size=0))


def test_counts(docs: loomdb.Collection) -> None:
    assert (len(docs), docs.count(), docs.count({"lang": "en"})) == (3, 3, 2)
    assert bool(loomdb.open(":memory:").collection("empty"))


def test_searches_filter_and_limit(docs: loomdb.Collection) -> None:
    hits = docs.search([0.0, 0.0], k=2, filter={"lang": "en"})
    assert hits.ids.tolist() == ["a", "c"]
    assert hits.distances.tolist() == [0.0, 10.0]
    assert docs.search([0.0, 0.0], filter={"year": {"$gte": 2021}}).ids.tolist() == ["b"]
    assert docs.search([0.0, 0.0], filter={"tags": "new"}).ids.tolist() == ["a"]
    assert docs.search([0.0, 0.0], filter='{"stars": {"$gt": 4}}').ids.tolist() == ["c"]


def test_searches_within_a_distance(docs: loomdb.Collection) -> None:
    assert docs.search([0.0, 0.0], max_distance=5.0).ids.tolist() == ["a", "b"]
    assert docs.search([0.0, 0.0], k=1, max_distance=5.0).ids.tolist() == ["a"]
    assert docs.search([0.0, 0.0], k=None).ids.tolist() == ["a", "b", "c"]
    many = docs.search([[0.0, 0.0], [6.0, 8.0], [50.0, 50.0]], max_distance=5.0)
    assert many.counts.tolist() == [2, 2, 0]
    assert many.ids.tolist() == [["a", "b"], ["c", "b"], [None, None]]
    assert many.distances.tolist()[2] == [float("inf")] * 2


def test_explain_tells_how_a_search_went(docs: loomdb.Collection) -> None:
    told = docs.explain([0.0, 0.0], k=1, filter={"lang": "en"})
    assert told["strategy"] == "scan"
    assert (told["matches"], told["hits"]) == (2, 1)


def test_collections_are_listed_renamed_and_dropped(db: loomdb.Database) -> None:
    docs = db.collection("docs", dim=2, metric="ip")
    db.collection("notes")
    assert (db.collections(), len(db), list(db)) == (["docs", "notes"], 2, ["docs", "notes"])
    db.rename("docs", "papers")
    assert docs.name == "papers" and "papers" in db
    with pytest.raises(loomdb.ExistsError):
        db.rename("papers", "notes")
    db.drop("notes")
    assert db.collections() == ["papers"]
    with pytest.raises(loomdb.NotFoundError, match="did you mean \"papers\""):
        db["paper"]
    assert db.collection("papers").info()["metric"] == "ip"
    with pytest.raises(loomdb.InvalidInputError, match="metric ip, not l2"):
        db.collection("papers", metric="l2")
    with pytest.raises(loomdb.InvalidInputError, match="l2, cosine or ip"):
        db.collection("other", metric="dot")  # type: ignore[arg-type]


def test_readers_see_what_they_refresh(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.loom"
    with loomdb.open(path) as writer:
        docs = writer.collection("docs")
        docs.add(["a"], [[1.0, 0.0]])
        with loomdb.open(path, read_only=True) as reader:
            assert len(reader["docs"]) == 1
            docs.add(["b"], [[0.0, 1.0]])
            reader.refresh()
            assert len(reader["docs"]) == 2
            with pytest.raises(loomdb.InvalidInputError, match="only to be read"):
                reader["docs"].add(["c"], [[1.0, 1.0]])


@pytest.mark.parametrize("durability", ["synced", "buffered", "on_commit"])
def test_every_durability_keeps_what_was_committed(
    tmp_path: pathlib.Path, durability: loomdb.Durability
) -> None:
    path = tmp_path / "my.loom"
    with loomdb.open(path, durability=durability) as db:
        db.collection("docs").add(["a"], [[1.0, 0.0]])
        db.sync()
        db.commit()
        assert db.warnings == []
    with loomdb.open(path) as db:
        assert len(db["docs"]) == 1


def test_compact_gives_space_back(db: loomdb.Database) -> None:
    docs = db.collection("docs")
    docs.add(vectors=np.eye(100, dtype=np.float32))
    docs.delete(list(range(50)))
    assert docs.info()["deleted_rows"] == 50
    docs.compact()
    assert (docs.info()["deleted_rows"], len(docs)) == (0, 50)


def test_async_methods_do_the_same(docs: loomdb.Collection) -> None:
    async def work() -> None:
        await docs.aadd(["d"], [[1.0, 1.0]])
        await docs.aupsert(["d"], [[1.0, 2.0]])
        assert (await docs.aget("d")).vector.tolist() == [1.0, 2.0]
        assert (await docs.asearch([1.0, 2.0], k=1)).ids.tolist() == ["d"]
        assert await docs.acount({"lang": "en"}) == 2
        assert await docs.adelete(["d"]) == 1

    asyncio.run(work())


def test_indexed_fields_change_no_answer_and_stay(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.loom"
    records = [{"topic": ["bird", "fish"][row % 2], "n": row} for row in range(100)]
    wanted = {"topic": "fish", "n": {"$gte": 50}}
    with loomdb.open(path) as db:
        docs = db.collection("docs")
        docs.add(vectors=np.ones((100, 1)), metadata=records)
        before = [point.id for point in docs.scan(wanted)]
        docs.index_field("topic")
        docs.index_field("n")
        assert [point.id for point in docs.scan(wanted)] == before == list(range(51, 100, 2))
        with pytest.raises(loomdb.NotFoundError, match='did you mean "topic"'):
            docs.index_field("topik")
    with loomdb.open(path) as db:
        docs = db["docs"]
        assert docs.info()["indexed_fields"] == ["n", "topic"]
        docs.unindex_field("topic")
        assert docs.count(wanted) == 25


def test_a_collection_keeps_what_its_graph_is_built_with(tmp_path: pathlib.Path) -> None:
    rows = np.random.default_rng(1).normal(size=(5000, 8))
    with loomdb.open(tmp_path / "my.loom") as db:
        docs = db.collection("docs", metric="l2", m=6, ef_construction=80)
        docs.add(vectors=rows)
        db.collection("others", dim=8)
    with loomdb.open(tmp_path / "my.loom") as db:
        docs = db.collection("docs")
        docs.delete(list(range(10)))
        docs.compact()
        info = docs.info()
        assert (info["m"], info["ef_construction"], info["index"]["m"]) == (6, 80, 6)
        assert info["index"]["max_degree"] <= 12
        assert (db["others"].info()["m"], db["others"].info()["ef_construction"]) == (16, 200)
        assert db.collection("docs", m=6).name == "docs"
        with pytest.raises(loomdb.InvalidInputError, match='"docs" has m 6, not 16'):
            db.collection("docs", m=16)
        with pytest.raises(loomdb.InvalidInputError, match="has ef_construction 80, not 200"):
            db.collection("docs", ef_construction=200)
