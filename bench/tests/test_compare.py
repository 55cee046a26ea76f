import unittest

from peers.compare import (
    compare_again,
    compare_speed,
    growth_of,
    memory_bound_mib,
    pareto_frontier,
    result_of,
    speed_at,
)
from tests.samples import RECALLS, sample_case, sample_peer, sample_result, sample_run


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

    def test_a_required_ratio_counts(self):
        self.assertTrue(compare_speed({"value": 120.0}, {"value": 100.0}, required=1.2)["met"])
        self.assertFalse(compare_speed({"value": 119.0}, {"value": 100.0}, required=1.2)["met"])

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
        peers = {
            "hnswlib": [sample_run(seconds) for seconds in (1.0, 1.2, 5.0)],
            "loomdb": [sample_run(seconds) for seconds in (0.1, 0.2, 0.3)],
        }
        comparison = sample_result(peers)["comparisons"]["hnswlib"]
        self.assertAlmostEqual(comparison["build_ratio"], 6.0)
        self.assertAlmostEqual(comparison["build_ratio_range"][0], 6.0)
        self.assertAlmostEqual(comparison["build_ratio_range"][1], 5.0 / 0.3)
        self.assertTrue(comparison["build_met"])

    def test_peers_of_different_calls_took_no_turns(self):
        peers = {
            "hnswlib": sample_peer(sample_run(1.0), measured="2026-01-01"),
            "loomdb": sample_peer(sample_run(0.1), measured="2026-01-02"),
        }
        comparison = result_of(sample_case(), peers)["comparisons"]["hnswlib"]
        self.assertIsNone(comparison["build_ratio_range"])
        self.assertAlmostEqual(comparison["build_ratio"], 10.0)

    def test_a_ratio_under_the_required_one_is_missed(self):
        result = sample_result({"hnswlib": sample_run(1.0), "loomdb": sample_run(0.201)})
        self.assertFalse(result["comparisons"]["hnswlib"]["build_met"])

    def test_the_largest_peak_of_all_runs_meets_the_bound_or_misses_it(self):
        runs = [sample_run(0.1, peak_rss_mib=peak) for peak in (40.0, 90.0, 41.0)]
        memory = sample_result({"loomdb": runs})["memory"]
        self.assertEqual(memory["peak_mib"], 90.0)
        self.assertFalse(memory["met"])

    def test_a_growing_collection_has_no_bound(self):
        memory = sample_result({"loomdb": sample_run(0.1)}, batch=100)["memory"]
        self.assertIsNone(memory["met"])

    def test_without_loomdb_there_is_nothing_to_compare(self):
        result = sample_result({"hnswlib": sample_run(1.0), "usearch": sample_run(2.0)})
        self.assertEqual(result["comparisons"], {})
        self.assertEqual((result["memory"], result["best"], result["floor"]), (None, None, None))

    def test_definitions_that_changed_judge_old_runs(self):
        result = sample_result({"hnswlib": sample_run(1.0), "loomdb": sample_run(0.1)})
        result["case"]["build_ratio"] = 11.0
        self.assertFalse(compare_again(result)["comparisons"]["hnswlib"]["build_met"])


class BestTest(unittest.TestCase):
    def best(self, **changes):
        peers = {
            "hnswlib": sample_run(1.0, fastest=10_000.0),
            "usearch": sample_run(0.5, fastest=4_000.0),
            "svs-vamana": sample_run(4.0, fastest=16_000.0),
            "loomdb": sample_run(0.1, fastest=20_000.0),
        }
        return sample_result(peers, **changes)["best"]

    def test_the_fastest_builder_need_not_be_the_reference(self):
        build = self.best(best_ratio=5.0)["build"]
        self.assertEqual((build["peer"], build["met"]), ("usearch", True))
        self.assertAlmostEqual(build["ratio"], 5.0)
        self.assertFalse(self.best(best_ratio=5.01)["build"]["met"])

    def test_the_fastest_searcher_is_sought_by_itself(self):
        for recall in ("0.95", "0.99"):
            search = self.best(search_ratio=1.2)["search"][recall]
            self.assertEqual((search["peer"], search["met"]), ("svs-vamana", True))
            self.assertAlmostEqual(search["ratio"], 1.25)
            self.assertFalse(self.best(search_ratio=1.3)["search"][recall]["met"])

    def test_what_is_not_required_is_neither_met_nor_missed(self):
        self.assertIsNone(self.best()["build"]["met"])
        self.assertIsNone(self.best()["search"]["0.95"]["met"])

    def test_a_recall_that_no_other_reaches_is_met(self):
        low = [recall - 0.05 for recall in RECALLS]
        peers = {"hnswlib": sample_run(1.0, recalls=low), "usearch": sample_run(1.0, recalls=low)}
        peers["loomdb"] = sample_run(0.1)
        search = sample_result(peers, search_ratio=1.2)["best"]["search"]["0.99"]
        self.assertEqual((search["ratio"], search["met"]), (None, True))

    def test_the_reference_alone_is_no_field_to_be_best_of(self):
        result = sample_result({"hnswlib": sample_run(1.0), "loomdb": sample_run(0.1)})
        self.assertIsNone(result["best"])


class FloorTest(unittest.TestCase):
    def floor(self, *ratios):
        runs = [sample_run(0.1) | {"floor": {"ratio": ratio, "seconds": 1.0}} for ratio in ratios]
        return sample_result({"loomdb": runs})["floor"]

    def test_the_median_of_the_runs_is_held_against_the_bound(self):
        self.assertEqual(self.floor(9.0, 2.5, 1.0)["ratio"], 2.5)
        self.assertTrue(self.floor(9.0, 2.5, 1.0)["met"])
        self.assertFalse(self.floor(2.51)["met"])

    def test_a_build_that_does_not_tell_is_not_judged(self):
        self.assertIsNone(sample_result({"loomdb": sample_run(0.1)})["floor"])
        runs = [sample_run(0.1) | {"floor": {"ratio": 2.0}}, sample_run(0.1)]
        self.assertIsNone(sample_result({"loomdb": runs})["floor"])

    def test_a_growing_collection_has_no_floor(self):
        run = sample_run(0.1) | {"floor": {"ratio": 2.0}}
        self.assertIsNone(sample_result({"loomdb": run}, batch=100)["floor"])

    def test_a_rate_that_was_not_measured_stays_absent(self):
        runs = [sample_run(0.1) | {"floor": {"ratio": 2.0, "rate": None}} for _ in range(3)]
        self.assertEqual(sample_peer(*runs)["floor"], {"ratio": 2.0, "rate": None})

    def test_phases_are_medians_too(self):
        runs = [sample_run(0.1) | {"phases": {"prune": seconds}} for seconds in (1.0, 5.0, 3.0)]
        self.assertEqual(sample_peer(*runs)["phases"], {"prune": 3.0})


class GrowthTest(unittest.TestCase):
    def growth(self, seconds, **changes):
        small = {"loomdb": sample_run(0.1, rows=1_000)}
        large = {"loomdb": sample_run(seconds, rows=10_000)}
        results = [
            sample_result(small, name="small", rows=1_000),
            sample_result(small, name="small", rows=1_000, threads=2),
            sample_result(
                large,
                **({"name": "large", "rows": 10_000, "growth_from": "small"} | changes),
                growth_at_most=1.6,
            ),
        ]
        return growth_of(results[2], results)

    def test_the_time_of_a_row_is_compared(self):
        self.assertAlmostEqual(self.growth(1.5)["ratio"], 1.5)
        self.assertTrue(self.growth(1.5)["met"])
        self.assertFalse(self.growth(1.7)["met"])

    def test_nothing_to_compare_with(self):
        self.assertIsNone(self.growth(1.5, growth_from=None))
        self.assertIsNone(self.growth(1.5, growth_from="other"))
        self.assertIsNone(self.growth(1.5, threads=4))
