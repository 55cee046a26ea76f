"""Points as they travel between processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._results import Point, id_array, package
from ..errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..shards._merge import Merged


class Fetched:
    """Points that another process found, in the place of those of the native half."""

    def __init__(
        self,
        ids: NDArray[Any],
        metadata: list[dict[str, Any]],
        distances: NDArray[np.float32] | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        self._ids = ids
        self._metadata = metadata
        self._distances = np.empty(0, np.float32) if distances is None else distances
        self._vectors = vectors

    @classmethod
    def of_hits(cls, found: Merged) -> Fetched:
        """What a search found, without the vectors."""
        metadata = [found.metadata(at) for at in range(len(found))]
        return cls(found.ids(), metadata, found.distances())

    @classmethod
    def of_points(cls, points: Sequence[Point | None]) -> list[Point | None]:
        """The same points with all that they have."""
        there = [point for point in points if point is not None]
        ids, metadata = [point.id for point in there], [point.metadata for point in there]
        vectors = np.stack([point.vector for point in there]) if there else None
        places = iter(range(len(there)))
        fetched = cls(id_array(ids), metadata, vectors=vectors)
        return [None if point is None else Point(fetched, next(places)) for point in points]

    def __len__(self) -> int:
        return len(self._ids)

    def id(self, at: int) -> Any:
        id = self._ids[at]
        return id if isinstance(id, str) else int(id)

    def distance(self, at: int) -> float:
        return float(self._distances[at])

    def metadata(self, at: int) -> dict[str, Any]:
        return self._metadata[at]

    def vector(self, at: int) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self.vectors()[at]
        return vector

    def vectors(self) -> NDArray[np.float32]:
        if self._vectors is None:
            what = "hits of a service carry no vectors"
            raise InvalidInputError(f"{what}; ask its get(), or a ShardedCollection")
        return self._vectors

    def ids(self) -> NDArray[Any]:
        return self._ids

    def distances(self) -> NDArray[np.float32]:
        return self._distances

    def stream(self, places: list[int] | None, has_vectors: bool) -> object:
        pyarrow = package("pyarrow", "ray")
        if has_vectors:
            self.vectors()
        wanted = list(range(len(self))) if places is None else places
        records = [self._metadata[at] for at in wanted]
        names = dict.fromkeys(name for record in records for name in record)
        distance = "_distance" if "distance" in names else "distance"
        columns: dict[str, Any] = {"id": self._ids[wanted], distance: self._distances[wanted]}
        columns |= {name: [record.get(name) for record in records] for name in names}
        return pyarrow.table(columns).__arrow_c_stream__()
