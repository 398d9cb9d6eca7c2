# judge: loss -> dx of x
import numpy as np


def softmax_loss(x, y):
    """
    - x: scores, of shape (N, C)
    - y: labels, of shape (N,), 0 <= y[i] < C
    """
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


x = np.random.randn(4, 3)
y = np.random.randint(0, 3, 4)
loss, dx = softmax_loss(x, y)
