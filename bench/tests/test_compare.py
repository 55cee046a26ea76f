import unittest

from peers.compare import compare_speed, memory_bound_mib, pareto_frontier, result_of, speed_at
from tests.samples import sample_case, sample_run


def searches(*points):
    return [{"recall_at_10": recall, "queries_per_second": speed} for recall, speed in points]


class SpeedAtRecallTest(unittest.TestCase):
    def test_between_two_points_speed_is_linear_in_recall(self):
        speed = speed_at(searches((0.94, 1000.0), (0.98, 600.0)), 0.95)
        self.assertAlmostEqual(speed.value, 900.0)
        self.assertEqual(speed.relation, "=")

    def test_a_measured_point_is_returned_as_it_is(self):
        points = searches((0.95, 2000.0), (0.97, 1500.0), (0.99, 1000.0))
        for recall, value in ((0.95, 2000.0), (0.97, 1500.0), (0.99, 1000.0)):
            speed = speed_at(points, recall)
            self.assertEqual((speed.value, speed.relation), (value, "="))

    def test_a_higher_recall_at_the_smallest_ef_search_is_a_lower_bound(self):
        speed = speed_at(searches((0.97, 1000.0), (0.99, 500.0)), 0.95)
        self.assertEqual((speed.value, speed.relation), (1000.0, ">="))

    def test_a_recall_never_reached_has_no_speed(self):
        speed = speed_at(searches((0.90, 1000.0), (0.973, 500.0)), 0.99)
        self.assertEqual((speed.value, speed.relation, speed.max_recall), (None, "max", 0.973))

    def test_a_point_beaten_in_both_does_not_count(self):
        points = searches((0.94, 1000.0), (0.96, 100.0), (0.98, 600.0))
        self.assertEqual(pareto_frontier(points), [(0.94, 1000.0), (0.98, 600.0)])
        self.assertAlmostEqual(speed_at(points, 0.96).value, 800.0)

    def test_of_equal_recalls_only_the_fastest_counts(self):
        points = searches((1.0, 500.0), (1.0, 200.0), (0.9, 900.0), (0.9, 900.0))
        self.assertEqual(pareto_frontier(points), [(0.9, 900.0), (1.0, 500.0)])


class CompareSpeedTest(unittest.TestCase):
    def test_equal_speed_is_met_and_a_little_less_is_not(self):
        self.assertTrue(compare_speed({"value": 100.0}, {"value": 100.0})["met"])
        self.assertFalse(compare_speed({"value": 99.9}, {"value": 100.0})["met"])

    def test_only_the_other_reaches_the_recall(self):
        self.assertFalse(compare_speed({"value": None}, {"value": 1.0})["met"])

    def test_only_the_subject_reaches_the_recall(self):
        self.assertTrue(compare_speed({"value": 1.0}, {"value": None})["met"])


class MemoryBoundTest(unittest.TestCase):
    def test_narrow_vectors_may_take_twice_their_size(self):
        # 2^20 rows: 512 MiB of vectors and 128 MiB of links.
        self.assertEqual(memory_bound_mib(2**20, 128), 2 * (512 + 128) + 64)

    def test_wide_vectors_may_take_half_as_much_again(self):
        self.assertEqual(memory_bound_mib(2**20, 384), 1.5 * (1536 + 128) + 64)
        self.assertEqual(memory_bound_mib(2**20, 383), 2 * (1532 + 128) + 64)


class ResultTest(unittest.TestCase):
    def test_medians_are_compared_and_turns_give_the_range(self):
        runs = {
            "hnswlib": [sample_run(seconds) for seconds in (1.0, 1.2, 5.0)],
            "loomdb": [sample_run(seconds) for seconds in (0.1, 0.2, 0.3)],
        }
        result = result_of(sample_case(), runs)
        comparison = result["comparisons"]["hnswlib"]
        self.assertAlmostEqual(comparison["build_ratio"], 6.0)
        self.assertAlmostEqual(comparison["build_ratio_range"][0], 6.0)
        self.assertAlmostEqual(comparison["build_ratio_range"][1], 5.0 / 0.3)
        self.assertTrue(comparison["build_met"])

    def test_a_ratio_under_the_required_one_is_missed(self):
        runs = {"hnswlib": [sample_run(1.0)], "loomdb": [sample_run(0.201)]}
        comparison = result_of(sample_case(build_ratio=5.0), runs)["comparisons"]["hnswlib"]
        self.assertFalse(comparison["build_met"])

    def test_the_largest_peak_of_all_runs_meets_the_bound_or_misses_it(self):
        runs = {"loomdb": [sample_run(0.1, peak_rss_mib=peak) for peak in (40.0, 90.0, 41.0)]}
        memory = result_of(sample_case(), runs)["memory"]
        self.assertEqual(memory["peak_mib"], 90.0)
        self.assertFalse(memory["met"])

    def test_a_growing_collection_has_no_bound(self):
        memory = result_of(sample_case(batch=100), {"loomdb": [sample_run(0.1)]})["memory"]
        self.assertIsNone(memory["met"])

    def test_without_loomdb_there_is_nothing_to_compare(self):
        result = result_of(sample_case(), {"hnswlib": [sample_run(1.0)]})
        self.assertEqual(result["comparisons"], {})
        self.assertIsNone(result["memory"])
