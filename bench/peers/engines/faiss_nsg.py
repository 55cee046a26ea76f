"""faiss NSG: a graph of nearest neighbors, exact or by NN-Descent, then pruned as a whole."""

import faiss

from peers import measure
from peers.engines.faiss_hnsw import FaissEngine

# IndexNSG asks NN-Descent for so many neighbors a row, as its own default has it.
NEIGHBORS = 64
EXACT, NN_DESCENT = 0, 1
# Up to here all pairs by matrix products are sooner than NN-Descent.
EXACT_ROWS = 20_000


class FaissNsgEngine(FaissEngine):
    @classmethod
    def build(cls, vectors, options):
        rows, dim = vectors.shape
        faiss.omp_set_num_threads(options.threads)
        measured = faiss.METRIC_L2 if options.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexNSGFlat(dim, 2 * options.m, measured)
        index.build_type = EXACT if rows <= EXACT_ROWS else NN_DESCENT
        index.GK = min(NEIGHBORS, rows - 1)
        index.nsg.L = options.ef_construction
        index.nsg.C = max(index.nsg.C, options.ef_construction)
        index.add(measure.units(vectors, options.metric))
        return cls(index, options.metric, options.threads)

    def set_ef_search(self, ef_search):
        self.index.nsg.search_L = ef_search


if __name__ == "__main__":
    measure.run(FaissNsgEngine)
