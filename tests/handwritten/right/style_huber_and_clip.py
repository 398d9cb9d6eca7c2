# judge: loss -> dw of w
import numpy as np

X = np.random.randn(6, 3)
t = 2 * np.random.randn(6)
w = np.random.randn(3)
delta = 0.8

r = X @ w - t
small = np.abs(r) <= delta
terms = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))
loss = terms.sum()

dr = np.clip(r, -delta, delta)
dw = X.T @ dr
