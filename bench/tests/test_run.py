import json
import os
import sys
import unittest

from peers.run import PeerFailed, alternate, check_run, launch, shown
from tests.samples import sample_case, sample_run

CORE = [min(os.sched_getaffinity(0))]


class AlternateTest(unittest.TestCase):
    def measure_all(self, warm_up):
        order = []

        def measure(name, command):
            order.append(name)
            return len(order)

        runs = alternate({"a": ["a"], "b": ["b"]}, measure, repeat=2, warm_up=warm_up)
        return order, runs

    def test_peers_take_turns(self):
        order, runs = self.measure_all(warm_up=False)
        self.assertEqual(order, ["a", "b", "a", "b"])
        self.assertEqual(runs, {"a": [1, 3], "b": [2, 4]})

    def test_a_warm_up_does_not_count(self):
        order, runs = self.measure_all(warm_up=True)
        self.assertEqual(order, ["a", "b"] * 3)
        self.assertEqual(runs, {"a": [3, 5], "b": [4, 6]})


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

    def test_a_missing_field_is_named(self):
        run = json.loads(json.dumps(sample_run(0.1)))
        del run["peak_rss_mib"]
        with self.assertRaisesRegex(PeerFailed, "without peak_rss_mib"):
            check_run(run, sample_case())


class ShownTest(unittest.TestCase):
    def test_directories_are_left_out(self):
        command = ["/somewhere/loomdb", "bench", "--base", "/data/sift_base.npy", "--m", "16"]
        self.assertEqual(shown(command), "loomdb bench --base sift_base.npy --m 16")
