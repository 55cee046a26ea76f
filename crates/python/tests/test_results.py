"""Results: lists for people, arrays and tables for programs."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import loomdb


@pytest.fixture
def hits(docs: loomdb.Collection) -> loomdb.Hits:
    found = docs.search([0.0, 0.0], k=3)
    assert isinstance(found, loomdb.Hits)
    return found


def test_hits_are_a_sequence(hits: loomdb.Hits) -> None:
    assert len(hits) == 3
    assert [hit.id for hit in hits] == ["a", "b", "c"]
    assert (hits[-1].id, hits[-1].distance) == ("c", 10.0)
    assert hits[1:].ids.tolist() == ["b", "c"]
    assert hits[::-1].distances.tolist() == [10.0, 5.0, 0.0]
    assert hits[1:][::-1].vectors.tolist() == [[6.0, 8.0], [3.0, 4.0]]
    with pytest.raises(IndexError):
        hits[3]
    assert hits == list(hits) and hits != hits[:2]


def test_arrays_have_types(hits: loomdb.Hits) -> None:
    assert hits.distances.dtype == np.float32 and hits.distances.shape == (3,)
    assert hits.ids.dtype == object and hits.ids.shape == (3,)
    assert hits.vectors.dtype == np.float32 and hits.vectors.shape == (3, 2)


def test_dictionaries_are_for_people(hits: loomdb.Hits) -> None:
    assert hits.to_list()[1] == {
        "id": "b",
        "distance": 5.0,
        "metadata": {"lang": "de", "year": 2021},
    }
    assert hits.metadata[0] == {"lang": "en", "year": 2020, "tags": ["new", "short"]}


def test_results_print_well(docs: loomdb.Collection, hits: loomdb.Hits) -> None:
    assert repr(hits[1]) == "Hit(id='b', distance=5, metadata={'lang': 'de', 'year': 2021})"
    assert repr(hits).startswith("Hits([\n  Hit(id='a', distance=0,")
    assert repr(docs["b"]) == "Point(id='b', metadata={'lang': 'de', 'year': 2021})"
    assert "<td>4.5</td>" in hits._repr_html_()
    assert "points=3, dim=2, metric='l2'" in repr(docs)
    assert "<th>points</th><td>3</td>" in docs._repr_html_()
    many = docs.search([[0.0, 0.0], [1.0, 1.0]], k=2)
    assert repr(many) == "ManyHits(2 queries, 4 hits)"
    page = [loomdb.open(":memory:").collection("x<y").upsert(["<b>"], [[1.0]])]
    assert page[0].tolist() == ["<b>"]


def test_html_is_escaped() -> None:
    db = loomdb.open(":memory:")
    docs = db.collection("x<y")
    docs.add(["<b>"], [[1.0]], [{"k": "<i>"}])
    html = docs.search([1.0])._repr_html_() + docs._repr_html_() + db._repr_html_()
    assert "&lt;b&gt;" in html and "&lt;i&gt;" in html and "x&lt;y" in html
    assert "<b>'" not in html and "<i>" not in html


def test_many_queries_give_arrays_of_rows(docs: loomdb.Collection) -> None:
    many = docs.search(np.array([[0.0, 0.0], [6.0, 8.0]]), k=2)
    assert many.ids.tolist() == [["a", "b"], ["c", "b"]]
    assert many.distances.tolist() == [[0.0, 5.0], [0.0, 5.0]]
    assert many.counts.tolist() == [2, 2]
    assert [hits[0].id for hits in many] == ["a", "c"]
    assert many[-1].ids.tolist() == ["c", "b"]
    assert many[:1][0].ids.tolist() == ["a", "b"]
    none = docs.search(np.empty((0, 2), dtype=np.float32), k=2)
    assert (len(none), none.ids.shape) == (0, (0, 0))


def test_tables_have_all_columns(hits: loomdb.Hits) -> None:
    table = hits.to_arrow(vectors=True)
    names = ["id", "distance", "vector", "lang", "year", "tags", "stars"]
    assert table.column_names == names
    assert table["vector"].type == pa.list_(pa.float32(), 2) or table["vector"].to_pylist()
    assert table["stars"].to_pylist() == [None, None, 4.5]
    assert hits[1:].to_arrow()["id"].to_pylist() == ["b", "c"]
    assert hits[::-1].to_arrow()["id"].to_pylist() == ["c", "b", "a"]
    frame = hits.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["distance"].tolist() == [0.0, 5.0, 10.0]
    polars = hits.to_polars()
    assert isinstance(polars, pl.DataFrame)
    assert polars["lang"].to_list() == ["en", "de", "en"]
    assert pa.table(hits).num_rows == 3, "any library that reads Arrow may take them"


def test_a_field_named_distance_does_not_hide_the_distance() -> None:
    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    docs.add(["a"], [[1.0]], [{"distance": "far"}])
    hits = docs.search([3.0])
    assert hits[0].to_dict() == {"id": "a", "distance": 2.0, "metadata": {"distance": "far"}}
    assert hits.to_arrow().column_names == ["id", "_distance", "distance"]


def test_metadata_come_back_as_they_were_given() -> None:
    docs = loomdb.open(":memory:").collection("docs")
    moment = datetime.datetime(2024, 5, 1, 12, 30, 0, 250, tzinfo=datetime.timezone.utc)
    record = {
        "bool": True,
        "int": -(2**63),
        "float": 0.1,
        "text": "h\u00e9llo",
        "moment": moment,
        "texts": ["a", "b"],
        "empty": [],
    }
    docs.add(["a", "b"], [[1.0], [2.0]], [{**record, "none": None}, {}])
    assert docs["a"].metadata == record
    assert docs["b"].metadata == {}
    assert docs.search([1.0], filter={"moment": moment}).ids.tolist() == ["a"]
    assert docs.search([1.0], filter={"moment": {"$gt": moment}}).ids.tolist() == []


def test_results_stay_as_they_were(docs: loomdb.Collection, hits: loomdb.Hits) -> None:
    docs.upsert(["a"], [[9.0, 9.0]], [{"lang": "xx"}])
    docs.delete(["b"])
    docs.compact()
    assert hits.ids.tolist() == ["a", "b", "c"]
    assert hits[0].metadata["lang"] == "en"
    assert hits[0].vector.tolist() == [0.0, 0.0]
