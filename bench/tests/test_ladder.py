import json
import tempfile
import unittest
from pathlib import Path

from peers.ladder import distances, load_ladder, plot_ladder

NAMES = ("one by one", "chunks of 100", "planner")


def sample_rung(name, speed, first=1_000.0):
    return {"name": name, "vectors_per_second": speed, "ratio": speed / first} | {
        "distance_computations": 2_345_678
    }


def sample_report(row_counts=(1_500, 10_000)):
    rungs = [sample_rung(name, 1_000.0 * (2 + rank)) for rank, name in enumerate(NAMES)]
    ladders = [{"rows": rows, "rungs": rungs} for rows in row_counts]
    fields = {"dataset": "sift", "dim": 128, "metric": "l2", "threads": 1, "repeat": 3}
    return fields | {"ladders": ladders}


class LadderTest(unittest.TestCase):
    def test_every_bar_has_its_name_and_its_figures(self):
        with tempfile.TemporaryDirectory() as directory:
            paths = plot_ladder(sample_report(), Path(directory))
            names = sorted(path.name for path in paths)
            for path in (path for path in paths if path.suffix == ".svg"):
                text = path.read_text(encoding="utf-8")
                for name in NAMES:
                    self.assertEqual(text.count(f">{name}<"), 1)
                for figures in ("2,000   2.0x", "4,000   4.0x", "2.3 million distances"):
                    self.assertIn(figures, text)
                for panel in ("1,500 rows", "10,000 rows"):
                    self.assertEqual(text.count(f">{panel}<"), 1)
            for path in (path for path in paths if path.suffix == ".png"):
                self.assertEqual(path.read_bytes()[:4], b"\x89PNG")
        expected = ["ladder-dark.png", "ladder-dark.svg", "ladder-light.png", "ladder-light.svg"]
        self.assertEqual(names, expected)

    def test_one_panel_is_enough(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(len(plot_ladder(sample_report([700]), Path(directory))), 4)

    def test_numbers_of_distances_are_short(self):
        self.assertEqual(distances(0), "scanned, not linked")
        self.assertEqual(distances(45_678), "46 thousand distances")
        self.assertEqual(distances(123_456_789), "123.5 million distances")

    def test_other_files_are_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "a.json"
            for text, words in (("{", "not JSON"), ("{}", "bench ladder"), ("[1]", "bench ladder")):
                path.write_text(text, encoding="utf-8")
                with self.assertRaisesRegex(ValueError, words):
                    load_ladder(path)
            path.write_text(json.dumps(sample_report()), encoding="utf-8")
            self.assertEqual(load_ladder(path), sample_report())
