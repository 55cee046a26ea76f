"""Points and hits: lists for people, arrays and tables for programs."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import MissingPackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol, Self, TypeVar
    from typing import overload as overload

    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    class Found(Protocol):
        """What was found: by the native half, by several shards, or by another process."""

        def __len__(self) -> int: ...
        def id(self, at: int) -> Any: ...
        def distance(self, at: int) -> float: ...
        def metadata(self, at: int) -> dict[str, Any]: ...
        def vector(self, at: int) -> NDArray[np.float32]: ...
        def ids(self) -> Any: ...
        def distances(self) -> NDArray[np.float32]: ...
        def vectors(self) -> NDArray[np.float32]: ...
        def stream(self, places: list[int] | None, has_vectors: bool) -> object: ...

    _P = TypeVar("_P", bound="Point")
else:
    _P = object

    def overload(function):
        """What `typing.overload` does, without importing it."""
        return function



#: Points that a notebook shows.
_SHOWN = 100

_INFINITY = float("inf")

class Stream:
    """An Arrow stream that is ready, as the libraries ask for one."""

    __slots__ = ("_capsule",)

    def __init__(self, capsule: object) -> None:
        self._capsule = capsule

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._capsule


class Point:
    """A stored point: an id, a vector and metadata, each looked up when it is asked for."""

    __slots__ = ("_at", "_found")

    def __init__(self, found: Found, at: int) -> None:
        self._found = found
        self._at = at

    @property
    def id(self) -> Any:
        """The id: an `int` or a `str`, as all ids of the collection."""
        return self._found.id(self._at)

    @property
    def vector(self) -> NDArray[np.float32]:
        """The vector as it was given, of shape (dim,)."""
        return self._found.vector(self._at)

    @property
    def metadata(self) -> dict[str, Any]:
        """The fields that have a value."""
        return self._found.metadata(self._at)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary of `id` and `metadata`."""
        return {"id": self.id, "metadata": self.metadata}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Point):
            return NotImplemented
        same = self.id == other.id and self.metadata == other.metadata
        return same and bool((self.vector == other.vector).all())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, metadata={self.metadata!r})"


class Hit(Point):
    """A point that a search found, with its distance to the query."""

    __slots__ = ()

    @property
    def distance(self) -> float:
        """The distance to the query; smaller is nearer.

        It is `1 - cos` for cosine, the Euclidean distance for l2, the negated product for ip.
        """
        return self._found.distance(self._at)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary of `id`, `distance` and `metadata`."""
        return {"id": self.id, "distance": self.distance, "metadata": self.metadata}

    def __repr__(self) -> str:
        distance = f"{self.distance:.4g}"
        return f"Hit(id={self.id!r}, distance={distance}, metadata={self.metadata!r})"


class _Sequence(Sequence[_P]):
    """Some points out of what the native half found."""

    __slots__ = ("_found", "_places")
    _kind: type[_P]

    def __init__(self, found: Found, places: range | None = None) -> None:
        self._found = found
        self._places = places

    @property
    def _range(self) -> range:
        if self._places is None:
            self._places = range(len(self._found))
        return self._places

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> _P: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> _P | Self:
        if isinstance(index, slice):
            return type(self)(self._found, self._range[index])
        return self._kind(self._found, self._range[index])

    def __iter__(self) -> Iterator[_P]:
        return (self._kind(self._found, at) for at in self._range)

    @property
    def ids(self) -> NDArray[Any]:
        """The ids, of shape (n,): `uint64` for integers, `object` for strings."""
        return id_array(self._found.ids())[_slice(self._range)]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors as they were given, of shape (n, dim)."""
        return self._found.vectors()[_slice(self._range)]

    @property
    def metadata(self) -> list[dict[str, Any]]:
        """The metadata of each point."""
        return [self._found.metadata(at) for at in self._range]

    def to_list(self) -> list[dict[str, Any]]:
        """A dictionary for each point, as `to_dict` of the points makes it."""
        return [point.to_dict() for point in self]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The ids, the distances and the metadata for any library that reads Arrow."""
        return self._stream(vectors=False)

    def _stream(self, vectors: bool) -> object:
        is_all = self._range == range(len(self._found))
        return self._found.stream(None if is_all else list(self._range), vectors)

    def to_arrow(self, *, vectors: bool = False) -> pa.Table:
        """A pyarrow table: a column for the ids, the distances, and each metadata field.

        Args:
            vectors: Whether to add a column of the vectors.
        """
        pyarrow = package("pyarrow", "arrow")
        table: pa.Table = pyarrow.table(Stream(self._stream(vectors)))
        return table

    def to_pandas(self, *, vectors: bool = False) -> pd.DataFrame:
        """A pandas data frame with the columns of `to_arrow`."""
        package("pandas", "pandas")
        return self.to_arrow(vectors=vectors).to_pandas()

    def to_polars(self, *, vectors: bool = False) -> pl.DataFrame:
        """A polars data frame with the columns of `to_arrow`."""
        polars = package("polars", "polars")
        frame: pl.DataFrame = polars.DataFrame(Stream(self._stream(vectors)))
        return frame

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [repr(point) for point in self[:10]]
        if len(self) > len(shown):
            shown.append(f"... {len(self) - len(shown)} more")
        inside = "".join(f"\n  {line}," for line in shown)
        return f"{type(self).__name__}([{inside}\n])" if inside else f"{type(self).__name__}([])"

    def _repr_html_(self) -> str:
        from . import _html

        shown = [point.to_dict() for point in self[:_SHOWN]]
        rows = [{**point, **point.pop("metadata")} for point in shown]
        return _html.table(rows, len(self))


class Points(_Sequence[Point]):
    """Stored points, as a sequence of `Point`."""

    __slots__ = ()
    _kind = Point


class Hits(_Sequence[Hit]):
    """What a search found, nearest first, as a sequence of `Hit`.

    >>> import loomdb
    >>> docs = loomdb.open(":memory:").collection("docs", metric="l2")
    >>> ids = docs.add(["a", "b"], [[0.0, 0.0], [3.0, 4.0]], [{"n": 1}, {"n": 2}])
    >>> hits = docs.search([3.0, 3.0], k=2)
    >>> hits.ids.tolist(), hits.distances.round(2).tolist(), hits.metadata
    (['b', 'a'], [1.0, 4.239999771118164], [{'n': 2}, {'n': 1}])
    """

    __slots__ = ()
    _kind = Hit

    @property
    def distances(self) -> NDArray[np.float32]:
        """The distances, of shape (n,)."""
        return self._found.distances()[_slice(self._range)]


class ManyHits(Sequence[Hits]):
    """What a search with many queries found: a `Hits` for each, and arrays of all.

    >>> import loomdb
    >>> docs = loomdb.open(":memory:").collection("docs", metric="l2")
    >>> ids = docs.add([10, 20], [[0.0, 0.0], [3.0, 4.0]])
    >>> many = docs.search([[0.0, 0.0], [3.0, 3.0]], k=2)
    >>> many.ids.tolist(), many.distances.shape, many[1][0].id
    ([[10, 20], [20, 10]], (2, 2), 20)
    """

    __slots__ = ("_found", "_places")

    def __init__(self, found: Sequence[Found], places: Sequence[tuple[int, range]]) -> None:
        self._found = found
        #: For each query, which of `found` has its points, and where.
        self._places = places

    @classmethod
    def split(cls, found: Found, ends: Sequence[int]) -> ManyHits:
        """Points of many queries, those of each behind those of the one before."""
        return cls([found], [(0, range(*places)) for places in zip([0, *ends[:-1]], ends)])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Hits: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hits]: ...
    def __getitem__(self, index: int | slice) -> Hits | list[Hits]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        of, places = self._places[index]
        return Hits(self._found[of], places)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many points each query found, of shape (n,)."""
        import numpy as np

        return np.array([len(places) for _, places in self._places], dtype=np.int64)

    @property
    def ids(self) -> NDArray[Any]:
        """The ids, of shape (n, k), nearest first.

        Queries find different numbers of points only within a `max_distance`; then the places
        behind `counts` hold `None`, or the largest `uint64`.
        """
        parts = [id_array(found.ids()) for found in self._found if len(found)]
        if parts and parts[0].dtype == object:
            return self._padded(parts, None)
        return self._padded(parts, 2**64 - 1)

    @property
    def distances(self) -> NDArray[np.float32]:
        """The distances, of shape (n, k); infinity in the places behind `counts`."""
        return self._padded([found.distances() for found in self._found if len(found)], _INFINITY)

    def _padded(self, parts: list[NDArray[Any]], filler: Any) -> NDArray[Any]:
        import numpy as np

        counts = self.counts
        k = int(counts.max(initial=0))
        if not parts:
            kind = np.float32 if filler == _INFINITY else np.uint64
            return np.empty((len(self), 0), dtype=kind)
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if (counts == k).all():
            return flat.reshape(len(self), k)
        padded = np.full((len(self), k), filler, dtype=flat.dtype)
        padded[np.arange(k) < counts[:, None]] = flat
        return padded

    def to_list(self) -> list[list[dict[str, Any]]]:
        """A list of dictionaries for each query."""
        return [hits.to_list() for hits in self]

    def __repr__(self) -> str:
        return f"ManyHits({len(self)} queries, {int(self.counts.sum())} hits)"


def id_array(ids: Any) -> NDArray[Any]:
    """Ids of the native half as an array of `uint64` or `object`."""
    import numpy as np

    if not isinstance(ids, list):
        array: NDArray[Any] = ids
        return array
    texts = np.empty(len(ids), dtype=object)
    texts[:] = ids
    return texts


def by_found(hits: ManyHits) -> list[tuple[Found, list[tuple[int, range]]]]:
    """The pieces that hits are in, each with the queries that it answers and their places."""
    answers: list[tuple[Found, list[tuple[int, range]]]] = [(found, []) for found in hits._found]
    for query, (of, places) in enumerate(hits._places):
        answers[of][1].append((query, places))
    return answers


def _slice(places: range) -> slice:
    if not places:
        return slice(0, 0)
    stop = places.stop if places.stop >= 0 else None
    return slice(places.start, stop, places.step)


def package(name: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        message = f'this needs {name}; install it with: pip install "loomdb[{extra}]"'
        raise MissingPackageError(message) from None
