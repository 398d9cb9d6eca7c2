# judge: np.sum(out * dout) -> dx of x, dw of w, db of b
import numpy as np


def affine_forward(x, w, b):
    """Flatten each example, then a linear map."""
    N = x.shape[0]
    rows = x.reshape(N, -1)
    out = rows @ w + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(N, -1).T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


if __name__ == "__main__":
    x = np.random.randn(4, 2, 3)
    w = np.random.randn(6, 5)
    b = np.random.randn(5)
    out, cache = affine_forward(x, w, b)
    dout = np.random.randn(4, 5)
    dx, dw, db = affine_backward(dout, cache)
