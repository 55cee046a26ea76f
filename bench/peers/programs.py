"""The programs around peers that are Rust crates, each in a directory of its name in `bench/`.

They are no members of the workspace of loomdb, so nothing that is built or tested there needs
their crates. Nobody but `peers.install` compiles them.
"""

import os
import shutil
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]

NAMES = ("diskann",)
COMMAND = "python -m peers.install"

# For the CPU at hand, like the packages that are compiled.
FLAGS = "-C target-cpu=native"


def path(name):
    return target_directory(name) / "release" / f"peer-{name}"


def target_directory(name):
    """Beside what cargo builds of loomdb, also where the environment has moved that."""
    return BENCH.parent / os.environ.get("CARGO_TARGET_DIR", "target") / f"peers-{name}"


def compile_here(name):
    """Whether it could be compiled; cargo says why not."""
    cargo = shutil.which("cargo")
    if cargo is None:
        return False
    command = [cargo, "build", "--quiet", "--release", "--locked"]
    command += ["--target-dir", target_directory(name)]
    environment = os.environ | {"RUSTFLAGS": FLAGS}
    return subprocess.run(command, cwd=BENCH / name, env=environment, check=False).returncode == 0
