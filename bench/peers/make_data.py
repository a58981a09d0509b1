"""Makes what both sides work on.

make_data.py rows X.npy Y.npy N WIDTH    normal rows and targets, the same each time
make_data.py bytes X.npy Y.npy N WIDTH   rows as images of bytes have them, over 255: four of five numbers are zero
make_data.py noise K.npy VARIANCE        adds to the diagonal of a matrix, in place
"""

import sys

import numpy as np


def main():
    what = sys.argv[1]
    if what in ("rows", "bytes"):
        x, y, n, width = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
        draw = np.random.default_rng(20240601)
        if what == "rows":
            np.save(x, draw.standard_normal((n, width)))
        else:
            levels = draw.integers(1, 256, (n, width)) * (draw.random((n, width)) < 0.2)
            np.save(x, levels / 255.0)
        np.save(y, draw.standard_normal(n))
    elif what == "noise":
        k = np.load(sys.argv[2], mmap_mode="r+")
        index = np.arange(k.shape[0])
        k[index, index] += float(sys.argv[3])
        k.flush()
    else:
        sys.exit(__doc__)


main()
