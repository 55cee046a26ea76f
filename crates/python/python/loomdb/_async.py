"""Methods that do not block an event loop: each runs the one without the `a` in a thread."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray


async def _in_thread(owner: object, name: str, *args: Any, **keywords: Any) -> Any:
    # Importing it takes longer than importing all of loomdb.
    import asyncio

    return await asyncio.to_thread(getattr(owner, name), *args, **keywords)


class AsyncMethods:
    """What a collection has for programs with an event loop."""

    __slots__ = ()

    async def aadd(self, *args: Any, **keywords: Any) -> NDArray[Any]:
        """`add` without blocking the event loop."""
        written: NDArray[Any] = await _in_thread(self, "add", *args, **keywords)
        return written

    async def aupsert(self, *args: Any, **keywords: Any) -> NDArray[Any]:
        """`upsert` without blocking the event loop."""
        written: NDArray[Any] = await _in_thread(self, "upsert", *args, **keywords)
        return written

    async def adelete(self, *args: Any, **keywords: Any) -> int:
        """`delete` without blocking the event loop."""
        deleted: int = await _in_thread(self, "delete", *args, **keywords)
        return deleted

    async def asearch(self, *args: Any, **keywords: Any) -> Any:
        """`search` without blocking the event loop."""
        return await _in_thread(self, "search", *args, **keywords)

    async def aget(self, ids: Any) -> Any:
        """`get` without blocking the event loop."""
        return await _in_thread(self, "get", ids)

    async def acount(self, filter: Any = None) -> int:
        """`count` without blocking the event loop."""
        count: int = await _in_thread(self, "count", filter)
        return count
