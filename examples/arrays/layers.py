"""Three layers a = sigmoid(W a + b) with squared error for a batch, one column a sample."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def network(a0: "D0 N", W1: "D1 D0", b1: "D1 1", W2: "D2 D1", b2: "D2 1", W3: "D3 D2", b3: "D3 1", y: "D3 N"):
    a1 = sigmoid(W1 @ a0 + b1)
    a2 = sigmoid(W2 @ a1 + b2)
    a3 = sigmoid(W3 @ a2 + b3)
    E = 0.5 * np.sum((a3 - y) ** 2)
    return E
