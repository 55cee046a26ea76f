"""Documents of other libraries as points of a collection, and back.

A field of a collection has one type and holds flags, numbers, texts or lists of texts. The
metadata of a document may be anything that JSON can say. So metadata is kept twice: as fields,
for filters, and as JSON, so that what comes back is what went in.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import loomdb

MAX_INTEGER = 2**63 - 1

_databases: weakref.WeakValueDictionary[str, SharedDatabase] = weakref.WeakValueDictionary()


class SharedDatabase:
    """An open database, the same for everyone in this process who asks for its path.

    A directory has one writer, and a pipeline that is loaded from a file makes several stores of
    the same directory.
    """

    def __init__(self, path: str) -> None:
        self.database = loomdb.open(path)

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> SharedDatabase:
        """The database at `path`; each `":memory:"` is one of its own."""
        path = os.fspath(path)
        if path == ":memory:":
            return cls(path)
        path = os.path.realpath(path)
        shared = _databases.get(path)
        if shared is None:
            shared = _databases[path] = cls(path)
        return shared


def flattened(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values that a filter can read, each with its name: `{"a": {"b": 1}}` has `a.b`."""
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        elif is_filterable(value):
            yield f"{prefix}{key}", value


def is_filterable(value: Any) -> bool:
    """Whether a field can hold a value. An empty list counts as no value."""
    if isinstance(value, list):
        return len(value) > 0 and all(isinstance(item, str) for item in value)
    if isinstance(value, int):
        return -MAX_INTEGER - 1 <= value <= MAX_INTEGER
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str)


def to_json(value: Any, id: str) -> str:
    """JSON of what belongs to the document `id`."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError as error:
        advice = "use texts, numbers, flags, lists and dictionaries; isoformat() for dates"
        raise TypeError(f"document {id!r} cannot be kept as JSON: {error}; {advice}") from error


def last_of_each(ids: Sequence[str]) -> list[int]:
    """The positions of distinct ids; of equal ones the last, as if they were written in turn."""
    return sorted({id: position for position, id in enumerate(ids)}.values())


def similarity(metric: str, distance: float) -> float:
    """A score that is greater for what is nearer: the cosine, the product, or 1 / (1 + l2)."""
    if metric == "cosine":
        return 1.0 - distance
    if metric == "ip":
        return -distance
    return 1.0 / (1.0 + distance)
