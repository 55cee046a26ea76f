"""What a run of VectorDBBench with loomdb can be told."""

from pydantic import BaseModel
from vectordb_bench.backend.clients.api import DBCaseConfig, DBConfig, MetricType

METRICS = {MetricType.COSINE: "cosine", MetricType.L2: "l2", MetricType.IP: "ip"}


class LoomdbConfig(DBConfig):
    """Where the database is."""

    path: str

    def to_dict(self) -> dict:
        return {"path": self.path}


class LoomdbIndexConfig(BaseModel, DBCaseConfig):
    """How the graph is built and walked."""

    metric_type: MetricType | None = None
    m: int = 16
    ef_construction: int = 200
    ef_search: int = 100

    def index_param(self) -> dict:
        return {"m": self.m, "ef_construction": self.ef_construction}

    def search_param(self) -> dict:
        return {"ef_search": self.ef_search}

    @property
    def metric(self) -> str:
        """The metric in our words; without a word the one of the benchmark's own default."""
        return METRICS[self.metric_type or MetricType.COSINE]
