"""The Python code in the documentation runs, and prints the text that follows it.

The blocks of a page share their names and run in a directory of their own, in which `data` is that
of the repository. `--write` puts what they print into the pages.
"""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<text>.*?)```\n)?", re.DOTALL)
INCLUDED = "--8<--"


def blocks(page):
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [block for block in found if INCLUDED not in block["code"]]


PAGES = sorted(page for page in DOCS.rglob("*.md") if blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_code_of_a_page_prints_what_is_shown(page, request, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names, pieces, end = {}, [], 0
    for block in blocks(page):
        line = text.count("\n", 0, block.start("code"))
        printed = run(block["code"], names, f"{page}, code in line {line}")
        if block["text"] is None:
            assert printed == ""
            continue
        pieces += [text[end : block.start("text")], printed]
        end = block.end("text")
    expected = "".join([*pieces, text[end:]])
    if request.config.getoption("--write"):
        page.write_text(expected, encoding="utf-8")
        return
    assert expected == text


def run(code, names, where):
    """What code prints; `names` are those of the page."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, where, "exec"), names)
    return printed.getvalue()
