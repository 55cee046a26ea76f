"""usearch HNSW, over vectors that are kept as f32."""

import numpy as np
from usearch.index import Index

from peers import measure

METRICS = {"l2": "l2sq", "cosine": "cos", "ip": "ip"}


class UsearchEngine:
    def __init__(self, index, threads):
        self.index = index
        self.threads = threads

    @classmethod
    def create(cls, rows, dim, options):
        index = Index(
            ndim=dim,
            metric=METRICS[options.metric],
            dtype="f32",
            connectivity=options.m,
            expansion_add=options.ef_construction,
        )
        return cls(index, options.threads)

    @classmethod
    def build(cls, vectors, options):
        engine = cls.create(*vectors.shape, options)
        engine.add(vectors)
        return engine

    def add(self, vectors):
        first = len(self.index)
        keys = np.arange(first, first + len(vectors), dtype=np.uint64)
        self.index.add(keys, vectors, threads=self.threads, copy=True)

    def search(self, queries, k, ef_search):
        self.index.expansion_search = ef_search
        # A single query comes back without the dimension of queries.
        return np.atleast_2d(self.index.search(queries, k, threads=1).keys)

    def index_mib(self):
        return self.index.memory_usage / 2**20


if __name__ == "__main__":
    measure.run(UsearchEngine)
