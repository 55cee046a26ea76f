"""Small made-up runs and cases for the tests."""

from peers.cases import EF_SEARCH, Case

RECALLS = (0.90, 0.94, 0.96, 0.97, 0.98, 0.985, 0.992, 0.995, 0.998, 1.0)
MACHINE = {"cpu": "Some CPU", "cores": 2, "memory_gib": 8.0, "os": "Some Linux"}


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


def complete(result):
    """What `run_case` adds to a comparison."""
    details = {"date": "2026-01-02T03:04:05+00:00", "machine": MACHINE, "note": None}
    return result | details | {"versions": {"hnswlib": "0.8.0", "loomdb": "1.0.0"}}
