"""LangChain: a collection as a `VectorStore`.

```python
from loomdb.langchain import LoomVectorStore

store = LoomVectorStore.open("my.loom", embedding)
store.add_texts(["Bread is baked."], [{"lang": "en"}], ids=["bread"])
store.similarity_search("What is baked?", k=3, filter={"lang": "en"})
```

Needs `pip install loomdb[langchain]`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import loomdb
import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from loomdb._documents import SharedDatabase, flattened, last_of_each, to_json

TEXT = "text"
METADATA = "metadata"
RESERVED = {"id", "vector", TEXT, METADATA}


class LoomVectorStore(VectorStore):
    """Texts with their embeddings and metadata in a collection.

    Metadata comes back as it was given. Flags, numbers, texts and lists of texts in it can be
    filtered, also in nested dictionaries: `{"a": {"b": 1}}` is the field `a.b`. `filter=` takes
    the language of loomdb, a dictionary such as `{"year": {"$gte": 2020}}`.

    Scores are distances: smaller is nearer.
    """

    def __init__(self, collection: loomdb.Collection, embedding: Embeddings) -> None:
        """Use a collection, which may hold documents already."""
        self.collection = collection
        self.embedding = embedding
        self._shared: SharedDatabase | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        embedding: Embeddings,
        *,
        name: str = "documents",
        metric: loomdb.Metric | None = None,
    ) -> LoomVectorStore:
        """Open or create the collection `name` of the database at `path`.

        Without `metric` it is that of the collection, or cosine for one that is made.
        """
        shared = SharedDatabase.of(path)
        store = cls(shared.database.collection(name, metric=metric), embedding)
        store._shared = shared
        return store

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] = ":memory:",
        **options: Any,
    ) -> LoomVectorStore:
        """Add texts to the collection at `path`; `options` are those of `open`."""
        store = cls.open(path, embedding, **options)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] = ":memory:",
        **options: Any,
    ) -> LoomVectorStore:
        """`from_texts`, with the embedding awaited."""
        store = cls.open(path, embedding, **options)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embeddings:
        """What turns texts into vectors."""
        return self.embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Embed texts and write them in one batch; an id that exists is replaced."""
        texts = list(texts)
        return self._write(texts, self.embedding.embed_documents(texts), metadatas, ids)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """`add_texts`, with the embedding awaited."""
        texts = list(texts)
        vectors = await self.embedding.aembed_documents(texts)
        return await run_in_executor(None, self._write, texts, vectors, metadatas, ids)

    def _write(
        self,
        texts: list[str],
        vectors: list[list[float]],
        metadatas: list[dict[str, Any]] | None,
        ids: Sequence[str | None] | None,
    ) -> list[str]:
        _check_count("metadatas", metadatas, texts)
        _check_count("ids", ids, texts)
        metadatas = metadatas or [{}] * len(texts)
        names = [id or str(uuid.uuid4()) for id in ids or [None] * len(texts)]
        kept = last_of_each(names)
        if kept:
            self.collection.upsert(
                ids=[names[row] for row in kept],
                vectors=np.array([vectors[row] for row in kept], dtype=np.float32),
                metadata=[_record(names[row], texts[row], metadatas[row]) for row in kept],
            )
        return names

    def delete(self, ids: list[str] | None = None) -> bool:
        """Delete documents; ids that are not there are passed over. Without ids, delete all."""
        if ids is None:
            self.collection.delete(filter={})
        elif ids:
            self.collection.delete(ids=list(ids))
        return True

    async def adelete(self, ids: list[str] | None = None) -> bool:
        """`delete`, off the event loop."""
        return await run_in_executor(None, self.delete, ids)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of some ids; those that are not there are left out."""
        points = self.collection.get(list(ids)) if ids else []
        return [_document(point) for point in points if point is not None]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """The `k` documents nearest to a text; fewer only if fewer match the filter."""
        vector = self.embedding.embed_query(query)
        return self.similarity_search_by_vector(vector, k, filter=filter)

    async def asimilarity_search(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """`similarity_search`, with the embedding awaited."""
        vector = await self.embedding.aembed_query(query)
        return await self.asimilarity_search_by_vector(vector, k, filter=filter)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """The `k` documents nearest to a vector."""
        found = self.similarity_search_with_score_by_vector(embedding, k, filter=filter)
        return [document for document, _ in found]

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """`similarity_search_by_vector`, off the event loop."""
        search = self.similarity_search_by_vector
        return await run_in_executor(None, lambda: search(embedding, k, filter=filter))

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[tuple[Document, float]]:
        """The nearest documents with their distances, nearest first."""
        vector = self.embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, filter=filter)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score`, with the embedding awaited."""
        vector = await self.embedding.aembed_query(query)
        search = self.similarity_search_with_score_by_vector
        return await run_in_executor(None, lambda: search(vector, k, filter=filter))

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Mapping[str, Any] | None = None
    ) -> list[tuple[Document, float]]:
        """The documents nearest to a vector with their distances, nearest first."""
        hits = self._hits(embedding, k, filter)
        return [(_document(hit), hit.distance) for hit in hits]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """`k` of the `fetch_k` nearest documents that are near to the text and unlike each other.

        `lambda_mult` is 1 for the nearest and 0 for the most diverse.
        """
        vector = self.embedding.embed_query(query)
        search = self.max_marginal_relevance_search_by_vector
        return search(vector, k, fetch_k, lambda_mult, filter=filter)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """`max_marginal_relevance_search`, with the embedding awaited."""
        vector = await self.embedding.aembed_query(query)
        search = self.max_marginal_relevance_search_by_vector
        call = lambda: search(vector, k, fetch_k, lambda_mult, filter=filter)  # noqa: E731
        return await run_in_executor(None, call)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a vector."""
        hits = list(self._hits(embedding, fetch_k, filter))
        vectors = [hit.vector for hit in hits]
        query = np.array(embedding, dtype=np.float32)
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult=lambda_mult, k=k)
        return [_document(hits[row]) for row in chosen]

    def _hits(self, embedding: list[float], k: int, filter: Mapping[str, Any] | None) -> Any:
        query = np.array(embedding, dtype=np.float32)
        return self.collection.search(query, k=k, filter=None if filter is None else named(filter))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        functions = {
            "cosine": self._cosine_relevance_score_fn,
            "l2": self._euclidean_relevance_score_fn,
            "ip": self._max_inner_product_relevance_score_fn,
        }
        return functions[self.collection.metric]


def field(key: str) -> str:
    """The field that holds a key of metadata: `metadata.id` for `id`, which is taken."""
    is_taken = key in RESERVED or key.startswith("metadata.")
    return f"metadata.{key}" if is_taken else key


def named(filter: Mapping[str, Any]) -> dict[str, Any]:
    """A filter over keys of metadata as one over fields."""
    renamed: dict[str, Any] = {}
    for key, value in filter.items():
        if key in ("$and", "$or") and isinstance(value, list):
            renamed[key] = [named(part) for part in value]
        elif key == "$not" and isinstance(value, Mapping):
            renamed[key] = named(value)
        else:
            renamed[key if key.startswith("$") else field(key)] = value
    return renamed


def _record(id: str, text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    record = {field(name): value for name, value in flattened(metadata)}
    return record | {TEXT: text, METADATA: to_json(metadata, id)}


def _document(point: Any) -> Document:
    record = point.metadata
    metadata = json.loads(record[METADATA])
    return Document(id=point.id, page_content=record[TEXT], metadata=metadata)


def _check_count(name: str, given: Sequence[Any] | None, texts: list[str]) -> None:
    if given is not None and len(given) != len(texts):
        raise ValueError(f"{len(given)} {name} were given for {len(texts)} texts")
