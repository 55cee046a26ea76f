"""The benchmark cases, read from `definitions/*.toml`.

A case says what is built from which rows, and how many times faster than the reference loomdb
has to be. The parameters that all cases share are constants here, so that no case can differ.
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


@dataclass(frozen=True)
class Case:
    """One build to time. Without `batch` all rows arrive in one call; `builds` is how many
    times one process repeats the build, for those that are over in milliseconds."""

    name: str
    dataset: str
    metric: str
    rows: int
    threads: int
    build_ratio: float
    batch: int | None = None
    builds: int = 1

    @property
    def id(self):
        return f"{self.name}-{self.threads}t"

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


def load_cases(pattern="*", directory=DEFINITIONS):
    """All cases whose id matches the shell pattern, in the order in which they are reported."""
    cases = [case for path in directory.glob("*.toml") for case in read_definition(path)]
    matching = (case for case in cases if fnmatch.fnmatchcase(case.id, pattern))
    return sorted(matching, key=lambda case: case.order)


def read_definition(path):
    group = tomllib.loads(path.read_text(encoding="utf-8"))
    shared = {"dataset": group["dataset"], "metric": group["metric"]}
    return [
        Case(threads=threads, **shared, **entry)
        for entry in group["cases"]
        for threads in group["threads"]
    ]


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
        "ef-search": ",".join(map(str, EF_SEARCH)),
        "repeat": case.builds,
    }
    if case.batch is not None:
        flags["chunk"] = case.batch
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]
