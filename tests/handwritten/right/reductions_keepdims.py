# judge: loss -> dX of X, dv of v
import numpy as np

X = np.random.randn(4, 3)
v = np.random.randn(3)

norms = np.sqrt((X**2).sum(axis=1, keepdims=True))
U = X / norms
p = U @ v
loss = (p**2).mean()

dp = 2 * p / 4
dv = U.T @ dp
dU = np.outer(dp, v)
dnorms = -(dU * X).sum(axis=1, keepdims=True) / norms**2
dX = dU / norms
dX += dnorms * X / norms
