"""Real data and random operations against plain Python and NumPy, which share no code with us."""

from __future__ import annotations

import pathlib
import random
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, true_distances
from numpy.typing import NDArray

import loomdb


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_searches_find_what_numpy_finds(
    metric: loomdb.Metric, definitions: NDArray[np.float32]
) -> None:
    docs = loomdb.open(":memory:").collection("definitions", metric=metric)
    metadata = [{"part": row % 10, "even": row % 2 == 0} for row in range(len(definitions))]
    docs.add(vectors=definitions, metadata=metadata)
    queries = np.load(ROOT / "data/wordnet/queries.npy").astype(np.float32)
    found_share = []
    for filter, is_meant in (
        (None, np.full(len(definitions), True)),
        ({"part": 3}, np.arange(len(definitions)) % 10 == 3),
        ({"even": True, "part": {"$lt": 5}}, np.arange(len(definitions)) % 10 < 5),
    ):
        if filter and "even" in filter:
            is_meant &= np.arange(len(definitions)) % 2 == 0
        exact = docs.search(queries, k=10, filter=filter, exact=True)
        walked = docs.search(queries, k=10, filter=filter)
        for query, right, found in zip(queries, exact, walked, strict=True):
            truth = true_distances(metric, query, definitions)
            truth[~is_meant] = np.inf
            nearest = np.sort(truth)[:10]
            assert np.allclose(right.distances, nearest, atol=1e-4)
            ids = found.ids.astype(np.int64)
            assert is_meant[ids].all() and len(set(ids.tolist())) == 10
            assert np.allclose(found.distances, truth[ids], atol=1e-4)
            found_share.append(np.mean(truth[ids] <= nearest[-1] + 1e-6))
    assert np.mean(found_share) >= 0.95


def test_random_operations_leave_what_a_dictionary_has(tmp_path: pathlib.Path) -> None:
    choice = random.Random(11)
    numbers = np.random.default_rng(11)
    path = tmp_path / "my.loom"
    model: dict[int, tuple[list[float], dict[str, Any]]] = {}
    db = loomdb.open(path, durability="buffered")
    docs = db.collection("docs", dim=3, metric="l2")
    for step in range(300):
        ids = choice.sample(range(60), choice.randint(1, 8))
        vectors = numbers.normal(size=(len(ids), 3)).astype(np.float32)
        records = [{"n": choice.randint(0, 5), "s": f"s{id}"} for id in ids]
        new = {
            id: (vector.tolist(), record)
            for id, vector, record in zip(ids, vectors, records, strict=True)
        }
        match choice.randint(0, 6):
            case 0 | 1:
                docs.upsert(ids, vectors, records)
                model.update(new)
            case 2:
                if any(id in model for id in ids):
                    with pytest.raises(loomdb.IdExistsError):
                        docs.add(ids, vectors, records)
                else:
                    docs.add(ids, vectors, records)
                    model.update(new)
            case 3:
                assert docs.delete(ids) == sum(id in model for id in ids)
                model = {id: point for id, point in model.items() if id not in ids}
            case 4:
                there = [id for id in ids if id in model]
                docs.update(there, [{"n": 9} for _ in there])
                for id in there:
                    model[id][1]["n"] = 9
            case 5:
                count = sum(record["n"] == 1 for _, record in model.values())
                assert docs.delete(filter={"n": 1}) == count if docs.info()["fields"] else True
                model = {id: point for id, point in model.items() if point[1]["n"] != 1}
            case 6 if step % 3 == 0:
                db.close()
                db = loomdb.open(path, durability="buffered")
                docs = db["docs"]
        check(docs, model, numbers.normal(size=3).astype(np.float32))
    db.close()


def check(
    docs: loomdb.Collection,
    model: dict[int, tuple[list[float], dict[str, Any]]],
    query: NDArray[np.float32],
) -> None:
    stored = {point.id: (point.vector.tolist(), point.metadata) for point in docs}
    assert stored == model
    assert len(docs) == len(model)
    if not model:
        return
    ids = np.array(list(model))
    distances = true_distances("l2", query, np.array([vector for vector, _ in model.values()]))
    nearest = ids[np.argsort(distances)[:5]]
    assert docs.search(query, k=5).ids.tolist() == nearest.tolist()
