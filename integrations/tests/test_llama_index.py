"""The LlamaIndex store answers as LlamaIndex's own `SimpleVectorStore` does."""

import random

import numpy as np
import pytest
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import (
    Document,
    ImageNode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from loomdb.llama_index import LoomVectorStore

DIM = 8
TEXTS = ["", "ann", "bob", "barbara"]
TAGS = ["red", "green", "blue"]


def a_vector(numbers):
    return numbers.normal(size=DIM).astype(np.float32).tolist()


def a_node(chance, numbers, number):
    metadata = {
        "page": chance.randrange(6),
        "ratio": chance.choice([0.5, 1.5, 2.0]),
        "name": chance.choice(TEXTS),
        "tags": chance.sample(TAGS, chance.randrange(4)),
    }
    kept = {key: value for key, value in metadata.items() if chance.random() < 0.85}
    source = RelatedNodeInfo(node_id=f"doc-{number % 7}")
    return TextNode(
        id_=f"node-{number}",
        text=f"text {number}",
        metadata=kept,
        embedding=a_vector(numbers),
        relationships={NodeRelationship.SOURCE: source},
    )


def a_test(chance):
    operator = FilterOperator
    ordered = [operator.GT, operator.GTE, operator.LT, operator.LTE]
    equal = [operator.EQ, operator.NE]
    among = [operator.IN, operator.NIN]
    kind = chance.choice(["page", "ratio", "name", "tags", "absent", "empty"])
    if kind == "empty":
        key = chance.choice(["page", "name", "tags", "absent"])
        return MetadataFilter(key=key, value=None, operator=operator.IS_EMPTY)
    if kind == "tags":
        chosen = chance.choice([operator.ANY, operator.ALL, operator.CONTAINS])
        several = chance.sample([*TAGS, "pink"], chance.randrange(1, 3))
        value = several[0] if chosen == operator.CONTAINS else several
        return MetadataFilter(key=kind, value=value, operator=chosen)
    values = {"name": TEXTS, "ratio": [0.5, 1.0, 2.0]}.get(kind, [0, 2, 5])
    operators = equal + among + ([operator.TEXT_MATCH] if kind == "name" else ordered)
    chosen = chance.choice(operators)
    value = chance.sample(values, 2) if chosen in among else chance.choice(values)
    if chosen == operator.TEXT_MATCH:
        value = chance.choice(["b", "an", "ar"])
    return MetadataFilter(key=kind, value=value, operator=chosen)


def a_filter(chance):
    tests = [a_test(chance) for _ in range(chance.randrange(1, 4))]
    return MetadataFilters(filters=tests, condition=chance.choice(list(FilterCondition)))


def filled(seed):
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    nodes = [a_node(chance, numbers, number) for number in range(90)]
    store, oracle = LoomVectorStore.open(":memory:"), SimpleVectorStore()
    for one in (store, oracle):
        assert one.add(nodes) == [node.node_id for node in nodes]
    return chance, numbers, nodes, (store, oracle)


def assert_same(found, expected):
    assert found.ids == expected.ids
    assert found.similarities == pytest.approx(expected.similarities, abs=1e-5)
    assert [node.node_id for node in found.nodes] == expected.ids


@pytest.mark.parametrize("seed", range(4))
def test_queries_and_filters_answer_like_the_simple_store(seed):
    chance, numbers, _, (store, oracle) = filled(seed)
    found_count = 0
    for _ in range(120):
        ids = [f"node-{number}" for number in range(0, 90, 2)] if chance.random() < 0.2 else None
        query = VectorStoreQuery(
            query_embedding=a_vector(numbers),
            similarity_top_k=chance.choice([1, 5, 100]),
            filters=a_filter(chance) if chance.random() < 0.9 else None,
            node_ids=ids,
        )
        expected = oracle.query(query)
        assert_same(store.query(query), expected)
        found_count += len(expected.ids)
    assert found_count > 500


@pytest.mark.parametrize("threshold", [0.1, 0.4, 1.0])
def test_diverse_answers_are_those_of_the_simple_store(threshold):
    _, numbers, _, (store, oracle) = filled(9)
    query = VectorStoreQuery(
        query_embedding=a_vector(numbers), similarity_top_k=6, mode=VectorStoreQueryMode.MMR
    )
    options = {"mmr_threshold": threshold}
    found = store.query(query, mmr_prefetch_k=90, **options)
    assert_same(found, oracle.query(query, **options))
    assert len(store.query(query).ids) == 6


@pytest.mark.parametrize("seed", range(3))
def test_deletions_leave_what_they_leave_in_the_simple_store(seed):
    chance, _, _, (store, oracle) = filled(seed)
    for _ in range(12):
        filters = a_filter(chance) if chance.random() < 0.7 else None
        ids = [f"node-{chance.randrange(90)}" for _ in range(20)]
        for one in (store, oracle):
            one.delete_nodes(node_ids=ids, filters=filters)
        document = f"doc-{chance.randrange(7)}" if chance.random() < 0.2 else "doc-none"
        for one in (store, oracle):
            one.delete(document)
        left = {node.node_id for node in store.get_nodes()}
        assert left == set(oracle.data.embedding_dict)
    store.clear()
    assert store.get_nodes() == []


def test_nodes_come_back_whole():
    _, _, nodes, (store, _) = filled(3)
    metadata = {"id": 1, "vector": "x", "deep": {"list": [1, None, {}]}, "huge": 2**70}
    image = ImageNode(id_="image", image="aGk=", metadata=metadata, embedding=[1.0] * DIM)
    store.add([image])
    assert store.get_nodes(["image"]) == [image]
    assert isinstance(store.get_nodes(["image"])[0], ImageNode)
    assert store.get_nodes() == [*nodes, image]
    by_key = MetadataFilters(filters=[MetadataFilter(key="id", value=1)])
    assert store.get_nodes(filters=by_key) == [image]


def test_filters_can_be_nested():
    _, _, nodes, (store, _) = filled(4)
    red = MetadataFilter(key="tags", value="red", operator=FilterOperator.CONTAINS)
    late = MetadataFilter(key="page", value=3, operator=FilterOperator.GT)
    ann = MetadataFilter(key="name", value="ann")
    either = MetadataFilters(filters=[late, ann], condition=FilterCondition.OR)
    found = store.get_nodes(filters=MetadataFilters(filters=[red, either]))

    def matches(metadata):
        is_either = metadata.get("page", 0) > 3 or metadata.get("name") == "ann"
        return "red" in metadata.get("tags", []) and is_either

    assert found == [node for node in nodes if matches(node.metadata)]
    assert 0 < len(found) < len(nodes)


def test_what_is_not_there_is_an_error():
    _, numbers, _, (store, _) = filled(5)
    insensitive = MetadataFilter(
        key="name", value="ANN", operator=FilterOperator.TEXT_MATCH_INSENSITIVE
    )
    with pytest.raises(ValueError, match="text_match_insensitive"):
        store.get_nodes(filters=MetadataFilters(filters=[insensitive]))
    query = VectorStoreQuery(query_embedding=a_vector(numbers), mode=VectorStoreQueryMode.HYBRID)
    with pytest.raises(ValueError, match="hybrid"):
        store.query(query)
    with pytest.raises(ValueError, match="no embedding"):
        store.query(VectorStoreQuery(query_str="words"))


def test_an_index_is_built_and_opened_again(tmp_path):
    documents = [
        Document(text=f"sentence {n}", doc_id=f"d{n}", metadata={"n": n}) for n in range(5)
    ]
    store = LoomVectorStore.open(tmp_path / "my.loom")
    context = StorageContext.from_defaults(vector_store=store)
    model = MockEmbedding(embed_dim=DIM)
    VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=model)
    index = VectorStoreIndex.from_vector_store(store, embed_model=model)
    filters = MetadataFilters(filters=[MetadataFilter(key="n", value=3)])
    [hit] = index.as_retriever(similarity_top_k=5, filters=filters).retrieve("anything")
    assert hit.node.get_content() == "sentence 3"
    index.delete_ref_doc("d3")
    assert store.get_nodes(filters=filters) == []
    assert len(store.get_nodes()) == 4
