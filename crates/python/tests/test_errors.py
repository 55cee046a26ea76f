"""Errors: classes for programs, and messages that say what to do."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import pickle
from typing import Any

import pytest

import loomdb


@pytest.mark.parametrize("name", ["n_results", "limit", "top_k", "kk"])
def test_wrong_names_of_k_name_k(docs: loomdb.Collection, name: str) -> None:
    wrong: dict[str, Any] = {name: 5}
    with pytest.raises(TypeError, match=f"search\\(\\) has no argument '{name}'; use 'k'"):
        docs.search([0.0, 0.0], **wrong)


def test_wrong_names_of_others_are_told() -> None:
    docs = loomdb.open(":memory:").collection("docs")
    cases: list[tuple[Any, str, str]] = [
        (docs.add, "embeddings", "vectors"),
        (docs.upsert, "metadatas", "metadata"),
        (docs.search, "where", "filter"),
        (docs.delete, "where", "filter"),
        (docs.scan, "batchsize", "batch_size"),
        (docs.explain, "ef", "ef_search"),
        (loomdb.Index.build, "space", "metric"),
        (loomdb.Index.build, "M", "m"),
    ]
    for call, wrong, meant in cases:
        given: tuple[Any, ...] = ([[1.0]],) if call != docs.scan else ()
        with pytest.raises(TypeError, match=f"'{wrong}'; use '{meant}'"):
            call(*given, **{wrong: 5})
    with pytest.raises(TypeError, match="'readonly'; use 'read_only'"):
        loomdb.open(":memory:", readonly=True)
    with pytest.raises(TypeError, match="'space'; use 'metric'"):
        loomdb.open(":memory:").collection("docs", space="l2")
    with pytest.raises(TypeError, match=r"'threads'; use loomdb.open\(path, threads=...\)"):
        loomdb.open(":memory:").collection("docs", threads=2)
    with pytest.raises(TypeError, match=r"'m'; use db.collection\(name, m=...\)"):
        loomdb.open(":memory:", m=32)
    with pytest.raises(TypeError, match="has no argument 'zzz'; it has ids, filter"):
        docs.delete([1], zzz=1)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"yaer": 2020}, 'there is no field "yaer"; did you mean "year"?'),
        ({"year": {"$ge": 2020}}, 'did you mean "$gte"?'),
        ({"year": "2020"}, "is an integer"),
        ({"$or": [{"lang": "en"}, {"year": {"$gt": "x"}}]}, "$or[1].year.$gt"),
        (["lang"], "the filter is a list, not a dict"),
        ({"year": object()}, "cannot be written as JSON"),
        ({"stars": float("nan")}, "cannot be written as JSON"),
        ("{", "filter"),
    ],
)
def test_wrong_filters_are_explained(docs: loomdb.Collection, filter: Any, message: str) -> None:
    for call in (
        lambda: docs.search([0.0, 0.0], filter=filter),
        lambda: docs.search([[0.0, 0.0]], filter=filter),
        lambda: docs.search([0.0, 0.0], filter=filter, max_distance=1.0),
        lambda: docs.count(filter),
        lambda: docs.delete(filter=filter),
        lambda: docs.scan(filter),
    ):
        with pytest.raises(loomdb.FilterError) as caught:
            call()
        assert message in str(caught.value)
    assert len(docs) == 3


def test_filters_say_where(docs: loomdb.Collection) -> None:
    with pytest.raises(ValueError) as caught:
        docs.count({"$and": [{"lang": "en"}, {"yaer": 1}]})
    assert isinstance(caught.value, loomdb.FilterError)
    assert caught.value.path == "$and[1].yaer"


def test_parameters_out_of_range_are_explained(docs: loomdb.Collection) -> None:
    with pytest.raises(loomdb.InvalidInputError, match="k = 0 is not valid: expected 1 to 10,000"):
        docs.search([0.0, 0.0], k=0)
    with pytest.raises(loomdb.InvalidInputError, match="ef_search = 0"):
        docs.search([0.0, 0.0], ef_search=0)
    for k in (-1, 1.5, "x"):
        with pytest.raises((TypeError, OverflowError)):
            docs.search([0.0, 0.0], k=k)  # type: ignore[arg-type]
    with pytest.raises(loomdb.InvalidInputError, match="durability = \"sync\" is not valid"):
        loomdb.open(":memory:", durability="sync")  # type: ignore[arg-type]
    with pytest.raises(loomdb.InvalidInputError, match="m = 1 is not valid"):
        loomdb.open(":memory:").collection("docs", m=1)


def test_files_that_are_not_there_or_in_the_way(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        loomdb.open(tmp_path / "none", read_only=True)
    assert isinstance(caught.value, loomdb.MissingFileError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(loomdb.Error):
        loomdb.open(tmp_path / "file")
    with pytest.raises(loomdb.InvalidTypeError, match="path is a int"):
        loomdb.open(5)  # type: ignore[arg-type]


def test_damage_is_told_with_its_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my.loom"
    with loomdb.open(path) as db:
        db.collection("docs").add(vectors=[[1.0, 2.0]])
        db.commit()
    [vectors] = path.glob("*/seg-*/vectors.npy")
    damaged = bytearray(vectors.read_bytes())
    damaged[-1] ^= 1
    vectors.write_bytes(damaged)
    with pytest.raises(loomdb.CorruptionError, match="vectors.npy") as caught:
        loomdb.open(path)
    assert caught.value.file and caught.value.file.endswith("vectors.npy")


def test_one_writer_at_a_time(tmp_path: pathlib.Path) -> None:
    with loomdb.open(tmp_path / "my.loom"):
        with pytest.raises(loomdb.LockedError):
            loomdb.open(tmp_path / "my.loom")
    loomdb.open(tmp_path / "my.loom").close()


def test_a_closed_database_says_so(tmp_path: pathlib.Path) -> None:
    db = loomdb.open(tmp_path / "my.loom")
    docs = db.collection("docs")
    docs.add(["a"], [[1.0]])
    hits = docs.search([1.0])
    scan = docs.scan()
    db.close()
    db.close()
    assert db.closed and "closed" in repr(db) and repr(docs) == "Collection(closed)"
    for call in (
        lambda: docs.search([1.0]),
        lambda: docs.add(["b"], [[1.0]]),
        lambda: len(docs),
        lambda: next(scan),
        lambda: db.collections(),
        lambda: db.collection("docs"),
    ):
        with pytest.raises(loomdb.ClosedError, match="was closed; open it again"):
            call()
    assert hits.ids.tolist() == ["a"], "what was found stays"


def test_a_dropped_collection_says_so(db: loomdb.Database) -> None:
    docs = db.collection("docs")
    docs.add(["a"], [[1.0]])
    db.drop("docs")
    with pytest.raises(loomdb.NotFoundError, match="was dropped"):
        docs.add(["b"], [[1.0]])


def test_handles_are_not_pickled(docs: loomdb.Collection) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(docs)


def _in_child(docs: loomdb.Collection, hits: loomdb.Hits, results: Any) -> None:
    said = []
    for call in (lambda: docs.search([1.0, 0.0]), lambda: docs.add(["x"], [[1.0, 1.0]])):
        try:
            call()
        except loomdb.ForkedError as error:
            said.append(str(error))
    del docs, hits
    results.put(said)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_told_and_does_no_harm(tmp_path: pathlib.Path) -> None:
    db = loomdb.open(tmp_path / "my.loom", durability="buffered")
    docs = db.collection("docs")
    docs.add(["a"], [[1.0, 0.0]])
    hits = docs.search([1.0, 0.0])
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_in_child, args=(docs, hits, results))
    child.start()
    said = results.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0
    assert len(said) == 2 and "before the process was forked" in said[0]
    docs.add(["b"], [[0.0, 1.0]])
    with pytest.raises(loomdb.LockedError):
        loomdb.open(tmp_path / "my.loom")
    db.close()
    with loomdb.open(tmp_path / "my.loom") as db:
        assert len(db["docs"]) == 2
        assert db.warnings == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_exits_in_the_middle_closes_nothing(tmp_path: pathlib.Path) -> None:
    db = loomdb.open(tmp_path / "my.loom")
    docs = db.collection("docs")
    docs.add(["a"], [[1.0, 0.0]])
    child = os.fork()
    if child == 0:
        del docs, db
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    docs.add(["b"], [[0.0, 1.0]])
    db.close()
    with loomdb.open(tmp_path / "my.loom") as db:
        assert len(db["docs"]) == 2


def test_all_exceptions_are_errors_of_loomdb() -> None:
    kinds = [getattr(loomdb, name) for name in loomdb.__all__ if name.endswith("Error")]
    assert len(kinds) > 15
    assert all(issubclass(kind, loomdb.Error) for kind in kinds)
    assert not any(issubclass(kind, RuntimeError) for kind in kinds)
    assert str(loomdb.NotFoundError("plain 'text'")) == "plain 'text'"
