# judge: np.sum(out * dout) -> dx of x
import numpy as np


def max_pool_forward(x, size, stride):
    N, C, H, W = x.shape
    Ho = (H - size) // stride + 1
    Wo = (W - size) // stride + 1
    out = np.zeros((N, C, Ho, Wo))
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    out[n, c, i, j] = np.max(x[n, c, i * stride : i * stride + size, j * stride : j * stride + size])
    return out, (x, size, stride)


def max_pool_backward(dout, cache):
    x, size, stride = cache
    N, C, Ho, Wo = dout.shape
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    window = x[n, c, i * stride : i * stride + size, j * stride : j * stride + size]
                    m = np.max(window)
                    dx[n, c, i * stride : i * stride + size, j * stride : j * stride + size] += (window == m) * dout[n, c, i, j]
    return dx


x = np.random.randn(2, 2, 4, 6)
out, cache = max_pool_forward(x, 2, 2)
dout = np.random.randn(2, 2, 2, 3)
dx = max_pool_backward(dout, cache)
