"""The index without a database, for those who come from hnswlib, faiss or usearch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _inputs, _keywords, _native, _progress
from .errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from ._types import Metric, Progress


class Neighbors(NamedTuple):
    """Numbers of rows and their distances, nearest first: shape (n, k), (k,) for one query."""

    ids: NDArray[np.int64]
    distances: NDArray[np.float32]


class Index:
    """Rows of vectors and the graph over them, in memory; made by `build` or `load`.

    Rows are named by their numbers, in the order in which they were given. Few rows are scanned,
    many are linked into a graph.

    >>> import loomdb
    >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
    >>> ids, distances = index.search([3.0, 3.0], k=2)
    >>> ids.tolist(), distances.round(2).tolist()
    ([1, 0], [1.0, 4.239999771118164])
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Index) -> None:
        if not isinstance(native, _native.Index):
            raise TypeError("an Index is made by Index.build(vectors) or Index.load(path)")
        self._native = native

    @classmethod
    def build(
        cls,
        vectors: ArrayLike,
        metric: Metric = "cosine",
        m: int = 16,
        ef_construction: int = 200,
        *,
        seed: int = 42,
        threads: int = 0,
        progress: Progress = None,
        **unknown: Any,
    ) -> Index:
        """Builds an index over rows, as one batch.

        Ctrl-C stops it. The result is the same for any number of threads.

        Args:
            vectors: Shape (n, dim), at least one row.
            metric: `"cosine"`, `"l2"` or `"ip"`.
            m: Links of a node on the upper levels; level 0 has twice as many.
            ef_construction: The beam width of the searches that link a single row.
            seed: Where every random choice comes from.
            threads: 0 stands for one for each core.
            progress: `True` for a progress bar, or a function of phase, steps done, and all steps.

        Raises:
            InvalidInputError: Values that are not finite, or zero vectors under cosine.

        >>> import loomdb
        >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
        >>> index
        Index(rows=2, dim=2, metric='l2')
        """
        if unknown:
            names = ("vectors", "metric", "m", "ef_construction", "seed", "threads", "progress")
            _keywords.refuse("build", unknown, names)
        rows = _inputs.rows(vectors)
        if not len(rows):
            raise InvalidInputError("there are no vectors; an index is built over at least one")
        with _progress.shown(progress) as call:
            params = (m, ef_construction, seed, threads)
            return cls(_native.Index.build(rows, metric, params, call))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        m: int = 16,
        ef_construction: int = 200,
        threads: int = 0,
    ) -> Index:
        """Reads an index that was saved; every byte is verified.

        `m` and `ef_construction` are for rows that are added later. Exact searches find what they
        found before; others may find a few other neighbors, because rows are rounded anew.

        Raises:
            CorruptionError: A file is damaged; a damaged graph is only rebuilt.

        >>> import loomdb, tempfile
        >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
        >>> path = tempfile.mkdtemp() + "/my.index"
        >>> index.save(path)
        >>> len(loomdb.Index.load(path))
        2
        """
        return cls(_native.Index.load(os.fspath(path), (m, ef_construction, threads)))

    def save(self, path: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Writes the index as a directory, completely or not at all.

        Raises:
            ExistsError: Something is there, and `replace` is not set.
        """
        self._native.save(os.fspath(path), replace)

    def add(self, vectors: ArrayLike) -> range:
        """Adds rows, which the next search finds, and returns their numbers.

        Args:
            vectors: Shape (n, dim).

        Raises:
            DimensionError: They have another length than those before.

        >>> import loomdb
        >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
        >>> index.add([[1.0, 1.0]])
        range(2, 3)
        """
        return range(*self._native.add(_inputs.rows(vectors)))

    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
        ef_search: int = 64,
        *,
        exact: bool = False,
        **unknown: Any,
    ) -> Neighbors:
        """The k nearest rows to each query, on all threads.

        Args:
            queries: Shape (n, dim), or (dim,) for one query.
            k: How many rows are wanted; fewer come back only when there are fewer.
            ef_search: The beam width: wider is slower and finds more of the true neighbors.
            exact: Whether to look at all rows.

        Returns:
            `ids` in int64 and `distances` in float32, of shape (n, k), or (k,) for one query.

        Raises:
            DimensionError: The queries have another length than the rows.

        >>> import loomdb
        >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
        >>> index.search([[3.0, 3.0], [0.0, 0.1]], k=1).ids
        array([[1],
               [0]])
        """
        if unknown:
            _keywords.refuse("search", unknown, ("queries", "k", "ef_search", "exact"))
        array = _inputs.query(queries)
        rows = array.reshape(1, -1) if array.ndim == 1 else array
        ids, distances = self._native.search(rows, (k, ef_search, exact))
        if array.ndim == 1:
            return Neighbors(ids[0], distances[0])
        return Neighbors(ids, distances)

    def recall_at(self, k: int, queries: ArrayLike, ef_search: int = 64) -> float:
        """The share of the k true neighbors that `search` finds, from 0 to 1.

        A row that is as near as the k-th true neighbor counts as one.

        >>> import loomdb
        >>> index = loomdb.Index.build([[0.0, 0.0], [3.0, 4.0]], metric="l2")
        >>> index.recall_at(1, [[3.0, 3.0], [0.0, 0.1]])
        1.0
        """
        array = _inputs.query(queries)
        rows = array.reshape(1, -1) if array.ndim == 1 else array
        truth = self.search(rows, k, exact=True).distances
        found = self.search(rows, k, ef_search).distances
        return float((found <= truth[:, -1:]).mean()) if truth.size else 1.0

    def neighbors(self, level: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The links of the graph as two arrays, as a compressed sparse matrix has them.

        Args:
            level: 0 has all rows of the graph, every level above a few of those below.

        Returns:
            `offsets` of shape (rows + 1,) and `rows`: the links of row `i` lead to
            `rows[offsets[i]:offsets[i + 1]]`. Rows that are scanned, because they are few or were
            added just now, have none.

        >>> import loomdb, numpy
        >>> vectors = numpy.random.default_rng(1).normal(size=(5000, 8))
        >>> index = loomdb.Index.build(vectors, metric="l2", m=16)
        >>> offsets, rows = index.neighbors()
        >>> nearest = index.search(vectors[7], k=2).ids[1]
        >>> len(offsets), bool(nearest in rows[offsets[7]:offsets[8]])
        (5001, True)
        """
        if not 0 <= level <= 255:
            raise InvalidInputError(f"level is {level}; give a number from 0 on")
        return self._native.neighbors(level)

    def wait(self) -> None:
        """Waits until no rows are being linked in the background."""
        self._native.wait()

    def info(self) -> dict[str, Any]:
        """The state and the cost of the index; walks through the whole graph."""
        return self._native.info()

    @property
    def dim(self) -> int:
        """The vector length."""
        return self._native.dim

    @property
    def metric(self) -> str:
        """How distances are measured."""
        return self._native.metric

    def __len__(self) -> int:
        return len(self._native)

    def __repr__(self) -> str:
        return f"Index(rows={len(self)}, dim={self.dim}, metric={self.metric!r})"
