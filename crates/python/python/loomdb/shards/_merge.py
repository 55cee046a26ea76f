"""The nearest k of what several shards found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .._results import Hits, ManyHits, Stream, by_found, id_array, package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Found(Protocol):
    """Hits of one shard, as the native half and a server hold them."""

    def __len__(self) -> int: ...
    def id(self, at: int) -> Any: ...
    def metadata(self, at: int) -> dict[str, Any]: ...
    def vector(self, at: int) -> NDArray[np.float32]: ...
    def ids(self) -> Any: ...
    def distances(self) -> NDArray[np.float32]: ...
    def stream(self, places: list[int] | None, has_vectors: bool) -> object: ...


class Part(NamedTuple):
    """What one shard found for some of the queries."""

    found: Found
    #: The hits of these queries: their places in `found`.
    places: NDArray[np.int64]
    #: The query of each.
    queries: NDArray[np.int64]


class Merged:
    """Hits of several shards, in the place of those of one collection."""

    def __init__(self, parts: Sequence[Found], places: NDArray[np.int64]) -> None:
        #: The part of each hit, and its place there.
        self._parts = parts
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def id(self, at: int) -> Any:
        part, place = self._places[at]
        return self._parts[part].id(int(place))

    def distance(self, at: int) -> float:
        part, place = self._places[at]
        return float(self._parts[part].distances()[place])

    def metadata(self, at: int) -> dict[str, Any]:
        part, place = self._places[at]
        record: dict[str, Any] = self._parts[part].metadata(int(place))
        return record

    def vector(self, at: int) -> NDArray[np.float32]:
        part, place = self._places[at]
        vector: NDArray[np.float32] = self._parts[part].vector(int(place))
        return vector

    def ids(self) -> Any:
        return self._gathered([id_array(part.ids()) for part in self._parts])

    def distances(self) -> NDArray[np.float32]:
        distances: NDArray[np.float32] = self._gathered([part.distances() for part in self._parts])
        return distances

    def vectors(self) -> NDArray[np.float32]:
        import numpy as np

        rows = [self.vector(at) for at in range(len(self))]
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def stream(self, places: list[int] | None, has_vectors: bool) -> object:
        import numpy as np

        pyarrow = package("pyarrow", "arrow")
        wanted = self._places if places is None else self._places[places]
        tables, order = [], []
        for number, part in enumerate(self._parts):
            mine = np.flatnonzero(wanted[:, 0] == number)
            if len(mine) or not number:
                stream = part.stream(wanted[mine, 1].tolist(), has_vectors)
                tables.append(pyarrow.table(Stream(stream)))
                order.append(mine)
        if not tables:
            nothing = {"id": pyarrow.array([], "uint64"), "distance": pyarrow.array([], "float32")}
            return pyarrow.table(nothing).__arrow_c_stream__()
        table = pyarrow.concat_tables(tables, promote_options="permissive")
        return table.take(np.argsort(np.concatenate(order))).__arrow_c_stream__()

    def _gathered(self, columns: list[NDArray[Any]]) -> NDArray[Any]:
        """The value of each hit, of one column for each part."""
        import numpy as np

        filled = [column for column in columns if len(column)]
        gathered = np.empty(len(self), filled[0].dtype if filled else np.uint64)
        for part, column in enumerate(columns):
            mine = self._places[:, 0] == part
            gathered[mine] = column[self._places[mine, 1]]
        return gathered


def parts_of(hits: Hits | ManyHits, rows: NDArray[np.int64]) -> list[Part]:
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


def hits(
    parts: Sequence[Part],
    queries: NDArray[np.float32],
    k: int,
    kinds: tuple[type[Hits], type[ManyHits]] = (Hits, ManyHits),
) -> Any:
    """The nearest `k` of one query, or of each of many."""
    one, many = kinds
    if queries.ndim == 1:
        return one(nearest(parts, 1, k)[0])
    merged, places = nearest(parts, len(queries), k)
    return many([merged], places)


def nearest(parts: Sequence[Part], queries: int, k: int) -> tuple[Any, list[tuple[int, range]]]:
    """The nearest `k` of each query, and where those of each query are.

    Hits at the same distance are in the order of their shards.
    """
    import numpy as np

    if not parts:
        return Merged([], np.empty((0, 2), np.int64)), [(0, range(0))] * queries
    query = np.concatenate([part.queries for part in parts])
    place = np.concatenate([part.places for part in parts])
    distance = np.concatenate([part.found.distances()[part.places] for part in parts])
    source = np.repeat(np.arange(len(parts)), [len(part.places) for part in parts])
    order = np.lexsort((place, source, distance, query))
    starts = np.searchsorted(query[order], np.arange(queries))
    rank = np.arange(len(order)) - starts[query[order]]
    kept = order[rank < k]
    merged = Merged([part.found for part in parts], np.stack([source[kept], place[kept]], axis=1))
    ends = np.cumsum(np.bincount(query[kept], minlength=queries)).tolist()
    return merged, [(0, range(*ends)) for ends in zip([0, *ends], ends, strict=False)]
