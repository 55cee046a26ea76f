"""Search speed against recall: a panel for each of the large cases."""

import math

import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

from peers.compare import pareto_frontier
from peers.plots.style import (
    color_of,
    compared,
    heading,
    label_ends,
    line_style,
    plain_numbers,
)
from peers.plots.throughput import title

COLUMNS = 2
PANEL_SIZE = (3.5, 3.3)
HEADING_HEIGHT = 0.75
LEAST_ROWS = 50_000
RECALL_TICKS = (0.9, 0.95, 0.99, 0.999)
# Beyond these nobody searches, and the lines would be pressed together for it.
LOWEST_RECALL, HIGHEST_RECALL = 0.85, 0.9995


def figure(results, theme):
    shown = compared(results, LEAST_ROWS)
    if not shown:
        return None
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    size = ((PANEL_SIZE[0] + 1.3) * columns, PANEL_SIZE[1] * rows + HEADING_HEIGHT)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    top = 1 - (HEADING_HEIGHT + 0.25) / size[1]
    figure.subplots_adjust(wspace=0.7, hspace=0.42, left=0.05, right=0.9, top=top, bottom=0.08)
    for axes, result in zip(grid.flat, shown):
        draw_panel(axes, result, theme)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    below = "further up and to the right is better; ef_search from 10 to 400, both axes logarithmic"
    heading(figure, "Queries a second at a recall, one thread", below, theme, top=HEADING_HEIGHT)
    return figure


def draw_panel(axes, result, theme):
    ends = {}
    for name, peer in result["peers"].items():
        points = points_of(peer["searches"])
        if not points:
            continue
        axes.plot(
            *zip(*points), marker="o", markersize=3, color=color_of(name, theme), **line_style(name)
        )
        ends[name] = points[-1]
    style_axes(axes, title(result).rpartition(",")[0])
    label_ends(axes, ends, theme)


def points_of(searches):
    """What is lost, and the speed: from the lowest recall to the first beyond the highest."""
    points = []
    for recall, speed in pareto_frontier(searches):
        if recall >= LOWEST_RECALL:
            points.append((1 - min(recall, HIGHEST_RECALL), speed))
        if recall >= HIGHEST_RECALL:
            break
    return points


def style_axes(axes, text):
    """What is lost, on a logarithmic scale, spreads the recalls close to 1 apart."""
    axes.set_title(text, fontsize=10.5, fontweight="bold")
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="queries/s")
    most = max(axes.get_xlim()[1], 0.06)
    axes.set_xlim(most, (1 - HIGHEST_RECALL) * 0.9)
    ticks = [tick for tick in RECALL_TICKS if 1 - tick <= most]
    axes.set_xticks([1 - tick for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=8.5)
    plain_numbers(axes.yaxis, subs=(1, 2, 5))
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
