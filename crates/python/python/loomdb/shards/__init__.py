"""Collections that are too large for one machine: shards, built apart and searched as one.

A shard is an ordinary database with one collection. `build_shard` makes one from a stream of Arrow
batches, in any process on any machine; `ShardedCollection` searches all of them and merges the
nearest k exactly; `merge_shards` makes one database of them again. No engine is needed: what runs
`build_shard` in many places may be a loop, Dask, Spark or Ray (`loomdb.ray`).
"""

from ._assign import shard_of
from ._collection import ShardedCollection
from ._files import Place
from ._manifest import Manifest, shard_name
from ._shard import ShardInfo, build_shard, merge_shards

__all__ = [
    "Manifest",
    "Place",
    "ShardInfo",
    "ShardedCollection",
    "build_shard",
    "merge_shards",
    "shard_name",
    "shard_of",
]
