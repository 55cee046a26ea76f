"""faiss HNSW, over vectors that are kept as f32."""

import faiss

from peers import measure


class FaissEngine:
    """The searches of any faiss graph; cosine is the inner product of unit rows."""

    def __init__(self, index, metric, threads):
        self.index = index
        self.metric = metric
        self.threads = threads

    def search(self, queries, k, ef_search):
        self.set_ef_search(ef_search)
        faiss.omp_set_num_threads(1)
        _, rows = self.index.search(measure.units(queries, self.metric), k)
        return rows

    def index_mib(self):
        return None


class FaissHnswEngine(FaissEngine):
    @classmethod
    def create(cls, rows, dim, options):
        measured = faiss.METRIC_L2 if options.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexHNSWFlat(dim, options.m, measured)
        index.hnsw.efConstruction = options.ef_construction
        return cls(index, options.metric, options.threads)

    @classmethod
    def build(cls, vectors, options):
        engine = cls.create(*vectors.shape, options)
        engine.add(vectors)
        return engine

    def add(self, vectors):
        faiss.omp_set_num_threads(self.threads)
        self.index.add(measure.units(vectors, self.metric))

    def set_ef_search(self, ef_search):
        self.index.hnsw.efSearch = ef_search


if __name__ == "__main__":
    measure.run(FaissHnswEngine)
