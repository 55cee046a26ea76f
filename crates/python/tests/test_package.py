"""The package as it is installed: its size, its files, its start, and what the README promises."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import pathlib
import re
import subprocess
import sys
import venv
import zipfile

import pytest
from conftest import ROOT

import loomdb

#: What a wheel may have; the one of the tests is not even linked as a whole.
MAX_WHEEL_BYTES = 15 << 20


def wheel() -> pathlib.Path:
    path = os.environ.get("LOOMDB_WHEEL")
    if path is None:
        pytest.fail("LOOMDB_WHEEL does not name the wheel; run `cargo xtask test`")
    return pathlib.Path(path)


def test_the_installed_package_is_tested_and_not_the_sources() -> None:
    assert "site-packages" in str(loomdb.__file__)
    assert loomdb.__version__ == importlib.metadata.version("loomdb")


def test_the_wheel_is_small_and_complete() -> None:
    path = wheel()
    assert "-cp311-abi3-" in path.name
    assert path.stat().st_size < MAX_WHEEL_BYTES
    names = zipfile.ZipFile(path).namelist()
    sources = {f"loomdb/{file.name}" for file in (ROOT / "crates/python/python/loomdb").iterdir()}
    missing = {name for name in sources if name.endswith((".py", ".pyi", ".typed"))} - set(names)
    assert not missing
    assert importlib.resources.files("loomdb").joinpath("py.typed").is_file()


def test_older_versions_are_told_by_pip() -> None:
    assert importlib.metadata.metadata("loomdb")["Requires-Python"] == ">=3.11"


def test_an_import_loads_nothing_that_takes_long() -> None:
    # Packages of the environment may load some when Python starts.
    program = """if True:
        import sys
        before = set(sys.modules)
        import loomdb
        slow = {"asyncio", "numpy", "pandas", "polars", "pyarrow", "re", "tqdm", "typing"}
        print(*(slow & set(sys.modules) - before))
    """
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert loaded.strip() == ""
    # What is imported later has its name from the beginning.
    assert loomdb.Metric and loomdb.Filter and loomdb.Id and loomdb.Durability


def test_everything_public_is_documented_and_listed() -> None:
    assert dir(loomdb) == loomdb.__all__ == sorted(loomdb.__all__)
    for name in loomdb.__all__:
        assert hasattr(loomdb, name), name
    for kind in (loomdb.Collection, loomdb.Database, loomdb.Index, loomdb.Hits, loomdb.ManyHits):
        for name, member in vars(kind).items():
            if not name.startswith("_") and callable(member):
                assert member.__doc__, f"{kind.__name__}.{name}"


def blocks(language: str, path: pathlib.Path) -> list[str]:
    section = path.read_text().split("## Use it from Python", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def test_the_readme_works_word_by_word_in_a_clean_environment(tmp_path: pathlib.Path) -> None:
    [install], [program] = (blocks(language, ROOT / "README.md") for language in ("sh", "python"))
    [same] = blocks("python", ROOT / "crates/python/README.md")
    assert program == same
    venv.create(tmp_path / "venv", with_pip=True)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'venv/bin'}{os.pathsep}{os.environ['PATH']}",
        # What was built for the wheel is used again.
        "MATURIN_PEP517_ARGS": "--profile checked",
        "CARGO_TARGET_DIR": str(wheel().resolve().parents[1]),
    }
    built = subprocess.run(
        install, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    (tmp_path / "readme.py").write_text(program)
    run = subprocess.run(
        ["python", "-W", "error", "readme.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "my.loom").is_dir()
