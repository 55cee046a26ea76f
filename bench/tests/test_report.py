import json
import re
import tempfile
import unittest
from pathlib import Path

from peers import plots
from peers.plots import batches, growth, phases, recall
from peers.plots.style import compared, shortened, spread, widest
from peers.report import (
    BEGIN,
    END,
    build_row,
    load_results,
    report,
    search_row,
    summary,
    with_report,
)
from tests.samples import RECALLS, sample_result, sample_run


def sample(loomdb, **changes):
    return sample_result({"hnswlib": sample_run(1.0), "loomdb": loomdb}, **changes)


def row(result):
    return build_row(result, [result])


class PageTest(unittest.TestCase):
    def test_the_report_replaces_the_one_before(self):
        page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
        self.assertEqual(with_report(page, "new\n"), f"before\n{BEGIN}\nnew\n{END}\nafter\n")

    def test_a_page_without_a_place_is_refused(self):
        for page in ["", BEGIN, f"{END} {BEGIN}"]:
            with self.assertRaises(ValueError):
                with_report(page, "new\n")


class RowTest(unittest.TestCase):
    def test_everything_met(self):
        result = sample(sample_run(0.1, fastest=20_000.0))
        self.assertEqual(row(result)[:6], ["sift-1500", "1", "1,500", "15,000", "10.00x", "5x met"])
        self.assertEqual(row(result)[9], "40 / 66 met")
        self.assertEqual(search_row(result)[2:5], ["1,042", "521", "2.00x met"])

    def test_everything_missed(self):
        result = sample(sample_run(0.5, fastest=5_000.0, peak_rss_mib=80.0))
        self.assertEqual(row(result)[4:6], ["2.00x", "5x **missed**"])
        self.assertEqual(row(result)[9], "80 / 66 **missed**")
        self.assertEqual(search_row(result)[2:5], ["260", "521", "0.50x **missed**"])

    def test_a_recall_never_reached_is_missed(self):
        low = [recall - 0.02 for recall in RECALLS]
        cells = search_row(sample(sample_run(0.1, recalls=low)))
        self.assertEqual((cells[8], cells[10]), ("max 0.980", "**missed**"))

    def test_a_speed_at_a_higher_recall_is_marked(self):
        high = [0.96, *RECALLS[3:], 1.0, 1.0]
        self.assertEqual(search_row(sample(sample_run(0.1, recalls=high)))[2], ">=1,000")

    def test_the_reference_alone(self):
        result = sample_result({"hnswlib": sample_run(1.0)})
        self.assertEqual(row(result)[3:], ["-", "-", "5x", "-", "-", "-", "-", "-", "-"])
        self.assertIn("not measured", summary([result]))

    def test_the_best_other_is_named_with_its_ratio(self):
        peers = {"hnswlib": sample_run(1.0), "usearch": sample_run(0.5, fastest=12_000.0)}
        result = sample_result(peers | {"loomdb": sample_run(0.1)}, best_ratio=6.0)
        self.assertEqual(row(result)[6:9], ["usearch 3,000", "5.00x", "6x **missed**"])
        self.assertEqual(search_row(result)[5:8], ["usearch 625", "0.83x", "-"])

    def test_floor_and_growth_have_their_bounds_beside_them(self):
        small = sample(sample_run(0.1), name="small")
        run = sample_run(0.15) | {"floor": {"ratio": 2.25}}
        changes = {"growth_from": "small", "growth_at_most": 1.6, "rows": 1_500}
        result = sample(run, **changes)
        cells = build_row(result, [small, result])
        self.assertEqual(cells[10:], ["2.25 of 2.5 met", "1.50 of 1.6 met"])


class ReportTest(unittest.TestCase):
    def test_requirements_are_counted_and_the_missed_named(self):
        met = sample(sample_run(0.1))
        missed = sample(sample_run(0.5, peak_rss_mib=80.0), threads=2)
        text = summary([met, missed])
        self.assertIn("6 of 8 requirements met.", text)
        self.assertIn("Missed: sift-1500-2t build over hnswlib; sift-1500-2t memory.", text)

    def test_a_growing_collection_is_not_judged_by_memory(self):
        result = sample(sample_run(0.1, peak_rss_mib=80.0), batch=100)
        self.assertEqual(row(result)[9], "80 / -")
        self.assertEqual(summary([result]), "**3 of 3 requirements met.**")

    def test_what_is_required_of_the_best_counts_too(self):
        peers = {"hnswlib": sample_run(1.0), "usearch": sample_run(0.5)}
        peers["loomdb"] = sample_run(0.1)
        result = sample_result(peers, best_ratio=6.0, search_ratio=1.2)
        self.assertIn("4 of 7 requirements met.", summary([result]))
        self.assertIn("queries at 0.99 over the best", summary([result]))

    def test_nothing_required_is_nothing_missed(self):
        result = sample(sample_run(2.0), build_ratio=None)
        self.assertEqual(row(result)[5], "-")
        self.assertEqual(summary([result]), "**3 of 3 requirements met.**")

    def test_conditions_appear_once_and_notes_too(self):
        results = [sample(sample_run(0.1), threads=threads) for threads in (1, 2)]
        results[1]["note"] = "The machine was busy."
        text = report(results)
        self.assertEqual(text.count("Some CPU (AVX2), 2 cores, 8.0 GiB, Some Linux."), 1)
        self.assertIn("* hnswlib 1.0.0 (`hnswlib`): compiled for this CPU", text)
        self.assertIn("Measured 2026-01-02.", text)
        self.assertIn("The machine was busy.", text)

    def test_peers_that_were_left_out_are_named_with_the_reason(self):
        peers = {"hnswlib": sample_run(1.0), "usearch": sample_run(1.0)}
        result = sample_result(peers | {"loomdb": sample_run(0.1)})
        result["missing"] = {"voyager": "the package voyager is not installed"}
        text = report([result])
        left_out = "Left out: voyager in sift-1500-1t: the package voyager is not installed."
        self.assertIn(left_out, text)
        self.assertIn("| left out |", text)

    def test_every_row_of_a_table_has_all_cells(self):
        peers = {"hnswlib": sample_run(1.0), "usearch": sample_run(1.0)}
        results = [
            sample_result(peers | {"loomdb": sample_run(0.1)}),
            sample(sample_run(0.1), name="other"),
        ]
        for table in re.findall(r"(?:^\|.*\n)+", report(results), re.MULTILINE):
            widths = {line.count("|") for line in table.splitlines()}
            self.assertEqual(len(widths), 1, table)

    def test_results_come_back_from_files_small_before_large(self):
        with tempfile.TemporaryDirectory() as directory:
            for rows in (10_000, 5_000):
                result = sample(sample_run(0.1), rows=rows, name=f"sift-{rows}")
                path = Path(directory) / f"sift-{rows}.json"
                path.write_text(json.dumps(result), encoding="utf-8")
            rows = [result["case"]["rows"] for result in load_results(Path(directory))]
        self.assertEqual(rows, [5_000, 10_000])


def large(name="sift-100000", rows=100_000, **changes):
    names = {"hnswlib": 40.0, "usearch": 60.0, "loomdb": 4.0}
    runs = {other: sample_run(seconds, rows=rows) for other, seconds in names.items()}
    runs["loomdb"]["phases"] = {"partition": 1.0, "prune": 2.0, "other": 1.0}
    return sample_result(runs, name=name, rows=rows, **changes)


class PlotTest(unittest.TestCase):
    def test_every_plot_is_made_in_both_themes_and_formats(self):
        results = [large("sift-50000", 50_000), large()]
        results += [large("calls-of-100", batch=100, build_ratio=None)]
        results += [large("calls-of-all", build_ratio=None)]
        with tempfile.TemporaryDirectory() as directory:
            paths = plots.plot(results, Path(directory))
            names = {path.name for path in paths}
            endings = [f"-{theme}.{end}" for theme in ("light", "dark") for end in ("svg", "png")]
            self.assertEqual(names, {name + end for name in plots.FIGURES for end in endings})
            for path in (path for path in paths if path.suffix == ".svg"):
                text = path.read_text(encoding="utf-8")
                self.assertIn("loomdb", text)
                if "phase" not in path.name:
                    self.assertIn(">hnswlib<", text)

    def test_what_was_not_measured_is_not_drawn(self):
        with tempfile.TemporaryDirectory() as directory:
            results = [sample_result({"hnswlib": sample_run(1.0)})]
            self.assertEqual(plots.plot(results, Path(directory)), [])

    def test_of_a_case_the_result_with_most_peers_is_shown(self):
        few, many = sample(sample_run(0.1), threads=2), large("sift-1500", 1_500)
        self.assertEqual(widest([few, many]), [many])

    def test_shares_follow_on_each_other_up_to_the_whole(self):
        shares = phases.shares({"partition": 1.0, "prune": 3.0})
        self.assertEqual(shares, {"partition": (0.0, 0.25), "prune": (0.25, 0.75)})

    def test_phases_without_time_are_not_named(self):
        found = [{"insert": 0.0, "prune": 1.0}, {"insert": 0.0, "prune": 0.0, "other": 1.0}]
        self.assertEqual(phases.names_of(found), ["prune", "other"])

    def test_there_is_a_shade_for_every_phase(self):
        for shades in phases.SHADES.values():
            self.assertEqual(len(set(shades)), 7)

    def test_lines_of_batches_go_from_small_calls_to_one(self):
        results = [large("calls-of-all"), large("calls-of-100", batch=100)]
        points = batches.lines_of(results)["loomdb"]
        self.assertEqual([rows for rows, _ in points], [100, 100_000])

    def test_lines_of_growth_keep_sets_apart(self):
        results = [large(), large("sift-50000", 50_000), large("made-100000", dataset="made")]
        lines = growth.lines_of(results)
        self.assertEqual(set(lines), {"sift"})
        points = lines["sift"]["loomdb"]
        self.assertEqual([rows for rows, _ in points], [50_000, 100_000])
        self.assertAlmostEqual(points[1][1], 40.0)

    def test_lines_of_recall_end_with_the_first_point_beyond_the_highest(self):
        searches = sample_run(1.0, recalls=(0.5, 0.9, 0.95, 0.99, 0.9996, 0.9999, 1.0))["searches"]
        lost = [round(point[0], 6) for point in recall.points_of(searches)]
        self.assertEqual(lost, [0.1, 0.05, 0.01, 0.0005])

    def test_a_case_with_two_peers_gives_way_to_those_with_more(self):
        two = sample(sample_run(0.1), name="two")
        self.assertEqual(compared([large(), two]), [large()])
        self.assertEqual(compared([two]), [two])

    def test_pictures_are_short(self):
        self.assertEqual(shortened("M 1.23456 7.1 L 0.005 x  \ny"), "M 1.23 7.1 L 0.00 x\ny\n")

    def test_close_labels_are_moved_apart_around_their_places(self):
        self.assert_close(spread([0.1, 0.15, 0.9], gap=0.2), [0.025, 0.225, 0.9])
        self.assert_close(spread([0.5, 0.5, 0.5], gap=0.1), [0.4, 0.5, 0.6])
        self.assert_close(spread([0.1, 0.9], gap=0.2), [0.1, 0.9])

    def assert_close(self, found, expected):
        for one, other in zip(found, expected, strict=True):
            self.assertAlmostEqual(one, other)
