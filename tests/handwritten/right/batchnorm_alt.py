# judge: np.sum(out * dout) -> dx of x, dgamma of gamma, dbeta of beta
import numpy as np


def batchnorm_forward(x, gamma, beta, eps=1e-5):
    """x: (N, D), gamma: (D,), beta: (D,)"""
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    x_norm = (x - mean) / std
    out = gamma * x_norm + beta
    cache = (x_norm, gamma, std)
    return out, cache


def batchnorm_backward_alt(dout, cache):
    x_norm, gamma, std = cache
    N = dout.shape[0]
    dgamma = (dout * x_norm).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - x_norm * dgamma)
    return dx, dgamma, dbeta


x = 3 * np.random.randn(5, 3) + 1
gamma = np.random.randn(3)
beta = np.random.randn(3)
out, cache = batchnorm_forward(x, gamma, beta)
dout = np.random.randn(5, 3)
dx, dgamma, dbeta = batchnorm_backward_alt(dout, cache)
