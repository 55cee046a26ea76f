"""What this package asks of Ray."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .._results import package
from ..errors import Error

#: How often Ray repeats a task whose worker died.
RETRIES = 3


def task(function: Callable[..., Any], num_returns: int = 1, **options: Any) -> Any:
    """A function as a task; its errors come back as values, which `results` raises.

    An error that a task raises is logged by Ray for each reference that nobody asks for: a wall of
    text when all files lack a column and the first one has told so already.
    """

    @functools.wraps(function)
    def told(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Error as error:
            return error if num_returns == 1 else (error,) * num_returns

    remote = package("ray", "ray").remote(told)
    return remote.options(max_retries=RETRIES, num_returns=num_returns, **options)


def results(references: list[Any]) -> list[Any]:
    """What tasks or actors returned; their errors are raised as they were there."""
    ray = package("ray", "ray")
    try:
        found: list[Any] = ray.get(references)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Error):
            raise error.cause from None
        raise
    for value in found:
        if isinstance(value, Error):
            raise value
    return found


def finished(starts: Iterable[list[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Starts tasks by and by, and yields the number and the references of each that is done.

    No more are started than keep the cluster busy, so that little is left to run when one fails:
    to cancel tasks can abort the driver (a race in Ray, ray-project/ray#54527).
    """
    ray = package("ray", "ray")
    enough = 2 * int(ray.cluster_resources().get("CPU", 1)) + 1
    running: dict[Any, tuple[int, list[Any]]] = {}

    def done() -> tuple[int, list[Any]]:
        [ready], _ = ray.wait(list(running), num_returns=1)
        return running.pop(ready)

    for number, references in enumerate(starts):
        running[references[0]] = number, references
        if len(running) >= enough:
            yield done()
    while running:
        yield done()
