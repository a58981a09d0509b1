"""SciPy's LAPACK dpotrf as pip installs it, all cores: scipy_dpotrf.py K.npy"""

import sys
import time

import numpy as np
import scipy
from scipy.linalg.lapack import dpotrf
from serve import serve, thread_pools

# K is symmetric: its transpose is itself, in the order that Fortran likes.
K = np.load(sys.argv[1]).T
WORK = np.empty_like(K, order="F")


def measure():
    np.copyto(WORK, K)
    since = time.perf_counter()
    factor, info = dpotrf(WORK, lower=1, clean=0, overwrite_a=1)
    seconds = time.perf_counter() - since
    assert info == 0 and np.shares_memory(factor, WORK)
    return {"seconds": seconds, "gflops": len(K) ** 3 / 3e9 / seconds}


def rows(first, end):
    return np.tril(WORK[first:end], k=first)


serve({"scipy": scipy.__version__, "pools": thread_pools()}, measure, rows)
