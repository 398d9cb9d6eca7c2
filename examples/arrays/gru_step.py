"""One step of a gated recurrent unit."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gru_step(x: "N D", h_before: "N H", Wz: "D H", Uz: "H H", Wr: "D H", Ur: "H H", Wn: "D H", Un: "H H"):
    update = sigmoid(x @ Wz + h_before @ Uz)
    reset = sigmoid(x @ Wr + h_before @ Ur)
    n = np.tanh(x @ Wn + (reset * h_before) @ Un)
    h = (1 - update) * n + update * h_before
    return h
