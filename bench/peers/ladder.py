"""A plot of `loomdb bench ladder --json`: a panel per row count, a bar per way to link rows.

Every bar carries its figures, and its name stands beside it, so there is no legend.
"""

import json

import matplotlib.pyplot as plt

from peers.plots.style import save_in_every_theme

PANEL_WIDTH = 3.9
# The heading needs this much even above a single panel.
LEAST_WIDTH = 7.0
BAR_HEIGHT = 0.52
MARGIN_HEIGHT = 1.35
# Room to the right of the longest bar for its figures, in bar lengths.
ROOM_FOR_FIGURES = 0.62


def load_ladder(path):
    """The report in a file.

    Raises ValueError, with the reason, for a file that is not one.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: this is not JSON: {error}") from error
    if not isinstance(report, dict) or not report.get("ladders"):
        raise ValueError(f"{path}: this is not what `loomdb bench ladder --json` prints")
    return report


def plot_ladder(report, directory):
    """Writes the plot in every theme and format, and returns the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    return save_in_every_theme("ladder", directory, lambda theme: ladder_figure(report, theme))


def ladder_figure(report, theme):
    ladders = report["ladders"]
    rungs = max(len(ladder["rungs"]) for ladder in ladders)
    size = (max(PANEL_WIDTH * len(ladders), LEAST_WIDTH), BAR_HEIGHT * rungs + MARGIN_HEIGHT)
    figure, grid = plt.subplots(1, len(ladders), figsize=size, squeeze=False, sharey=True)
    figure.subplots_adjust(wspace=0.08, top=1 - 1.0 / size[1], bottom=0.1 / size[1])
    for axes, ladder in zip(grid.flat, ladders):
        draw_panel(axes, ladder, theme)
    left = grid.flat[0]
    names = [rung["name"] for rung in ladders[0]["rungs"]]
    left.set_yticks(range(len(names)), names)
    left.tick_params(axis="y", labelcolor=theme["ink"])
    left.set_ylim(rungs - 0.5, -0.5)
    write_heading(figure, left, report, theme)
    return figure


def write_heading(figure, left, report, theme):
    """Two lines above the panels, flush with the first bar."""
    at = left.get_position()
    height = figure.get_size_inches()[1]
    above = at.y1 + 0.72 / height, at.y1 + 0.48 / height
    figure.text(at.x0, above[0], heading(report), fontsize=13, fontweight="bold", va="center")
    text = f"{conditions(report)}; beside a bar: speed, ratio to the first bar, distances computed"
    figure.text(at.x0, above[1], text, color=theme["quiet"], va="center")


def heading(report):
    return f"Vectors linked a second: {report['dataset']}, {report['dim']} dimensions"


def conditions(report):
    threads = report["threads"]
    unit = "thread" if threads == 1 else "threads"
    repeat = report["repeat"]
    runs = "one run" if repeat == 1 else f"median of {repeat} runs"
    return f"{report['metric']}, {threads} {unit}, {runs}"


def draw_panel(axes, ladder, theme):
    rungs = ladder["rungs"]
    speeds = [rung["vectors_per_second"] for rung in rungs]
    for position, rung in enumerate(rungs):
        draw_bar(axes, position, rung, theme, is_last=position == len(rungs) - 1)
    axes.set_xlim(0, max(speeds) * (1 + ROOM_FOR_FIGURES))
    axes.set_title(f"{ladder['rows']:,} rows", fontsize=11, color=theme["ink"], pad=6)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=8)


def draw_bar(axes, position, rung, theme, is_last):
    """The last rung is what a build does unless told otherwise: it has the color."""
    speed = rung["vectors_per_second"]
    color = theme["chosen" if is_last else "bar"]
    axes.barh(position, speed, height=0.62, color=color)
    figures = f"{speed:,.0f}   {rung['ratio']:.1f}x"
    ink = theme["chosen" if is_last else "ink"]
    write_beside(axes, figures, speed, position - 0.15, color=ink, fontsize=9.5, fontweight="bold")
    below = distances(rung["distance_computations"])
    write_beside(axes, below, speed, position + 0.19, color=theme["quiet"], fontsize=7.5)


def write_beside(axes, text, x, y, **style):
    place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (x, y), **place, **style)


def distances(number):
    if number == 0:
        return "scanned, not linked"
    if number < 1_000_000:
        return f"{number / 1e3:,.0f} thousand distances"
    return f"{number / 1e6:,.1f} million distances"
