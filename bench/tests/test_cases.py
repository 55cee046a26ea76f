import dataclasses
import json
import unittest
from pathlib import Path

from peers.cases import Inputs, case_of, load_cases, measurement_arguments
from peers.loomdb_binary import LoomdbBinary
from tests.samples import sample_case

INPUTS = Inputs(base=Path("b.npy"), queries=Path("q.npy"), truth=Path("t.npy"))


class DefinitionTest(unittest.TestCase):
    def test_every_case_has_its_own_id(self):
        ids = [case.id for case in load_cases()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_every_case_of_many_rows_a_call_runs_with_one_and_with_two_threads(self):
        threads = {case.name: set() for case in load_cases()}
        for case in load_cases():
            threads[case.name].add(case.threads)
        self.assertEqual(threads.pop("single-10000"), {1})
        self.assertEqual({name for name in threads if name.startswith("calls-")}, {
            "calls-of-10", "calls-of-100", "calls-of-1000", "calls-of-all"
        })
        threads = {name: of for name, of in threads.items() if not name.startswith("calls-")}
        self.assertEqual(set(map(frozenset, threads.values())), {frozenset({1, 2})})

    def test_the_best_is_asked_for_where_all_peers_run(self):
        one, two = load_cases("sift-100000-?t")
        self.assertEqual((one.best_ratio, one.search_ratio), (None, None))
        self.assertEqual((two.best_ratio, two.search_ratio), (6.0, 1.2))

    def test_a_case_that_grows_is_held_against_one_that_exists(self):
        names = {case.name for case in load_cases()}
        growing = [case for case in load_cases() if case.growth_from]
        self.assertEqual({case.name for case in growing}, {"made-1000000"})
        self.assertTrue(all(case.growth_from in names for case in growing))

    def test_a_case_comes_back_from_json(self):
        for case in load_cases():
            stored = json.loads(json.dumps(dataclasses.asdict(case)))
            self.assertEqual(case_of(stored), case)

    def test_a_pattern_selects_by_id(self):
        ids = [case.id for case in load_cases("sift-1500-?t")]
        self.assertEqual(ids, ["sift-1500-1t", "sift-1500-2t"])


class CommandTest(unittest.TestCase):
    def test_a_bulk_build_leaves_the_strategy_to_loomdb(self):
        command = LoomdbBinary(Path("/opt/loomdb")).command(sample_case(builds=5), INPUTS)
        text = " ".join(command)
        self.assertTrue(text.startswith("/opt/loomdb bench build --base b.npy "), text)
        self.assertTrue(text.endswith("--repeat 5 --strategy auto --json"), text)

    def test_a_growing_collection_inserts_chunks(self):
        command = LoomdbBinary(Path("/opt/loomdb")).command(sample_case(batch=100), INPUTS)
        self.assertTrue(" ".join(command).endswith("--chunk 100 --strategy insert --json"))

    def test_single_rows_go_into_a_database(self):
        case = sample_case(batch=1, builds=3)
        command = LoomdbBinary(Path("/opt/loomdb")).command(case, INPUTS)
        expected = "bench single --base b.npy --metric l2 --rows 1500 --threads 1 --repeat 3 --json"
        self.assertEqual(" ".join(command), f"/opt/loomdb {expected}")
        arguments = measurement_arguments(case, INPUTS)
        self.assertEqual(arguments[arguments.index("--ef-search") + 1], "")

    def test_all_peers_get_the_same_parameters(self):
        arguments = measurement_arguments(sample_case(threads=2), INPUTS)
        pairs = dict(zip(arguments[::2], arguments[1::2]))
        self.assertEqual((pairs["--m"], pairs["--ef-construction"]), ("16", "200"))
        self.assertEqual((pairs["--rows"], pairs["--threads"]), ("1500", "2"))
        self.assertEqual(pairs["--ef-search"], "10,16,24,32,48,64,96,128,200,400")
