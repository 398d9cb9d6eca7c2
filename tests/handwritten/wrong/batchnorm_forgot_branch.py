# judge: np.sum(out * dout) -> dx of x, dgamma of gamma
# expect: line 18, missing-branch: dxc = dxn / std - (2.0 / N) * xc * np.sum(dxn * xc, axis=0) / std**2 * 0.5 / std
import numpy as np

N, D = 6, 4
x = np.random.randn(N, D)
gamma = np.random.randn(D)
mean = x.mean(axis=0)
xc = x - mean
var = (xc**2).mean(axis=0)
std = np.sqrt(var + 1e-4)
xn = xc / std
out = gamma * xn

dout = np.random.randn(N, D)
dgamma = np.sum(xn * dout, axis=0)
dxn = gamma * dout
dxc = dxn / std
dmean = np.sum(dxc, axis=0)
dx = dxc - dmean / N
