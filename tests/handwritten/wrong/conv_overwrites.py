# judge: np.sum(out * dout) -> dx of x, dw of w, db of b
# expect: line 28, overwrites: dx[i : i + K, j : j + L] += dout[i, j] * w
import numpy as np


def conv_forward(x, w, b):
    """x: (H, W), w: (K, L), b: a number"""
    H, W = x.shape
    K, L = w.shape
    out = np.zeros((H - K + 1, W - L + 1))
    for i in range(H - K + 1):
        for j in range(W - L + 1):
            out[i, j] = np.sum(x[i : i + K, j : j + L] * w) + b
    cache = (x, w)
    return out, cache


def conv_backward(dout, cache):
    x, w = cache
    K, L = w.shape
    P, Q = dout.shape
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    db = 0.0
    for i in range(P):
        for j in range(Q):
            dw += dout[i, j] * x[i : i + K, j : j + L]
            dx[i : i + K, j : j + L] = dout[i, j] * w
            db += dout[i, j]
    return dx, dw, db


x = np.random.randn(5, 6)
w = np.random.randn(2, 3)
b = 0.4
out, cache = conv_forward(x, w, b)
dout = np.random.randn(*out.shape)
dx, dw, db = conv_backward(dout, cache)
