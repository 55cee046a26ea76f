"""Progress of long calls: a bar in the terminal or notebook, or a call of one's own."""

from __future__ import annotations

import sys
import time

from .errors import InvalidTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._types import Progress


class shown:  # noqa: N801
    """What the native half calls, for as long as the call takes."""

    __slots__ = ("_call",)

    def __init__(self, progress: Progress) -> None:
        self._call: Callable[[str, int, int], object] | None = None
        if callable(progress):
            self._call = progress
        elif progress is True:
            self._call = _Bar()
        elif progress is not None and progress is not False:
            kind = type(progress).__name__
            raise InvalidTypeError(f"progress is a {kind}; give True or a function")

    def __enter__(self) -> Callable[[str, int, int], object] | None:
        return self._call

    def __exit__(self, *error: object) -> None:
        if isinstance(self._call, _Bar):
            self._call.close()


class _Bar:
    """A bar of tqdm if it is installed, or else one line of text."""

    def __init__(self) -> None:
        self._phase = ""
        self._bar: Any = None
        self._line = ""
        self._started = time.monotonic()
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._tqdm = None
        else:
            self._tqdm = tqdm

    def __call__(self, phase: str, done: int, total: int) -> None:
        if self._tqdm is None:
            self._write(phase, done, total)
            return
        if phase != self._phase or self._bar is None:
            self._finish()
            self._phase = phase
            self._bar = self._tqdm(total=total or None, desc=phase, unit="step", leave=False)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._finish()
        if self._line:
            print(file=sys.stderr)

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _write(self, phase: str, done: int, total: int) -> None:
        share = f"{done / total:4.0%}" if total else f"{done}"
        line = f"{phase:<10} {share} {time.monotonic() - self._started:6.1f} s"
        padding = " " * max(0, len(self._line) - len(line))
        print(f"\r{line}{padding}", end="", file=sys.stderr, flush=True)
        self._line = line
