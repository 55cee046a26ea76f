"""hnswlib, the reference: one row at a time, as most vector databases build their graphs."""

import importlib.metadata
import sys

import hnswlib

from peers import measure
from peers.cases import measurement_arguments

NAME = "hnswlib"


class HnswlibPeer:
    name = NAME

    def version(self):
        return importlib.metadata.version(NAME)

    def command(self, case, inputs):
        return [sys.executable, "-m", __name__, *measurement_arguments(case, inputs)]


class HnswlibEngine:
    def __init__(self, index):
        self.index = index

    @classmethod
    def build(cls, vectors, options):
        rows, dim = vectors.shape
        index = hnswlib.Index(space=options.metric, dim=dim)
        index.init_index(
            max_elements=rows, M=options.m, ef_construction=options.ef_construction
        )
        index.set_num_threads(options.threads)
        chunk = options.chunk or rows
        for start in range(0, rows, chunk):
            index.add_items(vectors[start : start + chunk])
        return cls(index)

    def search(self, queries, k, ef_search):
        self.index.set_num_threads(1)
        self.index.set_ef(ef_search)
        labels, _ = self.index.knn_query(queries, k=k)
        return labels

    def index_mib(self):
        return self.index.index_file_size() / 2**20


if __name__ == "__main__":
    measure.run(HnswlibEngine, strategy="insert")
