"""What is compared with what. Each case builds its sides, which are then measured in turn, A B A B.

Sizes are those of the claims; `quick` ones only prove that everything runs.
"""

import json
import math
import shutil
import subprocess

from . import machine, networks
from .bench_job import NOISE, Job
from .sides import HERE, Failed, Peer, PerEntry, Program, Published, RawFiles, python

SIZES = {
    # case: (full, quick)
    # SciPy's dpotrf with two threads breaks down at 16 384; 14 336 is the largest multiple of 2 048 where it does not.
    "factor": ([8192, 14336, 16384], [768]),
    "gram": ([8000], [1000]),
    "gram-bytes": ([8000], [1000]),
    # Each network has sizes of its own, in networks.py.
    "kernels": ([None], [None]),
    "gram-store": ([16000], [1024]),
    "out-of-core": ([32768], [3000]),
    "processes": ([16384], [768]),
    "border": ([8192], [768]),
    "dask": ([16384], [768]),
    "gpr": ([8000], [700]),
}
WIDTH = 784
OUTPUTS = {"nngp": ["nngp"], "both": ["nngp", "ntk"]}
FP32 = "Megagram fp32: the relus and attention in f32, the rest and what is stored in f64"
NO_FP32 = "Megagram has no fp32 form of this network: its side is fp64 beside fp32 too"
GPR = {"width": 16, "length": 4.0, "test_rows": 1000}


class Case:
    """Sides by name, and which are divided by which."""

    def __init__(self, name):
        self.name, self.sides, self.comparisons, self.notes = name, {}, [], []
        self.measurements, self.about, self.check, self.broken = [], {}, None, {}

    def compare(self, label, over, under, field, wanted=None):
        self.comparisons.append({"label": label, "over": over, "under": under, "field": field, "wanted": wanted})

    def rounds_of(self, over, under, field):
        """Pairs of measurements of one round; of several sides over one, the largest."""
        overs = [over] if isinstance(over, str) else over
        by = {(m["side"], m["round"]): m.get(field) for m in self.measurements if m["round"] > 0}
        rounds = sorted({r for _, r in by})
        rows = [([by.get((o, r)) for o in overs], by.get((under, r))) for r in rounds]
        return [(max(a), b) for a, b in rows if b is not None and None not in a]

    def measure(self, rounds, say):
        """Round 0 warms up and does not count."""
        try:
            for number in range(rounds + 1):
                for name, side in list(self.sides.items()):
                    try:
                        measured = side.once()
                    except Failed as error:
                        # A peer that breaks down says something too; we may not.
                        if name.startswith(("megagram", "own")):
                            raise
                        self.notes.append(f"{name} broke down and is left out: {error}")
                        say(f"{self.name}: round {number}: {name}: {error}")
                        self.broken[name] = self.sides.pop(name)
                        continue
                    self.measurements.append({"side": name, "round": number} | measured)
                    units = (("seconds", "s"), ("gflops", "GF/s"), ("ms_per_entry", "ms an entry"))
                    shown = [f"{measured[f]:.4g} {unit}" for f, unit in units if f in measured]
                    say(f"{self.name}: round {number}: {name}: {', '.join(shown)}, others {measured['others']:.0%}")
            if self.check:
                self.check()
        finally:
            self.about = {name: side.about for name, side in self.sides.items()}
            for side in (*self.sides.values(), *self.broken.values()):
                side.close()


class Bench:
    """Where things are, and how large."""

    def __init__(self, program, rates, scratch, quick, chosen):
        self.program, self.rates, self.scratch, self.quick = program, rates, scratch, quick
        # Of the networks of `kernels`.
        self.chosen = chosen
        self.tile = 256 if quick else 1024
        scratch.mkdir(parents=True, exist_ok=True)

    def sizes(self, case):
        return SIZES[case][1 if self.quick else 0]

    def rows(self, n, width=WIDTH, name="rows", what="rows"):
        """Rows and targets as .npy: normal ones, or `what="bytes"` such as images have."""
        x, y = self.scratch / f"{name}-{n}-x.npy", self.scratch / f"{name}-{n}-y.npy"
        if not y.exists():
            make = [python("scipy"), HERE / "make_data.py", what, x, y, str(n), str(width)]
            subprocess.run(make, check=True)
        return {"x": x, "y": y, "n": n}

    def job(self, name, data, **options):
        return Job(self.program, self.scratch, name, data, **{"tile": self.tile} | options)

    def gemm(self):
        """The rate of tile gemms on all cores at once."""
        seconds = "0.1" if self.quick else "2"
        pick = lambda rates: {"gflops": rates["gemm"]["all_cores"], "peak_gflops": rates["peak"]["all_cores"]}  # noqa: E731
        return Program([self.rates, seconds, str(self.tile)], pick)

    def matrix(self, job, n):
        """K with its noise, for the peers: Megagram's own, exported."""
        job.run(*job.command("gram"))
        path = job.export("gram", self.scratch / f"k-{n}.npy")
        subprocess.run([python("scipy"), HERE / "make_data.py", "noise", path, str(NOISE)], check=True)
        return path


def same_rows(case, job, matrix, n, peers, output=None):
    """Compares the last of the first n rows of what Megagram stored with what each peer has."""
    last = min(n, 8)
    cut = ["--rows", f"{n - last}..{n}", "--cols", f"0..{n}", *(["--output", output] if output else [])]
    path = job.export(matrix, job.place / "last-rows.npy", *cut)
    for name in (peer for peer in peers if peer in case.sides):
        difference = case.sides[name].compare(path, [n - last, n], output)
        of = f"{output}, " if output else ""
        case.notes.append(f"{of}last {last} rows, {name} against Megagram: {difference:.1e} of the largest entry")


def factor(bench, n):
    case, data = Case(f"factor-{n}"), bench.rows(n)
    job = bench.job(case.name, data)
    k = bench.matrix(job, n)
    case.sides = {
        "megagram, file store": job.side("factor", forget=["factor", "results"]),
        "scipy": Peer("scipy", "scipy_dpotrf.py", [k]),
        "megagram, memory store": job.side("factor", flags=["--store", "memory://"]),
        "mkl": Peer("mkl", "mkl_dpotrf.py", [k], {"MKL_THREADING_LAYER": "INTEL"}),
        "own gemm": bench.gemm(),
    }
    ours = "megagram, file store"
    case.compare("SciPy dpotrf ÷ Megagram, file store", "scipy", ours, "seconds", "≥ 1.6 (≥ 1.0 if SciPy is on AVX-512)")
    case.compare("MKL dpotrf ÷ Megagram, file store", "mkl", ours, "seconds")
    case.compare("SciPy dpotrf ÷ Megagram, memory store", "scipy", "megagram, memory store", "seconds")
    case.compare("Megagram, file store ÷ own gemm on all cores", ours, "own gemm", "gflops", "≥ 0.85")
    case.check = lambda: same_rows(case, job, "factor", n, ["scipy", "mkl"])
    return case


def gram(bench, n):
    yield from grams(bench, n, (("relu", networks.RELU_FC), ("erf", networks.ERF_FC)), "rows")


def gram_bytes(bench, n):
    """The same of rows of bytes, which images are."""
    yield from grams(bench, n, (("relu", networks.RELU_FC),), "bytes")


def grams(bench, n, kernels, what):
    for kernel, layers in kernels:
        for output in ("nngp", "both"):
            name = f"gram-{'bytes-' if what == 'bytes' else ''}{kernel}-{output}-{n}"
            case, data = Case(name), bench.rows(n, name=what, what=what)
            job = bench.job(case.name, data, layers=layers, output=output)
            modes = {
                f"neural-tangents {mode}": neural_tangents(data, layers, [WIDTH], n, output, mode) for mode in ("jit", "batch")
            }
            case.sides = {
                "megagram, memory store": job.side("gram", flags=["--store", "memory://"]),
                "neural-tangents jit": modes["neural-tangents jit"],
                "megagram, file store": job.side("gram", forget=[""]),
                "neural-tangents batch": modes["neural-tangents batch"],
            }
            wanted = ("≥ 8" if output == "nngp" else "≥ 6") if kernel == "relu" else None
            for store in ("memory", "file"):
                for mode in modes:
                    case.compare(f"{mode} ÷ Megagram, {store} store", mode, f"megagram, {store} store", "seconds", wanted)

            def check(case=case, job=job, modes=modes, output=output):
                for matrix in OUTPUTS[output]:
                    same_rows(case, job, "gram", n, modes, matrix)

            case.check = check
            yield case


def neural_tangents(data, layers, shape, rows, output, mode, dtype="float64", environment=None):
    arguments = [data["x"], json.dumps(layers), json.dumps(shape), str(rows), output, mode, dtype]
    return Peer("neural_tangents", "neural_tangents_gram.py", arguments, environment)


def kernels(bench, n):
    """Milliseconds an entry of kernels; `n` instead of the networks' own sizes."""
    # Two devices let `batch` use all cores; XLA computes most of a kernel on one core a device.
    environment = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={machine.cores()}"}
    timed = networks.timed(bench.quick)
    for name, network in ((name, timed[name]) for name in bench.chosen):
        ours, theirs = (n or network.n), min(n or network.n, network.peer_n)
        for output in OUTPUTS:
            case = Case(f"kernels-{name}-{output}-{ours}")
            data = bench.rows(ours, math.prod(network.shape))
            job = bench.job(case.name, data, layers=network.layers, shape=network.shape, output=output, tile=network.tile)
            megagram = "megagram fp64"
            sides = {megagram: job}
            if layers := networks.single(network.layers):
                name32 = f"{case.name}-fp32"
                sides["megagram fp32"] = bench.job(
                    name32, data, layers=layers, shape=network.shape, output=output, tile=network.tile
                )
            in_memory = ["--store", "memory://"]
            case.sides = {side: PerEntry(of.side("gram", flags=in_memory), ours) for side, of in sides.items()}
            modes = {"float64": "fp64", "float32": "fp32"} if theirs else {}
            for dtype, short in modes.items():
                mode = ",".join(map(str, network.batches))
                side = neural_tangents(data, network.layers, network.shape, theirs, output, mode, dtype, environment)
                case.sides[f"neural-tangents {short}"] = PerEntry(side, theirs)
            # What was published are entries of the tangent kernel.
            for short, value in (network.published or {}).items() if output == "both" else ():
                case.sides[f"published {short}"] = Published(value, networks.SOURCE)
            wanted = network.wanted if theirs else None
            for side in [side for side in case.sides if side not in sides]:
                for own in ("megagram fp64", "megagram fp32" if side.endswith("fp32") else None):
                    if own in sides:
                        label = f"{side} ÷ {own.capitalize()}"
                        case.compare(label, side, own, "ms_per_entry", wanted if side.endswith(own[-4:]) else None)
            if len(case.sides) == len(sides):
                continue
            case.notes += [FP32 if len(sides) > 1 else NO_FP32] + ([network.note] if network.note else [])
            case.notes += [f"{theirs} rows of neural-tangents, {ours} of Megagram"] if theirs else []

            def check(case=case, job=job, output=output, theirs=theirs, modes=modes):
                job.run(*job.command("gram"))
                for matrix in OUTPUTS[output]:
                    same_rows(case, job, "gram", theirs, [f"neural-tangents {short}" for short in modes.values()], matrix)

            case.check = check if theirs else None
            yield case


def gram_store(bench, n):
    for name, what in (("gram-store", "rows"), ("gram-store-bytes", "bytes")):
        yield gram_stored(bench, Case(f"{name}-{n}"), bench.rows(n, name=what, what=what), n)


def gram_stored(bench, case, data, n):
    job = bench.job(case.name, data)
    blocks = -(-n // bench.tile)
    size = lambda: (blocks * (blocks + 1) // 2, 8 * bench.tile**2)  # noqa: E731
    case.sides = {
        "megagram, file store": job.side("gram", forget=[""]),
        "raw fsynced files": RawFiles(bench.scratch / "raw", size),
        "megagram, memory store": job.side("gram", flags=["--store", "memory://"]),
    }
    slower = ("raw fsynced files", "megagram, memory store")
    label = "the slower of raw files and memory store ÷ Megagram, file store"
    case.compare(label, slower, "megagram, file store", "seconds", "≥ 0.80 (1 ÷ 1.25)")
    return case


def out_of_core(bench, n):
    case, data = Case(f"out-of-core-{n}"), bench.rows(n)
    tile, memory = (128, "48MiB") if bench.quick else (1024, "1GiB")
    job = bench.job(case.name, data, tile=tile)
    job.run(*job.command("gram"))
    anew = ["factor", "results"]
    case.sides = {
        f"megagram, {memory}": job.side("factor", flags=["--memory", memory], forget=anew),
        "megagram, in memory": job.side("factor", flags=["--memory", "12GiB"], forget=anew),
        "own gemm": bench.gemm(),
    }
    here = f"megagram, {memory}"
    case.compare(f"in memory ÷ {memory}", "megagram, in memory", here, "seconds", "≥ 0.90")
    case.compare(f"{memory} ÷ own gemm on all cores", here, "own gemm", "gflops")

    def check():
        last = [m for m in case.measurements if m["side"] == here][-1]
        side, stated = 8 * n * n, {"48MiB": 48 << 20, "1GiB": 1 << 30}[memory]
        k_bytes = side / 2 * (1 + tile / n)
        bound = n**3 / (3 * (stated / 8) ** 0.5)
        words = (last["bytes_read"] - k_bytes) / 8
        case.notes.append(f"bytes read ÷ predicted: {last['bytes_read'] / last['predicted_bytes_read']:.4f} (wanted within 2 %)")
        case.notes.append(f"factor words read ÷ N³/(3√S): {words / bound:.3f} (wanted ≤ 0.75 at 32 768 with 1GiB)")
        over = (last["peak_rss_bytes"] - stated) / 2**20
        case.notes.append(f"peak resident − stated memory: {over:.0f} MiB (wanted ≤ 64)")

    case.check = check
    return case


def processes(bench, n):
    case, data = Case(f"processes-{n}"), bench.rows(n)
    job = bench.job(case.name, data)
    job.run(*job.command("gram"))
    anew = ["factor", "results"]
    case.sides = {
        "2 processes × 1 worker": job.side("factor", flags=["--processes", "2", "--workers", "1"], forget=anew),
        "1 process × 2 workers": job.side("factor", flags=["--workers", "2"], forget=anew),
    }
    label = "1 process × 2 workers ÷ 2 processes × 1 worker"
    case.compare(label, "1 process × 2 workers", "2 processes × 1 worker", "seconds", "≥ 0.95")
    return case


def border(bench, n):
    case, data = Case(f"border-{n}"), bench.rows(n)
    test = bench.rows(n + bench.tile, name="test")
    job = bench.job(case.name, data | {"test": test["x"]})
    job.run(*job.command("factor"))
    case.sides = {
        "megagram, border": job.side("predict", "border", forget=["border", "results"]),
        "own gemm": bench.gemm(),
    }
    case.compare("border ÷ own gemm on all cores", "megagram, border", "own gemm", "gflops")
    return case


def dask(bench, n):
    case, data = Case(f"dask-{n}"), bench.rows(n)
    job = bench.job(case.name, data)
    k, chunk = bench.matrix(job, n), bench.tile if bench.quick else 2048
    out = bench.scratch / f"dask-{n}.npy"
    arguments = [k, out, str(machine.cores()), str(chunk)]
    case.sides = {
        "megagram, file store": job.side("factor", forget=["factor", "results"]),
        "dask": Peer("dask", "dask_cholesky.py", arguments, {"OPENBLAS_NUM_THREADS": "1"}, lambda: out.unlink(True)),
    }
    case.compare("dask Cholesky ÷ Megagram, file store", "dask", "megagram, file store", "seconds")
    case.check = lambda: same_rows(case, job, "factor", n, ["dask"])
    return case


def gpr(bench, n):
    case, data = Case(f"gpr-{n}"), bench.rows(n, GPR["width"], "gpr")
    test = bench.rows(GPR["test_rows"], GPR["width"], "gpr-test")
    gamma = GPR["width"] / (2 * GPR["length"] ** 2)
    # exp(-|x-y|²/2·LENGTH²), the inputs' covariance being x·y/d.
    layers = [{"type": "dense", "w_var": 1.0}, {"type": "rbf", "gamma": gamma}]
    job = bench.job(case.name, data | {"test": test["x"]}, layers=layers)
    stages = "gram+factor+solve+border"
    arguments = [data["x"], data["y"], test["x"], str(GPR["length"]), str(NOISE)]
    case.sides = {
        "megagram, file store": job.side("run", stages, forget=[""]),
        "scikit-learn": Peer("sklearn", "sklearn_gpr.py", arguments),
        "megagram, memory store": job.side("run", stages, flags=["--store", "memory://"]),
    }
    for store in ("file", "memory"):
        label = f"scikit-learn fit and predict ÷ Megagram, {store} store"
        case.compare(label, "scikit-learn", f"megagram, {store} store", "seconds")

    def check():
        last = {m["side"]: m["log_evidence"] for m in case.measurements}
        ours, theirs = last["megagram, file store"], last["scikit-learn"]
        case.notes.append(f"log evidence, scikit-learn against Megagram: {abs(ours - theirs) / abs(theirs):.1e} relative")

    case.check = check
    return case


CASES = {
    "factor": factor,
    "gram": gram,
    "gram-bytes": gram_bytes,
    "kernels": kernels,
    "gram-store": gram_store,
    "out-of-core": out_of_core,
    "processes": processes,
    "border": border,
    "dask": dask,
    "gpr": gpr,
}


def build(bench, name, n):
    """The cases of a name and a size, one at a time; what one has stored is gone before the next."""
    built = CASES[name](bench, n)
    for case in [built] if isinstance(built, Case) else built:
        yield case
        shutil.rmtree(bench.scratch, ignore_errors=True)
        bench.scratch.mkdir(parents=True)
