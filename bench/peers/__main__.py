"""The command line: `python -m peers run | report | plot | ladder`."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from peers import plots, registry
from peers.cases import load_cases
from peers.ladder import load_ladder, plot_ladder
from peers.loomdb_binary import LoomdbBinary
from peers.report import load_results, report, with_report
from peers.run import BENCH, Settings, run_cases, shown


def main():
    options = parse_options()
    return options.action(options)


def parse_options():
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    add_run(commands.add_parser("run", help="measure the peers, a result file per case"))
    add_report(commands.add_parser("report", help="a Markdown table from result files"))
    add_plot(commands.add_parser("plot", help="SVG plots from result files"))
    add_ladder(commands.add_parser("ladder", help="plots of what `loomdb bench ladder` prints"))
    return parser.parse_args()


def add_run(parser):
    parser.add_argument("--data", type=absolute, required=True, help="directory of the data sets")
    parser.add_argument("--loomdb", type=executable, help="its binary; without it only others run")
    parser.add_argument("--cases", default="*", help="shell pattern over case ids")
    parser.add_argument("--peers", type=names, help="patterns of names, with commas between them")
    parser.add_argument("--repeat", type=positive, help="processes per peer (default: by case)")
    parser.add_argument("--out", type=absolute, default=BENCH / "results")
    parser.add_argument("--cache", type=absolute, default=BENCH / ".cache", help="exact neighbors")
    parser.add_argument("--note", help="a remark on the circumstances, repeated in the report")
    parser.set_defaults(action=run)


def add_report(parser):
    parser.add_argument("--results", type=absolute, default=BENCH / "results")
    parser.add_argument(
        "--out", type=absolute, help="the page that has a place for it (default: print it)"
    )
    parser.set_defaults(action=write_report)


def add_plot(parser):
    parser.add_argument("--results", type=absolute, default=BENCH / "results")
    parser.add_argument("--out", type=absolute, required=True, help="directory for the SVG files")
    parser.set_defaults(action=write_plots)


def add_ladder(parser):
    parser.add_argument(
        "--from", dest="file", type=absolute, required=True, help="output of `... ladder --json`"
    )
    parser.add_argument("--out", type=absolute, required=True, help="directory for the pictures")
    parser.set_defaults(action=write_ladder)


def absolute(text):
    return Path(text).absolute()


def executable(text):
    if not os.access(text, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text} is not an executable file")
    return absolute(text)


def names(text):
    patterns = text.split(",")
    try:
        registry.check_patterns(patterns)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from None
    return patterns


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def run(options):
    cases = load_cases(options.cases)
    if not cases:
        return f"no case matches {options.cases!r}"
    known = list(registry.PEERS)
    if options.loomdb:
        known.append(LoomdbBinary(options.loomdb))
    peers_of = partial(registry.peers_of, chosen=options.peers, peers=known)
    details = {"command": f"python -m peers {shown(sys.argv[1:])}", "note": options.note}
    settings = Settings(options.data, options.cache, options.out, options.repeat, details)
    failed = run_cases(cases, peers_of, settings)
    return f"failed: {', '.join(failed)}" if failed else 0


def write_report(options):
    text = report(existing_results(options.results))
    if options.out:
        page = options.out.read_text(encoding="utf-8")
        options.out.write_text(with_report(page, text), encoding="utf-8")
    else:
        print(text, end="")


def write_plots(options):
    for path in plots.plot(existing_results(options.results), options.out):
        print(path)


def write_ladder(options):
    try:
        report = load_ladder(options.file)
    except (OSError, ValueError) as error:
        return f"error: {error}"
    for path in plot_ladder(report, options.out):
        print(path)


def existing_results(directory):
    results = load_results(directory)
    if not results:
        raise SystemExit(f"no result files in {directory}")
    return results


if __name__ == "__main__":
    sys.exit(main())
