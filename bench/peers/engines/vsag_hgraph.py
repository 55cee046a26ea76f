"""VSAG HGraph, rows inserted one by one, over vectors that are kept as f32."""

import json

import numpy as np
import pyvsag

from peers import measure


class VsagEngine:
    # What `graph_type` says; the other one is NN-Descent.
    graph_type = "nsw"

    def __init__(self, index):
        self.index = index

    @classmethod
    def build(cls, vectors, options):
        """One flat array with ids: VSAG takes no other, and aborts on one that is read-only."""
        rows, dim = vectors.shape
        index = pyvsag.Index("hgraph", json.dumps(cls.parameters(dim, options)))
        index.build(vectors.reshape(-1), np.arange(rows, dtype=np.int64), rows, dim)
        return cls(index)

    @classmethod
    def parameters(cls, dim, options):
        return {
            "dtype": "float32",
            "metric_type": options.metric,
            "dim": dim,
            "index_param": {
                "base_quantization_type": "fp32",
                "graph_type": cls.graph_type,
                "max_degree": 2 * options.m,
                "ef_construction": options.ef_construction,
                "build_thread_count": options.threads,
            },
        }

    def search(self, queries, k, ef_search):
        """One call a query: there is no other."""
        parameters = json.dumps({"hgraph": {"ef_search": ef_search}})
        return [self.index.knn_search(query, k, parameters)[0] for query in queries]

    def index_mib(self):
        return None


if __name__ == "__main__":
    pyvsag.set_logger_off()
    measure.run(VsagEngine)
