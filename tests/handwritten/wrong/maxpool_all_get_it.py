# judge: np.sum(out * dout) -> dx of x
# expect: line 16, wrong-route or unknown: dx[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] += dout[i, j] * (window == np.max(window))
import numpy as np

x = np.random.randn(4, 6)
out = np.zeros((2, 3))
for i in range(2):
    for j in range(3):
        out[i, j] = np.max(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2])

dout = np.random.randn(2, 3)
dx = np.zeros((4, 6))
for i in range(2):
    for j in range(3):
        window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        dx[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] += dout[i, j] / 4
