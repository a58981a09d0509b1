"""The factor beside the SciPy that is installed: for machines of many cores, or without a network, where run_peers.py cannot install its peers.

beside_scipy.py N WORKERS ROUNDS [--memory SIZE] [--megagram PROGRAM] [--scratch FOLDER] [--alone]

Each round times the factor stage (file store, every tile checked, digested and durable) and dpotrf (in memory, on a matrix that it has
touched before), in turn, with as many threads as workers; round 0 warms up. A line of JSON each. Pin it with taskset to measure fewer cores than
there are.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 784


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int)
    parser.add_argument("workers", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("--memory", default="60GiB")
    parser.add_argument("--megagram", type=pathlib.Path, default=ROOT / "target/release/megagram")
    parser.add_argument("--scratch", type=pathlib.Path, default=ROOT / "target/beside-scipy")
    parser.add_argument("--alone", action="store_true", help="without SciPy")
    return parser.parse_args()


class Job:
    """A job on normal rows, and its store."""

    def __init__(self, given, rows):
        self.given = given
        self.store = given.scratch / f"store-{given.n}"
        self.file = given.scratch / f"job-{given.n}.toml"
        self.file.write_text(
            f'name = "beside"\nstore = "{self.store}"\n'
            f'[data]\ntrain = {{ x = "{rows[0]}", y = "{rows[1]}" }}\ntargets = "values"\n'
            '[kernel]\nfc = { depth = 3, activation = "relu", w_var = 1.6, b_var = 0.3 }\n'
            f'[gp]\nnoise_var = 0.1\nnoise_ladder = 1\n[compute]\ntile = 1024\nmemory = "{given.memory}"\n'
        )

    def stage(self, name):
        command = [self.given.megagram, "--json", name, self.file, "--workers", str(self.given.workers)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        stage = json.loads(done.stdout)["stages"][name]
        return {
            "seconds": round(stage["seconds"], 3),
            "gflops": round(stage["flops"] / 1e9 / stage["seconds"], 1),
            "read": stage["bytes_read"],
            "planned_read": stage["predicted_bytes_read"],
            "peak_rss_mib": stage["peak_rss_bytes"] >> 20,
        }

    def factor(self):
        for kind in ("factor", "results"):
            shutil.rmtree(self.store / kind, ignore_errors=True)
        return self.stage("factor")


def main():
    given = arguments()
    # Before NumPy is there, which starts the threads.
    os.environ["OPENBLAS_NUM_THREADS"] = str(given.workers)
    import numpy as np
    import scipy
    from scipy.linalg.lapack import dpotrf

    def say(**facts):
        print(json.dumps({"n": given.n, "workers": given.workers, "memory": given.memory} | facts), flush=True)

    given.scratch.mkdir(parents=True, exist_ok=True)
    rows = [given.scratch / f"{name}-{given.n}.npy" for name in "xy"]
    draw = np.random.default_rng(20240601)
    x, y = draw.standard_normal((given.n, WIDTH)), draw.standard_normal(given.n)
    np.save(rows[0], x)
    np.save(rows[1], y)
    job = Job(given, rows)
    say(side="megagram, gram", **job.stage("gram"))
    if not given.alone:
        k = np.asfortranarray(x @ x.T / WIDTH)
        k[np.arange(given.n), np.arange(given.n)] += 1.0
        work = np.empty_like(k, order="F")
    for number in range(given.rounds + 1):
        say(round=number, side="megagram, file store", **job.factor())
        if given.alone:
            continue
        np.copyto(work, k)
        since = time.perf_counter()
        _, info = dpotrf(work, lower=1, clean=0, overwrite_a=1)
        seconds = time.perf_counter() - since
        assert info == 0
        rate = round(given.n**3 / 3e9 / seconds, 1)
        say(round=number, side=f"scipy {scipy.__version__}", seconds=round(seconds, 3), gflops=rate)
    shutil.rmtree(given.scratch)


main()
