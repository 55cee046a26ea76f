"""qdrant-edge, an embedded database: new rows are stored, and found by a scan until it is asked to
link them. It logs every write, and like the others here it is not asked to sync any."""

import tempfile
from pathlib import Path

import qdrant_edge as qdrant

from peers import measure

DISTANCES = {
    "l2": qdrant.Distance.Euclid,
    "cosine": qdrant.Distance.Cosine,
    "ip": qdrant.Distance.Dot,
}


class QdrantEngine:
    def __init__(self, shard, directory):
        self.shard = shard
        # Removed with the engine.
        self.directory = directory
        self.count = 0

    @classmethod
    def create(cls, rows, dim, options):
        vectors = qdrant.EdgeVectorParams(size=dim, distance=DISTANCES[options.metric])
        directory = tempfile.TemporaryDirectory()
        path = Path(directory.name) / "shard"
        path.mkdir()
        return cls(qdrant.EdgeShard.create(str(path), qdrant.EdgeConfig(vectors)), directory)

    def add(self, vectors):
        rows = zip(range(self.count, self.count + len(vectors)), vectors.tolist())
        points = [qdrant.Point(row, vector) for row, vector in rows]
        self.shard.update(qdrant.UpdateOperation.upsert_points(points))
        self.count += len(vectors)

    def search(self, queries, k, ef_search):
        parameters = qdrant.SearchParams(hnsw_ef=ef_search)
        return [self.nearest(query, k, parameters) for query in queries.tolist()]

    def nearest(self, query, k, parameters):
        query = qdrant.Query.Nearest(query)
        hits = self.shard.search(qdrant.SearchRequest(query, limit=k, params=parameters))
        return [hit.id for hit in hits]

    def index_mib(self):
        return None


if __name__ == "__main__":
    measure.run(QdrantEngine)
