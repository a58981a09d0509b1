#!/usr/bin/env python3
"""Times Megagram against others in one run, in turn, and writes bench/runs/<date>-<host>/ (see bench/README.md)."""

import argparse
import datetime
import json
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys

from peers import machine, networks, sides
from peers.cases import CASES, Bench, build
from peers.record import Record

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAILURES = (sides.Failed, subprocess.CalledProcessError)
VENVS = ("scipy", "mkl", "neural_tangents", "dask", "sklearn")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: proves that everything runs, measures nothing")
    parser.add_argument("--only", default="", help=f"cases, comma-separated, of: {', '.join(CASES)}")
    known = ", ".join(networks.timed(quick=True))
    parser.add_argument("--networks", default="", help=f"of the case kernels these alone, of: {known}")
    parser.add_argument("--rounds", type=int, help="measurements of each side after one to warm up (default 5, quick 2)")
    parser.add_argument("--n", type=int, help="this size instead of a case's own")
    parser.add_argument("--to", type=pathlib.Path, help="the folder to write")
    parser.add_argument("--host", default=platform.node(), help="the machine's name in the folder's")
    parser.add_argument("--scratch", type=pathlib.Path, default=ROOT / "target/peers", help="data and stores")
    parser.add_argument("--megagram", type=pathlib.Path, help="a program that is built already")
    return parser.parse_args()


def say(line):
    print(line, file=sys.stderr, flush=True)


def built(given):
    """The program and the rates example, built as they are used."""
    cargo = ["cargo", "build", "--release", "-p"]
    if given is None:
        subprocess.run([*cargo, "megagram-jobs"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "megagram-bench", "--example", "rates"], cwd=ROOT, check=True)
    return (given or ROOT / "target/release/megagram").resolve(), ROOT / "target/release/examples/rates"


def main():
    given = arguments()
    names = given.only.split(",") if given.only else list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        say(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
        return 2
    chosen = given.networks.split(",") if given.networks else list(networks.timed(quick=True))
    if unknown := [name for name in chosen if name not in networks.timed(quick=True)]:
        say(f"no such network: {', '.join(unknown)}; there are {', '.join(networks.timed(quick=True))}")
        return 2
    program, rates = built(given.megagram)
    # A folder of our own, for it is emptied between cases.
    scratch = given.scratch.resolve() / "megagram-peers"
    rounds = given.rounds or (2 if given.quick else 5)
    date = datetime.date.today().isoformat()
    name = f"{date}-{given.host}{'-quick' if given.quick else ''}"
    record = Record(given.to or ROOT / "bench/runs" / name, {str(scratch): "SCRATCH", str(ROOT): "."})
    facts, before = machine.describe(ROOT), machine.load()
    if before[0] > 0.2 * machine.cores():
        say(f"warning: load {before[0]} before the start; ratios of a busy machine are noise")
    bench = Bench(program, rates, scratch, given.quick, chosen)
    failed = []
    commands = [f"{shlex.join(['python3', 'bench/run_peers.py', *sys.argv[1:]])}\n"]

    def fails(line):
        say(line)
        failed.append(f"{line}\n")

    for name in names:
        for n in [given.n] if given.n else bench.sizes(name):
            try:
                for case in build(bench, name, n):
                    try:
                        case.measure(rounds, say)
                    except FAILURES as error:
                        fails(f"{case.name}: {error}")
                    finally:
                        record.add(case)
                        commands += [f"{case.name}: {side}: {shlex.join(s.command)}\n" for side, s in case.sides.items()]
                        record.summary(facts, before, machine.load())
            except FAILURES as error:
                fails(f"{name}{f' {n}' if n else ''}: {error}")
    shutil.rmtree(bench.scratch, ignore_errors=True)
    facts |= {"load_before": before, "load_after": machine.load(), "megagram": machine.output([program, "--version"], ROOT)}
    facts |= {"about": {case.name: case.about for case in record.cases}}
    facts |= {"packages": {venv: sides.freeze(venv) for venv in VENVS if (sides.folder(venv) / "installed").exists()}}
    record.write("machine.json", json.dumps(facts, indent=2) + "\n")
    record.write("commands.txt", "".join(commands))
    if failed:
        record.write("failed.txt", "".join(failed))
    print((record.folder / "summary.md").read_text())
    say(f"written: {record.folder}")
    return 1 if failed else 0


sys.exit(main())
