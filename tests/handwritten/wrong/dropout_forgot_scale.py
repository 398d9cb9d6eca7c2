# judge: np.sum(out * dout) -> dx of x, dw of w
# expect: line 14, upstream-only or missing-mean-factor or global-factor: dz = dout * mask / p
import numpy as np

p = 0.6
x = np.random.randn(4, 3)
w = np.random.randn(3, 5)
mask = np.array([[1.0, 0, 1, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 1], [1, 0, 0, 1, 1]])

z = x @ w
out = z * mask / p

dout = np.random.randn(4, 5)
dz = dout * mask
dx = dz @ w.T
dw = x.T @ dz
