"""Scaled dot-product attention of a batch."""

import numpy as np


def attention(Q: "B N D", K: "B M D", V: "B M P"):
    scores = Q @ K.transpose(0, 2, 1) / np.sqrt(Q.shape[2])
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    A = e / e.sum(axis=2, keepdims=True)
    out = A @ V
    return out
