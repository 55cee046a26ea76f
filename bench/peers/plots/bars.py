"""Panels of horizontal bars, one for each case: the peers in order, each with its figure."""

import math

import matplotlib.pyplot as plt

from peers.plots.style import heading, weight_of
from peers.registry import SUBJECT

PANEL_WIDTH = 3.1
BAR_HEIGHT = 0.27
TITLE_HEIGHT = 0.55
HEADING_HEIGHT = 0.75
# Room to the right of the longest bar for its figure, in bar lengths.
ROOM_FOR_FIGURES = 0.42


def bar_panels(panels, columns, words, theme):
    """`panels` are titles with names and values in order; `words` the two lines of the heading.

    Every panel has a scale of its own: what can be compared is within a panel.
    """
    rows = math.ceil(len(panels) / columns)
    columns = min(columns, len(panels))
    most = max(len(bars) for _, bars in panels)
    row_height = BAR_HEIGHT * most + TITLE_HEIGHT
    size = (PANEL_WIDTH * columns + 0.9, row_height * rows + HEADING_HEIGHT)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    figure.subplots_adjust(
        wspace=0.62, hspace=TITLE_HEIGHT / (BAR_HEIGHT * most), left=0.0, right=1.0,
        top=1 - (HEADING_HEIGHT + 0.25) / size[1], bottom=0.0,
    )
    for axes, (title, bars) in zip(grid.flat, panels):
        draw_panel(axes, title, bars, most, theme)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    heading(figure, *words, theme, top=HEADING_HEIGHT)
    return figure


def draw_panel(axes, title, bars, most, theme):
    for position, (name, value, figure) in enumerate(bars):
        color = theme["chosen" if name == SUBJECT else "bar"]
        axes.barh(position, value, height=0.7, color=color)
        ink = theme["chosen" if name == SUBJECT else "ink"]
        axes.annotate(
            figure, (value, position), xytext=(5, 0), textcoords="offset points", va="center",
            fontsize=9, color=ink, fontweight=weight_of(name),
        )
    axes.set_xlim(0, max(value for _, value, _ in bars) * (1 + ROOM_FOR_FIGURES))
    axes.set_ylim(most - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars], fontsize=9)
    axes.tick_params(axis="y", length=0, pad=4)
    for label, (name, _, _) in zip(axes.get_yticklabels(), bars):
        label.set_color(theme["chosen" if name == SUBJECT else "ink"])
        label.set_fontweight(weight_of(name))
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, fontsize=10.5, fontweight="bold", pad=5)
