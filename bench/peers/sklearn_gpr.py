"""scikit-learn's GaussianProcessRegressor, RBF kernel as given: sklearn_gpr.py X.npy Y.npy XT.npy LENGTH NOISE"""

import sys
import time

import numpy as np
import sklearn
from serve import serve, thread_pools
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

X, Y, XT = (np.load(path) for path in sys.argv[1:4])
LENGTH, NOISE = float(sys.argv[4]), float(sys.argv[5])


def measure():
    gp = GaussianProcessRegressor(RBF(LENGTH, "fixed"), alpha=NOISE, optimizer=None)
    since = time.perf_counter()
    gp.fit(X, Y)
    fit = time.perf_counter() - since
    gp.predict(XT, return_std=True)
    seconds = time.perf_counter() - since
    return {"seconds": seconds, "fit_seconds": fit, "log_evidence": gp.log_marginal_likelihood_value_}


serve({"sklearn": sklearn.__version__, "pools": thread_pools()}, measure)
