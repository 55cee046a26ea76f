"""The module for ann-benchmarks, run by what its harness does.

ann-benchmarks is on no package registry, so its base class, its expansion of `config.yml` and its
order of calls are written here as its documentation describes them.
"""

import importlib.util
import sys
import types
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

HERE = Path(__file__).parents[1] / "ann_benchmarks"


class BaseANN:
    """What the harness asks of an algorithm, and what it does if that says nothing."""

    def done(self):
        pass

    def fit(self, X):
        pass

    def query(self, q, n):
        return []

    def get_additional(self):
        return {}

    def __str__(self):
        return self.name


@pytest.fixture(scope="module")
def module():
    """The module under the name that it has in the harness."""
    names = ["ann_benchmarks", "ann_benchmarks.algorithms", "ann_benchmarks.algorithms.base"]
    packages = {name: types.ModuleType(name) for name in names}
    for package in packages.values():
        package.__path__ = []
    base = types.ModuleType("ann_benchmarks.algorithms.base.module")
    base.BaseANN = BaseANN
    name = "ann_benchmarks.algorithms.loomdb.module"
    spec = importlib.util.spec_from_file_location(name, HERE / "module.py")
    loaded = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for package in [*packages.values(), base]:
            patch.setitem(sys.modules, package.__name__, package)
        spec.loader.exec_module(loaded)
        yield loaded


def definitions(metric):
    """The constructors' arguments and the query arguments of every run group."""
    [entry] = yaml.safe_load((HERE / "config.yml").read_text())["float"]["any"]
    assert entry["module"] == "ann_benchmarks.algorithms.loomdb"
    base = [metric if argument == "@metric" else argument for argument in entry["base_args"]]
    for name, group in entry["run_groups"].items():
        for arguments in group["arg_groups"]:
            query_arguments = list(product(*group["query_args"]))
            yield entry["constructor"], name, [*base, arguments], query_arguments


def exact(rows, queries, metric, k):
    if metric == "angular":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.argsort(-(queries @ rows.T), axis=1)[:, :k]
    squares = (rows**2).sum(axis=1)
    return np.argsort(squares - 2 * queries @ rows.T, axis=1)[:, :k]


def recall(found, truth):
    shared = [len(set(one.tolist()) & set(two.tolist())) for one, two in zip(found, truth)]
    return sum(shared) / truth.size


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_every_definition_of_the_configuration_runs(module, metric):
    numbers = np.random.default_rng(7)
    rows, queries = numbers.normal(size=(4_000, 16)), numbers.normal(size=(50, 16))
    truth = exact(rows, queries, metric, 10)
    for constructor, group, arguments, query_arguments in definitions(metric):
        algorithm = getattr(module, constructor)(*arguments)
        algorithm.fit(rows)
        recalls = []
        for each in query_arguments:
            algorithm.set_query_arguments(*each)
            found = [np.asarray(algorithm.query(query, 10)) for query in queries]
            assert all(len(ids) == 10 for ids in found)
            recalls.append(recall(found, truth))
            algorithm.batch_query(queries, 10)
            assert np.array_equal(algorithm.get_batch_results(), np.array(found))
        assert str(algorithm).endswith(f"ef_search={each[0]})")
        assert recalls[-1] >= 0.99, (group, recalls)
        assert recalls[0] < recalls[-1], (group, recalls)
        algorithm.done()
