"""MKL's dpotrf through ctypes, all cores: mkl_dpotrf.py K.npy"""

import ctypes
import pathlib
import sys
import time

import numpy as np
from serve import serve

FOLDER = pathlib.Path(sys.prefix) / "lib"
ctypes.CDLL(str(FOLDER / "libiomp5.so"), mode=ctypes.RTLD_GLOBAL)
MKL = ctypes.CDLL(str(FOLDER / "libmkl_rt.so.2"), mode=ctypes.RTLD_GLOBAL)
# mkl_types.h: what MKL says of the processor; "auto" on one that is not Intel's.
BRANCHES = {2: "auto", 3: "compatible", 4: "SSE2", 6: "SSSE3", 7: "SSE4.1", 8: "SSE4.2", 9: "AVX", 10: "AVX2", 12: "AVX512"}

K = np.load(sys.argv[1]).T
WORK = np.empty_like(K, order="F")


def about():
    text = ctypes.create_string_buffer(200)
    MKL.MKL_Get_Version_String(text, 200)
    branch = MKL.MKL_CBWR_Get_Auto_Branch()
    return {
        "mkl": text.value.decode().strip(),
        "branch": BRANCHES.get(branch, branch),
        "threads": MKL.MKL_Get_Max_Threads(),
    }


def measure():
    np.copyto(WORK, K)
    n, info = ctypes.c_int(len(K)), ctypes.c_int(0)
    pointer = WORK.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    since = time.perf_counter()
    MKL.dpotrf_(ctypes.c_char_p(b"L"), ctypes.byref(n), pointer, ctypes.byref(n), ctypes.byref(info))
    seconds = time.perf_counter() - since
    assert info.value == 0
    return {"seconds": seconds, "gflops": len(K) ** 3 / 3e9 / seconds}


serve(about(), measure, lambda first, end: np.tril(WORK[first:end], k=first))
