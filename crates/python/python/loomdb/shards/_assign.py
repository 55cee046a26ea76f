"""Which shard a point belongs to: by a hash of its id, or by the nearest center."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .._types import Metric


def shard_of(ids: Any, shards: int) -> NDArray[np.int64]:
    """The shard of each id by its hash: the same on every machine, for ever.

    Args:
        ids: Integers from 0 to 2^64 - 1 or strings, as an array or a list.
        shards: How many shards there are.

    >>> from loomdb.shards import shard_of
    >>> shard_of(["a", "b", "c"], 7)
    array([4, 0, 2])
    """
    import numpy as np

    return (hashed(ids) % np.uint64(shards)).astype(np.int64)


def hashed(ids: Any) -> NDArray[np.uint64]:
    """A number for each id, evenly spread."""
    import numpy as np

    if not len(ids) or not isinstance(ids[0], str):
        keys = ids.astype(np.uint64) if isinstance(ids, np.ndarray) else np.array(ids, np.uint64)
        return _mixed(keys)
    digests = (blake2b(id.encode(), digest_size=8).digest() for id in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64: numbers in a row are spread evenly."""
    import numpy as np

    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def nearest_centers(
    vectors: NDArray[np.float32],
    centers: NDArray[np.float32],
    metric: Metric,
    count: int,
) -> NDArray[np.int64]:
    """The `count` centers nearest to each vector, nearest first."""
    import numpy as np

    rows = directions(vectors) if metric != "l2" else vectors
    distances = np.square(centers).sum(1) - 2.0 * (rows @ centers.T)
    order: NDArray[np.int64] = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order


def directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors at unit length."""
    import numpy as np

    norms: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = 1
    units: NDArray[np.float32] = vectors / norms
    return units


def centers_of(
    sample: NDArray[np.float32],
    count: int,
    metric: Metric,
    seed: int,
) -> NDArray[np.float32]:
    """The centers of `count` clusters of a sample, by k-means."""
    import numpy as np

    from .._results import package

    rows = directions(sample) if metric != "l2" else sample
    cluster = package("sklearn.cluster", "ray")
    means = cluster.KMeans(count, n_init=1, random_state=seed).fit(rows)
    return np.asarray(means.cluster_centers_, dtype=np.float32)
