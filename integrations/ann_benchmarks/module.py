"""loomdb for ann-benchmarks: copy this directory to `ann_benchmarks/algorithms/loomdb`."""

import loomdb
import numpy as np

from ..base.module import BaseANN

METRICS = {"angular": "cosine", "euclidean": "l2"}


class Loomdb(BaseANN):
    """The bare index: it is built from all rows at once and returns their numbers.

    The harness measures one query at a time on one core. A build uses all cores that it is given.
    """

    def __init__(self, metric, method_param):
        self.metric = METRICS[metric]
        self.m = method_param["m"]
        self.ef_construction = method_param["ef_construction"]
        self.ef_search = None
        self.index = None
        self.answers = None
        self.name = f"loomdb (m={self.m}, ef_construction={self.ef_construction})"

    def fit(self, X):
        self.index = loomdb.Index.build(
            np.ascontiguousarray(X, dtype=np.float32),
            metric=self.metric,
            m=self.m,
            ef_construction=self.ef_construction,
        )

    def set_query_arguments(self, ef_search):
        self.ef_search = ef_search
        self.name = (
            f"loomdb (m={self.m}, ef_construction={self.ef_construction}, ef_search={ef_search})"
        )

    def query(self, q, n):
        return self.index.search(q, k=n, ef_search=max(self.ef_search, n)).ids

    def batch_query(self, X, n):
        self.answers = self.index.search(X, k=n, ef_search=max(self.ef_search, n)).ids

    def get_batch_results(self):
        return self.answers

    def done(self):
        self.index = None
