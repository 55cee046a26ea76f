"""hnswlib, the reference: one row at a time, as most vector databases build their graphs."""

import hnswlib

from peers import measure


class HnswlibEngine:
    def __init__(self, index, threads):
        self.index = index
        self.threads = threads

    @classmethod
    def create(cls, rows, dim, options):
        index = hnswlib.Index(space=options.metric, dim=dim)
        index.init_index(
            max_elements=rows, M=options.m, ef_construction=options.ef_construction
        )
        return cls(index, options.threads)

    @classmethod
    def build(cls, vectors, options):
        engine = cls.create(*vectors.shape, options)
        engine.add(vectors)
        return engine

    def add(self, vectors):
        self.index.add_items(vectors, num_threads=self.threads)

    def search(self, queries, k, ef_search):
        self.index.set_ef(ef_search)
        labels, _ = self.index.knn_query(queries, k=k, num_threads=1)
        return labels

    def index_mib(self):
        return self.index.index_file_size() / 2**20


if __name__ == "__main__":
    measure.run(HnswlibEngine)
