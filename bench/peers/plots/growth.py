"""The time of a row against the number of rows, at 128 dimensions: descriptors of photographs up to
100,000, and made rows from there to a million."""

import matplotlib.pyplot as plt

from peers.plots.style import (
    color_of,
    heading,
    is_bulk,
    label_ends,
    line_style,
    plain_numbers,
    threads_label,
)

SETS = {"sift": "photographs' descriptors (sift)", "made": "made rows"}
DIM = 128
HEADING_HEIGHT = 0.75
SIZE = (10.2, 4.8)


def figure(results, theme):
    shown = [result for result in results if is_bulk(result) and is_shown(result)]
    if not shown:
        return None
    threads = max(result["case"]["threads"] for result in shown)
    lines = lines_of([result for result in shown if result["case"]["threads"] == threads])
    panels = {dataset: lines[dataset] for dataset in SETS if dataset in lines}
    if not panels:
        return None
    widths = [1.5 if dataset == "sift" else 1.0 for dataset in panels]
    figure, grid = plt.subplots(
        1, len(panels), figsize=SIZE, squeeze=False, sharey=True, width_ratios=widths
    )
    top = 1 - (HEADING_HEIGHT + 0.25) / SIZE[1]
    figure.subplots_adjust(left=0.07, right=0.88, top=top, bottom=0.11, wspace=0.4)
    for axes, (dataset, peers) in zip(grid.flat, panels.items()):
        draw_panel(axes, SETS[dataset], peers, theme)
    grid.flat[0].set_ylabel("microseconds a row")
    for axes, peers in zip(grid.flat, panels.values()):
        label_ends(axes, {name: points[-1] for name, points in peers.items()}, theme, gap=0.055)
    below = f"{DIM} dimensions, {threads_label(threads)}; lower is better; both axes logarithmic"
    heading(figure, "Time to build, by the number of rows", below, theme, top=HEADING_HEIGHT)
    return figure


def is_shown(result):
    case = result["case"]
    dims = {peer["dim"] for peer in result["peers"].values()}
    return case["dataset"] in SETS and dims == {DIM} and case.get("build_ratio") is not None


def lines_of(results):
    """For each set the points of each peer measured at several sizes, from few rows to many."""
    lines = {}
    for result in sorted(results, key=lambda result: result["case"]["rows"]):
        case = result["case"]
        for name, peer in result["peers"].items():
            points = lines.setdefault(case["dataset"], {}).setdefault(name, [])
            points.append((case["rows"], peer["build_seconds"] * 1e6 / case["rows"]))
    several = {
        dataset: {name: points for name, points in peers.items() if len(points) > 1}
        for dataset, peers in lines.items()
    }
    return {dataset: peers for dataset, peers in several.items() if peers}


def draw_panel(axes, title, peers, theme):
    for name, points in peers.items():
        axes.plot(
            *zip(*points), marker="o", markersize=4, color=color_of(name, theme), **line_style(name)
        )
    axes.set_title(title, fontsize=10.5, fontweight="bold")
    axes.set(xscale="log", yscale="log", xlabel="rows")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
