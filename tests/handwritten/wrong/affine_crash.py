# judge: np.sum(out * dout) -> dx of x, dw of w, db of b
# demo: x = np.random.randn(5, 3); w = np.random.randn(3, 4); b = np.random.randn(4); out, cache = affine_forward(x, w, b)
# demo: dout = np.random.randn(5, 4); dx, dw, db = affine_backward(dout, cache)
# expect: line 17, operands-swapped or transpose: dw = x.T @ dout
import numpy as np


def affine_forward(x, w, b):
    """x: (N, D), w: (D, M), b: (M,)"""
    out = x @ w + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w.T
    dw = dout @ x.T
    db = np.sum(dout, axis=0)
    return dx, dw, db
