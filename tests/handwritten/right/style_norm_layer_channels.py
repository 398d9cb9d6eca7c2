# judge: np.sum(out * dout) -> dx of x, dgamma of gamma, dbeta of beta
import numpy as np


def groupnorm_forward(x, gamma, beta, G, eps):
    """x: (N, C, H, W), gamma and beta: (1, C, 1, 1)"""
    N, C, H, W = x.shape
    x_group = x.reshape(N * G, C // G * H * W)
    mean = x_group.mean(axis=1, keepdims=True)
    var = x_group.var(axis=1, keepdims=True)
    inv_std = 1.0 / np.sqrt(var + eps)
    norm = (x_group - mean) * inv_std
    x_norm = norm.reshape(N, C, H, W)
    out = gamma * x_norm + beta
    cache = (G, gamma, norm, inv_std, x_norm)
    return out, cache


def groupnorm_backward(dout, cache):
    G, gamma, norm, inv_std, x_norm = cache
    N, C, H, W = dout.shape
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    dgamma = np.sum(dout * x_norm, axis=(0, 2, 3), keepdims=True)
    dnorm = (dout * gamma).reshape(N * G, C // G * H * W)
    M = dnorm.shape[1]
    dgroup = M * dnorm - np.sum(dnorm, axis=1, keepdims=True)
    dgroup -= norm * np.sum(dnorm * norm, axis=1, keepdims=True)
    dx = (inv_std / M * dgroup).reshape(N, C, H, W)
    return dx, dgamma, dbeta


x = np.random.randn(2, 4, 3, 2)
gamma = np.random.randn(1, 4, 1, 1)
beta = np.random.randn(1, 4, 1, 1)
out, cache = groupnorm_forward(x, gamma, beta, 2, 1e-5)
dout = np.random.randn(2, 4, 3, 2)
dx, dgamma, dbeta = groupnorm_backward(dout, cache)
