# judge: loss -> dW of W
import numpy as np


def svm_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    right = scores[np.arange(num_train), y].reshape(-1, 1)
    margin = np.maximum(0, scores - right + 1)
    margin[np.arange(num_train), y] = 0
    loss = margin.sum() / num_train + reg * np.sum(W * W)

    mask = (margin > 0).astype(float)
    mask[np.arange(num_train), y] = -mask.sum(axis=1)
    dW = X.T.dot(mask) / num_train
    dW += 2 * reg * W
    return loss, dW


W = np.random.randn(3, 4)
X = np.random.randn(5, 3)
y = np.array([0, 3, 1, 2, 3])
loss, dW = svm_loss_vectorized(W, X, y, 0.3)
