"""An embedded vector database whose heart is true batch graph construction.

>>> import loomdb
>>> db = loomdb.open(":memory:")
>>> docs = db.collection("docs")
>>> ids = docs.add(ids=["a", "b"], vectors=[[0.0, 1.0], [1.0, 0.0]], metadata=[{"n": 1}, {"n": 2}])
>>> docs.search([0.1, 0.9], k=1)[0].id
'a'
"""

from ._collection import Collection
from ._database import Database, open, repair
from ._native import VERSION as __version__
from ._native import instruction_set
from ._results import Hit, Hits, ManyHits, Point, Points
from .errors import (
    CanceledError,
    ClosedError,
    CorruptionError,
    DeadlineError,
    DimensionError,
    Error,
    ExistsError,
    FilterError,
    ForkedError,
    IdExistsError,
    InternalError,
    InvalidInputError,
    InvalidTypeError,
    LockedError,
    MissingFileError,
    MissingPackageError,
    NotFoundError,
    PoisonedError,
    StorageError,
    StorageFullError,
    UnsupportedError,
)

# Type checkers take it for true. Importing `typing` takes as long as importing all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._index import Index, Neighbors
    from ._types import Durability, Filter, Id, Metric
    from .shards import ShardedCollection, build_shard, merge_shards

__all__ = [
    "CanceledError",
    "ClosedError",
    "Collection",
    "CorruptionError",
    "Database",
    "DeadlineError",
    "DimensionError",
    "Durability",
    "Error",
    "ExistsError",
    "Filter",
    "FilterError",
    "ForkedError",
    "Hit",
    "Hits",
    "Id",
    "IdExistsError",
    "Index",
    "InternalError",
    "InvalidInputError",
    "InvalidTypeError",
    "LockedError",
    "ManyHits",
    "Metric",
    "MissingFileError",
    "MissingPackageError",
    "Neighbors",
    "NotFoundError",
    "Point",
    "Points",
    "PoisonedError",
    "ShardedCollection",
    "StorageError",
    "StorageFullError",
    "UnsupportedError",
    "__version__",
    "build_shard",
    "instruction_set",
    "merge_shards",
    "open",
    "repair",
]

#: What not everybody needs, and the modules that have it: importing all takes longer by half.
_LATER = {
    "Durability": "_types",
    "Filter": "_types",
    "Id": "_types",
    "Index": "_index",
    "Metric": "_types",
    "Neighbors": "_index",
    "ShardedCollection": "shards",
    "build_shard": "shards",
    "merge_shards": "shards",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
