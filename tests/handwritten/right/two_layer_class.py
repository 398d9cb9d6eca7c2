# demo: W1 = np.random.randn(4, 5); b1 = np.random.randn(5); W2 = np.random.randn(5, 3); b2 = np.random.randn(3)
# demo: net.params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}; loss, grads = net.loss(X, y)
# judge: loss -> grads["W1"] of W1, grads["b1"] of b1, grads["W2"] of W2, grads["b2"] of b2
import numpy as np


class TwoLayerNet:
    def __init__(self, input_dim=4, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.2):
        self.params = {}
        self.reg = reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]

        z1 = X @ W1 + b1
        a1 = np.maximum(z1, 0)
        scores = a1 @ W2 + b2
        shifted = scores - np.max(scores, axis=1, keepdims=True)
        logsum = np.log(np.sum(np.exp(shifted), axis=1))
        loss = np.mean(logsum - shifted[np.arange(N), y])
        loss += 0.5 * self.reg * np.sum(W1**2)
        loss += 0.5 * self.reg * np.sum(W2**2)

        grads = {}
        dscores = np.exp(shifted - logsum[:, None])
        dscores[np.arange(N), y] -= 1
        dscores /= N
        grads["W2"] = a1.T @ dscores + self.reg * W2
        grads["b2"] = np.sum(dscores, axis=0)
        da1 = dscores @ W2.T
        dz1 = da1 * (z1 > 0)
        grads["W1"] = X.T @ dz1 + self.reg * W1
        grads["b1"] = np.sum(dz1, axis=0)
        return loss, grads


net = TwoLayerNet()
X = np.random.randn(6, 4)
y = np.array([0, 1, 2, 2, 1, 0])
loss, grads = net.loss(X, y)
