"""Databases: directories of collections."""

from __future__ import annotations

import os

from . import _keywords, _native, _progress
from ._closing import Closing
from ._collection import Collection
from .errors import InvalidTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._types import Durability, Metric, Progress


def open(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    durability: Durability = "synced",
    threads: int = 0,
    **unknown: Any,
) -> Database:
    """Opens a database: a directory, which is made when it is missing.

    Args:
        path: The directory, or `":memory:"` for a database without files.
        read_only: Only to read, beside one writer in another process; see `Database.refresh`.
        durability: What a finished write has survived: `"synced"` a loss of power, `"buffered"`
            the death of the process, `"on_commit"` nothing until `Database.commit`.
        threads: Threads that build graphs; 0 stands for one for each core.

    Raises:
        LockedError: Another process writes to it.
        CorruptionError: A file is damaged; the message has the file and the byte.
        MissingFileError: It is not there, and only to be read.

    >>> import loomdb
    >>> with loomdb.open(":memory:") as db:
    ...     docs = db.collection("docs", dim=3)
    ...     db.collections()
    ['docs']
    """
    if unknown:
        for name in unknown.keys() & {"m", "ef_construction", "dim", "metric"}:
            use = f"db.collection(name, {name}=...)"
            raise TypeError(f"open() has no argument {name!r}; use {use}")
        _keywords.refuse("open", unknown, ("path", "read_only", "durability", "threads"))
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidTypeError(f"path is a {type(path).__name__}; give a str or a Path")
    place = None if path == ":memory:" else os.fspath(path)
    native = _native.Database.open(place, read_only, durability, threads)
    return Database(native, os.fspath(path))


def repair(
    path: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str] | None = None,
    metric: Metric | None = None,
    **unknown: Any,
) -> dict[str, Any]:
    """Saves what is sound in a damaged database, and tells what is not.

    The damaged files are kept. A database without damage is left alone.

    Args:
        path: The directory of the database, which nobody may have open.
        to: A directory for the repaired database; left out, it takes the place of the damaged
            one, which is moved aside.
        metric: How vectors are compared, when the file that says so is lost.

    Returns:
        `is_changed`, whether anything was wrong; `database`, where the sound one is; `damaged`,
        where the damaged files are; `collections` with their points; and `losses`, each with the
        collection, the file, what was lost, and the ids as far as they could be read.

    Raises:
        MissingFileError: There is no database.
        LockedError: Somebody writes to it.
        ExistsError: Something is at `to` already.
        InvalidInputError: The metric is lost and was not given.

    >>> import loomdb, tempfile
    >>> path = tempfile.mkdtemp() + "/my.loom"
    >>> with loomdb.open(path) as db:
    ...     ids = db.collection("docs").add(["a"], [[0.0, 1.0]])
    >>> loomdb.repair(path)["is_changed"]
    False
    """
    if unknown:
        _keywords.refuse("repair", unknown, ("path", "to", "metric"))
    place = None if to is None else os.fspath(to)
    return _native.repair(os.fspath(path), place, metric)


class Database(Closing):
    """An open database; made by `open`. A context manager that closes it."""

    __slots__ = ("_native", "path")

    #: Where it lies, as it was given to `open`.
    path: str

    def __init__(self, native: _native.Database, path: str) -> None:
        self._native = native
        self.path = path

    def collection(
        self,
        name: str,
        dim: int | None = None,
        metric: Metric | None = None,
        *,
        m: int | None = None,
        ef_construction: int | None = None,
        **unknown: Any,
    ) -> Collection:
        """Opens a collection, which is made when it is missing.

        Args:
            name: The name.
            dim: The vector length; left out, it is that of the first vectors.
            metric: `"cosine"` (`1 - cos`), `"l2"` (the Euclidean distance) or `"ip"` (the negated
                product). Left out, it is that of the collection, or cosine for one that is made.
            m: Links of a node on the upper levels of the graph, twice as many on level 0. It is
                set when the collection is made and kept; 16 if it was not given then.
            ef_construction: The beam width of the searches that link a single row; set and kept
                as `m` is; 200 if it was not given then.

        Raises:
            InvalidInputError: The collection was made with something else, which is named.

        >>> import loomdb
        >>> loomdb.open(":memory:").collection("docs", dim=3, metric="l2")
        Collection('docs', points=0, dim=3, metric='l2', fields={})
        """
        if "threads" in unknown:
            use = "loomdb.open(path, threads=...)"
            raise TypeError(f"collection() has no argument 'threads'; use {use}")
        if unknown:
            known = ("name", "dim", "metric", "m", "ef_construction")
            _keywords.refuse("collection", unknown, known)
        return Collection(self._native.collection(name, (dim, metric), (m, ef_construction)))

    def __getitem__(self, name: str) -> Collection:
        """The collection of a name; raises `NotFoundError` if there is none."""
        return Collection(self._native.existing_collection(name))

    def __contains__(self, name: object) -> bool:
        return name in self.collections()

    def __iter__(self) -> Iterator[str]:
        return iter(self.collections())

    def __len__(self) -> int:
        return len(self.collections())

    def __bool__(self) -> bool:
        return True

    def collections(self) -> list[str]:
        """The names of the collections, sorted.

        >>> import loomdb
        >>> db = loomdb.open(":memory:")
        >>> docs, old = db.collection("docs"), db.collection("old")
        >>> db.drop("old")
        >>> db.rename("docs", "texts")
        >>> db.collections(), "texts" in db, docs.name
        (['texts'], True, 'texts')
        """
        return self._native.collection_names()

    def drop(self, name: str) -> None:
        """Removes a collection with all its points.

        Raises:
            NotFoundError: There is none of this name; the nearest name is in the message.
        """
        self._native.drop_collection(name)

    def rename(self, name: str, new_name: str) -> None:
        """Gives a collection another name; handles of it go on.

        Raises:
            NotFoundError: There is none of this name.
            ExistsError: There is one of the new name.
        """
        self._native.rename_collection(name, new_name)

    def sync(self) -> None:
        """Makes every finished write survive a loss of power."""
        self._native.sync()

    def commit(self) -> None:
        """Moves every finished write into segments, where it survives a loss of power too.

        >>> import loomdb, tempfile
        >>> path = tempfile.mkdtemp() + "/my.loom"
        >>> with loomdb.open(path, durability="on_commit") as db:
        ...     ids = db.collection("docs").add(["a"], [[0.0, 1.0]])
        ...     db.commit()
        """
        self._native.commit()

    def check(self, *, recall_queries: int = 0, progress: Progress = None) -> dict[str, Any]:
        """Reads every byte and says what is wrong with it, and what to do.

        Args:
            recall_queries: How many rows of each collection are searched for to sample recall.
            progress: `True` for a progress bar, or a function of phase, steps done, and all steps.

        Returns:
            The files, the collections, and `findings`, which is empty when all is well.

        >>> import loomdb
        >>> loomdb.open(":memory:").check()["findings"]
        []
        """
        with _progress.shown(progress) as call:
            return self._native.check(recall_queries, call)

    def backup(self, path: str | os.PathLike[str], *, progress: Progress = None) -> dict[str, Any]:
        """Copies the database into a new directory, while it may be written to.

        Every write that has returned is in the copy, which is a database of its own.

        Raises:
            ExistsError: Something is there already.

        >>> import loomdb, tempfile
        >>> path = tempfile.mkdtemp() + "/copy.loom"
        >>> with loomdb.open(":memory:") as db:
        ...     ids = db.collection("docs").add(["a"], [[0.0, 1.0]])
        ...     backup = db.backup(path)
        >>> len(loomdb.open(path, read_only=True)["docs"])
        1
        """
        with _progress.shown(progress) as call:
            return self._native.backup(os.fspath(path), call)

    def refresh(self) -> None:
        """Reads what another process wrote since; for a database opened with `read_only=True`.

        >>> import loomdb, tempfile
        >>> path = tempfile.mkdtemp() + "/my.loom"
        >>> writer = loomdb.open(path)
        >>> reader = loomdb.open(path, read_only=True)
        >>> docs = writer.collection("docs")
        >>> "docs" in reader
        False
        >>> reader.refresh()
        >>> "docs" in reader
        True
        """
        self._native.refresh()

    @property
    def warnings(self) -> list[str]:
        """What was found wrong when the database was opened, and did no harm to the points."""
        return self._native.warnings()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._native.is_closed()

    def close(self) -> None:
        """Closes the database and unlocks it; its collections cannot be used any more."""
        self._native.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"Database({self.path!r}, closed)"
        return f"Database({self.path!r}, collections={self.collections()!r})"

    def _repr_html_(self) -> str:
        from . import _html

        if self.closed:
            return _html.facts(repr(self), {})
        points = {name: f"{len(self[name]):,} points" for name in self.collections()}
        return _html.facts(f"Database {self.path!r}", points)
