import tempfile
import unittest
from pathlib import Path

import numpy as np

from peers.measure import recall_at_k
from peers.truth import exact_neighbors, inputs


class ExactNeighborsTest(unittest.TestCase):
    def test_l2_agrees_with_the_definition(self):
        generator = np.random.default_rng(1)
        base = generator.integers(0, 256, (300, 20), dtype=np.uint8)
        queries = generator.integers(0, 256, (120, 20), dtype=np.uint8)
        differences = queries[:, None].astype(np.int64) - base[None].astype(np.int64)
        expected = np.argsort((differences**2).sum(axis=2), axis=1, kind="stable")[:, :7]
        np.testing.assert_array_equal(exact_neighbors(base, queries, "l2", k=7), expected)

    def test_cosine_ignores_length(self):
        base = np.array([[10.0, 0.1], [0.0, 1.0], [1.0, 1.0]], dtype=np.float16)
        queries = np.array([[0.1, 0.0]], dtype=np.float16)
        np.testing.assert_array_equal(exact_neighbors(base, queries, "cosine"), [[0, 2, 1]])

    def test_ties_go_to_the_smaller_row(self):
        base = np.array([[1], [9], [3], [8]] * 50, dtype=np.uint8)
        queries = np.array([[2]], dtype=np.uint8)
        np.testing.assert_array_equal(exact_neighbors(base, queries, "l2"), [range(0, 200, 2)])


class InputsTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.data, self.cache = Path(directory.name), Path(directory.name) / "cache"
        self.save_base(np.arange(200, dtype=np.uint8)[:, None])
        np.save(self.data / "toy_queries.npy", np.array([[7], [40]], dtype=np.uint8))

    def save_base(self, base):
        np.save(self.data / "toy_base.npy", base)

    def truth_path(self, rows):
        base, queries, truth = inputs(self.data, self.cache, "toy", "l2", rows)
        self.assertEqual(base, self.data / "toy_base.npy")
        self.assertEqual(queries, self.data / "toy_queries.npy")
        return truth

    def test_all_rows_use_the_truth_of_the_data_set(self):
        (self.data / "toy_gt100.npy").touch()
        self.assertEqual(self.truth_path(200), self.data / "toy_gt100.npy")
        self.assertNotEqual(self.truth_path(199), self.data / "toy_gt100.npy")

    def test_a_prefix_gets_its_own_truth(self):
        truth = np.load(self.truth_path(10))
        self.assertEqual(truth.dtype, np.int32)
        self.assertEqual(truth[:, 0].tolist(), [7, 9])

    def test_other_data_under_the_same_name_is_computed_again(self):
        before = self.truth_path(10)
        self.assertEqual(self.truth_path(10), before)
        self.save_base(np.arange(200, dtype=np.uint8)[::-1, None])
        self.assertNotEqual(self.truth_path(10), before)

    def test_more_rows_than_there_are_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "toy has 200 rows, the case wants 201"):
            self.truth_path(201)


class RecallTest(unittest.TestCase):
    def test_order_within_the_first_k_does_not_matter(self):
        truth = np.array([[1, 2, 3, 9], [4, 5, 6, 9]])
        rows = np.array([[3, 2, 1], [4, 9, 8]])
        self.assertAlmostEqual(recall_at_k(rows, truth, 3), 4 / 6)
