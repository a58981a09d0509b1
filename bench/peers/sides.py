"""The sides of a comparison: each can be measured once, and again. A measurement is a dict with at least one number.

`others` in it says what the rest of the machine did meanwhile, as a share of all cores: near 0, or the number is noise.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from . import machine

HERE = pathlib.Path(__file__).parent


class Failed(Exception):
    """A side could not be measured; the text says why."""


def watched(work, cpu):
    """What `work()` gives, with the wall seconds it took and what others did. `cpu()` is the CPU time of the side."""
    busy, own, since = machine.busy_seconds(), cpu(), time.monotonic()
    result = work()
    wall = time.monotonic() - since
    others = (machine.busy_seconds() - busy) - (cpu() - own)
    return result | {"wall": wall, "others": max(0.0, round(others / (wall * machine.cores()), 3))}


def finished_children():
    spent = os.times()
    return spent.children_user + spent.children_system


class Program:
    """A program that is started for each measurement and prints one JSON object."""

    def __init__(self, command, pick, before=None, cwd=None):
        self.command, self.pick, self.before, self.cwd = [str(c) for c in command], pick, before, cwd
        self.about = None

    def once(self):
        if self.before:
            self.before()

        def work():
            done = subprocess.run(self.command, cwd=self.cwd, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failed(f"{' '.join(self.command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
            report = json.loads(done.stdout)
            self.about = self.about or {key: report[key] for key in ("blas", "workers", "processes") if key in report}
            return self.pick(report) | {"report": report}

        return watched(work, finished_children)

    def close(self):
        pass


class Peer:
    """A Python program in a virtual environment of its own, that stays and is asked."""

    def __init__(self, name, script, arguments, environment=None, after=None):
        self.command = [str(c) for c in [python(name), HERE / script, *arguments]]
        self.after = after
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {})
        self.child = subprocess.Popen(
            self.command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self.answer()["about"]

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{' '.join(self.command)}: ended with {self.child.wait()}")
        return json.loads(line)

    def ask(self, **command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        return self.answer()

    def once(self):
        return watched(lambda: self.ask(do="measure"), lambda: machine.process_seconds(self.child.pid))

    def compare(self, path, rows, output=None):
        return self.ask(do="compare", path=str(path), rows=rows, output=output)["difference"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        if self.after:
            self.after()


class PerEntry:
    """Another side, with its milliseconds for each of the distinct pairs of n rows."""

    def __init__(self, side, n):
        self.side, self.pairs = side, n * (n + 1) / 2

    def once(self):
        measured = self.side.once()
        return measured | {"ms_per_entry": 1e3 * measured["seconds"] / self.pairs}

    def __getattr__(self, name):
        return getattr(self.side, name)


class Published:
    """A number from elsewhere, the same each time."""

    def __init__(self, ms_per_entry, source):
        self.ms_per_entry, self.command, self.about = ms_per_entry, [source], {"source": source}

    def once(self):
        return {"ms_per_entry": self.ms_per_entry, "others": 0.0}

    def close(self):
        pass


class RawFiles:
    """Plain files, written and fsynced: the same bytes in files of the same size, a few at a time."""

    def __init__(self, folder, size, in_flight=4):
        self.folder, self.size, self.in_flight = pathlib.Path(folder), size, in_flight
        self.command, self.about = [f"{in_flight} threads: write and fsync files"], None

    def once(self):
        from concurrent.futures import ThreadPoolExecutor

        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        count, bytes_each = self.size()
        body = os.urandom(bytes_each)

        def write(number):
            with open(self.folder / str(number), "wb", buffering=0) as file:
                file.write(body)
                os.fsync(file.fileno())

        def work():
            since = time.perf_counter()
            with ThreadPoolExecutor(self.in_flight) as pool:
                list(pool.map(write, range(count)))
            return {"seconds": time.perf_counter() - since, "bytes": count * bytes_each}

        result = watched(work, time.process_time)
        shutil.rmtree(self.folder)
        return result

    def close(self):
        pass


def folder(name):
    return HERE.parent.parent / "target" / "peers" / name


def python(name):
    """The Python of a peer's virtual environment, which is made, or made anew when its requirements have changed."""
    wanted = (HERE / "requirements" / f"{name}.txt").read_bytes()
    place, digest = folder(name), hashlib.sha256(wanted).hexdigest()
    stamp, program = place / "installed", place / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {name}", file=sys.stderr, flush=True)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        file = HERE / "requirements" / f"{name}.txt"
        subprocess.run([*pip, "--only-binary", ":all:", "--no-deps", "-r", file], check=True)
        stamp.write_text(digest)
    return program


def freeze(name):
    command = [folder(name) / "bin" / "python", "-m", "pip", "freeze", "--disable-pip-version-check"]
    return machine.output(command, HERE).splitlines()
