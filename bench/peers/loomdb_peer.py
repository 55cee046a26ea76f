"""loomdb, through the `bench build` command of its own binary."""

import subprocess

from peers.cases import measurement_arguments

NAME = "loomdb"


class LoomdbPeer:
    name = NAME

    def __init__(self, binary):
        self.binary = binary.resolve()

    def version(self):
        output = subprocess.run(
            [self.binary, "--version"], capture_output=True, text=True, check=True
        )
        return output.stdout.strip().removeprefix(NAME).strip()

    def command(self, case, inputs):
        strategy = "auto" if case.batch is None else "insert"
        arguments = measurement_arguments(case, inputs)
        return [str(self.binary), "bench", "build", *arguments, "--strategy", strategy, "--json"]
