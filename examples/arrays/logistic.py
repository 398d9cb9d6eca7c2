"""The mean negative log-likelihood of a logistic model, labels 0 and 1."""

import numpy as np


def logistic(w: "D", b, X: "N D", y: "N"):
    z = X @ w + b
    loss = np.mean(np.log(1 + np.exp(z)) - y * z)
    return loss
