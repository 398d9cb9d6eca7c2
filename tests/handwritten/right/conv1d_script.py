# judge: np.sum(y * gy) -> gx of x, gk of k
import numpy as np

x = np.random.randn(7)
k = np.random.randn(3)
n = 5

y = np.zeros(n)
for i in range(n):
    y[i] = np.sum(x[i : i + 3] * k)

gy = np.random.randn(n)
gx = np.zeros(7)
gk = np.zeros(3)
for i in range(n):
    gx[i : i + 3] += gy[i] * k
    gk += gy[i] * x[i : i + 3]
