"""From the runs of a case to its medians, the ratios to others, and what is met.

Query speeds are compared at equal recall: between the measured points of the Pareto frontier
(those that no other point beats in both recall and speed) speed is linear in recall.
"""

import dataclasses
import statistics
from dataclasses import dataclass

from peers.cases import BULK, M, case_of
from peers.registry import REFERENCE, SUBJECT

RECALLS = (0.95, 0.99)
MIB = 2**20

# A build may take this many times the time of its matrix products at the rate of this CPU.
FLOOR_AT_MOST = 2.5


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


def result_of(case, peers):
    """loomdb against every other peer and against the best of them; `peers` are summaries."""
    subject = peers.get(SUBJECT)
    others = {name: peer for name, peer in peers.items() if name != SUBJECT}
    against = others if subject else {}
    return {
        "case": dataclasses.asdict(case),
        "peers": peers,
        "comparisons": {name: compare(case, subject, peer) for name, peer in against.items()},
        "best": compare_best(case, subject, others) if subject and others else None,
        "memory": compare_memory(case, subject) if subject else None,
        "floor": compare_floor(case, subject) if subject else None,
    }


def compare_again(result):
    """A result file with what follows from its runs: definitions may have changed since."""
    compared = result_of(case_of(result["case"]), result["peers"])
    return result | compared


def summarize(runs):
    build_seconds = statistics.median(run["build_seconds"]["median"] for run in runs)
    searches = [median_search(runs, index) for index in range(len(runs[0]["searches"]))]
    summary = {
        "build_seconds": build_seconds,
        "vectors_per_second": runs[0]["n"] / build_seconds,
        "peak_rss_mib": max(run["peak_rss_mib"] for run in runs),
        "dim": runs[0]["dim"],
        "searches": searches,
        "speed_at_recall": {
            str(recall): dataclasses.asdict(speed_at(searches, recall)) for recall in RECALLS
        }
        if searches
        else {},
        "runs": runs,
    }
    for name in ("floor", "phases"):
        if all(run.get(name) for run in runs):
            summary[name] = median_fields([run[name] for run in runs])
    return summary


def median_search(runs, index):
    searches = [run["searches"][index] for run in runs]
    fields = ("recall_at_10", "queries_per_second")
    medians = {field: statistics.median(search[field] for search in searches) for field in fields}
    return {"ef_search": searches[0]["ef_search"]} | medians


def median_fields(objects):
    """A field is absent where a run has nothing to tell of it."""
    fields = {name: [each.get(name) for each in objects] for name in objects[0]}
    return {name: median_or_none(values) for name, values in fields.items()}


def median_or_none(values):
    return None if None in values else statistics.median(values)


def compare(case, subject, other):
    """Ratios above 1 are in favor of the subject. Only the reference has a required ratio."""
    build_ratio = subject["vectors_per_second"] / other["vectors_per_second"]
    return {
        "build_ratio": build_ratio,
        "build_ratio_range": ratio_range(subject, other),
        "build_met": build_ratio >= case.build_ratio if case.build_ratio is not None else None,
        "search": {
            recall: compare_speed(subject["speed_at_recall"][recall], speed)
            for recall, speed in other["speed_at_recall"].items()
        },
    }


def ratio_range(subject, other):
    """The ratios by turns, of peers that took turns."""
    if subject.get("measured") != other.get("measured"):
        return None
    by_turns = [
        theirs["build_seconds"]["median"] / ours["build_seconds"]["median"]
        for ours, theirs in zip(subject["runs"], other["runs"])
    ]
    return [min(by_turns), max(by_turns)]


def compare_speed(subject, other, required=1.0):
    """So many times as fast as the other at this recall, or the only one to reach it."""
    if subject["value"] is None or other["value"] is None:
        return {"ratio": None, "met": other["value"] is None}
    ratio = subject["value"] / other["value"]
    return {"ratio": ratio, "met": ratio >= required}


def compare_best(case, subject, others):
    """Against the fastest builder, and at each recall against the fastest searcher.

    With the reference alone there is no best to speak of.
    """
    if set(others) == {REFERENCE}:
        return None
    name = max(others, key=lambda name: others[name]["vectors_per_second"])
    ratio = subject["vectors_per_second"] / others[name]["vectors_per_second"]
    required = case.best_ratio
    build = {"peer": name, "ratio": ratio, "required": required}
    build["met"] = ratio >= required if required is not None else None
    recalls = subject["speed_at_recall"]
    search = {recall: compare_best_speed(case, subject, others, recall) for recall in recalls}
    return {"build": build, "search": search}


def compare_best_speed(case, subject, others, recall):
    speeds = {name: peer["speed_at_recall"][recall] for name, peer in others.items()}
    name = max(speeds, key=lambda name: speeds[name]["value"] or 0.0)
    required = case.search_ratio
    compared = compare_speed(subject["speed_at_recall"][recall], speeds[name], required or 1.0)
    met = compared["met"] if required is not None else None
    return {"peer": name, "ratio": compared["ratio"], "required": required, "met": met}


def compare_memory(case, subject):
    """The bound is for bulk builds; a growing collection has none."""
    peak = subject["peak_rss_mib"]
    if case.kind != BULK:
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


def compare_floor(case, subject):
    """How many times the time of its matrix products a bulk build took, where it tells; the
    searches of a growing collection are no such products."""
    ratio = subject.get("floor", {}).get("ratio")
    if case.kind != BULK or ratio is None:
        return None
    return {"ratio": ratio, "required": FLOOR_AT_MOST, "met": ratio <= FLOOR_AT_MOST}


def growth_of(result, results):
    """How much longer a row takes than in the smaller case that this one is held against.

    Nothing where the case is held against none, or the other was not measured.
    """
    case = result["case"]
    smaller = [
        other
        for other in results
        if other["case"]["name"] == case.get("growth_from")
        and other["case"]["threads"] == case["threads"]
    ]
    if not smaller or not all(SUBJECT in each["peers"] for each in (result, smaller[0])):
        return None
    speeds = [each["peers"][SUBJECT]["vectors_per_second"] for each in (smaller[0], result)]
    ratio, at_most = speeds[0] / speeds[1], case["growth_at_most"]
    return {"ratio": ratio, "at_most": at_most, "met": ratio <= at_most}
