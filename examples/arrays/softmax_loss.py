"""A linear classifier with softmax and cross-entropy."""

import numpy as np


def softmax_loss(X: "N D", W: "D K", b: "K", y: "int N"):
    N = X.shape[0]
    scores = X @ W + b
    e = np.exp(scores)
    probs = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).mean()
    return loss
