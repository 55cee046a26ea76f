import json
import os
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from peers import programs
from peers.cases import Inputs, measurement_arguments
from peers.registry import PEERS, Missing, RustPeer
from peers.run import check_run
from peers.truth import exact_neighbors
from tests.samples import sample_case

RUST_PEERS = [peer for peer in PEERS if isinstance(peer, RustPeer)]


class ProgramsTest(unittest.TestCase):
    def test_every_rust_peer_has_a_program_of_the_version_it_measures(self):
        self.assertEqual({peer.package for peer in RUST_PEERS}, set(programs.NAMES))
        for name in programs.NAMES:
            manifest = read_toml(programs.BENCH / name / "Cargo.toml")
            lock = read_toml(programs.BENCH / name / "Cargo.lock")
            version = manifest["package"]["version"]
            self.assertEqual(manifest["package"]["name"], f"peer-{name}")
            self.assertEqual(manifest["dependencies"][name], f"={version}")
            locked = [crate["version"] for crate in lock["package"] if crate["name"] == name]
            self.assertEqual(locked, [version])

    def test_a_program_is_no_member_of_the_workspace(self):
        workspace = read_toml(programs.BENCH.parent / "Cargo.toml")["workspace"]
        for name in programs.NAMES:
            self.assertEqual(read_toml(programs.BENCH / name / "Cargo.toml")["workspace"], {})
            self.assertNotIn(f"bench/{name}", workspace["members"])

    def test_a_program_that_is_not_compiled_is_missing(self):
        with tempfile.TemporaryDirectory() as empty:
            with mock.patch.dict(os.environ, {"CARGO_TARGET_DIR": empty}):
                for peer in RUST_PEERS:
                    with self.assertRaisesRegex(Missing, "python -m peers.install does that"):
                        peer.version()

    def test_a_program_gets_the_flags_of_every_peer(self):
        case, inputs = sample_case(), Inputs(Path("/a"), Path("/b"), Path("/c"))
        for peer in RUST_PEERS:
            program, *flags = peer.command(case, inputs)
            self.assertEqual(program, str(programs.path(peer.package)))
            self.assertEqual(flags, measurement_arguments(case, inputs))


class MeasuredTest(unittest.TestCase):
    """What programs print, where they are compiled."""

    def test_rows_of_every_type_and_metric_are_found(self):
        rows = np.random.default_rng(1).integers(1, 256, (400, 24))
        for peer in RUST_PEERS:
            for dtype in (np.uint8, np.float16, np.float32):
                for metric in ("l2", "cosine"):
                    with self.subTest(peer=peer.name, dtype=dtype, metric=metric):
                        self.assert_found(peer, rows.astype(dtype), metric)

    def assert_found(self, peer, rows, metric):
        case = sample_case(metric=metric, rows=300, threads=2, builds=2)
        with tempfile.TemporaryDirectory() as directory:
            inputs = saved(Path(directory), rows, case)
            run = json.loads(self.output(peer.command(case, inputs)))
        check_run(run, case)
        self.assertEqual(run["dim"], 24)
        self.assertGreater(run["peak_rss_mib"], 0.0)
        recalls = [search["recall_at_10"] for search in run["searches"]]
        self.assertGreater(recalls[0], 0.5)
        self.assertGreater(recalls[-1], 0.99)

    def output(self, command):
        if not Path(command[0]).is_file():
            self.skipTest(f"{programs.COMMAND} compiles the programs")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


def saved(directory, rows, case):
    """The inputs of a case: the rows behind those that it builds from are the queries."""
    inputs = Inputs(*(directory / f"{name}.npy" for name in ("base", "queries", "truth")))
    prefix, queries = rows[: case.rows], rows[case.rows :]
    np.save(inputs.base, rows)
    np.save(inputs.queries, queries)
    np.save(inputs.truth, exact_neighbors(prefix, queries, case.metric))
    return inputs


def read_toml(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))
