# demo: x = np.random.randn(4, 3); out, cache = relu_forward(x); dout = np.random.randn(4, 3); dx = relu_backward(dout, cache)
# judge: np.sum(out * dout) -> dx of x
import numpy as np


def relu_forward(x):
    out = x * (x > 0)
    cache = x
    return out, cache


def relu_backward(dout, cache):
    x = cache
    dx = dout.copy()
    dx[x <= 0] = 0
    return dx
