"""Build time against the number of rows, at 128 dimensions: lines of photographs' descriptors, and
dashed ones of made rows up to a million."""

import matplotlib.pyplot as plt

from peers.plots.style import (
    color_of,
    heading,
    is_bulk,
    label_ends,
    line_style,
    plain_numbers,
    threads_label,
    weight_of,
)
from peers.registry import SUBJECT

SETS = {"sift": "-", "made": "--"}
DIM = 128
HEADING_HEIGHT = 0.75
SIZE = (7.4, 5.2)


def figure(results, theme):
    shown = [result for result in results if is_bulk(result) and is_shown(result)]
    if not shown:
        return None
    threads = max(result["case"]["threads"] for result in shown)
    lines = lines_of([result for result in shown if result["case"]["threads"] == threads])
    if not any(len(points) > 1 for points in lines.values()):
        return None
    figure, axes = plt.subplots(figsize=SIZE)
    top = 1 - (HEADING_HEIGHT + 0.05) / SIZE[1]
    figure.subplots_adjust(left=0.09, right=0.86, top=top, bottom=0.1)
    ends = {}
    for (dataset, name), points in lines.items():
        axes.plot(
            *zip(*points), marker="o", markersize=4, linestyle=SETS[dataset],
            color=color_of(name, theme), **line_style(name),
        )
        if dataset == "sift":
            ends[name] = points[-1]
    style_axes(axes)
    label_made(axes, lines, theme)
    label_ends(axes, ends, theme, gap=0.055)
    below = f"{DIM} dimensions, {threads_label(threads)}; lower is better; both axes logarithmic"
    heading(figure, "Time to build against rows", below, theme, top=HEADING_HEIGHT)
    return figure


def is_shown(result):
    case = result["case"]
    dims = {peer["dim"] for peer in result["peers"].values()}
    return case["dataset"] in SETS and dims == {DIM} and case.get("build_ratio") is not None


def lines_of(results):
    """The points of each peer in each set, from few rows to many."""
    lines = {}
    for result in sorted(results, key=lambda result: result["case"]["rows"]):
        case = result["case"]
        for name, peer in result["peers"].items():
            points = lines.setdefault((case["dataset"], name), [])
            points.append((case["rows"], peer["build_seconds"]))
    return lines


def style_axes(axes):
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)


def label_made(axes, lines, theme):
    """The ends of the dashed lines say what they are, with their time."""
    for (dataset, name), points in lines.items():
        if dataset == "made" and len(points) > 1:
            rows, seconds = points[-1]
            axes.annotate(
                f"made rows: {seconds:,.0f} s", (rows, seconds), xytext=(-6, 7),
                textcoords="offset points", ha="right", fontsize=8,
                color=color_of(name, theme), fontweight=weight_of(name),
            )
