# demo: x = np.random.randn(4, 3); mask = (np.random.rand(4, 3) < 0.6) * 1.0; out, cache = dropout_forward(x, mask, 0.6)
# demo: dout = np.random.randn(4, 3); dx = dropout_backward(dout, cache)
# judge: np.sum(out * dout) -> dx of x
import numpy as np


def dropout_forward(x, mask, p):
    """
    - x: data of shape (N, D)
    - mask: zeros and ones of shape (N, D), drawn elsewhere
    - p: scalar, the probability of keeping a unit
    """
    out = x * mask / p
    cache = (mask, p)
    return out, cache


def dropout_backward(dout, cache):
    mask, p = cache
    dx = dout * mask / p
    return dx
