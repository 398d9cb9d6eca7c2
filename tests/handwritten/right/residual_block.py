# judge: np.sum(out * dout) -> dx of x, dW1 of W1, dW2 of W2
import numpy as np


def residual_forward(x, W1, W2):
    z = x @ W1
    h = np.maximum(0, z)
    out = x + h @ W2
    return out, (x, W1, W2, z, h)


def residual_backward(dout, cache):
    x, W1, W2, z, h = cache
    dW2 = h.T @ dout
    dh = dout @ W2.T
    dz = dh * (z > 0)
    dW1 = x.T @ dz
    dx = dout + dz @ W1.T
    return dx, dW1, dW2


x = np.random.randn(4, 3)
W1 = np.random.randn(3, 5)
W2 = np.random.randn(5, 3)
out, cache = residual_forward(x, W1, W2)
dout = np.random.randn(4, 3)
dx, dW1, dW2 = residual_backward(dout, cache)
