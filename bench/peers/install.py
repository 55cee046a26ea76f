"""Installs the packages of `requirements.txt` and compiles the programs: `python -m peers.install`.

One by one, because a library that has no package for a machine must not keep the others away:
only what the harness itself needs has to be there. Needs nothing but pip, and cargo for programs.
"""

import subprocess
import sys
from pathlib import Path

from peers import programs

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
NEEDED = ("numpy", "matplotlib")

# Compiled here, for this CPU, even where a package for any CPU is at hand.
FROM_SOURCE = ("hnswlib",)


def main():
    left_out = [line for line in requirements(REQUIREMENTS.read_text("utf-8")) if not install(line)]
    left_out += [name for name in programs.NAMES if not programs.compile_here(name)]
    for line in left_out:
        print(f"left out: {line} cannot be installed here", file=sys.stderr)
    missing = [line for line in left_out if name_of(line) in NEEDED]
    return f"the harness needs {', '.join(missing)}" if missing else 0


def requirements(text):
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def name_of(line):
    return line.partition("==")[0]


def install(line):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if name_of(line) in FROM_SOURCE:
        command += ["--no-binary", name_of(line)]
    return subprocess.run([*command, line], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
