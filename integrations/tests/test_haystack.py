"""Haystack's own tests of document stores, and what they do not ask."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    DocumentStoreBaseExtendedTests,
)
from haystack.utils.filters import document_matches_filter
from loomdb.haystack import LoomDocumentStore, LoomEmbeddingRetriever


class TestStandard(CountDocumentsByFilterTest, DocumentStoreBaseExtendedTests):
    """Haystack's extended tests, with the two changes that they ask for.

    `assert_documents_are_equal` is for stores that do not return documents as they were written:
    embeddings are kept in single precision, and the tests write them in double. The test of
    writing without a policy raises in the base class, because every store has its own default.
    """

    @pytest.fixture
    def document_store(self):
        return LoomDocumentStore()

    def assert_documents_are_equal(self, received, expected):
        assert received == [in_single_precision(document) for document in expected]

    def test_write_documents(self, document_store):
        """Without a policy, an id that exists is an error and nothing is written."""
        document = Document(id="1", content="one")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError, match="1"):
            document_store.write_documents([Document(id="2"), document])
        assert document_store.filter_documents() == [document]


def in_single_precision(document):
    if document.embedding is None:
        return document
    embedding = np.array(document.embedding, dtype=np.float32).tolist()
    return replace(document, embedding=embedding)


def test_every_part_of_a_document_comes_back():
    store = LoomDocumentStore(embedding_dim=2)
    documents = [
        Document(
            id="a",
            content="text",
            blob=ByteStream(b"\x00\xff", meta={"page": 1}, mime_type="image/png"),
            meta={"id": 1, "none": None, "list": [1, {"a": 2}], "deep": {"er": {"b": "c"}}},
            embedding=[0.5, -0.25],
            sparse_embedding=SparseEmbedding(indices=[1, 5], values=[0.5, 0.1]),
        ),
        Document(id="b", meta={"id": 2}),
    ]
    store.write_documents(documents)
    assert store.filter_documents() == documents
    deep = {"field": "meta.deep.er.b", "operator": "==", "value": "c"}
    assert store.filter_documents(deep) == documents[:1]
    by_id = {"field": "id", "operator": "in", "value": ["b", "c"]}
    assert store.filter_documents(by_id) == documents[1:]


FIELDS = {
    "number": [None, -3, 0, 2, 7],
    "ratio": [None, 0.5, 2.0, -1.25],
    "name": [None, "ann", "bob", ""],
    "flag": [None, True, False],
    "date": [
        None,
        "2024-05-01",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00:00Z",
        "2024-05-01T14:00:00+02:00",
        "1969-07-21T20:17:40.250000",
    ],
}
ORDERED = ("number", "ratio", "date")


def a_document(chance, number):
    meta = {name: chance.choice(values) for name, values in FIELDS.items()}
    return Document(id=str(number), meta={k: v for k, v in meta.items() if chance.random() < 0.9})


def a_filter(chance, depth):
    if depth and chance.random() < 0.6:
        conditions = [a_filter(chance, depth - 1) for _ in range(chance.randrange(4))]
        return {"operator": chance.choice(["AND", "OR", "NOT"]), "conditions": conditions}
    name = chance.choice([*FIELDS, "absent"])
    values = FIELDS.get(name, [None, 1])
    operators = ["==", "!=", "in", "not in"]
    if name in ORDERED:
        operators += [">", ">=", "<", "<="]
    operator = chance.choice(operators)
    several = [chance.choice(values) for _ in range(chance.randrange(3))]
    value = several if "in" in operator else chance.choice(values)
    return {"field": f"meta.{name}", "operator": operator, "value": value}


@pytest.mark.parametrize("seed", range(4))
def test_filters_match_what_haystack_says_they_match(seed):
    chance = random.Random(seed)
    documents = [a_document(chance, number) for number in range(60)]
    store = LoomDocumentStore(embedding_dim=2)
    store.write_documents(documents)
    matched = 0
    for _ in range(150):
        filters = a_filter(chance, 3)
        expected = [one.id for one in documents if document_matches_filter(filters, one)]
        assert [one.id for one in store.filter_documents(filters)] == expected, filters
        assert store.count_documents_by_filter(filters) == len(expected)
        matched += len(expected)
    assert 1_000 < matched < 8_000


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "meta.name", "operator": "===", "value": "ann"},
        {"operator": "XOR", "conditions": []},
        {"field": "meta.name", "operator": ">", "value": "ann"},
        {"field": "meta.name", "operator": "==", "value": ["ann"]},
        {"field": "meta.name", "operator": "==", "value": 1},
        {"field": "meta.name", "operator": ">", "value": "2024-05-01"},
        {"field": "meta.flag", "operator": ">", "value": True},
    ],
)
def test_a_filter_that_compares_in_vain_is_an_error(filters):
    store = LoomDocumentStore(embedding_dim=2)
    store.write_documents([Document(meta={"name": "ann", "flag": True})])
    with pytest.raises(FilterError):
        store.filter_documents(filters)


def test_a_moment_can_be_a_datetime():
    store = LoomDocumentStore(embedding_dim=2)
    store.write_documents([Document(id="a", meta={"date": "2024-05-01T14:00:00+02:00"})])
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    for operator, count in [("==", 1), (">=", 1), (">", 0)]:
        filters = {"field": "meta.date", "operator": operator, "value": noon}
        assert store.count_documents_by_filter(filters) == count


def vectors(count, dim, seed):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("scale_score", [False, True])
@pytest.mark.parametrize(("metric", "function"), [("cosine", "cosine"), ("ip", "dot_product")])
def test_retrieval_answers_like_the_store_in_memory(metric, function, scale_score):
    documents = [
        Document(id=str(n), content=f"text {n}", meta={"n": n}, embedding=vector.tolist())
        for n, vector in enumerate(vectors(80, 8, seed=1))
    ]
    documents += [Document(id="bare", content="no embedding", meta={"n": 0})]
    store = LoomDocumentStore(embedding_dim=8, metric=metric)
    oracle = InMemoryDocumentStore(embedding_similarity_function=function)
    for one in (store, oracle):
        one.write_documents(documents)
    options = {"filters": {"field": "meta.n", "operator": "<", "value": 40}, "top_k": 7}
    for query in vectors(5, 8, seed=2).tolist():
        found = store.embedding_retrieval(query, scale_score=scale_score, **options)
        expected = oracle.embedding_retrieval(query, scale_score=scale_score, **options)
        assert [one.id for one in found] == [one.id for one in expected]
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], 1e-5)
        assert all(one.embedding is None for one in found)
    everything = store.embedding_retrieval(query, top_k=100, return_embedding=True)
    assert len(everything) == 80
    assert everything[0].embedding is not None


def test_policies_for_ids_given_twice():
    same = [Document(id="1", content="first"), Document(id="1", content="last")]
    store = LoomDocumentStore()
    with pytest.raises(DuplicateDocumentError):
        store.write_documents(same, DuplicatePolicy.FAIL)
    assert store.count_documents() == 0
    assert store.write_documents(same, DuplicatePolicy.SKIP) == 1
    assert store.filter_documents()[0].content == "first"
    assert store.write_documents(same, DuplicatePolicy.OVERWRITE) == 2
    assert store.filter_documents()[0].content == "last"


def test_an_embedding_of_another_length_says_what_to_do():
    with pytest.raises(ValueError, match="length 3, not 768.*embedding_dim"):
        LoomDocumentStore().write_documents([Document(embedding=[1.0, 2.0, 3.0])])


def test_a_pipeline_is_saved_and_loaded_with_its_store(tmp_path):
    store = LoomDocumentStore(str(tmp_path / "my.loom"), embedding_dim=2)
    store.write_documents([Document(id="a", content="one", embedding=[1.0, 0.0])])
    pipeline = Pipeline()
    pipeline.add_component("first", LoomEmbeddingRetriever(store, top_k=1))
    pipeline.add_component("second", LoomEmbeddingRetriever(store, scale_score=True))
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=["loomdb.haystack"])
    query = {"query_embedding": [1.0, 0.0]}
    answer = loaded.run({"first": query, "second": query})
    assert [document.id for document in answer["first"]["documents"]] == ["a"]
    assert answer["second"]["documents"][0].score == pytest.approx(1.0)
