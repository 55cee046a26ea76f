"""What all collections of shards have in common, wherever the shards are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

from .. import _values
from .._closing import Closing
from .._results import Point
from .._types import Filter, Id, Metric
from ..errors import InvalidInputError
from . import _assign
from ._manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._open import Asked


class Sharded(Closing):
    """Shards that are read as one collection; how a shard is asked is up to the subclass."""

    #: What was built.
    manifest: Manifest

    @property
    def metric(self) -> Metric:
        """How vectors are compared."""
        return self.manifest.metric

    def _ask(self, method: str, asked: Mapping[int, Any]) -> dict[int, Any]:
        """What a method of some shards returns, each for an argument of its own."""
        raise NotImplementedError

    @overload
    def get(self, ids: Id) -> Point | None: ...  # type: ignore[overload-overlap]
    @overload
    def get(self, ids: Iterable[Id]) -> list[Point | None]: ...
    def get(self, ids: Iterable[Id] | Id) -> Point | None | list[Point | None]:
        """The point of an id, or the points of several in their order; `None` for those missing.

        Of points that were assigned by the hash of their ids, only their shards are asked.

        Raises:
            InvalidInputError: Ids are integers and strings, or of the other of the two.
        """
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            return self.get([ids])[0]
        wanted = _of_one_type(ids)
        places = self._places(wanted)
        asked = {shard: [wanted[place] for place in mine] for shard, mine in places.items()}
        found: list[Point | None] = [None] * len(wanted)
        for shard, points in self._ask("get", asked).items():
            for place, point in zip(places[shard], points, strict=True):
                if point is not None:
                    found[place] = point
        return found

    def _places(self, ids: list[Id]) -> dict[int, list[int]]:
        """The shards that may have some of the ids, each with the places of these."""
        shards = len(self.manifest.shards)
        if self.manifest.assign != "hash":
            return {shard: list(range(len(ids))) for shard in range(shards)} if ids else {}
        places: dict[int, list[int]] = {}
        for place, shard in enumerate(_assign.shard_of(ids, shards).tolist()):
            places.setdefault(shard, []).append(place)
        return places

    def __contains__(self, id: object) -> bool:
        return isinstance(id, (str, int)) and self.get(id) is not None

    def count(self, filter: Filter | None = None) -> int:
        """The number of points, or of those that match a filter."""
        asked = dict.fromkeys(range(len(self.manifest.shards)), filter)
        return sum(self._ask("count", asked).values())

    def __len__(self) -> int:
        return self.manifest.points

    def __bool__(self) -> bool:
        return True


def _of_one_type(ids: Iterable[Id]) -> list[Id]:
    """Ids as they are stored, integers or strings."""
    plain = [_values.plain_id(id) for id in ids]
    for row, id in enumerate(plain):
        if type(id) is not type(plain[0]):
            what = f"row {row}: integers and strings are mixed"
            raise InvalidInputError(f"{what}; a collection has ids of one of the two")
        if isinstance(id, int) and not 0 <= id < 2**64:
            what = f"row {row}: the id {id} is out of range"
            raise InvalidInputError(f"{what}; ids are 0 to 2^64 - 1")
    return plain


def route(manifest: Manifest, queries: NDArray[np.float32], probe: int | None) -> Asked:
    """Which shards are asked, each with the numbers of the queries that it is asked for."""
    import numpy as np

    shards = len(manifest.shards)
    rows = np.arange(1 if queries.ndim == 1 else len(queries))
    if probe is None:
        return [(shard, rows) for shard in range(shards)]
    if not manifest.centers:
        what = "the points were not assigned by cluster, so any shard may have the nearest"
        raise InvalidInputError(f"{what}; leave out probe, or build with assign='cluster'")
    if not 1 <= probe <= shards:
        raise InvalidInputError(f"probe is {probe}; expected 1 to {shards}")
    centers = np.asarray(manifest.centers, dtype=np.float32)
    if queries.shape[-1] != centers.shape[1]:
        return [(0, rows)]  # Its collection names the dimensions.
    near = _assign.nearest_centers(np.atleast_2d(queries), centers, manifest.metric, probe)
    asked = [(shard, rows[(near == shard).any(axis=1)]) for shard in range(shards)]
    return [(shard, mine) for shard, mine in asked if len(mine)]
