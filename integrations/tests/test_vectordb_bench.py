"""The client for VectorDBBench, run by the runners of the benchmark itself."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("vectordb_bench", reason="pip install vectordb-bench==2.0.0")

from vectordb_bench.backend import clients  # noqa: E402
from vectordb_bench.backend.clients.api import MetricType  # noqa: E402
from vectordb_bench.backend.filter import LabelFilter, NewIntFilter, non_filter  # noqa: E402
from vectordb_bench.backend.runner.mp_runner import MultiProcessingSearchRunner  # noqa: E402
from vectordb_bench.backend.runner.serial_runner import SerialSearchRunner  # noqa: E402

# Processes of the benchmark import the client by its name there, so it is put in its place.
PLACE = Path(clients.__file__).parent / "loomdb"
if not PLACE.exists():
    PLACE.symlink_to(Path(__file__).resolve().parents[1] / "vectordbbench" / "loomdb")

from vectordb_bench.backend.clients.loomdb.config import (  # noqa: E402
    LoomdbConfig,
    LoomdbIndexConfig,
)
from vectordb_bench.backend.clients.loomdb.loomdb import Loomdb  # noqa: E402

COUNT, DIM, K = 12_000, 24, 50


def a_client(path, metric, **options):
    config = LoomdbConfig(path=str(path)).to_dict()
    case = LoomdbIndexConfig(metric_type=metric, ef_search=200)
    return Loomdb(DIM, config, case, "test", with_scalar_labels=True, **options)


def load(client, vectors, labels):
    """What a process that loads does: batches, then the optimization."""
    with client.init():
        for start in range(0, COUNT, 3_000):
            rows = list(range(start, start + 3_000))
            embeddings = vectors[rows].tolist()
            inserted = client.insert_embeddings(embeddings, rows, [labels[row] for row in rows])
            assert inserted == (3_000, None)
        client.optimize(COUNT)


def truth(vectors, queries, metric, chosen):
    if metric == MetricType.L2:
        distances = (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
    else:
        distances = -(queries @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T)
    distances[:, ~chosen] = np.inf
    return np.argsort(distances, axis=1)[:, :K].tolist()


@pytest.mark.parametrize("metric", [MetricType.COSINE, MetricType.L2])
def test_the_runners_of_the_benchmark_measure_high_recall(metric, tmp_path):
    numbers = np.random.default_rng(5)
    vectors = numbers.normal(size=(COUNT, DIM)).astype(np.float32)
    queries = numbers.normal(size=(40, DIM)).astype(np.float32)
    labels = np.array(["label_5p" if row % 20 == 0 else "label_95p" for row in range(COUNT)])
    client = a_client(tmp_path / "bench.loom", metric, drop_old=True)
    loader = multiprocessing.get_context("spawn").Process(
        target=load, args=(client, vectors, labels.tolist())
    )
    loader.start()
    loader.join()
    assert loader.exitcode == 0

    everything = np.ones(COUNT, dtype=bool)
    cases = [
        (non_filter, everything),
        (NewIntFilter(int_value=COUNT * 9 // 10, filter_rate=0.9), np.arange(COUNT) >= COUNT * 0.9),
        (LabelFilter(label_percentage=0.05), labels == "label_5p"),
    ]
    for filters, chosen in cases:
        assert Loomdb.filter_supported(filters)
        expected = truth(vectors, queries, metric, chosen)
        runner = SerialSearchRunner(client, queries.tolist(), expected, k=K, filters=filters)
        recall = runner.search((queries.tolist(), expected))[0]
        assert recall >= 0.98, (filters, recall)

    runner = MultiProcessingSearchRunner(
        client, queries.tolist(), k=K, concurrencies=[1, 2], duration=2
    )
    measured = runner.run()
    assert measured[0] > 0


def test_an_insertion_that_fails_says_so_and_old_data_is_dropped(tmp_path):
    client = a_client(tmp_path / "bench.loom", MetricType.IP)
    with client.init():
        assert client.insert_embeddings([[1.0] * DIM], [1], ["a"]) == (1, None)
        count, error = client.insert_embeddings([[1.0] * DIM], [1], ["a"])
    assert count == 0
    assert "1" in str(error)
    again = a_client(tmp_path / "bench.loom", MetricType.IP, drop_old=True)
    with again.init():
        assert again.insert_embeddings([[1.0] * DIM], [1], ["a"]) == (1, None)
