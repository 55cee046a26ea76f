"""loomdb for VectorDBBench.

The benchmark copies the client into several processes. One of them writes, and many read after
it, so the database is opened when the first call tells which it is.
"""

from contextlib import contextmanager

import numpy as np
from vectordb_bench.backend.clients.api import VectorDB
from vectordb_bench.backend.filter import Filter, FilterOp
from vectordb_bench.backend.payload import PayloadProfile

import loomdb

from .config import LoomdbIndexConfig


class Loomdb(VectorDB):
    """A collection whose ids are those of the data set."""

    name = "loomdb"
    supported_filter_types = [FilterOp.NonFilter, FilterOp.NumGE, FilterOp.StrEqual]

    def __init__(
        self,
        dim: int,
        db_config: dict,
        db_case_config: LoomdbIndexConfig,
        collection_name: str = "benchmark",
        drop_old: bool = False,
        with_scalar_labels: bool = False,
        **kwargs,
    ) -> None:
        self.dim = dim
        self.path = db_config["path"]
        self.config = db_case_config
        self.collection_name = collection_name
        self.with_scalar_labels = with_scalar_labels
        self.filter = None
        self.database = None
        self.collection = None
        self.is_writer = False
        if drop_old:
            with loomdb.open(self.path) as database:
                if collection_name in database:
                    database.drop(collection_name)

    @contextmanager
    def init(self):
        """Nothing is opened before it is known whether this process writes."""
        yield
        self._close()

    def insert_embeddings(
        self,
        embeddings: list[list[float]],
        metadata: list[int],
        labels_data: list[str] | None = None,
        tenant_labels_data: list[str] | None = None,
        **kwargs,
    ) -> tuple[int, Exception | None]:
        """Adds a batch; `metadata` are the ids."""
        fields = [{"number": number} for number in metadata]
        if self.with_scalar_labels:
            for record, label in zip(fields, labels_data, strict=True):
                record["label"] = label
        vectors = np.asarray(embeddings, dtype=np.float32)
        try:
            self._open(is_writer=True).add(ids=list(metadata), vectors=vectors, metadata=fields)
        except loomdb.Error as error:
            return 0, error
        return len(metadata), None

    def optimize(self, data_size: int | None = None) -> None:
        """Links all rows into one graph, and waits for it."""
        self._open(is_writer=True).compact()

    def prepare_filter(self, filters: Filter) -> None:
        """Keeps the filter for the searches that follow."""
        if filters.type == FilterOp.NonFilter:
            self.filter = None
        elif filters.type == FilterOp.NumGE:
            self.filter = {"number": {"$gte": filters.int_value}}
        else:
            self.filter = {"label": filters.label_value}

    def search_embedding(
        self,
        query: list[float],
        k: int = 100,
        payload_profile: PayloadProfile = PayloadProfile.IDS_ONLY,
        tenant: str | None = None,
    ) -> list[int]:
        """The ids of the nearest rows."""
        ef_search = max(self.config.ef_search, k)
        collection = self.collection or self._open(is_writer=False)
        vector = np.asarray(query, dtype=np.float32)
        hits = collection.search(vector, k=k, filter=self.filter, ef_search=ef_search)
        return [int(id) for id in hits.ids]

    def _open(self, is_writer: bool):
        if self.collection is not None and (self.is_writer or not is_writer):
            return self.collection
        self._close()
        self.database = loomdb.open(self.path, read_only=not is_writer)
        arguments = {"dim": self.dim, "metric": self.config.metric, **self.config.index_param()}
        arguments = arguments if is_writer else {}
        self.collection = self.database.collection(self.collection_name, **arguments)
        self.is_writer = is_writer
        return self.collection

    def _close(self) -> None:
        if self.database is not None:
            self.database.close()
        self.database = self.collection = None
