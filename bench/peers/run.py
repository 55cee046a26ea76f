"""Runs the cases: a fresh process for every build, the peers by turns, each on its own cores."""

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

from peers import compare, machine
from peers.cases import EF_SEARCH, Inputs

BENCH = Path(__file__).resolve().parents[1]

# Cases up to this size are over so soon that a cold page cache or an idle clock would show.
WARM_UP_ROWS = 10_000

# What the comparison reads; a peer may print more, and it is kept.
RUN_FIELDS = ("n", "dim", "metric", "threads", "build_seconds", "vectors_per_second")
RUN_FIELDS += ("peak_rss_mib", "searches")


class PeerFailed(Exception):
    """A peer's process failed, or measured something other than the case."""


@dataclass(frozen=True)
class Settings:
    """Where the inputs are and the results go; `details` are added to every result."""

    data: Path
    cache: Path
    out: Path
    repeat: int
    details: dict


def run_cases(cases, peers, settings):
    """Writes one result file per case; returns the ids of the cases that failed."""
    failed = []
    for case in cases:
        try:
            result = run_case(case, peers, settings)
        except PeerFailed as error:
            print(f"{case.id}: {error}", file=sys.stderr)
            failed.append(case.id)
            continue
        write_result(settings.out / f"{case.id}.json", result | settings.details)
    return failed


def run_case(case, peers, settings):
    cores = sorted(os.sched_getaffinity(0))
    if case.threads > len(cores):
        raise PeerFailed(f"needs {case.threads} cores, this machine offers {len(cores)}")
    started = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load_average": os.getloadavg()[0],
    }
    inputs = find_inputs(case, settings.data, settings.cache)
    commands = {peer.name: peer.command(case, inputs) for peer in peers}
    measure = partial(measure_once, case=case, cores=cores[: case.threads])
    runs = alternate(commands, measure, settings.repeat, warm_up=case.rows <= WARM_UP_ROWS)
    result = started | compare.result_of(case, runs)
    result["commands"] = {name: shown(command) for name, command in commands.items()}
    result["versions"] = {peer.name: peer.version() for peer in peers} | environment()
    result["machine"] = machine.describe()
    return result


def environment():
    return {"NumPy": importlib.metadata.version("numpy"), "Python": platform.python_version()}


def find_inputs(case, data, cache):
    command = [sys.executable, "-m", "peers.truth", "--data", data, "--cache", cache]
    command += ["--dataset", case.dataset, "--metric", case.metric, "--rows", str(case.rows)]
    truth = subprocess.run(command, cwd=BENCH, stdout=subprocess.PIPE, text=True, check=False)
    if truth.returncode != 0:
        raise PeerFailed("the exact neighbors could not be computed")
    return Inputs(
        base=data / f"{case.dataset}_base.npy",
        queries=data / f"{case.dataset}_queries.npy",
        truth=Path(truth.stdout.strip()),
    )


def alternate(commands, measure, repeat, warm_up):
    """Measures A B A B, so that a slow spell of the machine hits all peers alike."""
    if warm_up:
        for name, command in commands.items():
            measure(name, command)
    runs = {name: [] for name in commands}
    for _ in range(repeat):
        for name, command in commands.items():
            runs[name].append(measure(name, command))
    return runs


def measure_once(name, command, case, cores):
    try:
        run = launch(command, cores)
        check_run(run, case)
    except PeerFailed as error:
        raise PeerFailed(f"{name}: {error}") from error
    print(f"{case.id}: {name} {run['vectors_per_second']:,.0f} vectors/s", flush=True)
    return run


def launch(command, cores):
    """The JSON object that the process printed, and what the kernel says it used."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=BENCH,
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
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PeerFailed(f"printed no JSON object but {text[:200]!r}") from error


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
    if measured != list(EF_SEARCH):
        raise PeerFailed(f"ef_search is {measured}, the case has {list(EF_SEARCH)}")
    if len(run["build_seconds"]["all"]) != case.builds:
        raise PeerFailed(f"{len(run['build_seconds']['all'])} builds, not {case.builds}")


def shown(command):
    """A command line without the directories of this machine."""
    return " ".join(Path(part).name if os.path.isabs(part) else part for part in command)


def write_result(path, result):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
