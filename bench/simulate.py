#!/usr/bin/env python3
"""What `megagram plan` says of factors that are too large to run here, as two tables. Runs nothing: the rows are a
sparse file of the right size.

The first: what a factor reads, beside the bound of a square resident block. S is all the stated memory, in words; N³/(3√S)
is what a square block would read if all of S held targets. With several processes S is that of one, and tiles are summed.
The second: clusters, by simulation. How busy their workers are and what each process reads, beside stores of some latency.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Rows, columns of the rows, memory, whether K is stored, processes, the most that is wanted of the ratio.
SIZES = [
    (16_384, 784, "1GiB", True, 1, None),
    (32_768, 784, "1GiB", True, 1, 0.75),
    (60_000, 784, "4GiB", True, 1, 0.45),
    (100_000, 26, "4GiB", True, 1, None),
    (100_000, 26, "4GiB", False, 1, None),
    (131_072, 784, "4GiB", True, 1, None),
    (32_768, 784, "1GiB", True, 2, None),
    (60_000, 784, "4GiB", True, 4, None),
    (131_072, 784, "4GiB", True, 16, None),
    (131_072, 784, "4GiB", True, 64, None),
]
# Processes of two workers; milliseconds that the store takes to answer.
CLUSTERS = [(processes, latency) for latency in (10, 250) for processes in (1, 4, 16, 64)]
CLUSTER_JOB = (131_072, 784, "4GiB", True)
BANDWIDTH = 500
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def sparse(path, shape):
    """A .npy file of this shape that takes no room."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header = text.ljust(118 - 1) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        values = 1
        for side in shape:
            values *= side
        file.truncate(file.tell() + 8 * values)


def plan(program, place, n, width, memory, keep_gram, processes, tile, store=()):
    sparse(place / "x.npy", (n, width))
    sparse(place / "y.npy", (n,))
    job = place / "job.toml"
    job.write_text(
        f'name = "plan"\nstore = "{place / "store"}"\n'
        '[data]\ntrain = { x = "x.npy", y = "y.npy" }\ntargets = "values"\n'
        '[kernel]\noutput = "nngp"\nfc = { depth = 1, activation = "relu", w_var = 0.1, b_var = 0.48 }\n'
        f'[compute]\ntile = {tile}\nmemory = "{memory}"\nkeep_gram = {str(keep_gram).lower()}\nworkers = 2\n'
    )
    command = [program, "--json", "plan", job, "--processes", str(processes), *store]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def row(plan, n, memory, keep_gram, processes, wanted, tile):
    factor = plan["stages"]["factor"]["traffic"]
    k_bytes = plan["stages"]["gram"]["traffic"]["bytes_written"] if keep_gram else 0
    size = int(memory[:-3]) * UNITS[memory[-3:]]
    bound = n**3 / (3 * (size / 8) ** 0.5)
    words = (factor["bytes_read"] - k_bytes) / 8
    return [
        f"{n:,}".replace(",", " "),
        memory,
        "stored" if keep_gram else "computed",
        str(processes),
        f"{words / tile**2:,.0f}".replace(",", " "),
        f"{bound / tile**2:,.0f}".replace(",", " "),
        f"{words / bound:.3f}",
        "—" if wanted is None else f"≤ {wanted}",
        f"{factor['bytes_read'] / 1e9 / processes:,.1f}",
        f"{factor['gets']:,}".replace(",", " "),
    ]


def reads(given, n, width, memory, keep_gram, processes, wanted):
    with tempfile.TemporaryDirectory() as place:
        told = plan(given.megagram, pathlib.Path(place), n, width, memory, keep_gram, processes, given.tile)
    return row(told, n, memory, keep_gram, processes, wanted, given.tile)


def cluster(program, tile, processes, latency):
    n, width, memory, keep_gram = CLUSTER_JOB
    store = ("--latency", str(latency), "--bandwidth", str(BANDWIDTH))
    with tempfile.TemporaryDirectory() as place:
        told = plan(program, pathlib.Path(place), n, width, memory, keep_gram, processes, tile, store)
    factor = told["stages"]["factor"]
    flops = factor["flops"] / factor["seconds"] / 1e9
    return [
        str(processes),
        f"{latency} ms",
        f"{factor['seconds']:,.0f}".replace(",", " "),
        f"{100 * factor['busy']:.0f} %",
        f"{flops / (2 * processes * told['gemm_gflops']):.2f}",
        f"{factor['bytes_read_each'] / 1e9:,.0f}".replace(",", " "),
        f"{factor['traffic']['bytes_read'] / 1e9:,.0f}".replace(",", " "),
    ]


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megagram", default=ROOT / "target/release/megagram", help="the program")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--largest", type=int, default=10**9, help="leave out larger N")
    given = parser.parse_args()
    head = ["N", "memory", "K", "processes", "L tiles read", "N³/(3√S)", "ratio", "wanted", "GB a process, K too", "gets"]
    table(head, (reads(given, *size) for size in SIZES if size[0] <= given.largest))
    n, _, memory, _ = CLUSTER_JOB
    if n > given.largest:
        return
    print(f"N = {n}, {memory} a process, 2 workers, {BANDWIDTH} MB/s a process and direction:\n")
    head = ["processes", "latency", "seconds", "busy", "of the gemm rate", "most GB a process reads", "GB in all"]
    table(head, (cluster(given.megagram, given.tile, *case) for case in CLUSTERS))


main()
