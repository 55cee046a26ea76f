import json
import tempfile
import unittest
from pathlib import Path

from peers import plots
from peers.compare import result_of
from peers.report import BEGIN, END, load_results, report, row, summary, with_report
from tests.samples import RECALLS, complete, sample_case, sample_run


def sample_result(loomdb, **changes):
    runs = {"hnswlib": [sample_run(1.0, fastest=10_000.0)], "loomdb": [loomdb]}
    return complete(result_of(sample_case(**changes), runs))


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
        cells = row(sample_result(sample_run(0.1, fastest=20_000.0)))
        self.assertEqual(cells[:6], ["sift-1500", "1", "1,500", "15,000", "10.00x", "5x met"])
        self.assertEqual(cells[6], "521 / 1,042 (2.00x met)")
        self.assertEqual(cells[8], "40 / 66 met")

    def test_everything_missed(self):
        cells = row(sample_result(sample_run(0.5, fastest=5_000.0, peak_rss_mib=80.0)))
        self.assertEqual(cells[4:6], ["2.00x", "5x **missed**"])
        self.assertEqual(cells[6], "521 / 260 (0.50x **missed**)")
        self.assertEqual(cells[8], "80 / 66 **missed**")

    def test_a_recall_never_reached_is_missed(self):
        low = [recall - 0.02 for recall in RECALLS]
        cells = row(sample_result(sample_run(0.1, recalls=low)))
        self.assertTrue(cells[7].endswith("/ max 0.980 (**missed**)"), cells[7])

    def test_a_speed_at_a_higher_recall_is_marked(self):
        high = [0.96, *RECALLS[3:], 1.0, 1.0]
        cells = row(sample_result(sample_run(0.1, recalls=high)))
        self.assertIn("/ >=1,000 (", cells[6])

    def test_the_reference_alone(self):
        result = complete(result_of(sample_case(), {"hnswlib": [sample_run(1.0)]}))
        self.assertEqual(row(result)[3:6], ["-", "-", "5x"])
        self.assertEqual(row(result)[8], "-")
        self.assertIn("not measured", summary([result]))


class ReportTest(unittest.TestCase):
    def test_requirements_are_counted(self):
        met = sample_result(sample_run(0.1))
        missed = sample_result(sample_run(0.5, peak_rss_mib=80.0), threads=2)
        self.assertEqual(summary([met, missed]), "6 of 8 requirements met.")

    def test_a_growing_collection_is_not_judged_by_memory(self):
        result = sample_result(sample_run(0.1, peak_rss_mib=80.0), batch=100)
        self.assertEqual(row(result)[8], "80 / -")
        self.assertEqual(summary([result]), "3 of 3 requirements met.")

    def test_conditions_appear_once_and_notes_too(self):
        results = [sample_result(sample_run(0.1), threads=threads) for threads in (1, 2)]
        results[1]["note"] = "The machine was busy."
        text = report(results)
        self.assertEqual(text.count("Some CPU, 2 cores, 8.0 GiB, Some Linux."), 1)
        self.assertEqual(text.count("hnswlib 0.8.0, loomdb 1.0.0."), 1)
        self.assertIn("Measured 2026-01-02.", text)
        self.assertIn("The machine was busy.", text)

    def test_results_come_back_from_files_small_before_large(self):
        with tempfile.TemporaryDirectory() as directory:
            for rows in (10_000, 5_000):
                result = sample_result(sample_run(0.1), rows=rows, name=f"sift-{rows}")
                path = Path(directory) / f"sift-{rows}.json"
                path.write_text(json.dumps(result), encoding="utf-8")
            rows = [result["case"]["rows"] for result in load_results(Path(directory))]
        self.assertEqual(rows, [5_000, 10_000])


class PlotTest(unittest.TestCase):
    def test_lines_and_dots_are_labelled_with_their_names(self):
        with tempfile.TemporaryDirectory() as directory:
            paths = plots.plot([sample_result(sample_run(0.1))], Path(directory))
            for path in paths:
                text = path.read_text(encoding="utf-8")
                self.assertIn(">hnswlib<", text)
                self.assertIn(">loomdb<", text)

    def test_close_labels_are_moved_apart(self):
        self.assertEqual(plots.spread([0.1, 0.15, 0.9], gap=0.2), [0.1, 0.1 + 0.2, 0.9])
