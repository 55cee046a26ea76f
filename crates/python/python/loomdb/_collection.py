"""Collections: points with ids, vectors and metadata."""

from __future__ import annotations

import os

from . import _inputs, _keywords, _progress, _values
from ._async import AsyncMethods
from ._results import Hits, ManyHits, Point, Points, id_array, overload
from .errors import ClosedError, InvalidInputError, InvalidTypeError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from . import _native
    from ._types import Filter, Id, Progress

_SEARCH = ("query", "k", "filter", "ef_search", "exact", "max_distance")
_WRITE = ("ids", "vectors", "metadata", "vector_column", "id_column", "progress")


class Collection(AsyncMethods):
    """A named collection of points; made by `Database.collection`.

    Writes are atomic and found by the next search. All methods may be called from any thread.
    `aadd`, `asearch` and others like them do not block the event loop: `await docs.asearch(query)`.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Collection) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """The name that it has now."""
        return self._native.name()

    @property
    def dim(self) -> int | None:
        """The vector length; `None` before the first vectors if it was not given."""
        return self._native.schema()[0]

    @property
    def metric(self) -> str:
        """How distances are measured: `"cosine"`, `"l2"` or `"ip"`."""
        return self._native.schema()[1]

    @property
    def fields(self) -> dict[str, str]:
        """The metadata fields and their types, in the order in which they came up.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a"], [[0.0, 1.0]], [{"lang": "en", "year": 2023}])
        >>> docs.fields
        {'lang': 'text', 'year': 'integer'}
        """
        return dict(self._native.schema()[2])

    def add(
        self,
        ids: Any = None,
        vectors: ArrayLike | None = None,
        metadata: Any = None,
        *,
        vector_column: str | None = None,
        id_column: str | None = None,
        progress: Progress = None,
        **unknown: Any,
    ) -> NDArray[Any]:
        """Adds points, all or none, and returns their ids.

        Args:
            ids: Integers from 0 to 2^64 - 1, or strings; left out, integers are made up. Or a
                table: an Arrow table, batch, or reader, or a data frame of pandas or polars, with
                a column of ids, one of vectors, and metadata in the others.
            vectors: Shape (n, dim). NumPy arrays of any real type, lists, tensors.
            metadata: A dictionary for each point, a dictionary of columns, or a table. Values are
                bools, numbers, strings, dates, and lists of strings; `None` is no value.
            vector_column: The column of the vectors in a table; left out, `vector`, `embedding`,
                or the only one that fits.
            id_column: The column of the ids; left out, `id` if there is one.
            progress: `True` for a progress bar, or a function of phase, steps done, and all steps.

        Raises:
            IdExistsError: An id is there already; the first five are named.
            DimensionError: The vectors have another length than those before.
            InvalidInputError: Values that cannot be used; the message names the row.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> docs.add(ids=["a", "b"], vectors=[[0.0, 1.0], [1.0, 0.0]], metadata=[{"n": 1}, {}])
        array(['a', 'b'], dtype=object)
        """
        if unknown:
            _keywords.refuse("add", unknown, _WRITE)
        return self._put(False, (ids, vectors, metadata), (vector_column, id_column), progress)

    def upsert(
        self,
        ids: Any = None,
        vectors: ArrayLike | None = None,
        metadata: Any = None,
        *,
        vector_column: str | None = None,
        id_column: str | None = None,
        progress: Progress = None,
        **unknown: Any,
    ) -> NDArray[Any]:
        """Adds points; those whose ids are there are replaced, vector and metadata.

        Takes what `add` takes.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> for year in (2023, 2024):
        ...     ids = docs.upsert(["a"], [[0.0, 1.0]], [{"year": year}])
        >>> len(docs), docs["a"].metadata
        (1, {'year': 2024})
        """
        if unknown:
            _keywords.refuse("upsert", unknown, _WRITE)
        return self._put(True, (ids, vectors, metadata), (vector_column, id_column), progress)

    def _put(
        self,
        replace: bool,
        given: tuple[Any, Any, Any],
        columns: tuple[str | None, str | None],
        progress: Progress,
    ) -> NDArray[Any]:
        ids, vectors, metadata = given
        if vectors is None and ids is not None:
            # What stands alone is a table, or vectors without ids.
            ids, vectors = None, ids
        if vectors is None:
            raise InvalidTypeError("no vectors were given; give vectors, or a table")
        with _progress.shown(progress) as call:
            if ids is None:
                kind, vectors = _inputs.tables(vectors)
                if kind is not None:
                    if metadata is not None:
                        raise InvalidTypeError("a table has its own metadata; give one of the two")
                    put = self._native.put_table if kind == "table" else self._native.put_stream
                    return id_array(put(vectors, columns, (replace, call)))
            if columns != (None, None):
                raise InvalidTypeError("vector_column and id_column are for tables")
            if isinstance(ids, (str, int)):
                ids, vectors = [ids], [vectors]
                metadata = None if metadata is None else [metadata]
            rows = _inputs.rows(vectors)
            records = _inputs.records(metadata, len(rows))
            written = self._native.put((_inputs.ids(ids), rows, records), (replace, call))
        return id_array(written)

    def load(
        self,
        path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        replace: bool = False,
        vector_column: str | None = None,
        id_column: str | None = None,
        progress: Progress = None,
        **unknown: Any,
    ) -> NDArray[Any]:
        """Adds the points in a file, or in several, all or none, and returns their ids.

        Args:
            path: Parquet, Arrow, Feather, NumPy, fvecs, bvecs or ivecs, as the extension says.
                In tables all columns beside those of ids and vectors are metadata; a column that
                cannot be is left out, with a warning.
            replace: Whether points whose ids are there are replaced, instead of refused.
            vector_column: As for `add`.
            id_column: As for `add`.
            progress: As for `add`.

        Raises:
            MissingFileError: There is no such file.
            InvalidInputError: What the file holds cannot be used; the message names the row.
            CorruptionError: The file is damaged.

        >>> import loomdb, numpy, tempfile
        >>> path = tempfile.mkdtemp() + "/rows.npy"
        >>> numpy.save(path, numpy.eye(3))
        >>> loomdb.open(":memory:").collection("docs").load(path)
        array([0, 1, 2], dtype=uint64)
        """
        if unknown:
            known = ("path", "replace", "vector_column", "id_column", "progress")
            _keywords.refuse("load", unknown, known)
        paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        files, names = [os.fspath(one) for one in paths], (vector_column, id_column)
        with _progress.shown(progress) as call:
            written, left_out = self._native.load(files, names, (replace, call))
        if left_out:
            import warnings

            message = f"columns that cannot be metadata were left out: {', '.join(left_out)}"
            warnings.warn(message, stacklevel=2)
        return id_array(written)

    def update(self, ids: Iterable[Id] | Id, metadata: Any, **unknown: Any) -> None:
        """Replaces fields of the metadata of points, and nothing else of them.

        Args:
            ids: Points that are there.
            metadata: A dictionary for each: keys that are missing keep their values, `None` takes
                a value away.

        Raises:
            NotFoundError: An id is not there; then nothing is changed.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a"], [[0.0, 1.0]], [{"lang": "en", "year": 2023}])
        >>> docs.update(["a"], [{"year": None, "stars": 4.5}])
        >>> docs["a"].metadata
        {'lang': 'en', 'stars': 4.5}
        """
        if unknown:
            _keywords.refuse("update", unknown, ("ids", "metadata"))
        if isinstance(ids, (str, int)):
            ids, metadata = [ids], [metadata]
        given = _inputs.ids(ids)
        records = _inputs.records(metadata, len(given))
        if not isinstance(records, list):
            kind = type(metadata).__name__
            raise InvalidTypeError(f"metadata is a {kind}; give a dict for each point")
        self._native.update(given, records)

    @overload
    def delete(self, ids: Iterable[Id] | Id, *, filter: None = None) -> int: ...
    @overload
    def delete(self, ids: None = None, *, filter: Filter) -> int: ...
    def delete(
        self,
        ids: Iterable[Id] | Id | None = None,
        *,
        filter: Filter | None = None,
        **unknown: Any,
    ) -> int:
        """Deletes points by their ids or by a filter, and returns how many there were.

        Ids that are not there are passed over.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"year": 1999}, {"year": 2024}])
        >>> docs.delete(filter={"year": {"$lt": 2000}}), docs.delete(["a", "b"])
        (1, 1)
        """
        if unknown:
            _keywords.refuse("delete", unknown, ("ids", "filter"))
        if (ids is None) == (filter is None):
            raise InvalidTypeError("delete takes ids or a filter; filter={} means all points")
        if filter is not None:
            text = _values.filter_text(filter)
            return self._native.delete_matching("{}" if text is None else text)
        if isinstance(ids, (str, int)):
            ids = [ids]
        return self._native.delete(_inputs.ids(ids))

    @overload
    def search(
        self,
        query: Sequence[float],
        k: int | None = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        max_distance: float | None = None,
    ) -> Hits: ...
    @overload
    def search(
        self,
        query: Sequence[Sequence[float]],
        k: int | None = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        max_distance: float | None = None,
    ) -> ManyHits: ...
    @overload
    def search(
        self,
        query: ArrayLike,
        k: int | None = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        max_distance: float | None = None,
    ) -> Any: ...
    def search(
        self,
        query: ArrayLike,
        k: int | None = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        max_distance: float | None = None,
        **unknown: Any,
    ) -> Any:
        """Finds the k points that are nearest to a query, or to each of many.

        If at least k points match, k come back, whatever the filter.

        Args:
            query: Shape (dim,) for one query, (n, dim) for many.
            k: How many points are wanted.
            filter: Only points whose metadata match.
            ef_search: The beam width: wider is slower and finds more of the true neighbors.
            exact: Whether to look at all points, which finds all true neighbors.
            max_distance: Only points at most so far away; the search is exact then, and `k=None`
                asks for all of them.

        Returns:
            `Hits` for one query, `ManyHits` for many.

        Raises:
            DimensionError: The query has another length than the vectors.
            FilterError: The filter names an unknown field or operator, or compares types.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"lang": "en"}, {"lang": "de"}])
        >>> docs.search([0.1, 0.9], k=1)[0].id
        'a'
        >>> docs.search([0.1, 0.9], k=1, filter={"lang": "de"}).ids
        array(['b'], dtype=object)
        """
        if unknown:
            _keywords.refuse("search", unknown, _SEARCH)
        text = None if filter is None else _values.filter_text(filter)
        if max_distance is not None or k is None:
            return self._within(_inputs.query(query), k, text, max_distance)
        width = (k, ef_search, exact)
        # Mostly the query is what the native half takes.
        if (one := self._native.search(query, width, text)) is None:
            array = _inputs.query(query)
            if array.ndim != 1:
                return ManyHits.split(*self._native.search_many(array, width, text))
            one = self._native.search(array, width, text)
            assert one is not None
        return Hits(one)

    def _within(
        self, queries: Any, k: int | None, filter: str | None, max_distance: float | None
    ) -> Hits | ManyHits:
        distance = float("inf") if max_distance is None else max_distance
        if queries.ndim == 1:
            return Hits(self._native.within(queries, (distance, k), filter))
        found = [self._native.within(query, (distance, k), filter) for query in queries]
        return ManyHits(found, [(at, range(len(one))) for at, one in enumerate(found)])

    def explain(
        self,
        query: ArrayLike,
        k: int = 10,
        filter: Filter | None = None,
        *,
        ef_search: int = 64,
        exact: bool = False,
        **unknown: Any,
    ) -> dict[str, Any]:
        """Searches as `search` does for one query, and tells how it went and what it cost.

        Args:
            query: Shape (dim,).
            k: As for `search`, and so are the others.

        Returns:
            `strategy`, `matches` and `selectivity` of the filter, `beams`, the widths of the walks
            through the graph, `distance_computations`, and the number of `hits`.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"year": 1999}, {"year": 2024}])
        >>> docs.explain([0.1, 0.9], filter={"year": 2024})["selectivity"]
        0.5
        """
        if unknown:
            _keywords.refuse("explain", unknown, _SEARCH[:-1])
        array = _inputs.query(query)
        if array.ndim != 1:
            raise InvalidInputError(f"explain takes one query; the shape is {array.shape}")
        return self._native.explain(array, (k, ef_search, exact), _values.filter_text(filter))

    @overload
    def get(self, ids: Id) -> Point | None: ...  # type: ignore[overload-overlap]
    @overload
    def get(self, ids: Iterable[Id]) -> list[Point | None]: ...
    def get(self, ids: Iterable[Id] | Id) -> Point | None | list[Point | None]:
        """The point of an id, or the points of several in their order; `None` for those missing.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a"], [[0.0, 1.0]], [{"n": 1}])
        >>> docs.get("a")
        Point(id='a', metadata={'n': 1})
        >>> docs.get(["b", "a"])
        [None, Point(id='a', metadata={'n': 1})]
        """
        if isinstance(ids, (str, int)):
            return self.get([ids])[0]
        asked = _inputs.ids(ids)
        found, missing = self._native.get(asked)
        points = iter(Points(found))
        if not len(missing):
            return list(points)
        absent = set(id_array(missing).tolist())
        return [None if _values.plain_id(id) in absent else next(points) for id in list(asked)]

    def __getitem__(self, id: Id) -> Point:
        point = self.get(id)
        if point is None:
            raise NotFoundError(f"there is no point {id!r}; get() returns None instead")
        return point

    def __contains__(self, id: object) -> bool:
        return self._native.contains(id)

    def scan(
        self,
        filter: Filter | None = None,
        *,
        batch_size: int = 1000,
        **unknown: Any,
    ) -> Iterator[Point]:
        """All points, or those that match, in the order in which they were written.

        What is written meanwhile is not among them.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"year": 1999}, {"year": 2024}])
        >>> [point.id for point in docs.scan({"year": {"$gte": 2000}})], docs.count({"year": 1999})
        (['b'], 1)
        """
        if unknown:
            _keywords.refuse("scan", unknown, ("filter", "batch_size"))
        return (point for page in self.pages(filter, batch_size=batch_size) for point in page)

    def pages(
        self,
        filter: Filter | None = None,
        *,
        batch_size: int = 1000,
        **unknown: Any,
    ) -> Iterator[Points]:
        """What `scan` gives, in pages of up to `batch_size` points, with their arrays and tables.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b", "c"], [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> [page.vectors.shape for page in docs.pages(batch_size=2)]
        [(2, 2), (1, 2)]
        """
        if unknown:
            _keywords.refuse("pages", unknown, ("filter", "batch_size"))
        pages = self._native.scan(batch_size, _values.filter_text(filter))
        return map(Points, iter(pages.next, None))

    def __iter__(self) -> Iterator[Point]:
        return self.scan()

    def count(self, filter: Filter | None = None) -> int:
        """The number of points, or of those that match a filter."""
        return self._native.count(_values.filter_text(filter))

    def __len__(self) -> int:
        return self._native.count(None)

    def __bool__(self) -> bool:
        return True  # An empty collection is still a collection.

    def info(self) -> dict[str, Any]:
        """The state and the cost of the collection; walks through the whole graph.

        Returns:
            `points`, `deleted_rows`, `dim`, `metric`, `id_type`, `fields`, bytes in memory and on
            the disk, and `index` with what the graph is like, `None` before the first write.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"year": 1999}, {"year": 2024}])
        >>> docs.info()["id_type"], docs.info()["index"]["m"]
        ('text', 16)
        """
        return self._native.info()

    def index_field(self, name: str) -> None:
        """Indexes a metadata field, so that filters on it need not look at every point.

        Filters find the same points with and without it, sooner with it. It stays until
        `unindex_field`, also for points that are added later.

        Args:
            name: The field; while the collection has no points, any field that is to come.

        Raises:
            NotFoundError: There is no such field; the message names the nearest.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"n": 1}, {"n": 2}])
        >>> docs.index_field("n")
        >>> docs.info()["indexed_fields"]
        ['n']
        >>> docs.count(filter={"n": {"$gt": 1}})
        1
        """
        self._native.index_field(name)

    def unindex_field(self, name: str) -> None:
        """Gives up the index of a field; filters on it go on to find the same points.

        Raises:
            NotFoundError: The field is not indexed.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> docs.index_field("n")
        >>> docs.unindex_field("n")
        >>> docs.info()["indexed_fields"]
        []
        """
        self._native.unindex_field(name)

    def compact(self, *, progress: Progress = None) -> None:
        """Rewrites the collection without deleted rows and builds its graph anew.

        Nobody has to call this: it gives space back at once, or with "on_commit" at a commit. Other
        threads go on. Ctrl-C stops it while the graph is built, and leaves all as it was.

        Args:
            progress: As for `add`.

        >>> import loomdb
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]])
        >>> docs.delete("a")
        1
        >>> docs.compact()
        >>> docs.info()["deleted_rows"]
        0
        """
        with _progress.shown(progress) as call:
            self._native.compact(call)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        replace: bool = False,
        progress: Progress = None,
    ) -> list[str]:
        """Writes all points to a file that other programs read, and returns the files.

        Args:
            path: The extension says the format: `.parquet` and `.arrow` are tables of ids, vectors
                and metadata; `.npy` has the vectors, and the others come into a table beside it.
            replace: Whether to replace files that are there.
            progress: As for `add`.

        Raises:
            ExistsError: A file is there already.

        >>> import loomdb, tempfile
        >>> docs = loomdb.open(":memory:").collection("docs")
        >>> ids = docs.add(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [{"year": 1999}, {"year": 2024}])
        >>> len(docs.export(tempfile.mkdtemp() + "/docs.parquet"))
        1
        """
        with _progress.shown(progress) as call:
            return self._native.export(os.fspath(path), replace, call)[1]

    def __repr__(self) -> str:
        try:
            inside = ", ".join(f"{name}={value!r}" for name, value in self._facts().items())
            return f"Collection({self.name!r}, {inside})"
        except ClosedError:
            return "Collection(closed)"

    def _repr_html_(self) -> str:
        from . import _html

        return _html.facts(f"Collection {self.name!r}", self._facts())

    def _facts(self) -> dict[str, Any]:
        dim, metric, fields = self._native.schema()
        return {"points": len(self), "dim": dim, "metric": metric, "fields": dict(fields)}
