"""Where shards lie: a directory, or an object store that fsspec reaches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from .._results import package
from ..errors import MissingFileError, StorageError

#: What the directory of an unfinished shard is called.
_PARTIAL = ".partial"


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new directory beside `out` that takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    place = out.with_name(f".{out.name}-{uuid4().hex[:8]}{_PARTIAL}")
    try:
        yield place
        _replace(place, out)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _replace(place: Path, out: Path) -> None:
    """Renames `place` to `out`; what was there is removed. The last of several callers wins."""
    while True:
        try:
            place.rename(out)
            break
        except OSError as error:
            if not out.exists():
                raise StorageError(f"cannot rename {place} to {out}: {error}") from error
        aside = out.with_name(f".{out.name}-{uuid4().hex[:8]}{_PARTIAL}")
        with suppress(FileNotFoundError):
            out.rename(aside)
            shutil.rmtree(aside)
    _sync(out.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Place:
    """The directory of the shards and their manifest."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._fs: Any = None
        if "://" in self.path:
            fsspec = package("fsspec", "ray")
            self._fs, self._root = fsspec.core.url_to_fs(self.path)
        else:
            self._root = os.path.abspath(self.path)

    @property
    def is_local(self) -> bool:
        """Whether the shards can be opened where they are."""
        return self._fs is None

    def read(self, name: str) -> bytes | None:
        """The content of a small file; nothing if it is not there."""
        try:
            if self._fs is None:
                return Path(self._root, name).read_bytes()
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
            return content
        except FileNotFoundError:
            return None

    def newest_manifest(self, database: str) -> bytes | None:
        """The content of the newest manifest of a database; nothing if there is none."""
        directory = f"{self._root}/{database}"
        try:
            found = os.listdir(directory) if self._fs is None else self._fs.ls(directory, False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        names = map(os.path.basename, found)
        manifests = [name for name in names if name.startswith("manifest-") and "." not in name]
        return self.read(f"{database}/{max(manifests)}") if manifests else None

    def write(self, name: str, content: bytes) -> None:
        """Puts a small file there, completely or not at all."""
        if self._fs is not None:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(f"{self._root}/{name}", content)
            return
        target = Path(self._root, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{name}-{uuid4().hex[:8]}{_PARTIAL}")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        _sync(target.parent)

    @contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """Where to build the shard `name`: in place, or here until it is sent there."""
        if self._fs is None:
            yield Path(self._root, name)
            return
        with tempfile.TemporaryDirectory(prefix="loomdb-") as directory:
            local = Path(directory, name)
            yield local
            with suppress(FileNotFoundError):
                self._fs.rm(f"{self._root}/{name}", recursive=True)
            self._fs.put(f"{local}/", f"{self._root}/{name}/", recursive=True)

    def fetch(self, name: str, cache: Path) -> Path:
        """The shard `name` on the local disk; downloaded below `cache` if it is elsewhere."""
        if self._fs is None:
            return Path(self._root, name)
        local = cache / name
        if local.is_dir():
            return local
        try:
            with staged(local) as place:
                self._fs.get(f"{self._root}/{name}/", f"{place}/", recursive=True)
        except FileNotFoundError as error:
            raise MissingFileError(f"there is no shard {name} in {self.path}") from error
        return local

    def sweep(self) -> None:
        """Removes what builds left behind that did not come to their end."""
        if self._fs is None and os.path.isdir(self._root):
            for leftover in Path(self._root).glob(f".*{_PARTIAL}"):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)
