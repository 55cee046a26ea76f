"""Small made-up runs and cases for the tests."""

from peers.cases import EF_SEARCH, Case
from peers.compare import result_of, summarize

RECALLS = (0.90, 0.94, 0.96, 0.97, 0.98, 0.985, 0.992, 0.995, 0.998, 1.0)
MACHINE = {"cpu": "Some CPU", "instructions": "AVX2", "cores": 2, "memory_gib": 8.0}
MACHINE |= {"os": "Some Linux"}
DATE = "2026-01-02T03:04:05+00:00"


def sample_case(**changes):
    fields = {"name": "sift-1500", "dataset": "sift", "metric": "l2", "rows": 1_500}
    return Case(**(fields | {"threads": 1, "build_ratio": 5.0} | changes))


def sample_searches(fastest=10_000.0, recalls=RECALLS):
    return [
        {"ef_search": ef_search, "recall_at_10": recall, "queries_per_second": fastest / ef_search}
        for ef_search, recall in zip(EF_SEARCH, recalls)
    ]


def sample_run(seconds, rows=1_500, dim=128, peak_rss_mib=40.0, **search):
    return {
        "n": rows,
        "dim": dim,
        "metric": "l2",
        "threads": 1,
        "build_seconds": {"median": seconds, "all": [seconds]},
        "vectors_per_second": rows / seconds,
        "peak_rss_mib": peak_rss_mib,
        "searches": sample_searches(**search),
    }


def sample_peer(*runs, measured=DATE, version="1.0.0"):
    return {"measured": measured, "version": version, "command": "x"} | summarize(list(runs))


def sample_result(peers, **changes):
    """What a result file holds; `peers` has a run or a list of runs for each name."""
    lists = {name: runs if isinstance(runs, list) else [runs] for name, runs in peers.items()}
    summaries = {name: sample_peer(*runs) for name, runs in lists.items()}
    details = {"date": DATE, "machine": MACHINE, "note": None, "missing": {}}
    details |= {"versions": {"NumPy": "2.0.0"}}
    return details | result_of(sample_case(**changes), summaries)
