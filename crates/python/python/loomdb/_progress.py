"""Progress of long calls: a bar in the terminal or notebook, or a call of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from .errors import InvalidTypeError

#: `True` for a bar, or a function that is called with the phase, the steps done, and all steps.
Progress: TypeAlias = bool | None | Callable[[str, int, int], object]


@contextmanager
def shown(progress: Progress) -> Iterator[Callable[[str, int, int], object] | None]:
    """What the native half calls, for as long as the call takes."""
    if progress is None or progress is False:
        yield None
        return
    if callable(progress):
        yield progress
        return
    if progress is not True:
        kind = type(progress).__name__
        raise InvalidTypeError(f"progress is a {kind}; give True or a function")
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


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
