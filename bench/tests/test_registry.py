import io
import unittest
from contextlib import redirect_stderr

from peers.install import name_of, requirements
from peers.registry import PEERS, SUBJECT, Missing, PythonPeer, check_patterns, names, peers_of
from peers.run import BENCH, installed
from tests.samples import sample_case


def chosen(case, patterns=None):
    return [peer.name for peer in peers_of(case, patterns)]


class PeersOfTest(unittest.TestCase):
    def test_with_one_thread_the_reference_runs(self):
        self.assertEqual(chosen(sample_case()), ["hnswlib"])

    def test_with_two_threads_all_run_that_can(self):
        bulk = chosen(sample_case(threads=2))
        self.assertEqual(set(bulk), set(names()) - {"qdrant-edge"})
        growing = chosen(sample_case(threads=2, batch=100))
        self.assertEqual(growing, ["hnswlib", "faiss-hnsw", "usearch", "voyager"])

    def test_single_rows_are_added_by_databases_too(self):
        self.assertIn("qdrant-edge", chosen(sample_case(batch=1)))

    def test_a_case_may_name_its_peers(self):
        case = sample_case(threads=2, peers=("hnswlib", "voyager"))
        self.assertEqual(chosen(case), ["hnswlib", "voyager"])
        self.assertEqual(chosen(case, ["usearch"]), ["usearch"])

    def test_patterns_choose_among_those_that_can(self):
        patterns = ["faiss-*", "qdrant-edge"]
        self.assertEqual(chosen(sample_case(), patterns), ["faiss-hnsw", "faiss-nsg"])

    def test_the_subject_runs_unless_others_are_asked_for(self):
        subject = PythonPeer(SUBJECT, "x", "x", PEERS[0].kinds, "")
        case = sample_case(peers=("hnswlib",))
        by_default = peers_of(case, None, (*PEERS, subject))
        self.assertEqual([peer.name for peer in by_default], ["hnswlib", SUBJECT])
        self.assertEqual(len(peers_of(case, ["hnswlib"], (*PEERS, subject))), 1)

    def test_a_name_that_nobody_has_is_refused(self):
        check_patterns(["loomdb", "vsag-*"])
        with self.assertRaisesRegex(ValueError, "no peer matches 'fais'"):
            check_patterns(["fais"])


class InstalledTest(unittest.TestCase):
    def test_a_package_that_is_not_there_is_missing(self):
        peer = PythonPeer("x", "no-such-package", "x", (), "")
        with self.assertRaises(Missing):
            peer.version()
        with redirect_stderr(io.StringIO()):
            versions, missing = installed([peer])
        self.assertEqual(versions, {})
        self.assertEqual(missing, {"x": "the package no-such-package is not installed"})

    def test_every_python_peer_has_a_pinned_package_and_a_module(self):
        lines = requirements((BENCH / "requirements.txt").read_text(encoding="utf-8"))
        pinned = {name_of(line) for line in lines if "==" in line}
        self.assertEqual(len(pinned), len(lines))
        for peer in (peer for peer in PEERS if isinstance(peer, PythonPeer)):
            self.assertIn(peer.package, pinned)
            self.assertTrue((BENCH / "peers" / "engines" / f"{peer.module}.py").is_file())
