"""SVS Vamana, over vectors that are kept as f32; degree 2 * m, window ef_construction."""

import svs

from peers import measure

# For l2 a row is kept unless another is nearer by this factor; for inner products by its inverse.
ALPHA = {"l2": 1.2, "ip": 0.95}


class SvsEngine:
    def __init__(self, index, metric):
        self.index = index
        self.metric = metric

    @classmethod
    def build(cls, vectors, options):
        """Cosine is the inner product of unit rows, which SVS answers sooner than its own."""
        measured = "ip" if options.metric == "cosine" else options.metric
        parameters = svs.VamanaBuildParameters(
            alpha=ALPHA[measured],
            graph_max_degree=2 * options.m,
            window_size=options.ef_construction,
        )
        index = svs.Vamana.build(
            parameters,
            measure.units(vectors, options.metric),
            svs.DistanceType.L2 if measured == "l2" else svs.DistanceType.MIP,
            num_threads=options.threads,
        )
        return cls(index, options.metric)

    def search(self, queries, k, ef_search):
        self.index.num_threads = 1
        self.index.search_window_size = ef_search
        rows, _ = self.index.search(measure.units(queries, self.metric), k)
        return rows

    def index_mib(self):
        return None


if __name__ == "__main__":
    measure.run(SvsEngine)
