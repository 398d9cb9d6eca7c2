# judge: np.sum(out * dout) -> dX of X, dW of W, dscale of scale
import numpy as np

X = np.random.randn(2, 3, 4)
W = np.random.randn(4, 5)
scale = np.random.randn(3)

Y = X @ W
S = Y * scale[:, None]
P = S.transpose(0, 2, 1)
out = P.mean(axis=2)

dout = np.random.randn(2, 5)
dP = np.repeat(dout[:, :, None], 3, axis=2) / 3
dS = dP.transpose(0, 2, 1)
dscale = (dS * Y).sum(axis=(0, 2))
dY = dS * scale[:, None]
dX = dY @ W.T
dW = np.einsum("nti,ntj->ij", X, dY)
