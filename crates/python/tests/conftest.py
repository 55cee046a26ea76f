"""What the tests share: databases, made vectors, and the real data of the repository."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import loomdb

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def db(tmp_path: pathlib.Path) -> Iterator[loomdb.Database]:
    with loomdb.open(tmp_path / "test.loom") as db:
        yield db


@pytest.fixture
def docs() -> loomdb.Collection:
    """Three points in memory."""
    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    metadata = [
        {"lang": "en", "year": 2020, "tags": ["new", "short"]},
        {"lang": "de", "year": 2021},
        {"lang": "en", "stars": 4.5},
    ]
    docs.add(["a", "b", "c"], [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]], metadata)
    return docs


@pytest.fixture(scope="session")
def definitions() -> NDArray[np.float32]:
    """Embeddings of 5,000 definitions of WordNet."""
    rows: NDArray[np.float32] = np.load(ROOT / "data/wordnet/vectors.npy").astype(np.float32)
    return rows


def made(rows: int, dim: int, seed: int = 7) -> NDArray[np.float32]:
    """Rows around a few centers, as embeddings lie."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(20, dim))
    spread = random.normal(scale=0.3, size=(rows, dim))
    return (centers[random.integers(20, size=rows)] + spread).astype(np.float32)


def true_distances(
    metric: str, query: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The distances as their definitions say, in float64."""
    one, all_rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        distances = np.linalg.norm(all_rows - one, axis=1)
    elif metric == "ip":
        distances = -(all_rows @ one)
    else:
        norms = np.linalg.norm(all_rows, axis=1) * np.linalg.norm(one)
        distances = 1 - (all_rows @ one) / norms
    return np.asarray(distances)
