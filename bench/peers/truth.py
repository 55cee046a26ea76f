"""Exact neighbors for the rows of a case, the yardstick of recall.

A data set brings the truth for all of its rows; for a prefix it is computed here and cached.
This runs as a process of its own, because the memory peak of a parent shows up in its children.
"""

import argparse
import os
import zlib
from pathlib import Path

import numpy as np

TRUTH_K = 100
QUERIES_PER_BLOCK = 50


def exact_neighbors(base, queries, metric, k=TRUTH_K):
    """Row numbers of the k nearest of each query, ascending by distance, ties by row number."""
    base, queries = _prepare(base, metric), _prepare(queries, metric)
    squares = np.einsum("ij,ij->i", base, base) if metric == "l2" else 0.0
    blocks = []
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        # For l2 the square of the query is left out: it moves no row past another.
        products = queries[start : start + QUERIES_PER_BLOCK] @ base.T
        distances = squares - 2.0 * products
        blocks.append(np.argsort(distances, axis=1, kind="stable")[:, :k])
    return np.concatenate(blocks).astype(np.int32)


def _prepare(vectors, metric):
    """In f64, squared distances between vectors of bytes come out exact."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if metric != "cosine":
        return vectors
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def truth_path(data, cache, dataset, metric, rows):
    """The file with the truth for the first `rows` rows, computed unless it exists."""
    base = np.load(data / f"{dataset}_base.npy", mmap_mode="r")
    if rows > len(base):
        raise ValueError(f"{dataset} has {len(base)} rows, the case wants {rows}")
    if rows == len(base):
        return data / f"{dataset}_gt{TRUTH_K}.npy"
    prefix, queries = base[:rows], np.load(data / f"{dataset}_queries.npy")
    checksum = zlib.crc32(queries.tobytes(), zlib.crc32(prefix.tobytes()))
    path = cache / f"{dataset}_{metric}_{rows}_{checksum:08x}_gt{TRUTH_K}.npy"
    if not path.exists():
        _save(path, exact_neighbors(prefix, queries, metric))
    return path


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
    print(truth_path(**vars(parser.parse_args())))
