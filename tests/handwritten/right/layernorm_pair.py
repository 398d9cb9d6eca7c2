# judge: np.sum(out * dout) -> dx of x, dgamma of gamma, dbeta of beta
import numpy as np


def layernorm_forward(x, gamma, beta, eps=1e-5):
    """
    - x: data of shape (N, D)
    - gamma: scale of shape (D,)
    - beta: shift of shape (D,)
    """
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    var = np.mean(xc**2, axis=1, keepdims=True)
    rstd = 1.0 / np.sqrt(var + eps)
    xhat = xc * rstd
    out = xhat * gamma + beta
    cache = (xhat, gamma, rstd)
    return out, cache


def layernorm_backward(dout, cache):
    xhat, gamma, rstd = cache
    D = dout.shape[1]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = dxhat - dxhat.mean(axis=1, keepdims=True)
    dx -= xhat * (dxhat * xhat).sum(axis=1, keepdims=True) / D
    dx *= rstd
    return dx, dgamma, dbeta


x = np.random.randn(4, 6)
gamma = np.random.randn(6)
beta = np.random.randn(6)
out, cache = layernorm_forward(x, gamma, beta)
dout = np.random.randn(4, 6)
dx, dgamma, dbeta = layernorm_backward(dout, cache)
