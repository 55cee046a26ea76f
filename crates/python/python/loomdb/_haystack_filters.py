"""Filters of Haystack as filters over the fields of a collection.

A field that no document has counts as one without a value, as Haystack has it. Texts that are ISO
dates are kept again as numbers: what the clock on the wall shows, and the moment in time if the
offset from UTC is known. Two dates are compared as moments if both are known, else as clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from haystack.errors import FilterError

Types: TypeAlias = Mapping[str, str]
Filter: TypeAlias = dict[str, Any]

ID = "document.id"
EMBEDDED = "document.embedded"
CLOCK = "@clock"
MOMENT = "@moment"

NOTHING: Filter = {"$or": []}
ORDER = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def translated(filters: Mapping[str, Any], fields: Types) -> Filter:
    """The filter of loomdb that matches the same documents; `fields` are those of the collection.

    Raises `FilterError` for a filter that is no filter of Haystack, or that compares what cannot
    be compared.
    """
    if "field" in filters:
        return _comparison(filters, fields)
    operator = _part(filters, "operator")
    conditions = [translated(condition, fields) for condition in _part(filters, "conditions")]
    if operator == "AND":
        return {"$and": conditions}
    if operator == "OR":
        return {"$or": conditions}
    if operator == "NOT":
        return {"$not": {"$and": conditions}}
    raise FilterError(f"unknown operator {operator!r}; conditions are joined by AND, OR and NOT")


def date_fields(name: str, value: Any) -> dict[str, int]:
    """The fields that hold a text again if it is a date."""
    date = _date(value)
    if date is None:
        return {}
    clock = {name + CLOCK: _microseconds(date.replace(tzinfo=UTC))}
    return clock if date.tzinfo is None else clock | {name + MOMENT: _microseconds(date)}


def _date(value: Any) -> datetime | None:
    """A date, or the date that an ISO text holds, which has at least a year, month and day."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) < 10 or value[4] != "-" or value[7] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _microseconds(date: datetime) -> int:
    return (date - EPOCH) // MICROSECOND


def _compared(operator: str, name: str, date: datetime, fields: Types) -> Filter:
    """The dates in a field that are before, at or after a date."""
    if name + CLOCK not in fields:
        return NOTHING
    by_clock = {name + CLOCK: {operator: _microseconds(date.replace(tzinfo=UTC))}}
    if date.tzinfo is None or name + MOMENT not in fields:
        return by_clock
    by_moment = {name + MOMENT: {operator: _microseconds(date)}}
    return {"$or": [by_moment, {name + MOMENT: None, **by_clock}]}


def _part(filters: Mapping[str, Any], key: str) -> Any:
    if key not in filters:
        raise FilterError(f"{key!r} is missing in {dict(filters)}")
    return filters[key]


def _comparison(filters: Mapping[str, Any], fields: Types) -> Filter:
    name = _field(filters["field"])
    operator = _part(filters, "operator")
    value = _part(filters, "value")
    if operator not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise FilterError(f"unknown operator {operator!r}; values are compared by {known}")
    return OPERATORS[operator](operator, name, value, fields)


def _field(field: str) -> str:
    """The field of the collection: a bare name is a key of the meta."""
    if field == "id":
        return ID
    return field if field == "content" or field.startswith("meta.") else f"meta.{field}"


def _equal(operator: str, name: str, value: Any, fields: Types) -> Filter:
    if isinstance(value, list):
        raise FilterError(f"{operator!r} was given a list for {name}; use 'in'")
    if name not in fields:
        return {} if value is None else NOTHING
    same = [] if isinstance(value, datetime) else [{name: value}]
    date = _date(value)
    return {"$or": same if date is None else [*same, _compared("$eq", name, date, fields)]}


def _not_equal(operator: str, name: str, value: Any, fields: Types) -> Filter:
    return {"$not": _equal(operator, name, value, fields)}


def _ordered(operator: str, name: str, value: Any, fields: Types) -> Filter:
    if value is None:
        return NOTHING
    if isinstance(value, list):
        raise FilterError(f"{operator!r} was given a list for {name}")
    if isinstance(value, str | datetime):
        date = _date(value)
        if date is None:
            raise FilterError(f"{operator!r} orders numbers and ISO dates, not {value!r}")
        if name in fields and name + CLOCK not in fields:
            raise FilterError(f"{operator!r} was given a date, and {name} holds none")
        return _compared(ORDER[operator], name, date, fields)
    return {name: {ORDER[operator]: value}} if name in fields else NOTHING


def _among(operator: str, name: str, value: Any, fields: Types) -> Filter:
    if not isinstance(value, list):
        raise FilterError(f"{operator!r} needs a list, and was given {value!r} for {name}")
    return {"$or": [_equal(operator, name, item, fields) for item in value]}


def _not_among(operator: str, name: str, value: Any, fields: Types) -> Filter:
    return {"$not": _among(operator, name, value, fields)}


OPERATORS: dict[str, Callable[[str, str, Any, Types], Filter]] = {
    "==": _equal,
    "!=": _not_equal,
    ">": _ordered,
    ">=": _ordered,
    "<": _ordered,
    "<=": _ordered,
    "in": _among,
    "not in": _not_among,
}
