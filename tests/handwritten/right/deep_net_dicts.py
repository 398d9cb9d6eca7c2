# judge: cost -> grads["dW1"] of W1, grads["db1"] of b1, grads["dW2"] of W2, grads["db2"] of b2, grads["dW3"] of W3, grads["db3"] of b3
import numpy as np


def model_forward(X, parameters):
    caches = {"A0": X}
    A = X
    for l in range(1, 4):
        Z = np.dot(parameters["W" + str(l)], A) + parameters["b" + str(l)]
        A = np.tanh(Z)
        caches["Z" + str(l)] = Z
        caches["A" + str(l)] = A
    return A, caches


def model_backward(AL, Y, parameters, caches):
    grads = {}
    m = Y.shape[1]
    dA = (AL - Y) / m
    for l in reversed(range(1, 4)):
        dZ = dA * (1 - caches["A" + str(l)] ** 2)
        grads["dW" + str(l)] = np.dot(dZ, caches["A" + str(l - 1)].T)
        grads["db" + str(l)] = np.sum(dZ, axis=1, keepdims=True)
        dA = np.dot(parameters["W" + str(l)].T, dZ)
    return grads


X = np.random.randn(3, 6)
Y = np.random.randn(2, 6)
W1, b1 = np.random.randn(5, 3), np.random.randn(5, 1)
W2, b2 = np.random.randn(4, 5), np.random.randn(4, 1)
W3, b3 = np.random.randn(2, 4), np.random.randn(2, 1)
parameters = {"W1": W1, "b1": b1, "W2": W2, "b2": b2, "W3": W3, "b3": b3}
AL, caches = model_forward(X, parameters)
cost = np.sum((AL - Y) ** 2) / (2 * Y.shape[1])
grads = model_backward(AL, Y, parameters, caches)
