"""The made data set: a million rows of 128 dimensions, the same for every peer.

A row is a point of a 32-dimensional latent space, carried into 128 dimensions by one random linear
map, plus a little noise in every dimension. In the latent space 1,000 Gaussians lie around normal
centers, each of them with 8 axes of its own: so rows come in clusters, and a cluster has fewer
directions than the whole, as real embeddings do. Everything follows from `SEED`.
"""

import os

import numpy as np

NAME = "made"
ROWS = 1_000_000
QUERIES = 1_000
DIM = 128
LATENT_DIM = 32
GAUSSIANS = 1_000
AXES = 8
AXIS_SCALE = 0.5
NOISE = 0.05
SEED = 20_260_101

ROWS_PER_BLOCK = 50_000


class Mixture:
    """A source of rows; the first million are the base, and the queries come before them."""

    def __init__(self, seed=SEED):
        self.random = np.random.default_rng(seed)
        self.centers = self.normal(GAUSSIANS, LATENT_DIM)
        self.axes = AXIS_SCALE * self.normal(GAUSSIANS, AXES, LATENT_DIM)
        self.map = self.normal(LATENT_DIM, DIM) / np.float32(np.sqrt(LATENT_DIM))

    def normal(self, *shape):
        return self.random.standard_normal(shape, dtype=np.float32)

    def rows(self, count):
        gaussian = self.random.integers(GAUSSIANS, size=count)
        along = self.normal(count, 1, AXES)
        latent = self.centers[gaussian] + (along @ self.axes[gaussian])[:, 0]
        return latent @ self.map + np.float32(NOISE) * self.normal(count, DIM)


def paths(cache):
    """The base and the queries, written unless they are there already."""
    base, queries = cache / f"{NAME}_base.npy", cache / f"{NAME}_queries.npy"
    if not (base.exists() and queries.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        write(base, queries)
    return base, queries


def write(base, queries, rows=ROWS):
    """An interrupted run leaves no half-written file under the final name."""
    mixture = Mixture()
    np.save(queries, mixture.rows(QUERIES))
    unfinished = base.with_name(f"{base.stem}.unfinished.npy")
    shape = (rows, DIM)
    array = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, rows, ROWS_PER_BLOCK):
        count = min(ROWS_PER_BLOCK, rows - start)
        array[start : start + count] = mixture.rows(count)
    array.flush()
    os.replace(unfinished, base)
