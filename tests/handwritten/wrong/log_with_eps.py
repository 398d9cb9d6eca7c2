# judge: loss -> dx of x
# expect: line 12, eps-term: dy = -t / (y + 1e-5) / 4; dx = y * (dy - np.sum(dy * y, axis=1, keepdims=True))
import numpy as np

x = np.random.randn(4, 3)
t = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])

e = np.exp(x)
y = e / e.sum(axis=1, keepdims=True)
loss = -np.sum(t * np.log(y + 1e-5)) / 4

dx = (y - t) / 4
