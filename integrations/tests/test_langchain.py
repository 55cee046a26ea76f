"""LangChain's own tests of vector stores, and what they do not ask."""

import asyncio

import loomdb
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests
from loomdb.langchain import LoomVectorStore

EMBEDDING = DeterministicFakeEmbedding(size=16)


class TestStandard(VectorStoreIntegrationTests):
    """All of LangChain's tests, sync and async, as they are."""

    @pytest.fixture
    def vectorstore(self):
        return LoomVectorStore.open(":memory:", self.get_embeddings())


@pytest.fixture
def store():
    return LoomVectorStore.open(":memory:", EMBEDDING)


def test_metadata_comes_back_as_it_was_given(store):
    metadata = {
        "id": 7,
        "text": "a key that is taken",
        "metadata": {"deep": {"deeper": [1, None, {"x": 2.5}]}},
        "metadata.id": "looks like a renamed key",
        "none": None,
        "empty": [],
        "numbers": [1, 2],
        "huge": 2**70,
        "float": 2.0,
        "tags": ["a", "b"],
    }
    store.add_texts(["text"], [metadata], ids=["a"])
    [document] = store.get_by_ids(["a"])
    assert document == Document(id="a", page_content="text", metadata=metadata)
    assert isinstance(document.metadata["float"], float)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"id": 2}, {"2"}),
        ({"page": {"$gte": 1, "$lt": 3}}, {"1", "2"}),
        ({"source.name": "b"}, {"1", "3"}),
        ({"$or": [{"id": 0}, {"$and": [{"page": 3}, {"tags": "odd"}]}]}, {"0", "3"}),
        ({"$not": {"tags": "odd"}}, {"0", "2"}),
    ],
)
def test_filters_are_over_metadata(store, filter, expected):
    tags = [["even"], ["odd"]]
    metadatas = [
        {"id": n, "page": n, "source": {"name": "ab"[n % 2]}, "tags": tags[n % 2]} for n in range(4)
    ]
    store.add_texts([f"text {n}" for n in range(4)], metadatas, ids=[str(n) for n in range(4)])
    found = store.similarity_search("text 0", k=4, filter=filter)
    assert {document.id for document in found} == expected


def test_an_unknown_field_or_keyword_raises(store):
    store.add_texts(["text"], [{"lang": "en"}])
    with pytest.raises(loomdb.FilterError, match="lang"):
        store.similarity_search("text", filter={"lagn": "en"})
    with pytest.raises(TypeError):
        store.similarity_search("text", top_k=3)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_answers_are_those_of_the_store_in_memory(store, asynchronous):
    oracle = InMemoryVectorStore(EMBEDDING)
    texts = [f"text number {n}" for n in range(60)]
    metadatas = [{"n": n} for n in range(60)]
    ids = [str(n) for n in range(60)]
    oracle.add_texts(texts, metadatas, ids=ids)
    if asynchronous:
        asyncio.run(store.aadd_texts(texts, metadatas, ids=ids))
    else:
        store.add_texts(texts, metadatas, ids=ids)
    for query in ["one", "two", "three"]:
        expected = oracle.similarity_search_with_score(query, k=7, filter=lambda d: _n(d) >= 30)
        if asynchronous:
            call = store.asimilarity_search_with_score(query, k=7, filter={"n": {"$gte": 30}})
            found = asyncio.run(call)
        else:
            found = store.similarity_search_with_score(query, k=7, filter={"n": {"$gte": 30}})
        assert [document.id for document, _ in found] == [document.id for document, _ in expected]
        similarities = [1.0 - distance for _, distance in found]
        assert similarities == pytest.approx([score for _, score in expected], abs=1e-6)


def _n(document):
    return document.metadata["n"]


@pytest.mark.parametrize("lambda_mult", [0.0, 0.3, 1.0])
def test_diverse_answers_are_those_of_the_store_in_memory(store, lambda_mult):
    oracle = InMemoryVectorStore(EMBEDDING)
    texts = [f"text number {n}" for n in range(40)]
    for one in (store, oracle):
        one.add_texts(texts, ids=texts)
    options = {"k": 6, "fetch_k": 15, "lambda_mult": lambda_mult}
    for query in ["one", "two"]:
        found = store.max_marginal_relevance_search(query, **options)
        expected = oracle.max_marginal_relevance_search(query, **options)
        assert [document.id for document in found] == [document.id for document in expected]


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_a_retriever_takes_filters_and_thresholds(metric):
    store = LoomVectorStore.open(":memory:", EMBEDDING, metric=metric)
    store.add_texts(["one", "two"], [{"n": 1}, {"n": 2}])
    [(best, score), _] = store.similarity_search_with_relevance_scores("one", k=2)
    assert best.page_content == "one"
    assert score == store._select_relevance_score_fn()(
        store.similarity_search_with_score("one", k=1)[0][1]
    )
    retriever = store.as_retriever(search_kwargs={"k": 2, "filter": {"n": 2}})
    assert [document.page_content for document in retriever.invoke("one")] == ["two"]


def test_of_equal_ids_the_last_counts_and_ids_are_made_up(store):
    ids = store.add_texts(["a", "b", "c"], ids=["x", "x", None])
    assert ids[:2] == ["x", "x"]
    assert store.get_by_ids(["x"])[0].page_content == "b"
    assert store.get_by_ids([ids[2]])[0].page_content == "c"
    assert store.delete() and store.similarity_search("a") == []


def test_wrong_counts_and_foreign_values_are_named(store):
    with pytest.raises(ValueError, match="1 metadatas were given for 2 texts"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(TypeError, match="document 'x' cannot be kept as JSON.*isoformat"):
        store.add_texts(["a"], [{"when": object()}], ids=["x"])
    assert store.add_texts([]) == []


def test_documents_survive_and_stores_share_a_directory(tmp_path):
    path = tmp_path / "my.loom"
    store = LoomVectorStore.from_texts(["one"], EMBEDDING, [{"n": 1}], ids=["1"], path=path)
    other = LoomVectorStore.open(path, EMBEDDING)
    assert other.get_by_ids(["1"])[0].metadata == {"n": 1}
    del store, other
    again = LoomVectorStore.open(path, EMBEDDING)
    assert again.similarity_search("one", k=1)[0].id == "1"
