# judge: loss -> dx of x
import numpy as np


def svm_loss(x, y):
    """
    - x: scores, of shape (N, C)
    - y: labels, of shape (N,)
    """
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    num_pos = np.sum(margins > 0, axis=1)
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(N), y] -= num_pos
    dx /= N
    return loss, dx


x = np.random.randn(4, 3)
y = np.array([2, 0, 1, 1])
loss, dx = svm_loss(x, y)
