"""loomdb, through the `bench` commands of its own binary."""

import subprocess

from peers.cases import BULK, SINGLE, measurement_arguments
from peers.registry import GRAPH, SUBJECT


class LoomdbBinary:
    name = SUBJECT
    kinds = GRAPH
    settings = "m 16, ef_construction 200"

    def __init__(self, binary):
        self.binary = binary.resolve()

    def version(self):
        output = subprocess.run(
            [self.binary, "--version"], capture_output=True, text=True, check=True
        )
        return output.stdout.strip().removeprefix(SUBJECT).strip()

    def command(self, case, inputs):
        if case.kind == SINGLE:
            return [str(self.binary), "bench", "single", *single_arguments(case, inputs), "--json"]
        strategy = "auto" if case.kind == BULK else "insert"
        arguments = measurement_arguments(case, inputs)
        return [str(self.binary), "bench", "build", *arguments, "--strategy", strategy, "--json"]


def single_arguments(case, inputs):
    """Rows that go into a database one by one; a graph is built when the database sees fit."""
    flags = {"base": inputs.base, "metric": case.metric, "rows": case.rows}
    flags |= {"threads": case.threads, "repeat": case.builds}
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]
