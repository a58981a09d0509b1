"""neural-tangents on the CPU: neural_tangents_gram.py X.npy relu|erf DEPTH W_VAR B_VAR nngp|both jit|batch

`batch` tries a few batch sizes and keeps the fastest.
"""

import sys
import time
import types

# An experimental part of it imports TensorFlow; nothing here uses that part.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402
from serve import serve, thread_pools  # noqa: E402

PATH, ACTIVATION, DEPTH, W_VAR, B_VAR, OUTPUT, MODE = sys.argv[1:8]
X = jnp.asarray(np.load(PATH))
GET = ("nngp", "ntk") if OUTPUT == "both" else "nngp"
LAST = [None]


def network():
    def dense():
        return stax.Dense(1, W_std=float(W_VAR) ** 0.5, b_std=float(B_VAR) ** 0.5)

    activation = {"relu": stax.Relu, "erf": stax.Erf}[ACTIVATION]
    layers = [layer for _ in range(int(DEPTH)) for layer in (dense(), activation())]
    return stax.serial(*layers, dense())[2]


def call(kernel):
    LAST[0] = None
    since = time.perf_counter()
    LAST[0] = jax.block_until_ready(kernel(X, None, GET))
    return time.perf_counter() - since


def batched(kernel, size):
    return nt.batch(kernel, batch_size=size, device_count=0)


def choose():
    """The kernel function, ready, and its batch size."""
    kernel = network()
    if MODE == "jit":
        return jax.jit(kernel, static_argnums=2), None
    n, best = len(X), None
    for size in (s for s in (250, 500, 1000, 2000, n // 4, n // 2) if s and n % s == 0 and s <= n // 2):
        candidate = batched(kernel, size)
        call(candidate)
        seconds = call(candidate)
        if best is None or seconds < best[0]:
            best = (seconds, candidate, size)
    if best is None:
        sys.exit(f"no batch size divides {n} rows")
    return best[1:]


KERNEL, BATCH = choose()
call(KERNEL)


def first():
    return LAST[0].nngp if OUTPUT == "both" else LAST[0]


ABOUT = {"neural_tangents": nt.__version__, "jax": jax.__version__, "devices": str(jax.devices()), "batch_size": BATCH}
serve(ABOUT | {"pools": thread_pools()}, lambda: {"seconds": call(KERNEL)}, lambda a, b: np.asarray(first()[a:b]))
