"""Where the rows of a case are, and their exact neighbors, the yardstick of recall.

A data set brings the truth for all of its rows; for a prefix it is computed here and cached. The
made data set is written to the cache in the first place.
This runs as a process of its own, because the memory peak of a parent shows up in its children.
"""

import argparse
import json
import os
import zlib
from pathlib import Path

import numpy as np

from peers import made

TRUTH_K = 100
QUERIES_PER_BLOCK = 50


def exact_neighbors(base, queries, metric, k=TRUTH_K):
    """Row numbers of the k nearest of each query, ascending by distance, ties by row number."""
    base, queries = _prepare(base, metric), _prepare(queries, metric)
    squares = np.einsum("ij,ij->i", base, base) if metric == "l2" else 0.0
    nearest = []
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        # For l2 the square of the query is left out: it moves no row past another.
        products = queries[start : start + QUERIES_PER_BLOCK] @ base.T
        nearest += [_smallest(distances, k) for distances in squares - 2.0 * products]
    return np.array(nearest, dtype=np.int32)


def _smallest(distances, k):
    """Positions of the k smallest in order; of equal ones the first come first."""
    if k < len(distances):
        bound = np.partition(distances, k - 1)[k - 1]
        candidates = np.flatnonzero(distances <= bound)
    else:
        candidates = np.arange(len(distances))
    return candidates[np.argsort(distances[candidates], kind="stable")][:k]


def _prepare(vectors, metric):
    """In f64, squared distances between vectors of bytes come out exact."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if metric != "cosine":
        return vectors
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def inputs(data, cache, dataset, metric, rows):
    """The files of the base, the queries and the truth for the first `rows` rows."""
    if dataset == made.NAME:
        base, queries = made.paths(cache)
    else:
        base, queries = data / f"{dataset}_base.npy", data / f"{dataset}_queries.npy"
    vectors = np.load(base, mmap_mode="r")
    if rows > len(vectors):
        raise ValueError(f"{dataset} has {len(vectors)} rows, the case wants {rows}")
    given = data / f"{dataset}_gt{TRUTH_K}.npy"
    if rows == len(vectors) and given.exists():
        return base, queries, given
    prefix, asked = vectors[:rows], np.load(queries)
    checksum = zlib.crc32(asked, zlib.crc32(prefix))
    truth = cache / f"{dataset}_{metric}_{rows}_{checksum:08x}_gt{TRUTH_K}.npy"
    if not truth.exists():
        _save(truth, exact_neighbors(prefix, asked, metric))
    return base, queries, truth


def _save(path, array):
    """An interrupted run leaves no half-written file under the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.stem}.unfinished.npy")
    np.save(unfinished, array)
    os.replace(unfinished, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--rows", type=int, required=True)
    print(json.dumps([str(path) for path in inputs(**vars(parser.parse_args()))]))
