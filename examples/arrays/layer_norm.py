"""Layer normalisation over the last axis."""

import numpy as np


def layer_norm(x: "N T D", gamma: "D", beta: "D"):
    mu = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + 1e-5)
    out = gamma * xhat + beta
    return out
