"""What this package asks of Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._results import package
from ..errors import Error

#: How often Ray repeats a task whose worker died.
RETRIES = 3


def task(function: Callable[..., Any], **options: Any) -> Any:
    """A function as a task."""
    return package("ray", "ray").remote(function).options(max_retries=RETRIES, **options)


def results(references: list[Any]) -> list[Any]:
    """What tasks or actors returned; what they raised is raised as it was there."""
    ray = package("ray", "ray")
    try:
        found: list[Any] = ray.get(references)
        return found
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Error):
            raise error.cause from None
        raise
