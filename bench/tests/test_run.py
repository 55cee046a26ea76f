import io
import json
import os
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np

from peers.cases import BULK
from peers.registry import Missing
from peers.run import PeerFailed, Settings, alternate, check_run, launch, merge, run_cases, shown
from tests.samples import MACHINE, sample_case, sample_result, sample_run

CORE = [min(os.sched_getaffinity(0))]


class AlternateTest(unittest.TestCase):
    def measure_all(self, warm_up):
        order = []

        def measure(name, command):
            order.append(name)
            return len(order)

        runs, dropped = alternate({"a": ["a"], "b": ["b"]}, measure, repeat=2, warm_up=warm_up)
        self.assertEqual(dropped, {})
        return order, runs

    def test_peers_take_turns(self):
        order, runs = self.measure_all(warm_up=False)
        self.assertEqual(order, ["a", "b", "a", "b"])
        self.assertEqual(runs, {"a": [1, 3], "b": [2, 4]})

    def test_a_warm_up_does_not_count(self):
        order, runs = self.measure_all(warm_up=True)
        self.assertEqual(order, ["a", "b"] * 3)
        self.assertEqual(runs, {"a": [3, 5], "b": [4, 6]})


    def test_a_peer_that_fails_is_dropped_and_the_others_go_on(self):
        order = []

        def measure(name, command):
            order.append(name)
            if order.count("a") == 2 and name == "a":
                raise PeerFailed("no more")
            return len(order)

        with redirect_stderr(io.StringIO()) as said:
            runs, dropped = alternate({"a": [], "b": []}, measure, repeat=3, warm_up=False)
        self.assertEqual(order, ["a", "b", "a", "b", "b"])
        self.assertEqual((runs, dropped), ({"b": [2, 4, 5]}, {"a": "no more"}))
        self.assertIn("a: dropped: no more", said.getvalue())


class FakePeer:
    """A process that prints a run of so many seconds, or a package that is not there."""

    kinds = (BULK,)

    def __init__(self, name, seconds=None):
        self.name, self.seconds = name, seconds

    def version(self):
        if self.seconds is None:
            raise Missing("the package is not installed")
        return "1.0"

    def command(self, case, inputs):
        run = json.dumps(sample_run(self.seconds))
        return [sys.executable, "-c", f"print('a remark'); print({run!r})"]


class RunCasesTest(unittest.TestCase):
    """Whole cases, with processes, on a data set of a few rows."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        rows = np.random.default_rng(1).normal(size=(1_600, 4)).astype(np.float32)
        np.save(self.directory / "sift_base.npy", rows)
        np.save(self.directory / "sift_queries.npy", rows[:5])

    def run_case(self, *peers, case=None):
        """The ids of the failed cases, and the result file."""
        case = case or sample_case()
        out = self.directory / "out"
        settings = Settings(self.directory, self.directory, out, 1, {"note": None})
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            failed = run_cases([case], lambda case: list(peers), settings)
        return failed, json.loads((out / f"{case.id}.json").read_text(encoding="utf-8"))

    def test_a_missing_peer_is_named_and_the_others_are_measured(self):
        peers = FakePeer("hnswlib", 1.0), FakePeer("voyager"), FakePeer("loomdb", 0.1)
        failed, result = self.run_case(*peers)
        self.assertEqual(failed, [])
        self.assertEqual(set(result["peers"]), {"hnswlib", "loomdb"})
        self.assertEqual(result["missing"], {"voyager": "the package is not installed"})
        self.assertAlmostEqual(result["comparisons"]["hnswlib"]["build_ratio"], 10.0)

    def test_without_the_reference_the_case_failed(self):
        failed, result = self.run_case(FakePeer("hnswlib"), FakePeer("loomdb", 0.1))
        self.assertEqual(failed, ["sift-1500-1t"])
        self.assertEqual(set(result["peers"]), {"loomdb"})

    def test_peers_of_earlier_calls_stay_and_are_compared(self):
        self.run_case(FakePeer("hnswlib", 1.0), FakePeer("usearch"))
        self.run_case(FakePeer("usearch", 0.5))
        _, result = self.run_case(FakePeer("loomdb", 0.1))
        self.assertEqual(set(result["peers"]), {"hnswlib", "usearch", "loomdb"})
        self.assertEqual(result["missing"], {})
        self.assertEqual(result["best"]["build"]["peer"], "usearch")

    def test_a_peer_that_is_measured_again_is_replaced(self):
        self.run_case(FakePeer("hnswlib", 1.0))
        _, result = self.run_case(FakePeer("hnswlib", 2.0))
        self.assertEqual(result["peers"]["hnswlib"]["build_seconds"], 2.0)

    def test_another_build_or_machine_is_not_added_to(self):
        measured = {"peers": {"b": 2}, "missing": {}, "machine": MACHINE}
        before = sample_result({"hnswlib": sample_run(1.0)})
        for changed in (before | {"machine": {}}, before | {"case": before["case"] | {"rows": 9}}):
            with mock.patch("peers.compare.result_of", lambda case, peers: {"peers": peers}):
                merged = merge(sample_case(), changed, measured)
            self.assertEqual(merged["peers"], {"b": 2})


class LaunchTest(unittest.TestCase):
    def test_the_process_is_pinned_and_its_object_read(self):
        program = "import json, os; print(json.dumps({'cores': list(os.sched_getaffinity(0))}))"
        run = launch([sys.executable, "-c", program], CORE)
        self.assertEqual(run["cores"], CORE)
        self.assertGreater(run["process"]["peak_rss_mib"], 0)

    def test_a_failing_process_is_reported_with_its_message(self):
        with self.assertRaisesRegex(PeerFailed, "exit code 1: no such file"):
            launch([sys.executable, "-c", "raise SystemExit('no such file')"], CORE)

    def test_other_output_than_an_object_is_reported(self):
        with self.assertRaisesRegex(PeerFailed, "printed no JSON object"):
            launch([sys.executable, "-c", "print('hello')"], CORE)


class CheckRunTest(unittest.TestCase):
    def test_the_run_of_the_case_passes(self):
        check_run(sample_run(0.1), sample_case())

    def test_another_number_of_rows_is_refused(self):
        with self.assertRaisesRegex(PeerFailed, "n is 1400, the case has 1500"):
            check_run(sample_run(0.1, rows=1_400), sample_case())

    def test_other_points_of_ef_search_are_refused(self):
        run = sample_run(0.1)
        run["searches"].pop()
        with self.assertRaisesRegex(PeerFailed, "ef_search is"):
            check_run(run, sample_case())

    def test_another_number_of_builds_is_refused(self):
        with self.assertRaisesRegex(PeerFailed, "1 builds, not 5"):
            check_run(sample_run(0.1), sample_case(builds=5))

    def test_a_row_that_was_not_found_at_once_is_refused(self):
        run = sample_run(0.1) | {"searches": [], "found_at_once": 0.99}
        with self.assertRaisesRegex(PeerFailed, "found 0.99"):
            check_run(run, sample_case(batch=1))
        check_run(run | {"found_at_once": 1.0}, sample_case(batch=1))

    def test_a_missing_field_is_named(self):
        run = json.loads(json.dumps(sample_run(0.1)))
        del run["peak_rss_mib"]
        with self.assertRaisesRegex(PeerFailed, "without peak_rss_mib"):
            check_run(run, sample_case())


class ShownTest(unittest.TestCase):
    def test_directories_are_left_out(self):
        command = ["/somewhere/loomdb", "bench", "--base", "/data/sift_base.npy", "--m", "16"]
        self.assertEqual(shown(command), "loomdb bench --base sift_base.npy --m 16")
