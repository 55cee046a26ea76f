"""voyager HNSW, over vectors that are kept as f32."""

import voyager

from peers import measure

SPACES = {
    "l2": voyager.Space.Euclidean,
    "cosine": voyager.Space.Cosine,
    "ip": voyager.Space.InnerProduct,
}


class VoyagerEngine:
    def __init__(self, index, threads):
        self.index = index
        self.threads = threads

    @classmethod
    def create(cls, rows, dim, options):
        index = voyager.Index(
            SPACES[options.metric],
            num_dimensions=dim,
            M=options.m,
            ef_construction=options.ef_construction,
            max_elements=rows,
            storage_data_type=voyager.StorageDataType.Float32,
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
        rows, _ = self.index.query(queries, k=k, num_threads=1, query_ef=ef_search)
        return rows

    def index_mib(self):
        return None


if __name__ == "__main__":
    measure.run(VoyagerEngine)
