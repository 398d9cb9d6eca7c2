# judge: loss -> grads["W1"] of W1, grads["b1"] of b1, grads["W2"] of W2, grads["b2"] of b2
import numpy as np


def two_layer_loss(X, y, W1, b1, W2, b2, reg):
    N = X.shape[0]
    # forward
    hidden = np.maximum(0, X.dot(W1) + b1)
    scores = hidden.dot(W2) + b2
    scores = scores - scores.max(axis=1, keepdims=True)
    exps = np.exp(scores)
    probs = exps / exps.sum(axis=1, keepdims=True)
    data_loss = -np.log(probs[np.arange(N), y]).sum() / N
    loss = data_loss + 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
    # backward
    grads = {}
    dscores = probs
    dscores[np.arange(N), y] -= 1
    dscores /= N
    grads["W2"] = hidden.T.dot(dscores)
    grads["b2"] = dscores.sum(axis=0)
    dhidden = dscores.dot(W2.T)
    dhidden[hidden <= 0] = 0
    grads["W1"] = X.T.dot(dhidden)
    grads["b1"] = dhidden.sum(axis=0)
    grads["W2"] += reg * W2
    grads["W1"] += reg * W1
    return loss, grads


X = np.random.randn(5, 4)
y = np.array([0, 2, 1, 2, 0])
W1 = np.random.randn(4, 6)
b1 = np.random.randn(6)
W2 = np.random.randn(6, 3)
b2 = np.random.randn(3)
loss, grads = two_layer_loss(X, y, W1, b1, W2, b2, 0.3)
