"""From the runs of a case to its medians, the ratios to the reference, and what is met.

Query speeds are compared at equal recall: between the measured points of the Pareto frontier
(those that no other point beats in both recall and speed) speed is linear in recall.
"""

import dataclasses
import statistics
from dataclasses import dataclass

from peers.cases import EF_SEARCH, M

REFERENCE = "hnswlib"
SUBJECT = "loomdb"
RECALLS = (0.95, 0.99)
MIB = 2**20


@dataclass(frozen=True)
class SpeedAtRecall:
    """Queries per second at a recall. The relation is `=`; or `>=` where even the smallest
    ef_search exceeds the recall, and the speed is that of the fastest point; or `max` where the
    recall is never reached, and `value` is absent."""

    value: float | None
    relation: str
    max_recall: float


def speed_at(searches, recall):
    frontier = pareto_frontier(searches)
    max_recall = frontier[-1][0]
    if max_recall < recall:
        return SpeedAtRecall(None, "max", max_recall)
    if frontier[0][0] > recall:
        return SpeedAtRecall(frontier[0][1], ">=", max_recall)
    return SpeedAtRecall(interpolate(frontier, recall), "=", max_recall)


def pareto_frontier(searches):
    """The (recall, speed) points that no other beats in both, by rising recall."""
    points = [(search["recall_at_10"], search["queries_per_second"]) for search in searches]
    frontier = []
    for point in sorted(points, reverse=True):
        if not frontier or point[1] > frontier[-1][1]:
            frontier.append(point)
    return frontier[::-1]


def interpolate(points, x):
    """The y of x on the line through its neighbors; x lies within the points."""
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


def result_of(case, runs):
    """The medians of every peer's runs, and loomdb against each of the others."""
    peers = {name: summarize(peer_runs) for name, peer_runs in runs.items()}
    others = [name for name in peers if name != SUBJECT] if SUBJECT in peers else []
    return {
        "case": dataclasses.asdict(case),
        "peers": peers,
        "comparisons": {name: compare(case, peers[SUBJECT], peers[name]) for name in others},
        "memory": compare_memory(case, peers[SUBJECT]) if SUBJECT in peers else None,
    }


def summarize(runs):
    build_seconds = statistics.median(run["build_seconds"]["median"] for run in runs)
    searches = [median_search(runs, index) for index in range(len(EF_SEARCH))]
    return {
        "build_seconds": build_seconds,
        "vectors_per_second": runs[0]["n"] / build_seconds,
        "peak_rss_mib": max(run["peak_rss_mib"] for run in runs),
        "dim": runs[0]["dim"],
        "searches": searches,
        "speed_at_recall": {
            str(recall): dataclasses.asdict(speed_at(searches, recall)) for recall in RECALLS
        },
        "runs": runs,
    }


def median_search(runs, index):
    searches = [run["searches"][index] for run in runs]
    medians = {
        field: statistics.median(search[field] for search in searches)
        for field in ("recall_at_10", "queries_per_second")
    }
    return {"ef_search": EF_SEARCH[index]} | medians


def compare(case, subject, other):
    """Ratios above 1 are in favor of the subject."""
    build_ratio = subject["vectors_per_second"] / other["vectors_per_second"]
    by_turns = [
        theirs["build_seconds"]["median"] / ours["build_seconds"]["median"]
        for ours, theirs in zip(subject["runs"], other["runs"])
    ]
    return {
        "build_ratio": build_ratio,
        "build_ratio_range": [min(by_turns), max(by_turns)],
        "build_met": build_ratio >= case.build_ratio,
        "search": {
            recall: compare_speed(subject["speed_at_recall"][recall], speed)
            for recall, speed in other["speed_at_recall"].items()
        },
    }


def compare_speed(subject, other):
    """No slower than the other at this recall, or the only one to reach it."""
    if subject["value"] is None or other["value"] is None:
        return {"ratio": None, "met": other["value"] is None}
    ratio = subject["value"] / other["value"]
    return {"ratio": ratio, "met": ratio >= 1.0}


def compare_memory(case, subject):
    """The bound is for bulk builds; a growing collection has none."""
    peak = subject["peak_rss_mib"]
    if case.batch is not None:
        return {"peak_mib": peak, "bound_mib": None, "met": None}
    bound = memory_bound_mib(case.rows, subject["dim"])
    return {"peak_mib": peak, "bound_mib": bound, "met": peak <= bound}


def memory_bound_mib(rows, dim):
    """Twice the vectors (f32) and links (2 * m a row, u32), 1.5 times for wide vectors, and
    64 MiB for everything that does not grow."""
    vectors = rows * dim * 4
    links = rows * 2 * M * 4
    factor = 1.5 if dim >= 384 else 2.0
    return factor * (vectors + links) / MIB + 64
