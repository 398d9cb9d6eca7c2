"""The hinge loss of a linear classifier with several classes, and a penalty on the weights."""

import numpy as np


def svm_loss(W: "D K", X: "N D", y: "int N"):
    N = X.shape[0]
    scores = X.dot(W)
    correct = scores[np.arange(N), y][:, None]
    margins = np.maximum(0, scores - correct + 1.0)
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N + 0.3 * np.sum(W * W)
    return loss
