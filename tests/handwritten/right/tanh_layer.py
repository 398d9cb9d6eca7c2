# demo: x = np.random.randn(4, 3); w = np.random.randn(3, 5); h, cache = forward(x, w); dh = np.random.randn(4, 5); dx, dw = backward(dh, cache)
# judge: np.sum(h * dh) -> dx of x, dw of w
import numpy as np


def forward(x, w):
    """x is (N, D), w is (D, H)."""
    a = x @ w
    h = np.tanh(a)
    cache = {"x": x, "w": w, "a": a}
    return h, cache


def backward(dh, cache):
    x, w, a = cache["x"], cache["w"], cache["a"]
    da = dh / np.cosh(a) ** 2
    dx = da @ w.T
    dw = x.T @ da
    return dx, dw
