# judge: loss -> dw of w, db of b
# expect: line 16, stale-variable or missing-mean-factor: db = np.sum(de)
import numpy as np

X = np.random.randn(7, 3)
t = np.random.randn(7)
w = np.random.randn(3)
b = 0.4

y = X @ w + b
e = y - t
loss = 0.5 * np.mean(e**2)

de = e / 7
dw = X.T @ de
db = np.sum(e)
