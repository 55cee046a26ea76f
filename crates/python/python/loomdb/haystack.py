"""Haystack: a collection as a `DocumentStore`, and a retriever for it.

```python
from haystack import Document
from loomdb.haystack import LoomDocumentStore, LoomEmbeddingRetriever

store = LoomDocumentStore("my.loom", embedding_dim=384)
store.write_documents([Document(content="Bread is baked.", embedding=vector)])
LoomEmbeddingRetriever(store).run(query_embedding=vector, top_k=3)
```

Needs `pip install loomdb[haystack]`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import loomdb
import numpy as np
from haystack import Document, component, default_from_dict, default_to_dict, logging
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy
from haystack.errors import FilterError
from loomdb._documents import SharedDatabase, flattened, last_of_each, similarity, to_json
from loomdb._haystack_filters import EMBEDDED, ID, date_fields, translated

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

CONTENT = "content"
DOCUMENT = "document.json"
DOT_PRODUCT_SCALE = 100


class LoomDocumentStore:
    """Documents with their embeddings in a collection.

    Documents come back as they were written, their embeddings in single precision. Those without
    an embedding are kept and filtered like the others, and never retrieved by embedding.
    """

    def __init__(
        self,
        path: str = ":memory:",
        *,
        name: str = "documents",
        embedding_dim: int = 768,
        metric: Literal["cosine", "l2", "ip"] = "cosine",
    ) -> None:
        """Name a collection of the database at `path`; it is opened or created at first use."""
        self.path = path
        self.name = name
        self.embedding_dim = embedding_dim
        self.metric = metric
        self._shared: SharedDatabase | None = None

    @property
    def database(self) -> loomdb.Database:
        """The database with the collection."""
        if self._shared is None:
            self._shared = SharedDatabase.of(self.path)
        return self._shared.database

    @property
    def collection(self) -> loomdb.Collection:
        """The collection with the documents, for everything that Haystack has no word for."""
        return self.database.collection(self.name, dim=self.embedding_dim, metric=self.metric)

    def to_dict(self) -> dict[str, Any]:
        """The parameters of the store, for a pipeline that is saved."""
        return default_to_dict(
            self,
            path=self.path,
            name=self.name,
            embedding_dim=self.embedding_dim,
            metric=self.metric,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoomDocumentStore:
        """A store from what `to_dict` made."""
        return default_from_dict(cls, data)

    def count_documents(self) -> int:
        """The number of documents."""
        return len(self.collection)

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """The number of documents that match."""
        return self._checked(lambda: self.collection.count(filter=self._filter(filters)))

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """All documents that match, in the order in which they were written."""
        scan = self.collection.scan
        points = self._checked(lambda: list(scan(filter=self._filter(filters))))
        return [_document(point, point.vector) for point in points]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Write documents in one batch and return how many were written.

        Without a policy, an id that exists raises `DuplicateDocumentError`, and nothing is written.
        """
        _check_documents(documents)
        if policy == DuplicatePolicy.OVERWRITE:
            written = [documents[row] for row in last_of_each([one.id for one in documents])]
            self._upsert(written)
            return len(documents)
        fresh, taken = self._sorted_out(documents)
        if taken and policy != DuplicatePolicy.SKIP:
            raise DuplicateDocumentError(f"documents exist already: {', '.join(taken[:5])}")
        for id in taken:
            logger.warning("Document {id} exists already and is skipped", id=id)
        self._upsert(fresh)
        return len(fresh)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents; ids that are not there are passed over."""
        if document_ids:
            self.collection.delete(ids=list(document_ids))

    def delete_all_documents(self, recreate_collection: bool = False) -> None:
        """Delete all documents; a collection that is made anew forgets the types of fields too."""
        if recreate_collection:
            self.database.drop(self.name)
        else:
            self.collection.delete(filter={})

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match, and return how many there were."""
        return self._checked(lambda: self.collection.delete(filter=self._filter(filters) or {}))

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set keys of the meta of all documents that match, and return how many there were."""
        documents = self.filter_documents(filters)
        for document in documents:
            document.meta.update(meta)
        self._upsert(documents)
        return len(documents)

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        scale_score: bool = False,
        return_embedding: bool = False,
    ) -> list[Document]:
        """The documents nearest to an embedding, with a score that is greater for nearer ones.

        The score is the cosine, the product, or `1 / (1 + distance)` for `l2`; with `scale_score`
        it lies between 0 and 1.
        """
        if top_k == 0:
            return []
        chosen = {"$and": [{EMBEDDED: True}, self._filter(filters) or {}]}
        query = np.array(query_embedding, dtype=np.float32)
        hits = self._checked(lambda: list(self._search(query, top_k, chosen)))
        return [
            _document(
                hit,
                hit.vector if return_embedding else None,
                self._score(hit.distance, scale_score),
            )
            for hit in hits
        ]

    def _search(self, query: Any, k: int, filter: dict[str, Any]) -> Any:
        collection = self.collection
        return collection.search(query, k=k, filter=filter) if len(collection) else []

    def _score(self, distance: float, scale_score: bool) -> float:
        score = similarity(self.metric, distance)
        if scale_score and self.metric == "cosine":
            return (score + 1.0) / 2.0
        if scale_score and self.metric == "ip":
            return 1.0 / (1.0 + math.exp(-score / DOT_PRODUCT_SCALE))
        return score

    def _filter(self, filters: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if not filters:
            return None
        return translated(filters, self.collection.fields)

    def _checked(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except loomdb.FilterError as error:
            raise FilterError(str(error)) from error

    def _sorted_out(self, documents: list[Document]) -> tuple[list[Document], list[str]]:
        """The documents whose ids are new, and the ids of the others."""
        fresh: dict[str, Document] = {}
        taken = []
        for document in documents:
            if document.id in fresh or document.id in self.collection:
                taken.append(document.id)
            else:
                fresh[document.id] = document
        return list(fresh.values()), taken

    def _upsert(self, documents: list[Document]) -> None:
        if not documents:
            return
        absent = np.zeros(self.embedding_dim, dtype=np.float32)
        absent[0] = 1.0
        vectors = [absent if one.embedding is None else one.embedding for one in documents]
        self.collection.upsert(
            ids=[document.id for document in documents],
            vectors=_matrix(vectors, self.embedding_dim),
            metadata=[_record(document) for document in documents],
        )


@component
class LoomEmbeddingRetriever:
    """Retrieves the documents of a `LoomDocumentStore` that are nearest to an embedding."""

    def __init__(
        self,
        document_store: LoomDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        scale_score: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        """Set what a run does if it is not told otherwise.

        `filter_policy` says whether filters of a run replace these or are merged with them.
        """
        if not isinstance(document_store, LoomDocumentStore):
            raise TypeError("document_store must be a LoomDocumentStore")
        if top_k <= 0:
            raise ValueError(f"top_k must be greater than 0, and is {top_k}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.scale_score = scale_score
        if not isinstance(filter_policy, FilterPolicy):
            filter_policy = FilterPolicy.from_str(filter_policy)
        self.filter_policy: FilterPolicy = filter_policy

    def to_dict(self) -> dict[str, Any]:
        """The parameters of the retriever and its store, for a pipeline that is saved."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            scale_score=self.scale_score,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoomEmbeddingRetriever:
        """A retriever from what `to_dict` made."""
        parameters = dict(data["init_parameters"])
        store = parameters["document_store"]
        if isinstance(store, dict):
            parameters["document_store"] = LoomDocumentStore.from_dict(store)
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        scale_score: bool | None = None,
        return_embedding: bool = False,
    ) -> dict[str, list[Document]]:
        """The nearest documents, nearest first."""
        documents = self.document_store.embedding_retrieval(
            query_embedding,
            filters=apply_filter_policy(self.filter_policy, self.filters, filters),
            top_k=self.top_k if top_k is None else top_k,
            scale_score=self.scale_score if scale_score is None else scale_score,
            return_embedding=return_embedding,
        )
        return {"documents": documents}


def _check_documents(documents: Any) -> None:
    is_list = isinstance(documents, Iterable) and not isinstance(documents, str)
    if not is_list or not all(isinstance(document, Document) for document in documents):
        raise ValueError("give a list of Documents")


def _matrix(vectors: list[Any], dim: int) -> Any:
    for row, vector in enumerate(vectors):
        if len(vector) != dim:
            advice = "give the store the embedding_dim of the model"
            raise ValueError(
                f"document {row} has an embedding of length {len(vector)}, not {dim}; {advice}"
            )
    return np.array(vectors, dtype=np.float32)


def _record(document: Document) -> dict[str, Any]:
    rest = document.to_dict(flatten=False)
    content, embedding = rest.pop("content"), rest.pop("embedding")
    rest.pop("score")
    record = dict(flattened(document.meta, "meta."))
    for name, value in list(record.items()):
        record |= date_fields(name, value)
    record |= {ID: document.id, EMBEDDED: embedding is not None}
    return record | {CONTENT: content, DOCUMENT: to_json(rest, document.id)}


def _document(point: Any, vector: Any, score: float | None = None) -> Document:
    record = point.metadata
    parts = json.loads(record[DOCUMENT]) | {"content": record.get(CONTENT), "score": score}
    if vector is not None and record[EMBEDDED]:
        parts["embedding"] = np.asarray(vector).tolist()
    return Document.from_dict(parts)
