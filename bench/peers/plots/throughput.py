"""Build throughput: a panel for each bulk case, the peers from fast to slow."""

from peers.plots.bars import bar_panels
from peers.plots.style import compared, threads_label
from peers.registry import REFERENCE, SUBJECT

COLUMNS = 3


def figure(results, theme):
    shown = compared(results)
    if not shown:
        return None
    panels = [(title(result), bars(result)) for result in shown]
    words = ("Vectors built a second", "longer is better; beside a bar: vectors/s, over hnswlib")
    return bar_panels(panels, COLUMNS, words, theme)


def title(result):
    case = result["case"]
    dim = result["peers"][SUBJECT]["dim"]
    return f"{case['dataset']} {case['rows']:,} x {dim}, {threads_label(case['threads'])}"


def bars(result):
    speeds = {name: peer["vectors_per_second"] for name, peer in result["peers"].items()}
    reference = speeds.get(REFERENCE)
    ordered = sorted(speeds, key=speeds.get, reverse=True)
    return [(name, speeds[name], written(speeds[name], reference)) for name in ordered]


def written(speed, reference):
    return f"{speed:,.0f}" + (f"  {speed / reference:.1f}x" if reference else "")
