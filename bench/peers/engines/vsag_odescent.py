"""VSAG HGraph with the links of ODescent: NN-Descent over all rows, then pruned."""

import pyvsag

from peers import measure
from peers.engines.vsag_hgraph import VsagEngine


class VsagDescentEngine(VsagEngine):
    graph_type = "odescent"


if __name__ == "__main__":
    pyvsag.set_logger_off()
    measure.run(VsagDescentEngine)
