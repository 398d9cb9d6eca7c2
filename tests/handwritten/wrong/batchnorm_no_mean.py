# judge: np.sum(out * dout) -> dx of x, dgamma of gamma, dbeta of beta
# expect: line 33, missing-mean-factor: dsq = 1.0 / N * np.ones((N, D)) * dvar
import numpy as np


def batchnorm_forward(x, gamma, beta, eps):
    """x: (N, D), gamma: (D,), beta: (D,)"""
    N, D = x.shape
    mu = 1.0 / N * np.sum(x, axis=0)
    xmu = x - mu
    sq = xmu**2
    var = 1.0 / N * np.sum(sq, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    gammax = gamma * xhat
    out = gammax + beta
    cache = (xhat, gamma, xmu, ivar, sqrtvar, var, eps)
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta


x = np.random.randn(5, 3)
gamma = np.random.randn(3)
beta = np.random.randn(3)
out, cache = batchnorm_forward(x, gamma, beta, 1e-5)
dout = np.random.randn(5, 3)
dx, dgamma, dbeta = batchnorm_backward(dout, cache)
