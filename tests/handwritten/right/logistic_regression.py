# judge: cost -> dw of w, db of b
import numpy as np


def propagate(w, b, X, Y):
    """w: (n, 1), b a number, X: (n, m), Y: (1, m)"""
    m = X.shape[1]
    # forward propagation
    Z = np.dot(w.T, X) + b
    A = 1 / (1 + np.exp(-Z))
    cost = -(1 / m) * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    # backward propagation
    dZ = A - Y
    dw = (1 / m) * np.dot(X, dZ.T)
    db = (1 / m) * np.sum(dZ)
    grads = {"dw": dw, "db": db}
    return grads, cost


w = np.random.randn(4, 1)
b = 0.3
X = np.random.randn(4, 6)
Y = np.array([[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]])
grads, cost = propagate(w, b, X, Y)
dw = grads["dw"]
db = grads["db"]
