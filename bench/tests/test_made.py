import tempfile
import unittest
from pathlib import Path

import numpy as np

from peers import made


class MadeTest(unittest.TestCase):
    def test_the_seed_decides_every_row(self):
        first, second, other = made.Mixture(), made.Mixture(), made.Mixture(seed=1)
        rows = first.rows(50)
        self.assertEqual((rows.shape, rows.dtype), ((50, made.DIM), np.float32))
        np.testing.assert_array_equal(rows, second.rows(50))
        self.assertFalse(np.array_equal(rows, other.rows(50)))

    def test_rows_lie_in_clusters_of_few_directions(self):
        rows = made.Mixture().rows(3_000).astype(np.float64)
        strengths = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
        # The latent space has 32 directions, and noise alone fills the others.
        self.assertGreater(strengths[31], 5 * strengths[32])

    def test_the_files_are_written_once(self):
        with tempfile.TemporaryDirectory() as directory:
            base, queries = Path(directory) / "base.npy", Path(directory) / "queries.npy"
            made.write(base, queries, rows=120)
            self.assertEqual(np.load(base).shape, (120, made.DIM))
            self.assertEqual(np.load(queries).shape, (made.QUERIES, made.DIM))
            self.assertFalse(np.array_equal(np.load(base)[0], np.load(queries)[0]))
            self.assertEqual(len(list(Path(directory).iterdir())), 2)
