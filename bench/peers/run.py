"""Runs the cases: a fresh process for every build, the peers by turns, each on its own cores.

A result file is added to: peers that were measured before stay unless they are measured again, so
a case may be measured in several calls. Files from another machine or of another build are not.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from peers import compare, cpu, machine
from peers.cases import SINGLE, Inputs
from peers.registry import REFERENCE, SUBJECT, Missing

BENCH = Path(__file__).resolve().parents[1]

# Cases up to this size are over so soon that a cold page cache or an idle clock would show.
WARM_UP_ROWS = 10_000

# What the comparison reads; a peer may print more, and it is kept.
RUN_FIELDS = ("n", "dim", "metric", "threads", "build_seconds", "vectors_per_second")
RUN_FIELDS += ("peak_rss_mib", "searches")

# The fields of a case that a result must share to be added to.
SAME_BUILD = ("name", "dataset", "metric", "rows", "threads", "batch")


class CaseFailed(Exception):
    """Nothing of a case can be compared."""


class PeerFailed(Exception):
    """A peer's process failed, or measured something other than the case."""


@dataclass(frozen=True)
class Settings:
    """Where the inputs are and the results go; `details` are added to every result."""

    data: Path
    cache: Path
    out: Path
    repeat: int | None
    details: dict


def run_cases(cases, peers_of, settings):
    """Writes one result file per case; returns the ids of the cases that failed."""
    failed = []
    for case in cases:
        peers = peers_of(case)
        if not peers:
            print(f"{case.id}: none of these peers can do it", file=sys.stderr)
            continue
        path = settings.out / f"{case.id}.json"
        try:
            measured = run_case(case, peers, settings)
        except CaseFailed as error:
            print(f"{case.id}: {error}", file=sys.stderr)
            failed.append(case.id)
            continue
        write_result(path, merge(case, read_result(path), measured | settings.details))
        if {REFERENCE, SUBJECT} & measured["missing"].keys():
            failed.append(case.id)
    return failed


def run_case(case, peers, settings):
    cores = sorted(os.sched_getaffinity(0))
    if case.threads > len(cores):
        raise CaseFailed(f"needs {case.threads} cores, this machine offers {len(cores)}")
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    load_average = os.getloadavg()[0]
    versions, missing = installed(peers)
    inputs = find_inputs(case, settings.data, settings.cache)
    commands = {peer.name: peer.command(case, inputs) for peer in peers if peer.name in versions}
    measure = partial(measure_once, case=case, cores=cores[: case.threads])
    repeat = settings.repeat or case.runs
    warm_up = case.rows <= WARM_UP_ROWS
    runs, dropped = alternate(commands, measure, repeat, warm_up)
    summaries = {
        name: {
            "measured": date,
            "version": versions[name],
            "command": shown(commands[name]),
            "load_average": load_average,
        }
        | compare.summarize(peer_runs)
        for name, peer_runs in runs.items()
    }
    result = {"date": date, "missing": missing | dropped, "machine": machine.describe()}
    return result | {"versions": environment(), "peers": summaries}


def installed(peers):
    """The versions of those that are there, and why the others are not."""
    versions, missing = {}, {}
    for peer in peers:
        try:
            versions[peer.name] = peer.version()
        except Missing as error:
            print(f"{peer.name}: left out: {error}", file=sys.stderr)
            missing[peer.name] = str(error)
    return versions, missing


def environment():
    return {"NumPy": importlib.metadata.version("numpy"), "Python": platform.python_version()}


def find_inputs(case, data, cache):
    command = [sys.executable, "-m", "peers.truth", "--data", data, "--cache", cache]
    command += ["--dataset", case.dataset, "--metric", case.metric, "--rows", str(case.rows)]
    found = subprocess.run(command, cwd=BENCH, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        raise CaseFailed("the exact neighbors could not be computed")
    return Inputs(*map(Path, json.loads(found.stdout)))


def alternate(commands, measure, repeat, warm_up):
    """Measures A B A B, so that a slow spell of the machine hits all peers alike.

    A peer that fails once is dropped with its reason, and the others go on.
    """
    runs, dropped = {name: [] for name in commands}, {}
    for turn in range(repeat + warm_up):
        for name, command in commands.items():
            if name in dropped:
                continue
            try:
                run = measure(name, command)
            except PeerFailed as error:
                print(f"{name}: dropped: {error}", file=sys.stderr)
                dropped[name] = str(error)
                del runs[name]
                continue
            if turn >= warm_up:
                runs[name].append(run)
    return runs, dropped


def measure_once(name, command, case, cores):
    run = launch(command, cores)
    check_run(run, case)
    print(f"{case.id}: {name} {run['vectors_per_second']:,.0f} vectors/s", flush=True)
    return run


def launch(command, cores):
    """The JSON object that the process printed, and what the kernel says it used."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=BENCH,
            env=cpu.environment(os.environ, cpu.cpu_flags(), len(cores)),
            stdout=output,
            stderr=errors,
            preexec_fn=partial(os.sched_setaffinity, 0, cores),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise PeerFailed(f"exit code {process.returncode}: {errors.read()[-2000:].strip()}")
        run = parse_run(output.read())
    run["process"] = {
        "peak_rss_mib": usage.ru_maxrss / 1024,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }
    return run


def parse_run(text):
    """The object on the last line: some libraries print remarks before it."""
    lines = text.strip().splitlines()
    for candidate in (text, lines[-1] if lines else ""):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    raise PeerFailed(f"printed no JSON object but {text[:200]!r}")


def check_run(run, case):
    """A peer that measured another case must not enter the comparison."""
    missing = [field for field in RUN_FIELDS if field not in run]
    if missing:
        raise PeerFailed(f"printed an object without {', '.join(missing)}")
    expected = {"n": case.rows, "metric": case.metric, "threads": case.threads}
    for field, value in expected.items():
        if run.get(field) != value:
            raise PeerFailed(f"{field} is {run.get(field)!r}, the case has {value!r}")
    measured = [search["ef_search"] for search in run["searches"]]
    if measured != list(case.ef_search):
        raise PeerFailed(f"ef_search is {measured}, the case has {list(case.ef_search)}")
    if len(run["build_seconds"]["all"]) != case.builds:
        raise PeerFailed(f"{len(run['build_seconds']['all'])} builds, not {case.builds}")
    if case.kind == SINGLE and run.get("found_at_once") != 1.0:
        raise PeerFailed(f"found {run.get('found_at_once')} of the rows just added, not all")


def shown(command):
    """A command line without the directories of this machine."""
    return " ".join(Path(part).name if os.path.isabs(part) else part for part in command)


def merge(case, before, measured):
    """The result with the peers of an earlier call, if it measured the same build here."""
    peers, missing = measured["peers"], measured["missing"]
    if before and same_build(case, before) and before["machine"] == measured["machine"]:
        peers = before["peers"] | peers
        missing = before.get("missing", {}) | missing
    missing = {name: why for name, why in missing.items() if name not in peers}
    return measured | {"missing": missing} | compare.result_of(case, peers)


def same_build(case, before):
    return all(before["case"].get(field) == getattr(case, field) for field in SAME_BUILD)


def read_result(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_result(path, result):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
