"""The benchmark cases, read from `definitions/*.toml`.

A case says what is built from which rows, and how many times faster than others loomdb has to be.
The parameters that all cases share are constants here, so that no case can differ.
"""

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path

DEFINITIONS = Path(__file__).parent / "definitions"

K = 10
M = 16
EF_CONSTRUCTION = 200
EF_SEARCH = (10, 16, 24, 32, 48, 64, 96, 128, 200, 400)

# What a case asks of a peer.
BULK, BATCHES, SINGLE = "bulk", "batches", "single"


@dataclass(frozen=True)
class Case:
    """One build to time.

    Without `batch` all rows arrive in one call; `builds` is how many times one process repeats
    the build, for those that are over in milliseconds. `build_ratio` is over the reference,
    `best_ratio` over the fastest builder, `search_ratio` over the fastest searcher. `peers` are
    the ones that run unless others are asked for; without it the rule of `registry` decides.
    """

    name: str
    dataset: str
    metric: str
    rows: int
    threads: int
    build_ratio: float | None = None
    best_ratio: float | None = None
    search_ratio: float | None = None
    batch: int | None = None
    builds: int = 1
    # Processes for each peer, unless asked otherwise.
    runs: int = 3
    peers: tuple[str, ...] | None = None
    # The case that this one is held against, and how much longer a row may take than there.
    growth_from: str | None = None
    growth_at_most: float | None = None

    @property
    def id(self):
        return f"{self.name}-{self.threads}t"

    @property
    def kind(self):
        if self.batch is None:
            return BULK
        return SINGLE if self.batch == 1 else BATCHES

    @property
    def ef_search(self):
        """Rows that were added one by one are asked for on the way, and not again."""
        return () if self.kind == SINGLE else EF_SEARCH

    @property
    def order(self):
        """Bulk before incremental, small before large."""
        return (self.batch is not None, self.rows, self.name, self.threads)


@dataclass(frozen=True)
class Inputs:
    """The files of one case; `truth` holds the exact neighbors among its rows."""

    base: Path
    queries: Path
    truth: Path


def case_of(fields):
    """A case from the fields of a result file."""
    peers = fields.get("peers")
    return Case(**(fields | {"peers": tuple(peers) if peers is not None else None}))


def load_cases(pattern="*", directory=DEFINITIONS):
    """All cases whose id matches the shell pattern, in the order in which they are reported."""
    cases = [case for path in directory.glob("*.toml") for case in read_definition(path)]
    matching = (case for case in cases if fnmatch.fnmatchcase(case.id, pattern))
    return sorted(matching, key=lambda case: case.order)


def read_definition(path):
    group = tomllib.loads(path.read_text(encoding="utf-8"))
    shared = {"dataset": group["dataset"], "metric": group["metric"]}
    return [
        for_threads(shared | entry, threads)
        for entry in group["cases"]
        for threads in entry.get("threads", group.get("threads"))
    ]


def for_threads(fields, threads):
    """What is asked over the best of all peers is asked where all of them run."""
    fields = fields | {"threads": threads}
    if threads == 1 and fields.get("batch") != 1:
        fields |= {"best_ratio": None, "search_ratio": None}
    return case_of(fields)


def measurement_arguments(case, inputs):
    """The command-line flags that every peer's process understands."""
    flags = {
        "base": inputs.base,
        "queries": inputs.queries,
        "truth": inputs.truth,
        "metric": case.metric,
        "rows": case.rows,
        "threads": case.threads,
        "m": M,
        "ef-construction": EF_CONSTRUCTION,
        "ef-search": ",".join(map(str, case.ef_search)),
        "repeat": case.builds,
    }
    if case.batch is not None:
        flags["chunk"] = case.batch
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]
