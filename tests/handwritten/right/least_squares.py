# judge: loss -> grad_w of w, grad_b of b
import numpy as np

X = np.random.randn(7, 3)
y = np.random.randn(7)
w = np.random.randn(3)
b = 0.5
lam = 0.1

pred = X @ w + b
resid = pred - y
loss = (resid**2).mean() + lam * (w**2).sum()

n = len(y)
grad_w = 2 / n * X.T @ resid + 2 * lam * w
grad_b = 2 * resid.mean()
