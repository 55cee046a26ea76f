"""What shards cost: Ray against a loop, a service against its slowest shard, and recall by probe.

    python shards.py --data DIR [--shards 4] [--clusters 16]

DIR holds `minilm_base.npy` and `minilm_queries.npy`. Starts a local cluster of two nodes with one
CPU each. Prints JSON; each time is the best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import loomdb

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

Array = NDArray[np.float32]

FILES = 4
ROUNDS = 2
WARM_QUERIES = 200


def main() -> None:
    arguments = parse()
    data = pathlib.Path(arguments.data)
    rows = np.load(data / "minilm_base.npy").astype(np.float32)
    queries = np.load(data / "minilm_queries.npy").astype(np.float32)
    with tempfile.TemporaryDirectory() as name, LocalCluster():
        directory = pathlib.Path(name)
        files = write(rows, directory)
        figures = {
            "build": build_times(files, directory, arguments.shards),
            "query_ms": query_times(directory / "ray", queries),
            "probe": probe_recalls(files, directory, arguments.clusters, queries),
        }
    print(json.dumps(figures, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="the directory of the data sets")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--clusters", type=int, default=16)
    return parser.parse_args()


class LocalCluster:
    """Two nodes of Ray on this machine."""

    def __enter__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        node: Any = {"num_cpus": 1, "object_store_memory": 500_000_000}
        head = {**node, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._cluster.add_node(**node)
        ray.init(address=self._cluster.address, log_to_driver=False)
        # Both nodes have a worker that has imported loomdb, as a cluster at work has.
        ray.get([ray.remote(lambda: len(loomdb.__name__)).remote() for _ in range(8)])

    def __exit__(self, *error: object) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()  # type: ignore[no-untyped-call]


def write(rows: Array, directory: pathlib.Path) -> pathlib.Path:
    """The rows as Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = directory / "files"
    files.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), FILES)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows[part].ravel()), rows.shape[1])
        pq.write_table(pa.table({"id": part, "vector": vectors}), files / f"{number}.parquet")
    return files


def build_times(files: pathlib.Path, directory: pathlib.Path, shards: int) -> dict[str, float]:
    """Seconds of a build on Ray, and of the same work as two loops side by side."""
    from loomdb.ray import build

    on_ray = best(lambda: build(files, directory / "ray", shards=shards, resume=False))
    alone = best(lambda: loop(files, directory / "loop", shards))
    return {"ray_s": on_ray, "loop_s": alone, "ratio": on_ray / alone}


def loop(files: pathlib.Path, out: pathlib.Path, shards: int) -> None:
    """The shards one after the other, each on both CPUs."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from loomdb.shards._assign import shard_of

    table = pa.concat_tables([pq.read_table(file) for file in sorted(files.iterdir())])
    assigned = shard_of(table.column("id").to_numpy(), shards)
    for number in range(shards):
        rows = table.take(np.flatnonzero(assigned == number))
        loomdb.build_shard(rows, out / loomdb.shards.shard_name(number), threads=2)


def query_times(shards: pathlib.Path, queries: Array) -> dict[str, float]:
    """Milliseconds of a query: through a service, and of the slowest shard in this process."""
    from loomdb.ray import serve

    some = queries[:WARM_QUERIES]

    def served(actors: int | None) -> float:
        with serve(shards, cpus=0.25, actors=actors) as service:
            times = [timed(lambda query=query: service.search(query, k=10)) for query in some]
            again = [timed(lambda query=query: service.search(query, k=10)) for query in some]
        return float(np.median([*times[len(times) // 2 :], *again])) * 1e3

    by_node, by_shard = served(None), served(10_000)
    with loomdb.ShardedCollection(shards) as local:
        slowest = [
            max(timed(lambda shard=shard: shard.search(query, k=10)) for shard in local.collections)
            for query in some
        ]
    slow = float(np.median(slowest)) * 1e3
    return {
        "an_actor_for_each_node": by_node,
        "an_actor_for_each_shard": by_shard,
        "slowest_shard": slow,
        "above": by_node - slow,
    }


def probe_recalls(
    files: pathlib.Path, directory: pathlib.Path, clusters: int, queries: Array
) -> list[dict[str, float]]:
    """Recall and the share of the points that are visited, by the number of shards probed."""
    from loomdb.ray import build

    manifest = build(files, directory / "clusters", shards=clusters, assign="cluster")
    sizes = np.array([shard.points for shard in manifest.finished("clusters")])
    with loomdb.ShardedCollection(directory / "clusters") as docs:
        truth = docs.search(queries, k=10, exact=True).ids
        found = []
        for probe in (1, 2, 3, 4, 6, 8, clusters):
            ids = docs.search(queries, k=10, exact=True, probe=probe).ids
            hits = [len(set(a) & set(b)) for a, b in zip(ids, truth, strict=True)]
            share = visited(docs, queries, probe, sizes)
            found.append({"probe": probe, "recall_at_10": float(np.mean(hits)) / 10, **share})
    return [*found, {"largest_share": float(sizes.max() / sizes.sum())}]


def visited(
    docs: loomdb.ShardedCollection, queries: Array, probe: int, sizes: NDArray[np.int64]
) -> dict[str, float]:
    from loomdb.shards._sharded import route

    asked = route(docs.manifest, queries, probe)
    points = sum(sizes[shard] * len(rows) for shard, rows in asked)
    return {"visited_share": float(points / len(queries) / sizes.sum())}


def best(call: Callable[[], object]) -> float:
    """The shortest time of some rounds."""
    return min(timed(call) for _ in range(ROUNDS))


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
