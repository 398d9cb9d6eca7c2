# demo: W = np.random.randn(3, 5); b = np.random.randn(5); layer = Affine(W, b)
# demo: out = layer.forward(x); dout = np.random.randn(4, 5); dx = layer.backward(dout); dW = layer.dW; db = layer.db
# judge: np.sum(out * dout) -> dx of x, dW of W, db of b
# expect: line 20, transpose or operands-swapped: self.dW = np.dot(self.x.T, dout)
import numpy as np


class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        self.x = x
        out = np.dot(self.x, self.W) + self.b
        return out

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(dout.T, self.x)
        self.db = np.sum(dout, axis=0)
        return dx


x = np.random.randn(4, 3)
layer = Affine(np.random.randn(3, 5), np.random.randn(5))
out = layer.forward(x)
dout = np.random.randn(4, 5)
dx = layer.backward(dout)
