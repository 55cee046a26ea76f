"""Values of metadata and filters that are no plain values of Python."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from .errors import FilterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import datetime

_BASES: tuple[Any, ...] = (str, bool, int, float, list, tuple)


class Moment:
    """A moment in UTC, which the native half makes a timestamp of."""

    __slots__ = ("micros",)

    def __init__(self, micros: int) -> None:
        self.micros = micros


def plain(value: Any) -> Any:
    """What stands for a value in metadata; the value itself if nothing does.

    Dates without a time zone are taken as UTC.
    """
    for base in _BASES:
        # Classes derived from these, such as members of an enum.
        if isinstance(value, base) and type(value).__module__ != "numpy":
            return base(value)
    if str(value) == "NaT":
        # What pandas and NumPy have for a missing date.
        return None
    found = _moment(value)
    if found is not None:
        from datetime import timedelta

        return Moment((found - moment(0)) // timedelta(microseconds=1))
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if _is_uuid(value):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "item"):
        return value.item()
    return value


def _is_uuid(value: object) -> bool:
    # By name, as the native half knows it too: importing the class takes milliseconds.
    return type(value).__name__ == "UUID"


def plain_id(id: Any) -> int | str:
    """An id as the native half gives it back."""
    if isinstance(id, str) or _is_uuid(id):
        return str(id)
    return operator.index(id)


def moment(micros: int) -> datetime.datetime:
    """The moment so many microseconds behind 1970, in UTC."""
    import datetime

    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return epoch + datetime.timedelta(microseconds=micros)


def filter_text(given: Mapping[str, Any] | str | None) -> str | None:
    """A filter as JSON text, which the native half parses."""
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, Mapping):
        what = f"the filter is a {type(given).__name__}, not a dict"
        raise FilterError(what + '; write it as {"field": value} or {"field": {"$gt": value}}')
    # Few need it, and it takes as long to import as a tenth of this package.
    import json

    try:
        return json.dumps(given, default=_filter_value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FilterError(f"the filter cannot be written as JSON: {error}") from None


def _filter_value(value: Any) -> Any:
    moment = _moment(value)
    if moment is not None:
        return moment.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    found = plain(value)
    if found is value:
        kind = type(value).__name__
        raise TypeError(f"{value!r} is a {kind}; compare with bools, numbers, strings or dates")
    return found


def _moment(value: Any) -> datetime.datetime | None:
    import datetime

    if type(value).__module__ == "numpy" and getattr(value, "dtype", None) is not None:
        if value.dtype.kind != "M" or value.shape != ():
            return None
        micros = value.astype("datetime64[us]")
        return moment(int(micros.astype("int64")))
    if isinstance(value, datetime.datetime):
        has_zone = value.tzinfo is not None
        return value if has_zone else value.replace(tzinfo=datetime.timezone.utc)
    if isinstance(value, datetime.date):
        midnight = datetime.time(tzinfo=datetime.timezone.utc)
        return datetime.datetime.combine(value, midnight)
    return None
