# judge: np.sum(out * dout) -> dW of W
# expect: line 15, repeated-index: np.add.at(dW, idx, dout)
import numpy as np


def embed_forward(idx, W):
    """idx: integers of shape (N,), W: (V, D)"""
    out = W[idx]
    return out, (idx, W.shape)


def embed_backward(dout, cache):
    idx, shape = cache
    dW = np.zeros(shape)
    dW[idx] += dout
    return dW


idx = np.array([2, 0, 2, 1])
W = np.random.randn(4, 3)
out, cache = embed_forward(idx, W)
dout = np.random.randn(4, 3)
dW = embed_backward(dout, cache)
