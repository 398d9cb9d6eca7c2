# judge: np.sum(h * dh) + np.sum(c * dc_next) -> dx of x, dhp of hp, dcp of cp, dW of W, dU of U, db of b
# expect: line 27, wrong-stage: dc = dc_next + dh * o * (1 - tc**2)
import numpy as np


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def lstm_forward(x, hp, cp, W, U, b):
    """x: (N, D), hp: (N, H), cp: (N, H), W: (D, 4H), U: (H, 4H), b: (4H,)"""
    H = hp.shape[1]
    a = x @ W + hp @ U + b
    i = sigmoid(a[:, :H])
    f = sigmoid(a[:, H : 2 * H])
    o = sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    c = f * cp + i * g
    tc = np.tanh(c)
    h = o * tc
    return h, c, (x, hp, cp, W, U, i, f, o, g, c, tc)


def lstm_backward(dh, dc_next, cache):
    x, hp, cp, W, U, i, f, o, g, c, tc = cache
    do = dh * tc
    dc = dc_next + dh * o * (1 - c**2)
    df = dc * cp
    di = dc * g
    dg = dc * i
    dcp = dc * f
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)], axis=1)
    dx = da @ W.T
    dhp = da @ U.T
    dW = x.T @ da
    dU = hp.T @ da
    db = da.sum(axis=0)
    return dx, dhp, dcp, dW, dU, db


x = np.random.randn(3, 4)
hp = np.random.randn(3, 2)
cp = np.random.randn(3, 2)
W = np.random.randn(4, 8)
U = np.random.randn(2, 8)
b = np.random.randn(8)
h, c, cache = lstm_forward(x, hp, cp, W, U, b)
dh = np.random.randn(3, 2)
dc_next = np.random.randn(3, 2)
dx, dhp, dcp, dW, dU, db = lstm_backward(dh, dc_next, cache)
