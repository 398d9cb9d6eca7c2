# judge: loss -> grads["W1"] of W1, grads["b1"] of b1, grads["W2"] of W2, grads["b2"] of b2
# expect: line 17, missing-mean-factor: ds[range(N), y] -= 1; ds /= N
import numpy as np


def loss_and_grads(X, y, W1, b1, W2, b2, reg):
    N = X.shape[0]
    h = np.maximum(0, X @ W1 + b1)
    s = h @ W2 + b2
    s -= np.max(s, axis=1, keepdims=True)
    p = np.exp(s) / np.sum(np.exp(s), axis=1, keepdims=True)
    loss = np.sum(-np.log(p[range(N), y])) / N
    loss += reg * np.sum(W1 * W1) + reg * np.sum(W2 * W2)

    grads = {}
    ds = p.copy()
    ds[range(N), y] -= 1
    grads["b2"] = ds.sum(axis=0)
    grads["W2"] = h.T @ ds + 2 * reg * W2
    dh = ds @ W2.T
    dh[h <= 0] = 0
    grads["b1"] = dh.sum(axis=0)
    grads["W1"] = X.T @ dh + 2 * reg * W1
    return loss, grads


X = np.random.randn(6, 4)
y = np.array([0, 2, 1, 2, 0, 1])
W1 = np.random.randn(4, 5)
b1 = np.random.randn(5)
W2 = np.random.randn(5, 3)
b2 = np.random.randn(3)
loss, grads = loss_and_grads(X, y, W1, b1, W2, b2, 0.2)
