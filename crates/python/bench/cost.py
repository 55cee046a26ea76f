"""What Python adds to the costs of the Rust library, and how threads scale.

    python cost.py --rust ../../../target/release/examples/call_cost [--rows 100000] [--dim 384]

The same rows and queries go through `call_cost`, which is the same loop in Rust. Both are built
with the same optimizations: `cargo build --release -p loomdb --example call_cost`, and the
package by `pip install ./crates/python`. Each figure is the best of some rounds, unless it says
otherwise. Linux: threads are given a core each.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import loomdb

ROUNDS = 3
QUERIES = 2000


def main() -> None:
    arguments = parse()
    rows, queries = made(arguments.rows, arguments.dim), made(QUERIES, arguments.dim, seed=2)
    small = made(1000, arguments.dim)
    figures: dict[str, Any] = {"import_ms": import_ms(), "python": {}, "rust": {}, "threads": {}}
    for name, vectors in (("small", small), ("large", rows)):
        figures["rust"][name] = rust(arguments.rust, vectors, queries)
        add_s, docs = min((added(vectors) for _ in range(ROUNDS)), key=lambda pair: pair[0])
        figures["python"][name] = {"add_s": round(add_s, 4)} | python(docs, queries)
        figures["threads"][name] = scaling(docs, queries)
    print(json.dumps(figures, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rust", required=True, help="the program call_cost")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    return parser.parse_args()


def made(rows: int, dim: int, seed: int = 1) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0).normal(size=(200, dim))
    near = centers[random.integers(200, size=rows)]
    return (near + random.normal(scale=0.5, size=(rows, dim))).astype(np.float32)


def import_ms() -> float:
    """The time of `import loomdb` beyond that of starting Python, as its own clock says."""
    program = "import time; s = time.perf_counter(); import loomdb; print(time.perf_counter() - s)"
    runs = [subprocess.check_output([sys.executable, "-c", program]) for _ in range(10)]
    return round(min(float(run) for run in runs) * 1000, 2)


def rust(program: str, rows: NDArray[np.float32], queries: NDArray[np.float32]) -> object:
    with tempfile.TemporaryDirectory() as directory:
        files = [pathlib.Path(directory, "rows.npy"), pathlib.Path(directory, "queries.npy")]
        np.save(files[0], rows)
        np.save(files[1], queries)
        return json.loads(subprocess.check_output([program, *files]))


def added(rows: NDArray[np.float32]) -> tuple[float, loomdb.Collection]:
    """A collection of some rows, and how long it took to add them."""
    docs = loomdb.open(":memory:").collection("docs")
    ids = np.arange(len(rows))
    return seconds(lambda: docs.add(ids, rows)), docs


def python(docs: loomdb.Collection, queries: NDArray[np.float32]) -> dict[str, float]:
    search = docs.search

    def searched() -> None:
        for query in queries:
            search(query, k=10)

    def read() -> None:
        for query in queries:
            hits = search(query, k=10)
            assert len(hits.ids) == len(hits.distances)

    each = 1e6 / len(queries)
    return {
        "search_us": round(min(seconds(searched) for _ in range(ROUNDS)) * each, 3),
        "search_and_arrays_us": round(min(seconds(read) for _ in range(ROUNDS)) * each, 3),
    }


def scaling(docs: loomdb.Collection, queries: NDArray[np.float32]) -> dict[str, float]:
    """How many times as many searches two threads make as one; the median of some rounds."""
    rounds = [[searches_per_second(docs, queries, threads) for threads in (1, 2)] for _ in range(8)]
    one, two = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(two / one for one, two in rounds)
    return {"one_thread_qps": round(one), "two_threads_qps": round(two), "ratio": round(ratio, 3)}


def searches_per_second(
    docs: loomdb.Collection, queries: NDArray[np.float32], threads: int
) -> float:
    """What some threads do together, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))

    def work(core: int) -> float:
        os.sched_setaffinity(0, [core])
        search_for(docs, queries, 0.1)
        return search_for(docs, queries, 0.4)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, cores[:threads]))


def search_for(docs: loomdb.Collection, queries: NDArray[np.float32], time_s: float) -> float:
    """Searches one query after the other for some time, and returns how many in a second."""
    started, searches = time.perf_counter(), 0
    while time.perf_counter() - started < time_s:
        for query in queries[:100]:
            docs.search(query, k=10)
        searches += 100
    return searches / (time.perf_counter() - started)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
