"""Searching many shards as if they were one collection."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from .. import _database, _inputs, _keywords
from .._collection import Collection, Filter, Id
from .._results import Hits, ManyHits, Point
from ..errors import CorruptionError, Error, InvalidInputError
from . import _assign, _merge
from ._files import Place
from ._manifest import Manifest
from ._shard import COLLECTION, ShardInfo, checksum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from .._database import Database, Metric

_SEARCH = ("query", "k", "filter", "ef_search", "exact", "probe")


class ShardedCollection:
    """The shards of a build, opened to be read and searched as one collection.

    With `exact=True` the answers are those of one collection with the same points; through the
    graphs, each shard answers with its own nearest k, and the nearest k of these are returned.
    A context manager that closes the shards.

    Args:
        manifest: The directory of the shards: a path, or an address that fsspec knows.
        threads: Shards that are searched at the same time; left out, all.
        cache: Where shards are kept that had to be downloaded; left out, a directory below the
            one for temporary files.

    Raises:
        MissingFileError: There are no shards, or one is not built.
        CorruptionError: A shard is damaged, or is another one than was built; it is named.
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str],
        *,
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        place = Place(manifest)
        #: What was built.
        self.manifest = Manifest.load(place)
        shards = self.manifest.finished(place.path)
        with ExitStack() as opened:
            self._databases = [
                opened.enter_context(open_shard(place, shard, cache)) for shard in shards
            ]
            self._opened = opened.pop_all()
        #: The collection of each shard.
        self.collections: list[Collection] = [db[COLLECTION] for db in self._databases]
        self._pool = ThreadPoolExecutor(threads or len(shards), "loomdb-shard")

    @property
    def metric(self) -> Metric:
        """How vectors are compared."""
        return self.manifest.metric

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        probe: int | None = None,
        **unknown: Any,
    ) -> Any:
        """Finds the k points that are nearest to a query, or to each of many, in all shards.

        Args:
            query: Shape (dim,) for one query, (n, dim) for many.
            k: How many points are wanted.
            filter: Only points whose metadata match.
            ef_search: The beam width in each shard.
            exact: Whether to look at all points.
            probe: Only the shards whose centers are nearest to the query, that many; for shards
                that were assigned by cluster.

        Raises:
            InvalidInputError: `probe` is given for shards that were assigned by hash.
        """
        if unknown:
            _keywords.refuse("search", unknown, _SEARCH)
        queries = _inputs.query(query)
        options: Any = {"k": k, "filter": filter, "ef_search": ef_search, "exact": exact}

        def ask(asked: tuple[int, NDArray[np.int64]]) -> list[_merge.Part]:
            shard, rows = asked
            mine = queries if queries.ndim == 1 else queries[rows]
            return _merge.parts_of(self.collections[shard].search(mine, **options), rows)

        answers = self._pool.map(ask, route(self.manifest, queries, probe))
        parts = list(chain.from_iterable(answers))
        merged, places = _merge.nearest(parts, 1 if queries.ndim == 1 else len(queries), k)
        return Hits(merged) if queries.ndim == 1 else ManyHits([merged], places)

    @overload
    def get(self, ids: Id) -> Point | None: ...  # type: ignore[overload-overlap]
    @overload
    def get(self, ids: Iterable[Id]) -> list[Point | None]: ...
    def get(self, ids: Iterable[Id] | Id) -> Point | None | list[Point | None]:
        """The point of an id, or the points of several in their order; `None` for those missing."""
        if isinstance(ids, (str, int)):
            return self.get([ids])[0]
        wanted = list(ids)
        found: list[Point | None] = [None] * len(wanted)
        for points in self._pool.map(lambda shard: shard.get(wanted), self.collections):
            found = [old if new is None else new for old, new in zip(found, points, strict=True)]
        return found

    def __contains__(self, id: object) -> bool:
        return isinstance(id, (str, int)) and self.get(id) is not None

    def count(self, filter: Filter | None = None) -> int:
        """The number of points, or of those that match a filter."""
        return sum(self._pool.map(lambda shard: shard.count(filter), self.collections))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Closes all shards."""
        self._pool.shutdown()
        self._opened.close()

    def __enter__(self) -> ShardedCollection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        shards, points = len(self.collections), self.manifest.points
        return f"ShardedCollection(shards={shards}, points={points}, metric={self.metric!r})"


def open_shard(
    place: Place,
    shard: ShardInfo,
    cache: str | os.PathLike[str] | None = None,
) -> Database:
    """Opens a shard to read it; downloads it first if it lies elsewhere.

    Raises:
        CorruptionError: It is damaged, or is another one than the manifest names.
    """
    below = Path(cache or Path(tempfile.gettempdir(), "loomdb-shards"))
    local = place.fetch(shard.name, below / shard.checksum)
    try:
        if checksum(local) != shard.checksum:
            what = "it is not the one that was built: the checksum of its manifest differs"
            raise CorruptionError(f"{what}; build it again")
        return _database.open(local, read_only=True)
    except Error as error:
        error.args = (f"{shard.name} in {place.path}: {error}",)
        raise


def route(
    manifest: Manifest,
    queries: NDArray[np.float32],
    probe: int | None,
) -> list[tuple[int, NDArray[np.int64]]]:
    """Which shards are asked, each with the numbers of the queries that it is asked for."""
    import numpy as np

    shards = len(manifest.shards)
    rows = np.arange(1 if queries.ndim == 1 else len(queries))
    if probe is None:
        return [(shard, rows) for shard in range(shards)]
    if not manifest.centers:
        what = f"the points were assigned by {manifest.assign}, so any shard may have the nearest"
        raise InvalidInputError(f"{what}; leave out probe, or build with assign='cluster'")
    if not 1 <= probe <= shards:
        raise InvalidInputError(f"probe is {probe}; expected 1 to {shards}")
    centers = np.asarray(manifest.centers, dtype=np.float32)
    if queries.shape[-1] != centers.shape[1]:
        return [(0, rows)]  # Its collection names the dimensions.
    near = _assign.nearest_centers(np.atleast_2d(queries), centers, manifest.metric, probe)
    asked = [(shard, rows[(near == shard).any(axis=1)]) for shard in range(shards)]
    return [(shard, mine) for shard, mine in asked if len(mine)]
