# judge: np.sum(out * dout) -> dx of x, dw of w, db of b
# expect: line 21, missing-sum: db = dout.sum(axis=0)
import numpy as np


def affine_forward(x, w, b):
    """
    - x: input data of shape (N, D)
    - w: weights of shape (D, M)
    - b: biases of shape (M,)
    """
    out = x.dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T)
    dw = x.T.dot(dout)
    db = dout
    return dx, dw, db


x = np.random.randn(5, 3)
w = np.random.randn(3, 4)
b = np.random.randn(4)
out, cache = affine_forward(x, w, b)
dout = np.random.randn(5, 4)
dx, dw, db = affine_backward(dout, cache)
