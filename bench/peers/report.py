"""Turns result files into Markdown tables that say what is met and what is missed."""

import json

from peers import registry
from peers.cases import case_of
from peers.compare import RECALLS, compare_again, growth_of
from peers.registry import REFERENCE, SUBJECT

ABSENT = "-"

# The place of the report in a page.
BEGIN, END = "<!-- report -->", "<!-- end of report -->"


def load_results(directory):
    results = [json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")]
    results.sort(key=lambda result: case_of(result["case"]).order)
    return [compare_again(result) for result in results]


def report(results):
    parts = [conditions(results), summary(results), "### Builds", build_table(results)]
    parts += ["### Searches at equal recall, one thread", search_table(results)]
    parts += ["### Every peer: vectors built a second", peer_table(results)]
    parts += ["### How the peers were set", settings(results), NOTES]
    return "\n\n".join(parts) + "\n"


def with_report(page, text):
    """The page with the report between its marks, in place of the one that was there."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN} and {END} to put the report between")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def conditions(results):
    """A line for each distinct machine, environment and note; more than one is suspicious."""
    machines = unique(describe_machine(result["machine"]) for result in results)
    versions = unique(describe_versions(result["versions"]) for result in results)
    notes = unique(result["note"] for result in results if result.get("note"))
    measured = (peer["measured"] for result in results for peer in result["peers"].values())
    dates = sorted(date[:10] for date in measured)
    period = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return "\n".join([*machines, *versions, f"Measured {period}.", *notes])


def describe_machine(machine):
    return "{cpu} ({instructions}), {cores} cores, {memory_gib} GiB, {os}.".format(**machine)


def describe_versions(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def unique(items):
    return list(dict.fromkeys(items))


def markdown(header, rows):
    alignment = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, alignment, *rows])


def build_table(results):
    header = ["case", "threads", f"{REFERENCE} vec/s", f"{SUBJECT} vec/s", "ratio", "required"]
    header += ["best other", "ratio", "required", "peak MiB / bound", "floor", "growth"]
    return markdown(header, [build_row(result, results) for result in results])


def build_row(result, results):
    case, comparison = result["case"], result["comparisons"].get(REFERENCE)
    cells = [case["name"], str(case["threads"])]
    cells += [build_speed(result["peers"].get(name)) for name in (REFERENCE, SUBJECT)]
    cells += [build_ratio(comparison), required_ratio(case, comparison)]
    cells += best_build(result)
    cells += [memory(result["memory"]), floor(result["floor"]), growth(growth_of(result, results))]
    return cells


def build_speed(peer):
    return f"{peer['vectors_per_second']:,.0f}" if peer else ABSENT


def build_ratio(comparison):
    return f"{comparison['build_ratio']:.2f}x" if comparison else ABSENT


def required_ratio(case, comparison):
    if case["build_ratio"] is None:
        return ABSENT
    required = f"{case['build_ratio']:g}x"
    return f"{required} {verdict(comparison['build_met'])}" if comparison else required


def best_build(result):
    if not result["best"]:
        return [ABSENT] * 3
    best = result["best"]["build"]
    speed = build_speed(result["peers"][best["peer"]])
    return [f"{best['peer']} {speed}", f"{best['ratio']:.2f}x", required(best)]


def required(best):
    if best["required"] is None:
        return ABSENT
    return f"{best['required']:g}x {verdict(best['met'])}"


def memory(measured):
    if not measured:
        return ABSENT
    if measured["bound_mib"] is None:
        return f"{measured['peak_mib']:,.0f} / {ABSENT}"
    bound = f"{measured['bound_mib']:,.0f} {verdict(measured['met'])}"
    return f"{measured['peak_mib']:,.0f} / {bound}"


def floor(compared):
    if not compared:
        return ABSENT
    return f"{compared['ratio']:.2f} of {compared['required']:g} {verdict(compared['met'])}"


def growth(compared):
    if not compared:
        return ABSENT
    return f"{compared['ratio']:.2f} of {compared['at_most']:g} {verdict(compared['met'])}"


def search_table(results):
    header = ["case", "threads of the build"]
    for recall in RECALLS:
        header += [f"{name} QPS@{recall}" for name in (SUBJECT, REFERENCE)]
        header += ["ratio", "best other", "ratio", "required"]
    searched = [result for result in results if any_searches(result)]
    return markdown(header, [search_row(result) for result in searched])


def any_searches(result):
    return any(peer["searches"] for peer in result["peers"].values())


def search_row(result):
    cells = [result["case"]["name"], str(result["case"]["threads"])]
    for recall in map(str, RECALLS):
        peers = result["peers"]
        cells += [search_speed(peers.get(name), recall) for name in (SUBJECT, REFERENCE)]
        cells += [search_ratio(result["comparisons"].get(REFERENCE), recall)]
        cells += best_search(result, recall)
    return cells


def search_ratio(comparison, recall):
    if not comparison:
        return ABSENT
    search = comparison["search"][recall]
    ratio = f"{search['ratio']:.2f}x " if search["ratio"] is not None else ""
    return f"{ratio}{verdict(search['met'])}"


def best_search(result, recall):
    if not result["best"]:
        return [ABSENT] * 3
    best = result["best"]["search"][recall]
    speed = search_speed(result["peers"][best["peer"]], recall)
    ratio = f"{best['ratio']:.2f}x" if best["ratio"] is not None else ABSENT
    return [f"{best['peer']} {speed}", ratio, required(best)]


def search_speed(peer, recall):
    if not peer or not peer["speed_at_recall"]:
        return ABSENT
    speed = peer["speed_at_recall"][recall]
    if speed["value"] is None:
        return f"max {speed['max_recall']:.3f}"
    relation = speed["relation"].removeprefix("=")
    return f"{relation}{speed['value']:,.0f}"


def peer_table(results):
    """Every peer in every case that more than the reference was measured in."""
    measured = [result for result in results if set(result["peers"]) - {REFERENCE, SUBJECT}]
    names = [SUBJECT, *registry.names()]
    header = ["case", "threads", *names]
    return markdown(header, [peer_row(result, names) for result in measured])


def peer_row(result, names):
    case = result["case"]
    speeds = [peer_cell(result, name) for name in names]
    return [case["name"], str(case["threads"]), *speeds]


def peer_cell(result, name):
    missing = "left out" if name in result["missing"] else ABSENT
    peer = result["peers"].get(name)
    return build_speed(peer) if peer else missing


def settings(results):
    versions = {
        name: peer["version"] for result in results for name, peer in result["peers"].items()
    }
    lines = [
        f"* {peer.name} {versions[peer.name]} (`{peer.package}`): {peer.settings}."
        for peer in registry.PEERS
        if peer.name in versions
    ]
    lines += [f"* {SUBJECT} {versions[SUBJECT]}."] if SUBJECT in versions else []
    return "\n".join(lines + left_out(results))


def left_out(results):
    """Who was not measured where, and why."""
    cases = {}
    for result in results:
        for name, why in result["missing"].items():
            cases.setdefault((name, why.splitlines()[-1]), []).append(case_of(result["case"]).id)
    return [f"* Left out: {name} in {', '.join(ids)}: {why}." for (name, why), ids in cases.items()]


def verdict(met):
    return "met" if met else "**missed**"


def summary(results):
    verdicts = [(what, met) for result in results for what, met in requirements(result, results)]
    if not verdicts:
        return f"{SUBJECT} was not measured, so nothing is met or missed."
    missed = [what for what, met in verdicts if not met]
    met = len(verdicts) - len(missed)
    text = f"**{met} of {len(verdicts)} requirements met.**"
    return text + (f"\nMissed: {'; '.join(missed)}." if missed else "")


def requirements(result, results):
    """Every promise that this case puts to the test, with its name, as met or not."""
    case, comparison = case_of(result["case"]), result["comparisons"].get(REFERENCE)
    verdicts = []
    if comparison:
        verdicts.append((f"build over {REFERENCE}", comparison["build_met"]))
        for recall, search in comparison["search"].items():
            verdicts.append((f"queries at {recall} over {REFERENCE}", search["met"]))
    if result["best"]:
        verdicts.append(("build over the best", result["best"]["build"]["met"]))
        for recall, search in result["best"]["search"].items():
            verdicts.append((f"queries at {recall} over the best", search["met"]))
    for what, one in (
        ("memory", result["memory"]),
        ("floor", result["floor"]),
        ("growth", growth_of(result, results)),
    ):
        verdicts += [(what, one["met"])] if one else []
    return [(f"{case.id} {what}", met) for what, met in verdicts if met is not None]


NOTES = f"""\
vec/s is build throughput, QPS queries per second on one thread at that recall@10.
Figures are medians over the runs; ratios compare medians.
"best other" is the fastest of all other peers that were measured in the case.
A speed with >= is that of the smallest ef_search, whose recall is already higher; \
max is the best recall reached where the asked one is not.
A query speed is met when it is no lower than the other's, times the required ratio, without any \
allowance for noise.
Floor is the build time over that of its matrix products alone at the rate of this CPU, \
growth the time of a row over that in the case of a tenth of the rows.
Rows of `single` cases arrive one a call; each is found at once, none is synced, and only the time \
within the calls counts: {SUBJECT} and qdrant-edge link rows later."""
