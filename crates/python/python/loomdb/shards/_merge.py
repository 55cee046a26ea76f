"""The nearest k of what several shards found."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from .._results import ManyHits, Stream, by_found, id_array, package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .._results import Found


class Part(NamedTuple):
    """What one shard found for some of the queries."""

    found: Found
    #: The hits of these queries: their places in `found`.
    places: NDArray[np.int64]
    #: The query of each.
    queries: NDArray[np.int64]


class Merged:
    """Hits of several shards, in the place of those of one collection."""

    def __init__(self, parts: Sequence[Found], places: Sequence[int] | NDArray[np.int64]) -> None:
        self._parts = parts
        #: Where the hits of each part begin when they stand one behind the other.
        self._starts = [0, *accumulate(map(len, parts))][:-1]
        #: Where each hit is among them.
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def _find(self, at: int) -> tuple[Found, int]:
        """The part that has a hit, and its place there."""
        place = int(self._places[at])
        part = bisect_right(self._starts, place) - 1
        return self._parts[part], place - self._starts[part]

    def id(self, at: int) -> Any:
        part, place = self._find(at)
        return part.id(place)

    def distance(self, at: int) -> float:
        part, place = self._find(at)
        return float(part.distances()[place])

    def metadata(self, at: int) -> dict[str, Any]:
        part, place = self._find(at)
        return part.metadata(place)

    def vector(self, at: int) -> NDArray[np.float32]:
        part, place = self._find(at)
        return part.vector(place)

    def ids(self) -> NDArray[Any]:
        return self._gathered([id_array(part.ids()) for part in self._parts if len(part)])

    def distances(self) -> NDArray[np.float32]:
        return self._gathered([part.distances() for part in self._parts if len(part)])

    def vectors(self) -> NDArray[np.float32]:
        import numpy as np

        rows = [self.vector(at) for at in range(len(self))]
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def stream(self, places: list[int] | None, has_vectors: bool) -> object:
        import numpy as np

        pyarrow = package("pyarrow", "arrow")
        wanted = np.asarray(self._places, np.int64)
        wanted = wanted if places is None else wanted[places]
        tables: list[Any] = []
        order: list[NDArray[np.int64]] = []
        for part, start in zip(self._parts, self._starts, strict=True):
            mine = np.flatnonzero((start <= wanted) & (wanted < start + len(part)))
            if len(mine) or not tables:
                stream = part.stream((wanted[mine] - start).tolist(), has_vectors)
                tables.append(pyarrow.table(Stream(stream)))
                order.append(mine)
        if not tables:
            nothing = {"id": pyarrow.array([], "uint64"), "distance": pyarrow.array([], "float32")}
            return pyarrow.table(nothing).__arrow_c_stream__()
        table = pyarrow.concat_tables(tables, promote_options="permissive")
        return table.take(np.argsort(np.concatenate(order))).__arrow_c_stream__()

    def _gathered(self, columns: list[NDArray[Any]]) -> NDArray[Any]:
        """The value of each hit, of a column for each part that has hits."""
        import numpy as np

        if not columns:
            return np.empty(0, np.uint64)
        gathered: NDArray[Any] = np.concatenate(columns)[np.asarray(self._places, np.int64)]
        return gathered


def parts_of(hits: ManyHits, rows: NDArray[np.int64]) -> list[Part]:
    """What a shard found for the queries `rows`."""
    import numpy as np

    parts = []
    for found, answers in by_found(hits):
        if not answers:
            continue
        places = np.concatenate([np.arange(places.start, places.stop) for _, places in answers])
        queries = np.repeat(
            rows[[query for query, _ in answers]], [len(places) for _, places in answers]
        )
        parts.append(Part(found, places, queries))
    return parts


def nearest(found: Sequence[Found], k: int) -> Merged:
    """The nearest `k` of what shards found for one query.

    Hits at the same distance are in the order of their shards.
    """
    distances = [distance for one in found for distance in one.distances().tolist()]
    places = sorted(range(len(distances)), key=distances.__getitem__)
    return Merged(found, places[:k])


def nearest_of_each(
    parts: Sequence[Part], queries: int, k: int
) -> tuple[Merged, list[tuple[int, range]]]:
    """The nearest `k` of each of many queries, and where those of each query are."""
    import numpy as np

    if not parts:
        return Merged([], []), [(0, range(0))] * queries
    query = np.concatenate([part.queries for part in parts])
    place = np.concatenate([part.places for part in parts])
    distance = np.concatenate([part.found.distances()[part.places] for part in parts])
    starts = np.cumsum([0, *(len(part.found) for part in parts)])
    place += np.repeat(starts[:-1], [len(part.places) for part in parts])
    order = np.lexsort((place, distance, query))
    firsts = np.searchsorted(query[order], np.arange(queries))
    rank = np.arange(len(order)) - firsts[query[order]]
    kept = order[rank < k]
    merged = Merged([part.found for part in parts], place[kept])
    ends = np.cumsum(np.bincount(query[kept], minlength=queries)).tolist()
    return merged, [(0, range(*ends)) for ends in zip([0, *ends], ends, strict=False)]
