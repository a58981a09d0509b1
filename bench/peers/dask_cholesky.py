"""dask.array's Cholesky factor from disk to disk: dask_cholesky.py K.npy L.npy CORES CHUNK

Its tasks run on CORES threads; OPENBLAS_NUM_THREADS=1 is set by the caller, or threads fight for cores.
"""

import os
import sys
import time

import dask
import dask.array as da
import numpy as np
from numpy.lib.format import open_memmap
from serve import serve, thread_pools

PATH, OUT, CORES, CHUNK = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
assert os.environ.get("OPENBLAS_NUM_THREADS") == "1"


def measure():
    k = np.load(PATH, mmap_mode="r")
    out = open_memmap(OUT, mode="w+", dtype=k.dtype, shape=k.shape)
    since = time.perf_counter()
    factor = da.linalg.cholesky(da.from_array(k, chunks=(CHUNK, CHUNK), name=False), lower=True)
    with dask.config.set(scheduler="threads", num_workers=CORES):
        da.store(factor, out, lock=False)
    out.flush()
    seconds = time.perf_counter() - since
    return {"seconds": seconds, "gflops": len(k) ** 3 / 3e9 / seconds}


def rows(first, end):
    return np.load(OUT, mmap_mode="r")[first:end]


np.linalg.cholesky(np.eye(2))
serve({"dask": dask.__version__, "chunk": CHUNK, "workers": CORES, "pools": thread_pools()}, measure, rows)
