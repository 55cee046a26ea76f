"""LlamaIndex: a collection as a vector store.

```python
from llama_index.core import StorageContext, VectorStoreIndex
from loomdb.llama_index import LoomVectorStore

store = LoomVectorStore.open("my.loom")
context = StorageContext.from_defaults(vector_store=store)
index = VectorStoreIndex.from_documents(documents, storage_context=context)
```

Needs `pip install loomdb[llama-index]`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import loomdb
import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from loomdb._documents import SharedDatabase, flattened, last_of_each, similarity

NODE_ID = "_node_id"
CONTENT = "_node_content"
TYPE = "_node_type"
RESERVED = {"id", "vector"}
MMR_CANDIDATES = 4

NOTHING: dict[str, Any] = {"$or": []}
SIMPLE = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
}


class LoomVectorStore(BasePydanticVectorStore):
    """Nodes with their embeddings and metadata in a collection.

    Metadata comes back as it was given. Flags, numbers, texts and lists of texts in it can be
    filtered, also in nested dictionaries: `{"a": {"b": 1}}` is the field `a.b`. A field that no
    node has counts as one without a value.
    """

    stores_text: bool = True
    is_embedding_query: bool = True

    _collection: loomdb.Collection = PrivateAttr()
    _shared: SharedDatabase | None = PrivateAttr(default=None)

    def __init__(self, collection: loomdb.Collection) -> None:
        """Use a collection, which may hold nodes already."""
        super().__init__(stores_text=True)
        self._collection = collection

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str = "nodes",
        metric: loomdb.Metric | None = None,
    ) -> LoomVectorStore:
        """Open or create the collection `name` of the database at `path`.

        Without `metric` it is that of the collection, or cosine for one that is made.
        """
        shared = SharedDatabase.of(path)
        store = cls(shared.database.collection(name, metric=metric))
        store._shared = shared
        return store

    @classmethod
    def class_name(cls) -> str:
        """The name in saved settings."""
        return "LoomVectorStore"

    @property
    def client(self) -> loomdb.Collection:
        """The collection with the nodes."""
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Write nodes in one batch; one whose id exists is replaced."""
        ids = [node.node_id for node in nodes]
        kept = last_of_each(ids)
        if kept:
            self._collection.upsert(
                ids=[ids[row] for row in kept],
                vectors=np.array([nodes[row].get_embedding() for row in kept], dtype=np.float32),
                metadata=[_record(nodes[row]) for row in kept],
            )
        return ids

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Delete the nodes of a document."""
        if len(self._collection):
            self._collection.delete(filter={"ref_doc_id": ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_: Any,
    ) -> None:
        """Delete the nodes that have one of the ids and match the filters."""
        self._collection.delete(filter=self._filter(filters, node_ids))

    def clear(self) -> None:
        """Delete all nodes."""
        self._collection.delete(filter={})

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The nodes that have one of the ids and match the filters, with their embeddings."""
        points = self._collection.scan(filter=self._filter(filters, node_ids))
        return [_node_with_embedding(point) for point in points]

    def query(self, query: VectorStoreQuery, **options: Any) -> VectorStoreQueryResult:
        """The nodes nearest to the embedding of the query.

        Modes are `default` and `mmr`. The latter chooses among `mmr_prefetch_k` nodes, which is
        4 times `similarity_top_k` if it is not given; `mmr_threshold` is 1 for the nearest and 0
        for the most diverse.
        """
        if query.query_embedding is None:
            raise ValueError("the query has no embedding")
        # An index over a store that keeps the nodes itself knows no ids, and passes empty lists.
        filter = self._filter(query.filters, query.node_ids or None, query.doc_ids or None)
        vector = np.array(query.query_embedding, dtype=np.float32)
        if query.mode == VectorStoreQueryMode.DEFAULT:
            hits = list(self._collection.search(vector, k=query.similarity_top_k, filter=filter))
            scores = [similarity(self._collection.metric, hit.distance) for hit in hits]
            return _result(hits, scores)
        if query.mode != VectorStoreQueryMode.MMR:
            raise ValueError(f"the mode {query.mode.value!r} is not there; use 'default' or 'mmr'")
        prefetched = options.get("mmr_prefetch_k", MMR_CANDIDATES * query.similarity_top_k)
        hits = list(self._collection.search(vector, k=prefetched, filter=filter))
        threshold = options.get("mmr_threshold", query.mmr_threshold)
        scores, rows = get_top_k_mmr_embeddings(
            query.query_embedding,
            [np.asarray(hit.vector).tolist() for hit in hits],
            similarity_top_k=query.similarity_top_k,
            embedding_ids=list(range(len(hits))),
            mmr_threshold=threshold,
        )
        return _result([hits[row] for row in rows], scores)

    def _filter(
        self,
        filters: MetadataFilters | None,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        fields = self._collection.fields
        parts = []
        if filters is not None:
            parts.append(_translated(filters, fields))
        if node_ids is not None:
            parts.append({NODE_ID: {"$in": list(node_ids)}} if fields else NOTHING)
        if doc_ids is not None:
            parts.append({"ref_doc_id": {"$in": list(doc_ids)}} if fields else NOTHING)
        return {"$and": parts}


def field(key: str) -> str:
    """The field that holds a key of metadata: `metadata.id` for `id`, which is taken."""
    is_taken = key in RESERVED or key.startswith("metadata.")
    return f"metadata.{key}" if is_taken else key


def _translated(filters: MetadataFilters, fields: Mapping[str, str]) -> dict[str, Any]:
    parts = [
        _translated(part, fields) if isinstance(part, MetadataFilters) else _test(part, fields)
        for part in filters.filters
    ]
    if filters.condition == FilterCondition.NOT:
        return {"$not": {"$or": parts}} if parts else {}
    if filters.condition == FilterCondition.OR and parts:
        return {"$or": parts}
    return {"$and": parts}


def _test(test: MetadataFilter, fields: Mapping[str, str]) -> dict[str, Any]:
    """One comparison. A missing value matches `!=`, `nin` and `is_empty`, and nothing else."""
    name, operator = field(test.key), test.operator
    if operator == FilterOperator.IS_EMPTY:
        return _is_empty(name, fields)
    if test.value is None:
        raise ValueError(f"{operator.value!r} was given no value for {test.key!r}; use 'is_empty'")
    if name not in fields:
        return {} if operator in (FilterOperator.NE, FilterOperator.NIN) else NOTHING
    if operator in (FilterOperator.ANY, FilterOperator.ALL):
        values = test.value if isinstance(test.value, list) else [test.value]
        parts = [{name: {"$contains": value}} for value in values]
        return {"$or" if operator == FilterOperator.ANY else "$and": parts}
    if operator not in SIMPLE:
        raise ValueError(f"the operator {operator.value!r} is not there; use 'text_match'")
    return {name: {SIMPLE[operator]: test.value}}


def _is_empty(name: str, fields: Mapping[str, str]) -> dict[str, Any]:
    if name not in fields:
        return {}
    missing = {name: {"$exists": False}}
    return {"$or": [missing, {name: ""}]} if fields[name] == "text" else missing


def _record(node: BaseNode) -> dict[str, Any]:
    metadata = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    record = {field(name): value for name, value in flattened(metadata)}
    return record | {NODE_ID: node.node_id}


def _node(point: Any) -> BaseNode:
    record = point.metadata
    return metadata_dict_to_node({CONTENT: record[CONTENT], TYPE: record[TYPE]})


def _node_with_embedding(point: Any) -> BaseNode:
    node = _node(point)
    node.embedding = np.asarray(point.vector).tolist()
    return node


def _result(points: Sequence[Any], similarities: Sequence[float]) -> VectorStoreQueryResult:
    nodes = [_node(point) for point in points]
    ids = [point.id for point in points]
    return VectorStoreQueryResult(nodes=nodes, similarities=list(similarities), ids=ids)
