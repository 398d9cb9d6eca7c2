# demo: W = np.random.randn(3, 5); b = np.random.randn(5); layer = Affine(W, b); act = Sigmoid()
# demo: out = act.forward(layer.forward(x)); dout = np.random.randn(4, 5); dx = layer.backward(act.backward(dout)); dW = layer.dW; db = layer.db
# judge: np.sum(out * dout) -> dx of x, dW of W, db of b
import numpy as np


class Sigmoid:
    def __init__(self):
        self.out = None

    def forward(self, x):
        out = 1 / (1 + np.exp(-x))
        self.out = out
        return out

    def backward(self, dout):
        dx = dout * (1.0 - self.out) * self.out
        return dx


class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x = None
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x
        out = np.dot(x, self.W) + self.b
        return out

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx


x = np.random.randn(4, 3)
layer = Affine(np.random.randn(3, 5), np.random.randn(5))
act = Sigmoid()
out = act.forward(layer.forward(x))
dout = np.random.randn(4, 5)
dx = layer.backward(act.backward(dout))
