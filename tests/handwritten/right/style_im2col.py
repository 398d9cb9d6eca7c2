# judge: np.sum(out * dout) -> dx of x, dW of W
# a convolution as a product of matrices
import numpy as np

x = np.random.randn(5, 6)
W = np.random.randn(3, 2, 2)
Ho, Wo = 4, 5

cols = np.zeros((4, Ho * Wo))
k = 0
for i in range(2):
    for j in range(2):
        cols[k] = x[i : i + Ho, j : j + Wo].reshape(-1)
        k += 1
out = (W.reshape(3, -1) @ cols).reshape(3, Ho, Wo)

dout = np.random.randn(3, Ho, Wo)
drows = dout.reshape(3, -1)
dW = (drows @ cols.T).reshape(W.shape)
dcols = W.reshape(3, -1).T @ drows
dx = np.zeros_like(x)
k = 0
for i in range(2):
    for j in range(2):
        dx[i : i + Ho, j : j + Wo] += dcols[k].reshape(Ho, Wo)
        k += 1
