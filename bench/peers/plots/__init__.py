"""Plots of the result files, each light and dark, as SVG and as PNG.

Lines, bars and dots carry their names beside them, so no legend has to be searched; loomdb has the
one strong color.
"""

from peers.plots import batches, growth, memory, phases, recall, throughput
from peers.plots.style import save_in_every_theme

FIGURES = {
    "build-throughput": throughput.figure,
    "recall-against-qps": recall.figure,
    "time-against-rows": growth.figure,
    "time-by-phase": phases.figure,
    "batch-size": batches.figure,
    "memory": memory.figure,
}


def plot(results, directory):
    """Writes every plot that the results have figures for, and returns the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in FIGURES.items():
        paths += save_in_every_theme(name, directory, lambda theme: figure(results, theme))
    return paths
