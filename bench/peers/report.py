"""Turns result files into a Markdown table that says what is met and what is missed."""

import json

from peers.cases import Case
from peers.compare import RECALLS, REFERENCE, SUBJECT

ABSENT = "-"

# The place of the report in a page.
BEGIN, END = "<!-- report -->", "<!-- end of report -->"


def load_results(directory):
    results = [json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")]
    return sorted(results, key=lambda result: Case(**result["case"]).order)


def report(results):
    return "\n\n".join([conditions(results), table(results), summary(results), NOTES]) + "\n"


def with_report(page, text):
    """The page with the report between its marks, in place of the one that was there."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN} and {END} to put the report between")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def conditions(results):
    """A line for each distinct machine, set of versions and note; more than one is suspicious."""
    machines = unique(describe_machine(result["machine"]) for result in results)
    versions = unique(describe_versions(result["versions"]) for result in results)
    notes = unique(result["note"] for result in results if result.get("note"))
    dates = sorted(result["date"][:10] for result in results)
    period = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return "\n".join([*machines, *versions, f"Measured {period}.", *notes])


def describe_machine(machine):
    return "{cpu}, {cores} cores, {memory_gib} GiB, {os}.".format(**machine)


def describe_versions(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def unique(items):
    return list(dict.fromkeys(items))


def table(results):
    header = ["case", "threads", f"{REFERENCE} vec/s", f"{SUBJECT} vec/s", "ratio", "required"]
    header += [f"QPS@{recall} {REFERENCE} / {SUBJECT}" for recall in RECALLS]
    header += ["peak MiB / bound"]
    alignment = ["---"] + ["---:"] * (len(header) - 1)
    lines = [header, alignment, *(row(result) for result in results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def row(result):
    case, comparison = result["case"], result["comparisons"].get(REFERENCE)
    cells = [case["name"], str(case["threads"])]
    cells += [build_speed(result["peers"].get(name)) for name in (REFERENCE, SUBJECT)]
    cells += [build_ratio(comparison), required_ratio(case, comparison)]
    cells += [search_speeds(result, str(recall)) for recall in RECALLS]
    cells += [memory(result["memory"])]
    return cells


def build_speed(peer):
    return f"{peer['vectors_per_second']:,.0f}" if peer else ABSENT


def build_ratio(comparison):
    return f"{comparison['build_ratio']:.2f}x" if comparison else ABSENT


def required_ratio(case, comparison):
    required = f"{case['build_ratio']:g}x"
    return f"{required} {verdict(comparison['build_met'])}" if comparison else required


def search_speeds(result, recall):
    peers, comparison = result["peers"], result["comparisons"].get(REFERENCE)
    speeds = " / ".join(search_speed(peers.get(name), recall) for name in (REFERENCE, SUBJECT))
    if not comparison:
        return speeds
    search = comparison["search"][recall]
    ratio = f"{search['ratio']:.2f}x " if search["ratio"] is not None else ""
    return f"{speeds} ({ratio}{verdict(search['met'])})"


def search_speed(peer, recall):
    if not peer:
        return ABSENT
    speed = peer["speed_at_recall"][recall]
    if speed["value"] is None:
        return f"max {speed['max_recall']:.3f}"
    relation = speed["relation"].removeprefix("=")
    return f"{relation}{speed['value']:,.0f}"


def memory(measured):
    if not measured:
        return ABSENT
    if measured["bound_mib"] is None:
        return f"{measured['peak_mib']:,.0f} / {ABSENT}"
    bound = f"{measured['bound_mib']:,.0f} {verdict(measured['met'])}"
    return f"{measured['peak_mib']:,.0f} / {bound}"


def verdict(met):
    return "met" if met else "**missed**"


def summary(results):
    verdicts = [met for result in results for met in requirements(result)]
    if not verdicts:
        return f"{SUBJECT} was not measured, so nothing is met or missed."
    return f"{sum(verdicts)} of {len(verdicts)} requirements met."


def requirements(result):
    """Every promise that this case puts to the test, as met or not."""
    comparison, measured = result["comparisons"].get(REFERENCE), result["memory"]
    verdicts = []
    if comparison:
        verdicts.append(comparison["build_met"])
        verdicts += [search["met"] for search in comparison["search"].values()]
    if measured and measured["met"] is not None:
        verdicts.append(measured["met"])
    return verdicts


NOTES = """\
vec/s is build throughput, QPS queries per second on one thread at that recall@10.
Figures are medians over the runs; ratios compare the medians of peers that took turns.
A speed with >= is that of the smallest ef_search, whose recall is already higher; \
max is the best recall reached where the asked one is not.
A query speed is met when it is no lower than the reference's, without any allowance for noise."""
