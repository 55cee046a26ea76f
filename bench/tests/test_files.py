"""Promise: NumPy and pyarrow read a database without loomdb.

Runs where pyarrow is installed and the command was built; neither is needed for anything else.
"""

import importlib.util
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

from peers.run import BENCH

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", BENCH.parent / "target"))
LOOMDB = TARGET / "release" / "loomdb"
SEGMENT = Path("default") / "seg-00000001"
ROWS, DIM = 3_000, 24


@unittest.skipUnless(importlib.util.find_spec("pyarrow"), "pyarrow is not installed")
@unittest.skipUnless(LOOMDB.exists(), f"{LOOMDB} is not built")
class FilesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.rows = np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(np.float32)

    def imported(self, file):
        """The vectors and the ids of a database made from a file, as other tools read them."""
        import pyarrow

        database = self.directory / "a.loom"
        command = [LOOMDB, "import", file, database, "--metric", "l2"]
        subprocess.run(command, check=True, capture_output=True)
        vectors = np.load(database / SEGMENT / "vectors.npy", mmap_mode="r")
        with pyarrow.ipc.open_file(database / SEGMENT / "points.arrow") as points:
            table = points.read_all()
        self.assertEqual(table.column_names, ["id"])
        self.assertEqual((vectors.shape, vectors.dtype), ((ROWS, DIM), np.dtype("<f4")))
        self.assertTrue(vectors.flags.c_contiguous)
        return vectors, table["id"]

    def test_rows_without_ids_are_found_by_their_number(self):
        import pyarrow

        np.save(self.directory / "rows.npy", self.rows)
        vectors, ids = self.imported(self.directory / "rows.npy")
        self.assertEqual(ids.type, pyarrow.uint64())
        self.assertEqual(sorted(ids.to_pylist()), list(range(ROWS)))
        np.testing.assert_array_equal(vectors, self.rows[ids.to_numpy()])

    def test_texts_stay_with_their_rows(self):
        import pyarrow
        import pyarrow.parquet

        names = [f"row {number}" for number in range(ROWS)]
        table = pyarrow.table({"id": names, "vector": list(self.rows)})
        pyarrow.parquet.write_table(table, self.directory / "rows.parquet")
        vectors, ids = self.imported(self.directory / "rows.parquet")
        self.assertEqual(ids.type, pyarrow.string())
        order = [int(name.split()[1]) for name in ids.to_pylist()]
        self.assertEqual(sorted(order), list(range(ROWS)))
        np.testing.assert_array_equal(vectors, self.rows[order])
