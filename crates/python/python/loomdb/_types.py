"""Names of types that several arguments have.

A module of its own, which is imported when somebody asks for one of them: `typing` alone takes as
long to import as everything else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

#: An id of a point: all ids of a collection are of one of the two types.
Id: TypeAlias = int | str
#: A condition on metadata, such as `{"lang": "en", "year": {"$gte": 2020}}`.
Filter: TypeAlias = Mapping[str, Any] | str
#: How vectors are compared.
Metric: TypeAlias = Literal["cosine", "l2", "ip"]
#: What a finished write has survived.
Durability: TypeAlias = Literal["synced", "buffered", "on_commit"]
#: `True` for a bar, or a function that is called with the phase, the steps done, and all steps.
Progress: TypeAlias = bool | None | Callable[[str, int, int], object]
