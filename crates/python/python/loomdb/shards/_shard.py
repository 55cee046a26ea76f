"""Building one shard: a stream of Arrow batches in, one finished, durable database out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _database
from .._results import package
from ..errors import CorruptionError, InvalidInputError, InvalidTypeError
from . import _files

if TYPE_CHECKING:
    import pyarrow as pa

    from .._types import Metric, Progress

#: The one collection of a shard.
COLLECTION = "default"

#: Points that `merge_shards` reads at a time.
_PAGE_POINTS = 10_000


@dataclass(frozen=True)
class ShardInfo:
    """What is known about a finished shard."""

    #: The directory, relative to the manifest that names it.
    name: str
    #: Points in it.
    points: int
    #: The vector length; `None` when there are no points.
    dim: int | None
    #: Bytes of its files.
    bytes: int
    #: The checksum of the manifest of the database, which holds those of all its files.
    checksum: str


def build_shard(
    batches: Any,
    out: str | os.PathLike[str],
    *,
    id: str = "id",
    vector: str = "vector",
    metric: Metric = "cosine",
    m: int = 16,
    ef_construction: int = 200,
    threads: int = 0,
    progress: Progress = None,
) -> ShardInfo:
    """Makes a database with the points of a stream of Arrow batches, and one graph over them all.

    The database is written beside `out` and renamed when it is durable: it is there completely or
    not at all. Repeating the call replaces it by the same again, so a scheduler may repeat it as
    often as it likes. The points of a shard are held in memory while it is built.

    Args:
        batches: Arrow batches or tables, one or an iterable of them, or a reader; anything with
            the Arrow C interfaces.
        out: The directory of the shard.
        id: The column of the ids.
        vector: The column of the vectors; all other columns are metadata.
        metric: `"cosine"`, `"l2"` or `"ip"`.
        m: Links of a node of the graph.
        ef_construction: The beam width of the searches that link a single row.
        threads: Threads that build; 0 stands for one for each core.
        progress: `True` for a progress bar, or a function of phase, steps done, and all steps.

    Raises:
        InvalidInputError: An id is there twice.
        DimensionError: The vectors have different lengths.
        NotFoundError: There is no column of that name.

    >>> import loomdb, pyarrow, tempfile
    >>> batch = pyarrow.table({"id": [1, 2], "vector": [[0.0, 1.0], [1.0, 0.0]]})
    >>> info = loomdb.build_shard(batch, tempfile.mkdtemp() + "/shard")
    >>> info.points, info.dim
    (2, 2)
    """
    table = _table(batches)
    out = Path(out)
    with _files.staged(out) as place:
        with _database.open(place, durability="on_commit", threads=threads) as db:
            graph: Any = {"m": m, "ef_construction": ef_construction}
            points = db.collection(COLLECTION, metric=metric, **graph)
            if table.num_rows:
                columns = {"id_column": id, "vector_column": vector}
                points.add(table, progress=progress, **columns)
            db.commit()
    return describe(out)


def describe(path: Path) -> ShardInfo:
    """What is known about the shard at `path`; opens it, which verifies it."""
    with _database.open(path, read_only=True) as db:
        points = db[COLLECTION]
        count, dim = len(points), points.info()["dim"]
    size = sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return ShardInfo(path.name, count, dim if count else None, size, checksum(path))


def checksum(path: Path) -> str:
    """The checksum of the newest manifest of the database at `path`."""
    found = _checksum(_files.Place(path.parent), path.name)
    if found is None:
        raise CorruptionError(f"{path} is not a shard: it has no manifest; build it again")
    return found


def is_there(place: _files.Place, shard: ShardInfo) -> bool:
    """Whether a shard that was finished is still where it was; its other files are not read."""
    return _checksum(place, shard.name) == shard.checksum


def _checksum(place: _files.Place, name: str) -> str | None:
    content = place.newest_manifest(name)
    return None if content is None else blake2b(content, digest_size=16).hexdigest()


def merge_shards(
    manifest: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    m: int = 16,
    ef_construction: int = 200,
    threads: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = None,
) -> ShardInfo:
    """Brings all points of the shards into one database at `out`, built as one batch.

    Takes the memory of all points. The collection of the database is called `default`.

    Args:
        manifest: The directory of the shards: a path, or an address that fsspec knows.
        out: The directory of the database, which is there completely or not at all.
        m: Links of a node of the graph.
        ef_construction: The beam width of the searches that link a single row.
        threads: Threads that build; 0 stands for one for each core.
        cache: As for `ShardedCollection`.
        progress: `True` for a progress bar, or a function of phase, steps done, and all steps.
    """
    from ._collection import ShardedCollection

    with ShardedCollection(manifest, cache=cache) as shards:
        pages = (shard.pages(batch_size=_PAGE_POINTS) for shard in shards.collections)
        batches = (page.to_arrow(vectors=True) for page in chain.from_iterable(pages))
        graph: Any = {"m": m, "ef_construction": ef_construction, "threads": threads}
        return build_shard(batches, out, metric=shards.metric, progress=progress, **graph)


def _table(batches: Any) -> pa.Table:
    """All batches as one table; columns that some lack are null there."""
    pyarrow = package("pyarrow", "arrow")
    if isinstance(batches, (str, bytes)):
        raise InvalidTypeError(f"batches is the text {batches!r}; give Arrow batches")
    if hasattr(batches, "__arrow_c_stream__") or hasattr(batches, "__arrow_c_array__"):
        batches = [batches]
    if not isinstance(batches, Iterable):
        raise InvalidTypeError(f"batches is a {type(batches).__name__}; give Arrow batches")
    tables = []
    for number, batch in enumerate(batches):
        if not hasattr(batch, "__arrow_c_stream__") and not hasattr(batch, "__arrow_c_array__"):
            kind = type(batch).__name__
            raise InvalidTypeError(f"batch {number} is a {kind}, which has no Arrow interface")
        tables.append(pyarrow.table(batch))
    if not tables:
        raise InvalidInputError("there are no batches; a shard needs the columns of at least one")
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise InvalidInputError(f"the batches do not fit together: {error}") from error
