"""The file that names the shards of a collection, and what each must be."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from ..errors import CorruptionError, MissingFileError, UnsupportedError
from ._files import Place
from ._shard import ShardInfo

if TYPE_CHECKING:
    from .._types import Metric

#: The name of the file.
FILE = "shards.json"

_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """Which shards a collection has, and how points are assigned to them.

    It is written anew whenever a shard is finished, and complete when all are.
    """

    #: How vectors are compared.
    metric: Metric
    #: The shards; `None` in the place of one that is not finished.
    shards: tuple[ShardInfo | None, ...]
    #: By the `"hash"` of its id, as `shard_of` says, or to the nearest `"cluster"`; `"any"` point
    #: may be in any shard.
    assign: Literal["hash", "cluster", "any"] = "any"
    #: The centers of the clusters, one for each shard; empty for the others.
    centers: tuple[tuple[float, ...], ...] = ()
    #: What the shards were built from and how; a build goes on only with the same.
    recipe: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | Place) -> Manifest:
        """Reads the manifest of the shards in a directory.

        Raises:
            MissingFileError: There is none.
            CorruptionError: It is damaged.
            UnsupportedError: It was written by a newer version.
        """
        place = path if isinstance(path, Place) else Place(path)
        content = place.read(FILE)
        if content is None:
            raise MissingFileError(f"{place.path} has no {FILE}; give the directory of a build")
        where = f"{place.path}/{FILE}"
        try:
            written = json.loads(content)
            version = written["body"]["version"]
            if version > _VERSION:
                what = f"{where} has the version {version}, known is {_VERSION}"
                raise UnsupportedError(f"{what}; install a newer loomdb")
            if _checksum(written["body"]) != written["checksum"]:
                raise CorruptionError(f"{where} does not fit its checksum; build the shards again")
            return cls._of(written["body"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{where} cannot be read: {error}"
            raise CorruptionError(f"{what}; build the shards again") from error

    @classmethod
    def _of(cls, body: dict[str, Any]) -> Manifest:
        shards = tuple(None if shard is None else ShardInfo(**shard) for shard in body["shards"])
        centers = tuple(tuple(center) for center in body["centers"])
        return cls(body["metric"], shards, body["assign"], centers, body["recipe"])

    def save(self, place: Place) -> None:
        """Puts it beside the shards, in place of the one before."""
        body = {"version": _VERSION, **asdict(self)}
        written = {"checksum": _checksum(body), "body": body}
        place.write(FILE, json.dumps(written, indent=1).encode())

    def with_shard(self, number: int, info: ShardInfo) -> Manifest:
        """This with one more finished shard."""
        shards = (*self.shards[:number], info, *self.shards[number + 1 :])
        return replace(self, shards=shards)

    @property
    def missing(self) -> list[int]:
        """The numbers of the shards that are not finished."""
        return [number for number, shard in enumerate(self.shards) if shard is None]

    @property
    def points(self) -> int:
        """The points of all finished shards."""
        return sum(shard.points for shard in self.shards if shard is not None)

    def finished(self, where: str) -> list[ShardInfo]:
        """All shards.

        Raises:
            MissingFileError: One is not finished.
        """
        if self.missing:
            names = ", ".join(shard_name(number) for number in self.missing[:5])
            what = f"{where}: {len(self.missing)} of {len(self.shards)} shards are not built"
            raise MissingFileError(f"{what} ({names}); go on with the build")
        return [shard for shard in self.shards if shard is not None]

    def __repr__(self) -> str:
        done = len(self.shards) - len(self.missing)
        shards = f"shards={done} of {len(self.shards)}" if self.missing else f"shards={done}"
        return f"Manifest({shards}, points={self.points}, metric={self.metric!r})"


def shard_name(number: int) -> str:
    """The directory of a shard."""
    return f"shard-{number:05}"


def _checksum(body: dict[str, Any]) -> str:
    # As it reads back: tuples are lists there.
    content = json.dumps(json.loads(json.dumps(body)), sort_keys=True)
    return blake2b(content.encode(), digest_size=16).hexdigest()
