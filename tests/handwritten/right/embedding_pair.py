# judge: np.sum(out * dout) -> dW of W
import numpy as np


def word_embedding_forward(x, W):
    """x: integers of shape (N, T), W: (V, D)"""
    out = W[x]
    cache = (x, W)
    return out, cache


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, x, dout)
    return dW


x = np.array([[0, 3, 1], [2, 1, 1]])
W = np.random.randn(4, 5)
out, cache = word_embedding_forward(x, W)
dout = np.random.randn(2, 3, 5)
dW = word_embedding_backward(dout, cache)
