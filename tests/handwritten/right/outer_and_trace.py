# judge: f -> dX of X, da of a, db of b
import numpy as np

X = np.random.randn(3, 4)
a = np.random.randn(3)
b = np.random.randn(4)

G = X @ X.T
tr = np.trace(G)
r = a @ X @ b
f = tr + r**2

dr = 2 * r
da = dr * (X @ b)
db = dr * (X.T @ a)
dX = dr * np.outer(a, b)
dX += 2 * X
