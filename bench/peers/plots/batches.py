"""Throughput against the rows of a call: lines from calls of a few rows to all rows in one."""

import matplotlib.pyplot as plt

from peers.plots.style import (
    color_of,
    heading,
    label_ends,
    line_style,
    plain_numbers,
    threads_label,
)

SIZE = (6.8, 4.2)
HEADING_HEIGHT = 0.75
# The cases whose names begin so differ in the rows of a call, and in nothing else.
PREFIX = "calls-"


def figure(results, theme):
    shown = [result for result in results if result["case"]["name"].startswith(PREFIX)]
    lines = lines_of(shown)
    if not any(len(points) > 1 for points in lines.values()):
        return None
    figure, axes = plt.subplots(figsize=SIZE)
    top = 1 - (HEADING_HEIGHT + 0.05) / SIZE[1]
    figure.subplots_adjust(left=0.12, right=0.84, top=top, bottom=0.13)
    for name, points in lines.items():
        axes.plot(
            *zip(*points), marker="o", markersize=4, color=color_of(name, theme), **line_style(name)
        )
    axes.set(xscale="log", yscale="log", xlabel="rows of a call", ylabel="vectors/s")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis, subs=(1, 2, 5))
    axes.grid(linewidth=0.6)
    label_ends(axes, {name: points[-1] for name, points in lines.items()}, theme)
    case = shown[0]["case"]
    below = (
        f"{case['dataset']} {case['rows']:,} x 128, {threads_label(case['threads'])}, "
        "every row linked when its call returns"
    )
    heading(figure, "Vectors linked a second by rows of a call", below, theme, top=HEADING_HEIGHT)
    return figure


def lines_of(results):
    lines = {}
    for result in results:
        case = result["case"]
        for name, peer in result["peers"].items():
            rows = case.get("batch") or case["rows"]
            lines.setdefault(name, []).append((rows, peer["vectors_per_second"]))
    return {name: sorted(points) for name, points in lines.items()}
