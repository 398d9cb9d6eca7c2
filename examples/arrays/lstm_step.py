"""One step of a long short-term memory."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_step(x: "N D", h_before: "N H", c_before: "N H", Wx: "D 4*H", Wh: "H 4*H", b: "4*H"):
    H = h_before.shape[1]
    a = x @ Wx + h_before @ Wh + b
    i = sigmoid(a[:, :H])
    f = sigmoid(a[:, H : 2 * H])
    o = sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    c = f * c_before + i * g
    h = o * np.tanh(c)
    return h, c
