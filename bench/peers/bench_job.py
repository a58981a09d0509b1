"""Megagram's side: job files, stores, and what is taken from `--json`."""

import json
import pathlib
import shutil
import subprocess

from . import networks
from .sides import Failed, Program

NOISE = 0.1


def toml(value):
    """A value as TOML writes it within a line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


class Job:
    """A job file, and the program that does it. `place` holds the file and the stores."""

    def __init__(self, program, place, name, data, **options):
        self.program, self.place, self.name = program, pathlib.Path(place), name
        self.place.mkdir(parents=True, exist_ok=True)
        self.store = self.place / f"{name}-store"
        output = options.get("output", "nngp")
        layers = options.get("layers", networks.RELU_FC)
        shape = f"shape = {toml(options['shape'])}\n" if len(options.get("shape", [])) > 1 else ""
        test = f'test = [{{ name = "test", x = "{data["test"]}" }}]\n' if "test" in data else ""
        self.file = self.place / f"{name}.toml"
        self.file.write_text(
            f'name = "{name}"\nstore = "{self.store}"\n'
            f'[data]\ntrain = {{ x = "{data["x"]}", y = "{data["y"]}" }}\n{test}{shape}'
            f'limit = {data["n"]}\ntargets = "values"\n'
            f'[kernel]\noutput = "{output}"\nlayers = {toml(layers)}\n'
            f'[gp]\nkernel = "nngp"\nnoise_var = {NOISE}\nnoise_ladder = 1\n'
            f'[compute]\ntile = {options["tile"]}\n'
        )

    def command(self, stage, *flags):
        return [self.program, "--json", stage, self.file, *flags]

    def run(self, *arguments):
        """Runs the program; nothing of it is measured."""
        command = [str(a) for a in arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")

    def forget(self, *kinds):
        """Removes what a stage has stored, so that it is done anew."""
        for kind in kinds or ("",):
            shutil.rmtree(self.store / kind, ignore_errors=True)

    def side(self, stage, report=None, flags=(), forget=()):
        """Measures one stage; `report` is its name in the summary."""
        flags = tuple(flags)
        in_memory = "memory://" in flags

        def pick(summary):
            stages = [summary["stages"][name] for name in (report or stage).split("+")]
            seconds, flops = (sum(s[key] for s in stages) for key in ("seconds", "flops"))
            picked = {"seconds": seconds, "gflops": flops / 1e9 / seconds}
            picked["peak_rss_bytes"] = max(s["peak_rss_bytes"] for s in stages)
            for way in ("read", "written"):
                picked[f"bytes_{way}"] = sum(s[f"bytes_{way}"] for s in stages)
                picked[f"predicted_bytes_{way}"] = sum(s[f"predicted_bytes_{way}"] for s in stages)
            if summary.get("log_evidence"):
                picked["log_evidence"] = summary["log_evidence"][0]
            return picked

        before = None if in_memory else lambda: self.forget(*forget)
        return Program(self.command(stage, *flags), pick, before)

    def export(self, matrix, path, *flags):
        """Writes a part of the gram or the factor as .npy."""
        self.run(self.program, "export", self.store, "--matrix", matrix, "--to", path, *flags)
        return path
