"""Searching many shards as if they were one collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _inputs, _keywords
from .._collection import Collection
from .._results import Hits, ManyHits
from .._types import Filter
from . import _merge
from ._files import Place
from ._manifest import Manifest
from ._open import OpenShards
from ._sharded import Sharded, route

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_SEARCH = ("query", "k", "filter", "ef_search", "exact", "probe")


class ShardedCollection(Sharded):
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

    >>> import loomdb, pyarrow, tempfile
    >>> from loomdb.shards import Manifest, Place
    >>> path, manifest = tempfile.mkdtemp(), Manifest("cosine", (None, None))
    >>> for number in range(2):
    ...     rows = pyarrow.table({"id": [number], "vector": [[float(number), 1.0]]})
    ...     info = loomdb.build_shard(rows, f"{path}/shard-{number}")
    ...     manifest = manifest.with_shard(number, info)
    >>> manifest.save(Place(path))
    >>> with loomdb.ShardedCollection(path) as docs:
    ...     docs.search([0.9, 1.0], k=1)[0].id, len(docs), 1 in docs
    (1, 2, True)
    >>> loomdb.merge_shards(path, f"{path}/one.loom").points
    2
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str],
        *,
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        place = Place(manifest)
        self.manifest = Manifest.load(place)
        shards = dict(enumerate(self.manifest.finished(place.path)))
        self._shards = OpenShards(place, shards, threads or len(shards), cache)

    @property
    def collections(self) -> list[Collection]:
        """The collection of each shard."""
        return list(self._shards.collections.values())

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

        Returns:
            `Hits` for one query, `ManyHits` for many.

        Raises:
            DimensionError: The query has another length than the vectors.
            FilterError: The filter names an unknown field or operator, or compares types.
            InvalidInputError: `probe` is given for shards that were assigned by hash.
        """
        if unknown:
            _keywords.refuse("search", unknown, _SEARCH)
        queries = _inputs.query(query)
        options = {"k": k, "filter": filter, "ef_search": ef_search, "exact": exact}
        asked = route(self.manifest, queries, probe)
        if queries.ndim == 1:
            found = self._shards.search(queries, dict(asked), options)
            return Hits(_merge.nearest(found, k))
        parts = self._shards.search_many(queries, asked, options)
        merged, places = _merge.nearest_of_each(parts, len(queries), k)
        return ManyHits([merged], places)

    def _ask(self, method: str, asked: Mapping[int, Any]) -> dict[int, Any]:
        return self._shards.ask(method, asked)

    def close(self) -> None:
        """Closes all shards."""
        self._shards.close()

    def __repr__(self) -> str:
        shards, points = len(self.manifest.shards), self.manifest.points
        return f"ShardedCollection(shards={shards}, points={points}, metric={self.metric!r})"
