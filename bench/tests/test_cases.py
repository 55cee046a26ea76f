import unittest
from pathlib import Path

from peers.cases import Inputs, load_cases, measurement_arguments
from peers.loomdb_peer import LoomdbPeer
from tests.samples import sample_case

INPUTS = Inputs(base=Path("b.npy"), queries=Path("q.npy"), truth=Path("t.npy"))


class DefinitionTest(unittest.TestCase):
    def test_every_case_has_its_own_id(self):
        ids = [case.id for case in load_cases()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_every_case_runs_with_one_and_with_two_threads(self):
        threads = {case.name: set() for case in load_cases()}
        for case in load_cases():
            threads[case.name].add(case.threads)
        self.assertEqual(set(map(frozenset, threads.values())), {frozenset({1, 2})})

    def test_a_pattern_selects_by_id(self):
        ids = [case.id for case in load_cases("sift-1500-?t")]
        self.assertEqual(ids, ["sift-1500-1t", "sift-1500-2t"])


class CommandTest(unittest.TestCase):
    def test_a_bulk_build_leaves_the_strategy_to_loomdb(self):
        command = LoomdbPeer(Path("/opt/loomdb")).command(sample_case(builds=5), INPUTS)
        text = " ".join(command)
        self.assertTrue(text.startswith("/opt/loomdb bench build --base b.npy "), text)
        self.assertTrue(text.endswith("--repeat 5 --strategy auto --json"), text)

    def test_a_growing_collection_inserts_chunks(self):
        command = LoomdbPeer(Path("/opt/loomdb")).command(sample_case(batch=100), INPUTS)
        self.assertTrue(" ".join(command).endswith("--chunk 100 --strategy insert --json"))

    def test_all_peers_get_the_same_parameters(self):
        arguments = measurement_arguments(sample_case(threads=2), INPUTS)
        pairs = dict(zip(arguments[::2], arguments[1::2]))
        self.assertEqual((pairs["--m"], pairs["--ef-construction"]), ("16", "200"))
        self.assertEqual((pairs["--rows"], pairs["--threads"]), ("1500", "2"))
        self.assertEqual(pairs["--ef-search"], "10,16,24,32,48,64,96,128,200,400")
