# demo: Wa = np.random.randn(3, 4); Wb = np.random.randn(4, 2); la = Dense(Wa); lb = Dense(Wb); r = ReLU()
# demo: out = lb.forward(r.forward(la.forward(x))); dout = np.random.randn(5, 2); dx = la.backward(r.backward(lb.backward(dout)))
# judge: np.sum(out * dout) -> dx of x, la.grad_W of Wa, lb.grad_W of Wb
import numpy as np


class Dense:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.inputs = x
        return x @ self.W

    def backward(self, grad):
        self.grad_W = self.inputs.T @ grad
        return grad @ self.W.T


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask


x = np.random.randn(5, 3)
layers = [Dense(np.random.randn(3, 4)), ReLU(), Dense(np.random.randn(4, 2))]
h = x
for layer in layers:
    h = layer.forward(h)
grad = np.random.randn(5, 2)
for layer in reversed(layers):
    grad = layer.backward(grad)
