# demo: z = np.random.randn(4, 3); a, cache = sigmoid_forward(z); da = np.random.randn(4, 3); dz = sigmoid_backward(da, cache)
# judge: np.sum(a * da) -> dz of z
import numpy as np


def sigmoid_forward(z):
    """z: (N, D)"""
    a = 1.0 / (1.0 + np.exp(-z))
    cache = a
    return a, cache


def sigmoid_backward(da, cache):
    a = cache
    dz = da * a * (1.0 - a)
    return dz
