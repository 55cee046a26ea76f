"""Every example runs on the installed package and prints what stands in the file beside it.

`python -m pytest examples/python --write` writes these files; read what changed before you commit.
"""

import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

HERE = Path(__file__).parent
HELPERS = {"conftest.py", "test_examples.py", "test_pages.py", "wordnet.py"}
EXAMPLES = sorted(path for path in HERE.glob("*.py") if path.name not in HELPERS)
NOTEBOOK = HERE / "tour.ipynb"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_is_shown(path, request):
    run = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    expected = path.with_suffix(".txt")
    if request.config.getoption("--write"):
        expected.write_text(run.stdout)
    assert run.stdout == expected.read_text()


def test_the_notebook_runs_and_shows_what_is_kept(request):
    kept = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(run, timeout=120, resources={"metadata": {"path": HERE}}).execute()
    if request.config.getoption("--write"):
        write(run)
        kept = run
    assert [shown(cell) for cell in run.cells] == [shown(cell) for cell in kept.cells]


def shown(cell):
    """What a cell prints and returns, as text."""
    outputs = cell.get("outputs", [])
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


def write(notebook):
    """Keeps the outputs without what differs from run to run."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, NOTEBOOK)
