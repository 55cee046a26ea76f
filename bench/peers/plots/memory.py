"""The resident peak of a build's process: a panel for each large bulk case, the least first."""

from peers.plots.bars import bar_panels
from peers.plots.style import compared
from peers.plots.throughput import title
from peers.registry import SUBJECT

COLUMNS = 3
# In smaller cases most of a process is its code.
LEAST_ROWS = 50_000
MIB = 2**20


def figure(results, theme):
    shown = compared(results, LEAST_ROWS)
    if not shown:
        return None
    panels = [(title(result), bars(result)) for result in shown]
    words = (
        "Memory of the process at its peak, up to the end of the build",
        "shorter is better; MiB, and how many times the vectors themselves as f32",
    )
    return bar_panels(panels, COLUMNS, words, theme)


def bars(result):
    peaks = {name: peer["peak_rss_mib"] for name, peer in result["peers"].items()}
    vectors = result["case"]["rows"] * result["peers"][SUBJECT]["dim"] * 4 / MIB
    ordered = sorted(peaks, key=peaks.get)
    return [(name, peaks[name], written(peaks[name], vectors)) for name in ordered]


def written(peak, vectors):
    return f"{peak:,.0f}  {peak / vectors:.1f}x"
