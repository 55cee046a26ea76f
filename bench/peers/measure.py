"""What the process of a Python peer does: load, build, search, print one JSON object.

The object has the shape that `loomdb bench build --json` prints, so nothing behind it needs to
know which peer it came from. A peer brings only an engine: a class with

    build(vectors, options) -> engine      the part that is timed
    search(queries, k, ef_search) -> rows  row numbers, a line each query, on one thread
    index_mib() -> float or None

and, if it can grow, `create(rows, dim, options)` and `add(vectors)` as well.
"""

import argparse
import json
import statistics
import time

import numpy as np

from peers.cases import K

SEARCH_PASSES = 3

# Of rows that are added one by one every so many-th is asked for at once, outside of the timing.
PROBE_EVERY = 100
PROBE_EF_SEARCH = 64


def run(engine):
    options = parse_options()
    vectors = load_vectors(options.base, options.rows)
    rss_before_build_mib = memory_mib("VmRSS")
    index, seconds, found_at_once = timed_builds(engine, vectors, options)
    result = {
        "n": len(vectors),
        "dim": vectors.shape[1],
        "metric": options.metric,
        "threads": options.threads,
        "parameters": {"m": options.m, "ef_construction": options.ef_construction},
        "build_seconds": {"median": statistics.median(seconds), "all": seconds},
        "vectors_per_second": len(vectors) / statistics.median(seconds),
        "found_at_once": found_at_once,
        "rss_before_build_mib": rss_before_build_mib,
        "peak_rss_mib": memory_mib("VmHWM"),
        "index_mib": index.index_mib(),
        "searches": measure_searches(index, options),
    }
    print(json.dumps(result))


def parse_options():
    parser = argparse.ArgumentParser()
    for name in ("base", "queries", "truth", "metric"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("rows", "threads", "m", "ef-construction", "repeat"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--ef-search", type=parse_integers, required=True)
    parser.add_argument("--chunk", type=int, help="rows a call (default: all rows in one)")
    return parser.parse_args()


def parse_integers(text):
    return [int(number) for number in text.split(",") if number]


def load_vectors(path, rows=None):
    return np.load(path, mmap_mode="r")[:rows].astype(np.float32)


def units(vectors, metric):
    """The rows themselves, or for cosine of length 1: for a library that knows only products."""
    if metric != "cosine":
        return vectors
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed_builds(engine, vectors, options):
    seconds, found_at_once = [], None
    for _ in range(options.repeat):
        index = None  # The previous build goes first, or the memory peak would be that of two.
        if options.chunk == 1:
            index, elapsed, found_at_once = add_one_by_one(engine, vectors, options)
        else:
            index, elapsed = timed_build(engine, vectors, options)
        seconds.append(elapsed)
    return index, seconds, found_at_once


def timed_build(engine, vectors, options):
    start = time.perf_counter()
    if options.chunk is None:
        index = engine.build(vectors, options)
    else:
        index = engine.create(*vectors.shape, options)
        for first in range(0, len(vectors), options.chunk):
            index.add(vectors[first : first + options.chunk])
    return index, time.perf_counter() - start


def add_one_by_one(engine, vectors, options):
    """The time within the calls that add, and the share of probed rows that were found."""
    index = engine.create(*vectors.shape, options)
    elapsed, probed, found = 0.0, 0, 0
    for row in range(len(vectors)):
        one = vectors[row : row + 1]
        start = time.perf_counter()
        index.add(one)
        elapsed += time.perf_counter() - start
        if row % PROBE_EVERY == 0:
            probed += 1
            found += row in index.search(one, 1, PROBE_EF_SEARCH)[0]
    return index, elapsed, found / probed


def measure_searches(index, options):
    queries = load_vectors(options.queries)
    truth = np.load(options.truth)
    return [measure_search(index, queries, truth, ef_search) for ef_search in options.ef_search]


def measure_search(index, queries, truth, ef_search):
    seconds = []
    for _ in range(SEARCH_PASSES):
        start = time.perf_counter()
        rows = index.search(queries, K, ef_search)
        seconds.append(time.perf_counter() - start)
    return {
        "ef_search": ef_search,
        "recall_at_10": recall_at_k(rows, truth, K),
        "queries_per_second": len(queries) / min(seconds),
    }


def recall_at_k(rows, truth, k):
    found = sum(len(np.intersect1d(row[:k], exact[:k])) for row, exact in zip(rows, truth))
    return found / (k * len(truth))


def memory_mib(field):
    """Resident memory of this process: `VmRSS` is the present value, `VmHWM` the peak.

    Not `getrusage`: its peak starts from that of the process which launched this one.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) / 1024
    raise LookupError(f"/proc/self/status has no {field}")
