# demo: net = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}; loss, grads = loss_fn(net, X, y, reg=0.15)
# judge: loss -> grads["W1"] of W1, grads["b1"] of b1, grads["W2"] of W2, grads["b2"] of b2
"""Homework 1, exercise 3: the loss of a two-layer network."""
import numpy as np


def loss_fn(params, X, y=None, reg=0.0):
    """
    Compute the loss and the gradients.

    Inputs:
    - params: dictionary with W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)
    - X: data of shape (N, D)
    - y: labels of shape (N,), or None for the scores only
    - reg: strength of the regularisation

    Returns the loss and a dictionary of gradients with the same keys as params.
    """
    W1, b1 = params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    num_examples, D = X.shape

    # ------------------------------------------------ forward
    layer1 = X.dot(W1) + b1
    act1 = np.maximum(layer1, 0.0)
    scores = act1.dot(W2) + b2
    if y is None:
        return scores

    exp_scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    softmax = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(softmax[range(num_examples), y])
    data_loss = np.sum(correct_logprobs) / num_examples
    reg_loss = reg * np.sum(W1 * W1) + reg * np.sum(W2 * W2)
    loss = data_loss + reg_loss

    # ------------------------------------------------ backward
    grads = {}
    dscores = softmax
    dscores[range(num_examples), y] -= 1
    dscores = dscores / num_examples
    grads["W2"] = np.dot(act1.T, dscores) + 2 * reg * W2
    grads["b2"] = np.sum(dscores, axis=0)
    dact1 = np.dot(dscores, W2.T)
    dlayer1 = dact1
    dlayer1[act1 <= 0] = 0
    grads["W1"] = np.dot(X.T, dlayer1) + 2 * reg * W1
    grads["b1"] = np.sum(dlayer1, axis=0)
    return loss, grads


W1 = 0.3 * np.random.randn(4, 6)
b1 = np.random.randn(6)
W2 = 0.3 * np.random.randn(6, 3)
b2 = np.random.randn(3)
X = np.random.randn(5, 4)
y = np.random.randint(3, size=5)
params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
loss, grads = loss_fn(params, X, y, reg=0.15)
print("loss", loss)
