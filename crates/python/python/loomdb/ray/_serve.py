"""Serving shards from actors of Ray, which restarts those that die."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, cycle
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _inputs, _keywords
from .._collection import Filter
from .._results import Hits, ManyHits, package
from ..errors import DeadlineError, Error, InvalidInputError
from ..shards import Manifest, _merge
from ..shards._collection import open_shard, route
from ..shards._files import Place
from ..shards._shard import COLLECTION, ShardInfo
from ._engine import RETRIES, results

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SEARCH = ("query", "k", "filter", "ef_search", "exact", "probe", "deadline", "partial")

#: Searches of one actor at the same time.
_CONCURRENCY = 8


class ServedHits(Hits):
    """The hits of one query, and the shards that did not answer in time."""

    __slots__ = ("missing",)
    #: The names of the shards that are missing in the answer.
    missing: tuple[str, ...]


class ServedManyHits(ManyHits):
    """The hits of many queries, and the shards that did not answer in time."""

    __slots__ = ("missing",)
    #: The names of the shards that are missing in the answer.
    missing: tuple[str, ...]


def serve(
    path: str | os.PathLike[str],
    *,
    replicas: int = 1,
    cpus: float = 1,
    cache: str | os.PathLike[str] | None = None,
) -> Service:
    """Opens the shards of a build in actors: one for each shard and replica.

    Args:
        path: The directory of the shards, which all nodes reach, or an address that fsspec knows.
        replicas: Actors of each shard, which take turns.
        cpus: CPUs that Ray reserves for each actor; fractions share one.
        cache: Where a node keeps shards that it had to download.

    Raises:
        CorruptionError: A shard is damaged; it is named.
    """
    if replicas < 1:
        raise InvalidInputError(f"replicas is {replicas}; expected 1 or more")
    place = Place(path)
    manifest = Manifest.load(place)
    shards = manifest.finished(place.path)
    actor = package("ray", "ray").remote(_Server).options(
        num_cpus=cpus,
        max_restarts=-1,
        max_task_retries=RETRIES,
        max_concurrency=_CONCURRENCY,
    )
    folder = None if cache is None else os.fspath(cache)
    actors = [
        [actor.remote(place.path, shard, folder) for _ in range(replicas)] for shard in shards
    ]
    return Service(manifest, actors)


class Service:
    """Shards in actors, searched as one collection; made by `serve`.

    A context manager that stops the actors.
    """

    def __init__(self, manifest: Manifest, actors: list[list[Any]]) -> None:
        #: What was built.
        self.manifest = manifest
        self._actors = actors
        self._turns: list[Iterator[Any]] = [cycle(replicas) for replicas in actors]
        self._names = [shard.name for shard in manifest.shards if shard is not None]
        try:
            results([actor.ready.remote() for replicas in actors for actor in replicas])
        except BaseException:
            self.close()
            raise

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        probe: int | None = None,
        deadline: float | None = None,
        partial: Literal["error", "allow"] = "error",
        **unknown: Any,
    ) -> Any:
        """Finds the k points that are nearest to a query, or to each of many, in all shards.

        A search whose actor dies is repeated by Ray when the actor is there again. Hits carry no
        vectors.

        Args:
            query: Shape (dim,) for one query, (n, dim) for many.
            k: How many points are wanted.
            filter: Only points whose metadata match.
            ef_search: The beam width in each shard.
            exact: Whether to look at all points.
            probe: Only that many shards, whose centers are nearest to the query.
            deadline: Seconds after which is returned what is there.
            partial: What happens when shards are missing then: `"error"` raises, `"allow"`
                returns the hits of the others; their `missing` names the shards.

        Raises:
            DeadlineError: Shards did not answer in time; they are named.
        """
        if unknown:
            _keywords.refuse("search", unknown, _SEARCH)
        if partial not in ("error", "allow"):
            raise InvalidInputError(f"partial is {partial!r}; expected 'error' or 'allow'")
        queries = _inputs.query(query)
        options = {"k": k, "filter": filter, "ef_search": ef_search, "exact": exact}
        asked = {}
        for shard, rows in route(self.manifest, queries, probe):
            mine = queries if queries.ndim == 1 else queries[rows]
            asked[next(self._turns[shard]).search.remote(mine, options)] = (shard, rows)
        answered, missing = self._gather(asked, deadline)
        if missing and partial == "error":
            names = ", ".join(missing)
            what = f"{len(missing)} of {len(asked)} shards did not answer in {deadline} s: {names}"
            raise DeadlineError(f"{what}; give more time, or partial='allow'")
        return _served(answered, queries, k, missing)

    def _gather(
        self,
        asked: dict[Any, tuple[int, NDArray[np.int64]]],
        deadline: float | None,
    ) -> tuple[list[_merge.Part], tuple[str, ...]]:
        """What came in time, in the order of the shards, and the names of those that did not."""
        ray = package("ray", "ray")
        done, late = ray.wait(list(asked), num_returns=len(asked), timeout=deadline)
        in_time = [reference for reference in asked if reference in set(done)]
        parts = []
        for reference, (found, counts) in zip(in_time, results(in_time), strict=True):
            queries = np.repeat(asked[reference][1], counts)
            parts.append(_merge.Part(found, np.arange(len(found)), queries))
        return parts, tuple(sorted(self._names[asked[reference][0]] for reference in late))

    def count(self, filter: Filter | None = None) -> int:
        """The number of points, or of those that match a filter."""
        return sum(results([next(turn).count.remote(filter) for turn in self._turns]))

    def __len__(self) -> int:
        return self.manifest.points

    def close(self) -> None:
        """Stops the actors."""
        ray = package("ray", "ray")
        for actor in chain.from_iterable(self._actors):
            ray.kill(actor)

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        actors = sum(map(len, self._actors))
        return f"Service(shards={len(self._actors)}, actors={actors}, points={len(self)})"


class _Server:
    """The actor: one shard, open to be read."""

    def __init__(self, place: str, shard: ShardInfo, cache: str | None) -> None:
        # An actor whose constructor raises cannot tell why; `ready` does.
        self._failure: Error | None = None
        try:
            self._database = open_shard(Place(place), shard, cache)
            self._points = self._database[COLLECTION]
        except Error as error:
            self._failure = error

    def ready(self) -> int:
        """The process that it runs in."""
        if self._failure is not None:
            raise self._failure
        return os.getpid()

    def search(
        self,
        queries: NDArray[np.float32],
        options: dict[str, Any],
    ) -> tuple[_Fetched, NDArray[np.int64] | int]:
        self.ready()
        hits = self._points.search(queries, **options)
        counts = hits.counts if isinstance(hits, ManyHits) else len(hits)
        return _Fetched.of(hits), counts

    def count(self, filter: Filter | None) -> int:
        self.ready()
        return self._points.count(filter)


class _Fetched:
    """Hits as they travel between processes."""

    def __init__(self, ids: Any, distances: NDArray[np.float32], metadata: list[Any]) -> None:
        self._ids = ids
        self._distances = distances
        self._metadata = metadata

    @classmethod
    def of(cls, hits: Hits | ManyHits) -> _Fetched:
        if isinstance(hits, Hits):
            return cls(hits.ids, hits.distances, hits.metadata)
        flat = hits.counts
        is_there = np.arange(flat.max(initial=0)) < flat[:, None]
        metadata = list(chain.from_iterable(each.metadata for each in hits))
        return cls(hits.ids[is_there], hits.distances[is_there], metadata)

    def __len__(self) -> int:
        return len(self._distances)

    def id(self, at: int) -> Any:
        id = self._ids[at]
        return id if isinstance(id, str) else int(id)

    def metadata(self, at: int) -> dict[str, Any]:
        record: dict[str, Any] = self._metadata[at]
        return record

    def vector(self, at: int) -> NDArray[np.float32]:
        raise InvalidInputError("hits of a service carry no vectors; ask a ShardedCollection")

    def ids(self) -> Any:
        return self._ids

    def distances(self) -> NDArray[np.float32]:
        return self._distances

    def stream(self, places: list[int] | None, has_vectors: bool) -> object:
        pyarrow = package("pyarrow", "ray")
        if has_vectors:
            self.vector(0)
        wanted = range(len(self)) if places is None else places
        rows = [{"id": self.id(at), **self._row(at)} for at in wanted]
        return pyarrow.Table.from_pylist(rows).__arrow_c_stream__()

    def _row(self, at: int) -> dict[str, Any]:
        return {"distance": float(self._distances[at]), **self._metadata[at]}


def _served(
    parts: list[_merge.Part],
    queries: NDArray[np.float32],
    k: int,
    missing: tuple[str, ...],
) -> Any:
    if not parts:
        nothing = _Fetched(np.empty(0, np.uint64), np.empty(0, np.float32), [])
        parts = [_merge.Part(nothing, np.empty(0, np.int64), np.empty(0, np.int64))]
    merged, places = _merge.nearest(parts, 1 if queries.ndim == 1 else len(queries), k)
    served: Any = ServedHits(merged) if queries.ndim == 1 else ServedManyHits([merged], places)
    served.missing = missing
    return served
