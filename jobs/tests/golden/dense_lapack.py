"""A dense answer for the digits: NumPy kernel, LAPACK factor, float64, nothing of megagram.

Run from anywhere: `python3 dense_lapack.py`. It writes digits-3000.npy (one row a test row: ten means,
then the variance) and digits-3000.json beside itself.
"""

import json
import pathlib

import numpy as np
import scipy
from scipy import linalg

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parent.parent / "specs" / "digits"
N, M, CLASSES = 3000, 200, 10
DEPTH, W_VAR, B_VAR, NOISE_VAR, SCALE = 3, 1.6, 0.3, 1e-10, 0.0625


def rows(name, count):
    """Layer-normed rows: mean 0 and variance 1 each."""
    x = np.load(DIGITS / f"{name}-x.npy")[:count].astype(np.float64) * SCALE
    x -= x.mean(axis=1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True))


def kernel(a, b):
    """The NNGP kernel of a relu network: K0, then DEPTH arc-cosine steps (Cho & Saul 2009)."""
    k = B_VAR + W_VAR * (a @ b.T) / a.shape[1]
    p = B_VAR + W_VAR * (a * a).mean(axis=1)
    q = B_VAR + W_VAR * (b * b).mean(axis=1)
    for _ in range(DEPTH):
        norm = np.sqrt(np.outer(p, q))
        cosine = np.clip(k / norm, -1.0, 1.0)
        angle = np.arccos(cosine)
        k = B_VAR + W_VAR * norm / (2 * np.pi) * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine)
        p, q = B_VAR + W_VAR * p / 2, B_VAR + W_VAR * q / 2
    return k, p, q


x, t = rows("train", N), rows("test", M)
labels = np.load(DIGITS / "train-y.npy")[:N]
y = np.where(labels[:, None] == np.arange(CLASSES), 0.9, -0.1)

k, diagonal, _ = kernel(x, x)
np.fill_diagonal(k, diagonal)  # arccos near 1 loses half the digits
eigenvalues = linalg.eigvalsh(k)
lower = linalg.cholesky(k + NOISE_VAR * np.eye(N), lower=True)
k_test, prior, _ = kernel(t, x)
alpha = linalg.cho_solve((lower, True), y)
v = linalg.solve_triangular(lower, k_test.T, lower=True)
means, variances = k_test @ alpha, prior - (v * v).sum(axis=0)
z = linalg.solve_triangular(lower, y, lower=True)
evidence = -0.5 * (z * z).sum(axis=0) - np.log(np.diag(lower)).sum() - N / 2 * np.log(2 * np.pi)
pivots = np.diag(lower) ** 2

np.save(HERE / f"digits-{N}.npy", np.ascontiguousarray(np.hstack([means, variances[:, None]])))
facts = {
    "n": N,
    "m": M,
    "noise_var": NOISE_VAR,
    "eigenvalue_least": float(eigenvalues[0]),
    "eigenvalue_largest": float(eigenvalues[-1]),
    "pivot_least": float(pivots.min()),
    "pivot_least_row": int(pivots.argmin()),
    "log_evidence": [float(e) for e in evidence],
    "made_with": f"numpy {np.__version__}, scipy {scipy.__version__}",
}
(HERE / f"digits-{N}.json").write_text(json.dumps(facts, indent=2) + "\n")
