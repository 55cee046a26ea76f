"""Shards that are open in this process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _database
from .._collection import Collection
from .._results import Hits
from ..errors import CorruptionError, Error
from . import _merge
from ._files import Place
from ._shard import COLLECTION, ShardInfo, checksum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .._database import Database
    from .._results import Found

    #: Shards, each with the numbers of the queries that it is asked for.
    Asked = list[tuple[int, NDArray[np.int64]]]


class OpenShards:
    """Some shards of a collection, by their numbers, each an open database.

    Args:
        place: Where they are.
        shards: Which.
        threads: Shards that work at the same time.
        cache: Where shards are kept that have to be downloaded.

    Raises:
        CorruptionError: A shard is damaged, or is another one than was built; it is named.
    """

    def __init__(
        self,
        place: Place,
        shards: Mapping[int, ShardInfo],
        threads: int,
        cache: str | os.PathLike[str] | None,
    ) -> None:
        #: The collection of each.
        self.collections: dict[int, Collection] = {}
        with ExitStack() as opened:
            for number, shard in shards.items():
                database = opened.enter_context(_opened(place, shard, cache))
                self.collections[number] = database[COLLECTION]
            self._opened = opened.pop_all()
        self._pool = ThreadPoolExecutor(threads, "loomdb-shard") if threads > 1 else None

    def search(
        self,
        query: NDArray[np.float32],
        asked: Iterable[int],
        options: dict[str, Any],
    ) -> list[Found]:
        """What each of some shards finds for a query."""

        def found(shard: int) -> Found:
            hits: Hits = self.collections[shard].search(query, **options)
            return hits._found

        return list(self._map(found, asked))

    def search_many(
        self,
        queries: NDArray[np.float32],
        asked: Asked,
        options: dict[str, Any],
    ) -> list[_merge.Part]:
        """What each shard finds for the queries that it is asked for, in the order of `asked`."""

        def found(one: tuple[int, NDArray[np.int64]]) -> list[_merge.Part]:
            shard, rows = one
            hits = self.collections[shard].search(queries[rows], **options)
            return _merge.parts_of(hits, rows)

        return list(chain.from_iterable(self._map(found, asked)))

    def ask(self, method: str, asked: Mapping[int, Any]) -> dict[int, Any]:
        """What a method of some of the shards returns, each for an argument of its own."""

        def answered(shard: int) -> Any:
            return getattr(self.collections[shard], method)(asked[shard])

        return dict(zip(asked, self._map(answered, asked), strict=True))

    def _map(self, call: Callable[[Any], Any], given: Iterable[Any]) -> Iterable[Any]:
        return map(call, given) if self._pool is None else self._pool.map(call, given)

    def close(self) -> None:
        """Closes them all."""
        if self._pool is not None:
            self._pool.shutdown()
        self._opened.close()


def _opened(place: Place, shard: ShardInfo, cache: str | os.PathLike[str] | None) -> Database:
    """A shard, open to be read; it is downloaded first if it lies elsewhere."""
    below = Path(cache or Path(tempfile.gettempdir(), "loomdb-shards"), shard.checksum)
    try:
        try:
            return _verified(place.fetch(shard.name, below), shard)
        except CorruptionError:
            if place.is_local:
                raise
            # What was downloaded earlier may have been damaged since.
            shutil.rmtree(below, ignore_errors=True)
            return _verified(place.fetch(shard.name, below), shard)
    except Error as error:
        error.args = (f"{shard.name} in {place.path}: {error}",)
        raise


def _verified(local: Path, shard: ShardInfo) -> Database:
    if checksum(local) != shard.checksum:
        what = "it is not the one that was built: the checksum of its manifest differs"
        raise CorruptionError(f"{what}; build it again")
    return _database.open(local, read_only=True)
