"""neural-tangents on the CPU: neural_tangents_gram.py X.npy LAYERS SHAPE ROWS nngp|both MODE float64|float32

LAYERS is the list of a job file, as JSON, SHAPE that of a row, as JSON; the first ROWS rows are taken. MODE is `jit`, `batch`
(a few batch sizes are tried, the fastest stays), or those batch sizes that are to be tried, beside jit, as `4,8,16`: the
fastest in an entry stays, on one device or on as many as there are.
"""

import json
import sys
import time
import types
import warnings

# It warns at each layer of what the notes of a case say.
warnings.simplefilter("ignore", UserWarning)

# An experimental part of it imports TensorFlow; nothing here uses that part.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", sys.argv[7] == "float64")
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402
from serve import serve, thread_pools  # noqa: E402

PATH, LAYERS, SHAPE, ROWS, OUTPUT, MODE, DTYPE = sys.argv[1:8]
X = np.load(PATH)[: int(ROWS)]
X = jnp.asarray(X.reshape(len(X), *json.loads(SHAPE)), DTYPE)
GET = ("nngp", "ntk") if OUTPUT == "both" else "nngp"
LAST = [None]


def layer(spec):
    """One layer of a job file in stax."""
    std = {name: spec[f"{name[0].lower()}_var"] ** 0.5 for name in ("W_std", "b_std") if f"{name[0].lower()}_var" in spec}
    match spec["type"]:
        case "dense":
            return stax.Dense(1, **std)
        case "conv":
            return stax.Conv(1, tuple(spec["filter_shape"]), padding=spec["padding"].upper(), **std)
        case "relu":
            return stax.Relu()
        case "erf":
            return stax.Erf()
        case "elementwise" if spec["fn"] == "tanh":
            return stax.ElementwiseNumerical(jnp.tanh, deg=25, df=lambda x: 1 - jnp.tanh(x) ** 2)
        case "flatten":
            return stax.Flatten()
        case "global_avg_pool":
            return stax.GlobalAvgPool()
        case "global_self_attention":
            stds = {f"W_{name}_std": spec[f"w_{name}_std"] for name in ("key", "query", "value", "out")}
            widths = {"n_chan_out": 1, "n_chan_key": 1, "n_chan_val": 1, "n_heads": 1}
            mechanism = {"linear_scaling": spec["linear_scaling"], "attention_mechanism": spec["attention_mechanism"].upper()}
            return stax.GlobalSelfAttention(**widths, **stds, **std, **mechanism)
        case "repeat":
            return stax.serial(*[layer(inner) for _ in range(spec["times"]) for inner in spec["layers"]])
    sys.exit(f"no such layer here: {spec}")


def call(kernel, x):
    LAST[0] = None
    since = time.perf_counter()
    LAST[0] = jax.block_until_ready(kernel(x, None, GET))
    return time.perf_counter() - since


def jitted(kernel):
    return jax.jit(kernel, static_argnums=2)


def batched(kernel, size, devices=0):
    return nt.batch(kernel, batch_size=size, device_count=devices)


def fastest(candidates):
    """The best of (kernel, about, rows to try it with), by the second call's time for a pair."""
    best = None
    for candidate, about, rows in candidates:
        call(candidate, X[:rows])
        seconds = call(candidate, X[:rows]) / rows**2
        if best is None or seconds < best[0]:
            best = (seconds, candidate, about)
    if best is None:
        sys.exit(f"no batch size divides {len(X)} rows")
    return best[1:]


def choose():
    """The kernel function, ready, and its batch size."""
    kernel = stax.serial(*map(layer, json.loads(LAYERS)))[2]
    n = len(X)
    if MODE == "jit":
        return jitted(kernel), None
    if MODE == "batch":
        sizes = [s for s in (250, 500, 1000, 2000, n // 4, n // 2) if s and n % s == 0 and s <= n // 2]
        return fastest((batched(kernel, s), s, n) for s in sizes)
    # What one block costs says what all cost, so the first rows are enough to choose.
    candidates = []
    for size in map(int, MODE.split(",")):
        if size >= n:
            candidates.append((jitted(kernel), f"jit of {n}", n))
            continue
        for devices in {1, jax.local_device_count()}:
            if n % (size * devices) == 0:
                name = f"{size} on {devices} device{'s' if devices > 1 else ''}"
                candidates.append((batched(kernel, size, devices if devices > 1 else 0), name, size * devices))
    return fastest(candidates)


KERNEL, BATCH = choose()


def rows(first, end, output):
    matrix = getattr(LAST[0], output) if OUTPUT == "both" else LAST[0]
    return np.asarray(matrix[first:end], np.float64)


ABOUT = {"neural_tangents": nt.__version__, "jax": jax.__version__, "devices": str(jax.devices()), "batch_size": BATCH}
serve(ABOUT | {"pools": thread_pools()}, lambda: {"seconds": call(KERNEL, X)}, rows)
