"""What all plots share: two themes, plain numbers, and labels that keep apart."""

import re

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from peers.registry import SUBJECT

STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "loomdb",
}
THEMES = {
    "light": {"ground": "white", "ink": "#24292f", "quiet": "#57606a", "line": "#d0d7de"}
    | {"bar": "#a9bccf", "chosen": "#c2410c"},
    "dark": {"ground": "#0d1117", "ink": "#e6edf3", "quiet": "#9aa4ae", "line": "#30363d"}
    | {"bar": "#3d5168", "chosen": "#f0803c"},
}
# Muted, so that the chosen color stands out; readable on either ground.
PEER_COLORS = {
    "hnswlib": "#4c8bc9",
    "faiss-hnsw": "#5a9e6f",
    "faiss-nsg": "#8a9a3c",
    "usearch": "#9a78c4",
    "svs-vamana": "#2f9e9e",
    "vsag-hgraph": "#b98a2e",
    "vsag-odescent": "#a86f86",
    "voyager": "#8b949e",
    "qdrant-edge": "#7480c8",
}
FORMATS = ("svg", "png")
PIXELS_PER_INCH = 160


def save_in_every_theme(name, directory, draw):
    """Writes what `draw(theme)` makes in every theme and format; nothing if it makes nothing."""
    paths = []
    for theme_name, theme in THEMES.items():
        with plt.rc_context(STYLE | colors(theme)):
            figure = draw(theme)
            if figure is None:
                return []
            for extension in FORMATS:
                path = directory / f"{name}-{theme_name}.{extension}"
                # A date would make every picture differ from the last.
                metadata = {"Date": None} if extension == "svg" else {"Software": None}
                figure.savefig(path, metadata=metadata, bbox_inches="tight", pad_inches=0.2)
                if extension == "svg":
                    path.write_text(shortened(path.read_text("utf-8")), encoding="utf-8")
                paths.append(path)
            plt.close(figure)
    return paths


def shortened(svg):
    """Without digits that nobody can see: half of the file."""
    lines = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def colors(theme):
    return {
        "axes.edgecolor": theme["line"],
        "axes.facecolor": theme["ground"],
        "axes.labelcolor": theme["quiet"],
        "figure.facecolor": theme["ground"],
        "grid.color": theme["line"],
        "savefig.dpi": PIXELS_PER_INCH,
        "savefig.facecolor": theme["ground"],
        "text.color": theme["ink"],
        "xtick.color": theme["quiet"],
        "ytick.color": theme["quiet"],
    }


def color_of(name, theme):
    return theme["chosen"] if name == SUBJECT else PEER_COLORS.get(name, theme["quiet"])


def line_style(name):
    return {"linewidth": 2.6, "zorder": 4} if name == SUBJECT else {"linewidth": 1.2, "zorder": 3}


def weight_of(name):
    return "bold" if name == SUBJECT else "normal"


def heading(figure, text, below, theme, top):
    """Two lines above the panels, flush with the left edge of the first; `top` in inches."""
    height = figure.get_size_inches()[1]
    left = figure.axes[0].get_position().x0
    for line, offset, style in (
        (text, 0.52, {"fontsize": 13, "fontweight": "bold"}),
        (below, 0.28, {"color": theme["quiet"]}),
    ):
        figure.text(left, 1 - (top - offset) / height, line, va="center", **style)


def plain_numbers(axis, subs=(1,)):
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def short(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def label_ends(axes, ends, theme, gap=0.07):
    """Names to the right of the last points, moved apart where the lines end close together."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {name: to_axes.transform(end) for name, end in ends.items()}
    ordered = sorted(places, key=lambda name: places[name][1])
    heights = spread([places[name][1] for name in ordered], gap)
    for name, height in zip(ordered, heights):
        x, y = places[name]
        color = color_of(name, theme)
        axes.plot(
            (x, 1.03), (y, height), transform=axes.transAxes, clip_on=False, color=color,
            linewidth=0.6, zorder=2, alpha=0.7,
        )
        axes.text(
            1.04, height, name, transform=axes.transAxes, va="center", fontsize=9,
            color=color, fontweight=weight_of(name),
        )


def spread(heights, gap):
    """Rising heights, each at least a gap above the one before, and as near to their places as
    that allows: where they crowd, the crowd is centered on where its members belong."""
    groups = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and bottom(groups[-1], gap) < top(groups[-2], gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [bottom(group, gap) + gap * rank for group in groups for rank in range(len(group))]


def bottom(group, gap):
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def top(group, gap):
    return bottom(group, gap) + gap * (len(group) - 1)


def threads_label(threads):
    return "one thread" if threads == 1 else f"{threads} threads"


def widest(results):
    """Of the results of one case the one with most peers; of those the one with most threads."""
    chosen = {}
    for result in results:
        name = result["case"]["name"]
        rank = (len(result["peers"]), result["case"]["threads"])
        if name not in chosen or rank >= chosen[name][0]:
            chosen[name] = rank, result
    return [result for _, result in chosen.values()]


def is_bulk(result):
    return result["case"].get("batch") is None


def compared(results, least_rows=0):
    """A result for each bulk case with requirements, without those that only serve another: where
    others have more peers, a case with two has nothing to show."""
    shown = [
        result
        for result in widest(results)
        if is_bulk(result)
        and result["case"].get("build_ratio") is not None
        and result["case"]["rows"] >= least_rows
        and SUBJECT in result["peers"]
    ]
    return [result for result in shown if len(result["peers"]) > 2] or shown
