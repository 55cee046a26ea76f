"""Tables for notebooks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_LONGEST = 80


def table(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """A table with a column for each key; says how many rows there are beyond those given."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{_escape(str(name))}</th>" for name in names)
    lines = ["".join(f"<td>{_cell(row.get(name))}</td>" for name in names) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    more = f"<p>{total - len(rows):,} more rows</p>" if total > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def facts(title: str, facts: Mapping[str, Any]) -> str:
    """A title, and a table of names and values below it."""
    lines = "".join(
        f"<tr><th>{_escape(name)}</th><td>{_cell(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<b>{_escape(title)}</b><table><tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return _escape(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")


def _escape(text: str) -> str:
    # Loading its names of characters takes longer than loading this package.
    import html

    return html.escape(text)
