"""The peers that can be measured, what each can do, and which run where."""

import fnmatch
import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass

from peers import programs
from peers.cases import BATCHES, BULK, SINGLE, measurement_arguments

REFERENCE = "hnswlib"
SUBJECT = "loomdb"

GRAPH = (BULK, BATCHES, SINGLE)


class Missing(Exception):
    """A peer's package or program is not installed here."""


@dataclass(frozen=True)
class PythonPeer:
    """A library with a Python package; `settings` is what the report says of how it was set."""

    name: str
    package: str
    module: str
    kinds: tuple[str, ...]
    settings: str

    def version(self):
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise Missing(f"the package {self.package} is not installed") from None

    def command(self, case, inputs):
        module = f"peers.engines.{self.module}"
        return [sys.executable, "-m", module, *measurement_arguments(case, inputs)]


@dataclass(frozen=True)
class RustPeer:
    """A Rust crate, in a program of ours that has the same version and does the measuring."""

    name: str
    package: str
    kinds: tuple[str, ...]
    settings: str

    def version(self):
        program = programs.path(self.package)
        if not program.is_file():
            raise Missing(f"its program is not compiled: {programs.COMMAND} does that")
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        return output.stdout.split()[-1]

    def command(self, case, inputs):
        return [str(programs.path(self.package)), *measurement_arguments(case, inputs)]


PEERS = (
    PythonPeer(
        REFERENCE, "hnswlib", "hnswlib_hnsw", GRAPH, "compiled for this CPU, M 16, ef 200"
    ),
    PythonPeer("faiss-hnsw", "faiss-cpu", "faiss_hnsw", GRAPH, "IndexHNSWFlat, M 16, ef 200"),
    PythonPeer(
        "faiss-nsg", "faiss-cpu", "faiss_nsg", (BULK,),
        "IndexNSGFlat, R 32, L 200, 64 neighbors: exact up to 20,000 rows, then NN-Descent",
    ),
    PythonPeer("usearch", "usearch", "usearch_hnsw", GRAPH, "f32, connectivity 16, expansion 200"),
    PythonPeer(
        "svs-vamana", "scalable-vs", "svs_vamana", (BULK,),
        "f32, R 32, window 200, alpha 1.2 (0.95 for products)",
    ),
    PythonPeer(
        "vsag-hgraph", "pyvsag", "vsag_hgraph", (BULK,), "fp32, degree 32, ef_construction 200"
    ),
    PythonPeer("vsag-odescent", "pyvsag", "vsag_odescent", (BULK,), "fp32, degree 32, ODescent"),
    PythonPeer("voyager", "voyager", "voyager_hnsw", GRAPH, "Float32, M 16, ef_construction 200"),
    PythonPeer(
        "qdrant-edge", "qdrant-edge-py", "qdrant_edge_shard", (SINGLE,),
        "its defaults: logged, not synced, scanned",
    ),
    RustPeer(
        "diskann", "diskann", (BULK,),
        "f32, R 32 with its slack of 1.3, window 200, alpha 1.2, rows inserted one by one",
    ),
)


def names():
    return [peer.name for peer in PEERS]


def peers_of(case, chosen=None, peers=PEERS):
    """The peers that run a case: of the chosen ones, or else of its own, those that can.

    Unless a case names its peers, the reference runs alone where the case has one thread, and
    everyone where it has two, or where single rows are added, which no library does in parallel.
    """
    able = [peer for peer in peers if case.kind in peer.kinds]
    if chosen is not None:
        wanted = chosen
    elif case.peers is not None:
        wanted = case.peers
    else:
        wanted = ("*",) if case.threads > 1 or case.kind == SINGLE else (REFERENCE,)
    if chosen is None:
        wanted = (*wanted, SUBJECT)
    return [
        peer for peer in able if any(fnmatch.fnmatchcase(peer.name, name) for name in wanted)
    ]


def check_patterns(patterns):
    """Raises ValueError for a pattern that names no peer."""
    known = [*names(), SUBJECT]
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise ValueError(f"no peer matches {pattern!r}: there are {', '.join(known)}")
