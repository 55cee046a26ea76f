"""Where the time of a build goes: a bar for each case, cut into phases, each with its share."""

import matplotlib.pyplot as plt

from peers.plots.style import heading, is_bulk, threads_label
from peers.registry import SUBJECT

# From dark to light within one hue, so that the order of the phases can be read.
SHADES = {
    "light": ("#7c2d12", "#c2410c", "#ea8a4f", "#f4bd94", "#fbe3cf", "#b9b4ae", "#dedad6"),
    "dark": ("#f0803c", "#c9662c", "#9c4f24", "#70401f", "#4f3120", "#6b6864", "#3f3d3b"),
}
BAR_HEIGHT = 0.42
MARGIN_HEIGHT = 1.0
WIDTH = 8.2
# A share below this has no room for its figure.
LEAST_LABELLED = 0.05


def figure(results, theme):
    shown = [result for result in results if is_bulk(result) and phases_of(result)]
    shown = [result for result in shown if result["case"].get("build_ratio")]
    if not shown:
        return None
    threads = max(result["case"]["threads"] for result in shown)
    shown = [result for result in shown if result["case"]["threads"] == threads]
    names = names_of([phases_of(result) for result in shown])
    height = BAR_HEIGHT * len(shown) + MARGIN_HEIGHT
    figure, axes = plt.subplots(figsize=(WIDTH, height))
    figure.subplots_adjust(left=0.2, right=0.86, top=1 - 0.8 / height, bottom=0.1 / height)
    shades = SHADES["dark" if theme["ground"] != "white" else "light"]
    for position, result in enumerate(shown):
        draw_bar(axes, position, phases_of(result), dict(zip(names, shades)), theme)
    style_axes(axes, shown)
    name_phases(axes, names, shades, theme)
    below = f"{threads_label(threads)}; share of the build, and all of it at the right"
    heading(figure, "Where loomdb spends the time of a build", below, theme, top=0.75)
    return figure


def phases_of(result):
    return result["peers"].get(SUBJECT, {}).get("phases")


def names_of(all_phases):
    """The phases in their order, without those that take no time anywhere."""
    names = dict.fromkeys(name for phases in all_phases for name in phases)
    return [name for name in names if any(phases.get(name) for phases in all_phases)]


def shares(phases):
    """The phases as parts of one, with where each begins."""
    total = sum(phases.values()) or 1.0
    start, found = 0.0, {}
    for name, seconds in phases.items():
        found[name] = start, seconds / total
        start += seconds / total
    return found


def draw_bar(axes, position, phases, shades, theme):
    for name, (start, share) in shares(phases).items():
        shade = shades.get(name)
        if not share:
            continue
        axes.barh(position, share, left=start, height=0.68, color=shade)
        if share >= LEAST_LABELLED:
            axes.text(
                start + share / 2, position, f"{share:.0%}", ha="center", va="center", fontsize=8,
                color=ink_on(shade),
            )
    total = written(sum(phases.values()))
    axes.annotate(total, (1, position), xytext=(8, 0), textcoords="offset points", va="center",
                  fontsize=9, color=theme["ink"])


def written(seconds):
    return f"{seconds * 1e3:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def ink_on(shade):
    """Black or white, whichever can be read on it."""
    red, green, blue = (int(shade[place : place + 2], 16) for place in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def style_axes(axes, shown):
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shown) - 0.5, -1.1)
    axes.set_xticks([])
    axes.set_yticks(range(len(shown)), [result["case"]["name"] for result in shown])
    axes.tick_params(axis="y", length=0, pad=6)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def name_phases(axes, names, shades, theme):
    """Evenly above the first bar, each with a swatch of its shade."""
    for rank, (name, shade) in enumerate(zip(names, shades)):
        place = rank / len(names)
        axes.text(place, -0.75, "\u25a0", color=shade, va="center", fontsize=11)
        axes.text(place + 0.028, -0.75, name, color=theme["ink"], va="center", fontsize=9)
