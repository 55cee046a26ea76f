"""Plots of the result files: search speed against recall, and build throughput.

Lines and dots carry their names beside them, so no legend has to be searched.
"""

import math

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from peers.compare import REFERENCE, SUBJECT, pareto_frontier

INK = "#333333"
FAINT = "#dddddd"
COLORS = {SUBJECT: "#c2410c", REFERENCE: "#1d5fa8"}
OTHER_COLORS = ["#4d7c0f", "#7e22ce", "#0f766e", "#a16207"]
STYLE = {
    "axes.edgecolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "loomdb",
    "text.color": INK,
}

PANEL_COLUMNS = 3
RECALL_TICKS = (0.5, 0.8, 0.95, 0.99, 0.999)
# 1,000 queries with 10 neighbors each cannot tell a higher recall from 1.
HIGHEST_RECALL = 0.9999


def plot(results, directory):
    """Writes the SVG files and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figures = {
            "recall-against-qps.svg": recall_figure(results),
            "build-throughput.svg": throughput_figure(results),
        }
        return [save(figure, directory / name) for name, figure in figures.items()]


def save(figure, path):
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path


def color_of(name, names):
    others = [other for other in names if other not in COLORS]
    return COLORS[name] if name in COLORS else OTHER_COLORS[others.index(name) % 4]


def peer_names(results):
    return list(dict.fromkeys(name for result in results for name in result["peers"]))


def recall_figure(results):
    """A panel per case, from the graph that the most threads built: searches use one thread."""
    panels = {result["case"]["name"]: result for result in results}
    rows = math.ceil(len(panels) / PANEL_COLUMNS)
    size = (4.6 * PANEL_COLUMNS, 3.4 * rows)
    figure, grid = plt.subplots(rows, PANEL_COLUMNS, figsize=size, squeeze=False)
    figure.subplots_adjust(wspace=0.65, hspace=0.5)
    names = peer_names(results)
    for axes, result in zip(grid.flat, panels.values()):
        draw_recall_panel(axes, result, names)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    return figure


def draw_recall_panel(axes, result, names):
    ends = {}
    for name, peer in result["peers"].items():
        points = [recall_point(*point) for point in pareto_frontier(peer["searches"])]
        axes.plot(*zip(*points), marker="o", markersize=3, color=color_of(name, names))
        ends[name] = points[-1]
    style_recall_axes(axes, result["case"])
    label_ends(axes, ends, names)


def recall_point(recall, speed):
    return 1 - min(recall, HIGHEST_RECALL), speed


def style_recall_axes(axes, case):
    """What is lost, on a logarithmic scale, spreads the recalls close to 1 apart."""
    axes.set_title(case["name"])
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="queries/s")
    widest = max(axes.get_xlim()[1], 0.06)
    axes.set_xlim(widest, (1 - HIGHEST_RECALL) * 0.9)
    ticks = [tick for tick in RECALL_TICKS if 1 - tick <= widest]
    axes.set_xticks([1 - tick for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    plain_numbers(axes.yaxis)
    axes.grid(color=FAINT)


def plain_numbers(axis):
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def label_ends(axes, ends, names):
    """Names to the right of the last points, moved apart where the lines end close together."""
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    ordered = sorted(ends, key=lambda name: ends[name][1])
    heights = [(math.log10(ends[name][1]) - low) / (high - low) for name in ordered]
    for name, height in zip(ordered, spread(heights, gap=0.09)):
        axes.text(
            1.02, height, name, transform=axes.transAxes, va="center", color=color_of(name, names)
        )


def spread(heights, gap):
    """Rising heights, each at least a gap above the one before."""
    moved = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    return moved


def throughput_figure(results):
    """A line per case with a dot per peer, on a logarithmic scale: equal gaps, equal ratios."""
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(results) + 1.2))
    names = peer_names(results)
    for position, result in enumerate(results):
        draw_throughput_row(axes, position, result, names, with_names=position == 0)
    axes.set_yticks(range(len(results)), [case_label(result["case"]) for result in results])
    axes.set_ylim(len(results) - 0.5, -0.8)
    axes.set(xscale="log", xlabel="vectors built a second")
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    plain_numbers(axes.xaxis)
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    return figure


def draw_throughput_row(axes, position, result, names, with_names):
    speeds = {name: peer["vectors_per_second"] for name, peer in result["peers"].items()}
    ends = (min(speeds.values()), max(speeds.values()))
    axes.plot(ends, (position, position), color="#aaaaaa", linewidth=2, zorder=1)
    for name, speed in speeds.items():
        color = color_of(name, names)
        axes.scatter(speed, position, s=45, color=color, zorder=2)
        label_dot(axes, f"{speed:,.0f}", speed, position, color, above=False)
        if with_names:
            label_dot(axes, name, speed, position, color, above=True)
    comparison = result["comparisons"].get(REFERENCE)
    if comparison:
        ratio = f"{comparison['build_ratio']:.1f}x"
        label_dot(axes, ratio, math.sqrt(ends[0] * ends[1]), position, INK, above=True)


def label_dot(axes, text, x, y, color, above):
    axes.annotate(
        text,
        (x, y),
        xytext=(0, 5 if above else -5),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=8,
        color=color,
    )


def case_label(case):
    unit = "thread" if case["threads"] == 1 else "threads"
    return f"{case['name']}, {case['threads']} {unit}"
