"""Serving shards from actors of Ray, which restarts those that die."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _inputs, _keywords, _values
from .._types import Filter
from .._results import Hits, ManyHits, package
from ..errors import DeadlineError, Error, InvalidInputError
from ..shards import Manifest, _merge
from ..shards._files import Place
from ..shards._open import OpenShards
from ..shards._sharded import Sharded, route
from ..shards._shard import ShardInfo
from ._engine import RETRIES, results
from ._fetched import Fetched

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
    actors: int | None = None,
    cpus: float = 1,
    cache: str | os.PathLike[str] | None = None,
) -> Service:
    """Opens the shards of a build in actors, which Ray spreads over the nodes of the cluster.

    Args:
        path: The directory of the shards, which all nodes reach, or an address that fsspec knows.
        replicas: How often each shard is opened; the replicas take turns.
        actors: Actors that share the shards, for each replica. Every actor that is asked adds
            about a millisecond to a query; one that dies takes its shards along until Ray has
            restarted it. Left out, as many as there are nodes.
        cpus: CPUs that Ray reserves for each actor, which searches so many shards at a time;
            fractions share one.
        cache: Where a node keeps shards that it had to download.

    Raises:
        CorruptionError: A shard is damaged; it is named.
        MissingFileError: There are no shards, or one is not built.
    """
    ray = package("ray", "ray")
    for name, value in (("replicas", replicas), ("actors", 1 if actors is None else actors)):
        if value < 1:
            raise InvalidInputError(f"{name} is {value}; expected 1 or more")
    place = Place(path)
    manifest = Manifest.load(place)
    shards = list(enumerate(manifest.finished(place.path)))
    if actors is None:
        actors = sum(node["Alive"] for node in ray.nodes())
    server = ray.remote(_Server).options(
        num_cpus=cpus,
        max_restarts=-1,
        max_task_retries=RETRIES,
        max_concurrency=_CONCURRENCY,
        scheduling_strategy="SPREAD",
    )
    folder = None if cache is None else os.fspath(cache)
    groups = []
    # Neighbors in the manifest stay together: so points at the same distance keep their order.
    for numbers in np.array_split(np.arange(len(shards)), min(actors, len(shards))):
        mine = dict(shards[numbers[0] : numbers[-1] + 1])
        how = (max(1, int(cpus)), folder)
        group = [server.remote(place.path, mine, how) for _ in range(replicas)]
        groups.append(_Group(list(mine), group))
    return Service(manifest, groups)


class _Group:
    """Some shards, and the actors that each have all of them open."""

    def __init__(self, shards: list[int], actors: list[Any]) -> None:
        self.shards = shards
        self.actors = actors
        self._turns: Iterator[Any] = cycle(actors)

    def next(self) -> Any:
        """The actor whose turn it is."""
        return next(self._turns)


class Service(Sharded):
    """Shards in actors, searched as one collection; made by `serve`.

    A context manager that stops the actors.
    """

    def __init__(self, manifest: Manifest, groups: list[_Group]) -> None:
        self.manifest = manifest
        self._groups = groups
        self._names = [shard.name for shard in manifest.shards if shard is not None]
        try:
            results([actor.ready.remote() for group in groups for actor in group.actors])
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

        Returns:
            `ServedHits` for one query, `ServedManyHits` for many.

        Raises:
            DeadlineError: Shards did not answer in time; they are named.
            DimensionError: The query has another length than the vectors.
            FilterError: The filter names an unknown field or operator, or compares types.
        """
        if unknown:
            _keywords.refuse("search", unknown, _SEARCH)
        if partial not in ("error", "allow"):
            raise InvalidInputError(f"partial is {partial!r}; expected 'error' or 'allow'")
        queries, text = _inputs.query(query), _values.filter_text(filter)
        options = {"k": k, "filter": text, "ef_search": ef_search, "exact": exact}
        asked = {}
        for group, mine in self._grouped(dict(route(self.manifest, queries, probe))):
            request, rows = _request(queries, mine, options)
            asked[group.next().search.remote(request)] = (list(mine), rows)
        answers, missing = self._gather(list(asked), deadline)
        names = [self._names[shard] for reference in missing for shard in asked[reference][0]]
        if missing and partial == "error":
            what = f"{len(names)} shards did not answer in {deadline} s: {', '.join(names)}"
            raise DeadlineError(f"{what}; give more time, or partial='allow'")
        hits: ServedHits | ServedManyHits
        if queries.ndim == 1:
            hits = ServedHits(_merge.nearest([found for found, _ in answers.values()], k))
        else:
            parts = [
                _merge.Part(found, np.arange(len(found)), np.repeat(asked[reference][1], counts))
                for reference, (found, counts) in answers.items()
            ]
            merged, places = _merge.nearest_of_each(parts, len(queries), k)
            hits = ServedManyHits([merged], places)
        hits.missing = tuple(names)
        return hits

    def _grouped(self, asked: Mapping[int, Any]) -> Iterator[tuple[_Group, dict[int, Any]]]:
        """The groups that have some of the shards, each with what these are asked."""
        for group in self._groups:
            mine = {shard: asked[shard] for shard in group.shards if shard in asked}
            if mine:
                yield group, mine

    def _gather(
        self,
        asked: list[Any],
        deadline: float | None,
    ) -> tuple[dict[Any, tuple[Fetched, list[int]]], list[Any]]:
        """What came in time, and of what did not come, in the order in which it was asked for."""
        late: list[Any] = []
        if deadline is not None:
            wait = package("ray", "ray").wait
            _, late = wait(asked, num_returns=len(asked), timeout=deadline)
        in_time = [reference for reference in asked if reference not in set(late)]
        answers = map(pickle.loads, results(in_time))
        missing = [reference for reference in asked if reference in set(late)]
        return dict(zip(in_time, answers, strict=True)), missing

    def _ask(self, method: str, asked: Mapping[int, Any]) -> dict[int, Any]:
        calls = [group.next().ask.remote(method, mine) for group, mine in self._grouped(asked)]
        answers = {}
        for answer in results(calls):
            answers.update(pickle.loads(answer))
        return answers

    def close(self) -> None:
        """Stops the actors."""
        ray = package("ray", "ray")
        for actor in chain.from_iterable(group.actors for group in self._groups):
            ray.kill(actor)

    def __repr__(self) -> str:
        shards, actors = len(self._names), sum(len(group.actors) for group in self._groups)
        return f"Service(shards={shards}, actors={actors}, points={len(self)})"


class _Server:
    """The actor: some shards, open to be read.

    What it is asked and what it answers are bytes, which Ray passes on faster than objects.
    """

    def __init__(
        self,
        place: str,
        shards: Mapping[int, ShardInfo],
        how: tuple[int, str | None],
    ) -> None:
        # An actor whose constructor raises cannot tell why; `ready` does.
        self._failure: Error | None = None
        try:
            self._shards = OpenShards(Place(place), shards, *how)
        except Error as error:
            self._failure = error

    def ready(self) -> int:
        """The process that it runs in."""
        if self._failure is not None:
            raise self._failure
        return os.getpid()

    def search(self, request: bytes) -> bytes:
        """The nearest points in its shards, and how many there are for each query."""
        self.ready()
        queries, asked, options = pickle.loads(request)
        counts: list[int] = []
        if queries.ndim == 1:
            merged = _merge.nearest(self._shards.search(queries, asked, options), options["k"])
        else:
            parts = self._shards.search_many(queries, asked, options)
            merged, places = _merge.nearest_of_each(parts, len(queries), options["k"])
            counts = [len(mine) for _, mine in places]
        return pickle.dumps((Fetched.of_hits(merged), counts), pickle.HIGHEST_PROTOCOL)

    def ask(self, method: str, asked: Mapping[int, Any]) -> bytes:
        """What a method of its shards returns."""
        self.ready()
        answers = self._shards.ask(method, asked)
        if method == "get":
            answers = {shard: Fetched.of_points(points) for shard, points in answers.items()}
        return pickle.dumps(answers, pickle.HIGHEST_PROTOCOL)


def _request(
    queries: NDArray[np.float32],
    mine: Mapping[int, NDArray[np.int64]],
    options: dict[str, Any],
) -> tuple[bytes, NDArray[np.int64]]:
    """What an actor is sent for its shards, and the numbers of the queries that are in it."""
    rows = next(iter(mine.values()))
    asked: Any = list(mine)
    if queries.ndim == 2:
        rows = np.unique(np.concatenate(list(mine.values())))
        queries = queries[rows]
        asked = [(shard, np.searchsorted(rows, own)) for shard, own in mine.items()]
    return pickle.dumps((queries, asked, options), pickle.HIGHEST_PROTOCOL), rows
