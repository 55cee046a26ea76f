"""What people pass, made into what the native half takes: rows of float32, ids, dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from .errors import DimensionError, InvalidInputError, InvalidTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def is_table(given: object) -> bool:
    """Whether something has columns: an Arrow table, batch or reader, or a data frame."""
    if hasattr(given, "columns") or hasattr(given, "read_next_batch"):
        return hasattr(given, "__arrow_c_stream__") or hasattr(given, "__dataframe__")
    has_stream = hasattr(given, "__arrow_c_stream__") or hasattr(given, "__arrow_c_array__")
    return has_stream and not hasattr(given, "__len__") or hasattr(given, "schema")


def tables(given: Any) -> tuple[Literal["table", "stream"] | None, Any]:
    """Whether something is one table or a stream of tables, and what to read instead of it.

    A stream is a reader, which does not know how long it is, or whatever gives one table after
    the other: an iterator, a list.
    """
    if is_table(given):
        is_whole = hasattr(given, "__len__") or hasattr(given, "num_rows")
        is_whole = is_whole or not hasattr(given, "__arrow_c_stream__")
        return "table" if is_whole else "stream", table(given)
    if isinstance(given, (list, tuple)):
        if given and is_table(given[0]):
            return "stream", map(table, given)
        return None, given
    if isinstance(given, Iterator):
        first = next(given, None)
        given = given if first is None else chain([first], given)
        if is_table(first):
            return "stream", map(table, given)
    return None, given


def rows(given: Any, what: str = "vectors") -> Array:
    """An array of shape (n, dim) in float32, one row behind the other; in place if it is one."""
    import numpy as np

    array = _array(given, what)
    if array.ndim == 1 and array.size == 0:
        array = array.reshape(0, 1)
    if array.ndim != 2:
        expected = "expected (n, dim), one row for each point"
        raise DimensionError(f"{what} have the shape {array.shape}; {expected}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def query(given: Any) -> Array:
    """An array in float32 of shape (dim,) for one query, (n, dim) for many."""
    import numpy as np

    if type(given) is np.ndarray and given.ndim == 1 and given.dtype.char == "f":
        if given.flags.c_contiguous and given.dtype.isnative:
            return given
    array = _array(given, "the query")
    if array.ndim not in (1, 2):
        expected = "expected (dim,) for one query or (n, dim) for many"
        raise DimensionError(f"the query has the shape {array.shape}; {expected}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def ids(given: Any) -> Any:
    """An array of int64 or uint64, or a list of int or str; `None` stays."""
    import numpy as np

    if given is None:
        return None
    if isinstance(given, (str, bytes)):
        raise InvalidTypeError(f"ids is the text {given!r}; give a list of ids")
    if isinstance(given, np.ndarray):
        if given.ndim != 1:
            raise InvalidInputError(f"ids has the shape {given.shape}; expected (n,)")
        if given.dtype.kind in "iu":
            return np.ascontiguousarray(given, np.uint64 if given.dtype.kind == "u" else np.int64)
        return given.tolist()
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(given, method):
            return getattr(given, method)()
    if not isinstance(given, Iterable):
        raise InvalidTypeError(f"ids is a {type(given).__name__}; give a list of ids")
    return given if type(given) is list else list(given)


def records(given: Any, count: int) -> Any:
    """A list of dictionaries, or something with an Arrow stream; `None` stays."""
    if given is None or type(given) is list:
        return given
    if is_table(given):
        return table(given)
    if isinstance(given, Mapping):
        return _records_of_columns(given, count)
    if isinstance(given, str) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise InvalidTypeError(f"metadata is a {kind}; give a dict for each point, or a table")
    return list(given)


def table(given: Any) -> Any:
    """Something with an Arrow stream or array."""
    if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__arrow_c_array__"):
        return given
    kind = type(given).__name__
    raise InvalidTypeError(f"a {kind} has no Arrow interface; install pyarrow, or give a list")


def _records_of_columns(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    lists: dict[str, Sequence[Any]] = {}
    for name, column in columns.items():
        if isinstance(column, (str, Mapping)) or not hasattr(column, "__len__"):
            kind = type(column).__name__
            what = f"metadata is one dict, whose {name!r} is a {kind}"
            raise InvalidTypeError(f"{what}; give a list of dicts, or a list for each field")
        if len(column) != count:
            what = f"the metadata field {name!r} has {len(column)} values"
            raise InvalidInputError(f"{what} for {count} points; give one for each point")
        lists[name] = column.tolist() if hasattr(column, "tolist") else column
    return [{name: lists[name][row] for name in lists} for row in range(count)]


def _array(given: Any, what: str) -> NDArray[Any]:
    import numpy as np

    if isinstance(given, str):
        raise InvalidTypeError(f"{what} is text; give the numbers of its embedding")
    array: NDArray[Any] = given if isinstance(given, np.ndarray) else _converted(given, what)
    if array.dtype.kind == "O":
        array = _stacked(array, what)
    is_number = array.dtype.kind in "fiu" or array.dtype.name == "bfloat16"
    if not is_number and array.size:
        kind = array.dtype.name
        raise InvalidTypeError(f"{what} have the type {kind}; expected real numbers")
    return array


def _converted(given: Any, what: str) -> NDArray[Any]:
    import numpy as np

    try:
        if hasattr(given, "__dlpack__") and not hasattr(given, "__array__"):
            array: NDArray[Any] = np.from_dlpack(given)
            return array
        if isinstance(given, Iterable) and not hasattr(given, "__len__"):
            given = list(given)
        converted: NDArray[Any] = np.asarray(given)
        return converted
    except (TypeError, ValueError, RuntimeError) as error:
        _check_lengths(given, what)
        kind = type(given).__name__
        message = f"{what} cannot be read as an array from a {kind}: {error}"
        raise InvalidTypeError(message) from error


def _stacked(rows: NDArray[Any], what: str) -> NDArray[Any]:
    import numpy as np

    if rows.ndim == 0:
        kind = type(rows.item()).__name__
        raise InvalidTypeError(f"{what} cannot be read as an array from a {kind}")
    _check_lengths(rows, what)
    try:
        return np.stack([np.asarray(row) for row in rows]) if rows.size else rows
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{what} hold other things than numbers: {error}") from error


def _check_lengths(rows: Any, what: str) -> None:
    """Raises for the first row that is missing, or not as long as the first."""
    if not hasattr(rows, "__len__"):
        return
    first = None
    for row, values in enumerate(rows):
        if values is None:
            raise InvalidInputError(f"row {row}: {what} are None; give a vector for each point")
        length = len(values) if hasattr(values, "__len__") else 1
        first = length if first is None else first
        if length != first:
            message = f"row {row}: {what} have {length} values there, the first row {first}"
            raise DimensionError(f"{message}; give all rows one length")
