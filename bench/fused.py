#!/usr/bin/env python3
"""The first part of a factor whose K is computed inside its sweep and never stored, against what `megagram plan` says.

The run is stopped (SIGTERM) once the tiles stored stand for the share asked for of the factor's operations. Rows are made
here, normal and the same each time. Prints a table; the store is removed. The machine must be idle.
"""

import argparse
import array
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
POLL_SECONDS = 1.0


def rows(path, n, width):
    """Normal numbers, as .npy."""
    draw = random.Random(20240601)
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, {width}), }}".ljust(118 - 1) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        for _ in range(n):
            array.array("d", (draw.gauss(0.0, 1.0) for _ in range(width))).tofile(file)


def job(place, n, width, memory, tile):
    file = place / "job.toml"
    file.write_text(
        f'name = "fused"\nstore = "{place / "store"}"\n'
        '[data]\ntrain = { x = "x.npy", y = "y.npy" }\ntargets = "values"\n'
        '[kernel]\nfc = { depth = 3, activation = "relu", w_var = 1.6, b_var = 0.3 }\n'
        "[gp]\nnoise_var = 0.1\nnoise_ladder = 1\n"
        f'[compute]\ntile = {tile}\nmemory = "{memory}"\nkeep_gram = false\nworkers = 2\n'
    )
    return file


def stored(place, tile):
    """How many tiles there are, and the operations they stand for: k products, and a triangular solve or a Cholesky."""
    count, flops = 0, 0.0
    for path in place.glob("store/factor/*/tiles/*.parquet"):
        row, column = map(int, path.stem.split("-"))
        count += 1
        flops += tile**3 * ((column + 1 / 3) if row == column else (2 * column + 1))
    return count, flops


def counted(pid):
    """Bytes read and written by calls, and the peak of memory in KiB."""
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return int(io["rchar"]), int(io["wchar"]), peak


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megagram", default=ROOT / "target/release/megagram", help="the program")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=26)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--share", type=float, default=0.1, help="of the factor's operations")
    parser.add_argument("--scratch", type=pathlib.Path, default=ROOT / "target/fused", help="rows and store")
    given = parser.parse_args()
    place = given.scratch.resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    rows(place / "x.npy", given.n, given.width)
    rows(place / "y.npy", given.n, 1)
    file = job(place, given.n, given.width, given.memory, given.tile)
    told = subprocess.run([given.megagram, "--json", "plan", file], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        sys.exit(told.stderr)
    plan = json.loads(told.stdout)
    factor = plan["stages"]["factor"]
    blocks = -(-given.n // given.tile)
    whole = given.tile**3 * sum((2 * k + 1) * (blocks - 1 - k) + k + 1 / 3 for k in range(blocks))
    started = time.monotonic()
    done = subprocess.Popen([given.megagram, "--json", "factor", file], stdout=subprocess.DEVNULL)
    first = None
    try:
        while done.poll() is None:
            time.sleep(POLL_SECONDS)
            count, flops = stored(place, given.tile)
            if count and first is None:
                first = time.monotonic() - started
            if flops >= given.share * whole:
                break
        else:
            sys.exit(f"it ended by itself, with {done.returncode}")
        seconds = time.monotonic() - started
        read, written, peak = counted(done.pid)
    finally:
        done.terminate()
        done.wait()
        shutil.rmtree(place, ignore_errors=True)
    share = flops / whole
    planned = factor["seconds"]
    print(f"N = {given.n}, {given.width} columns, relu depth 3, tile {given.tile}, memory {given.memory}, keep_gram = false, 2 workers")
    print(f"BLAS {plan['blas']}, gemm {plan['gemm_gflops']:.1f} GF/s a worker before the run\n")
    print("| | planned, whole | planned, this share | measured |\n|---|---|---|---|")
    print(f"| share of the operations | 1 | {share:.4f} | {share:.4f} |")
    print(f"| seconds (the first tile was stored after {first:.1f}) | {planned:.0f} | {planned * share:.1f} | {seconds:.1f} |")
    rate = factor["flops"] / planned / 1e9
    print(f"| GF/s | {rate:.1f} | {rate:.1f} | {share * factor['flops'] / seconds / 1e9:.1f} |")
    print(f"| tiles stored | {factor['tiles']} | – | {count} |")
    size = factor["traffic"]["bytes_written"] / factor["tiles"]
    print(f"| GB written | {factor['traffic']['bytes_written'] / 1e9:.1f} | {count * size / 1e9:.2f} | {written / 1e9:.2f} |")
    print(f"| GB read | {factor['traffic']['bytes_read'] / 1e9:.1f} | – | {read / 1e9:.2f} |")
    print(f"| peak memory, MiB | {factor['memory_bytes'] / 2**20:.0f} | – | {peak / 2**10:.0f} |")


main()
