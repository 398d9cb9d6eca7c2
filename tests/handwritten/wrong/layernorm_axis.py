# judge: np.sum(out * dout) -> dx of x, dgamma of gamma, dbeta of beta
# expect: line 19, wrong-axis: drstd = (dxhat * xc).sum(axis=1, keepdims=True)
import numpy as np

x = np.random.randn(5, 3)
gamma = np.random.randn(3)
beta = np.random.randn(3)
mu = x.mean(axis=1, keepdims=True)
xc = x - mu
var = (xc**2).mean(axis=1, keepdims=True)
rstd = 1 / np.sqrt(var + 1e-3)
xhat = xc * rstd
out = gamma * xhat + beta

dout = np.random.randn(5, 3)
dbeta = dout.sum(axis=0)
dgamma = (dout * xhat).sum(axis=0)
dxhat = dout * gamma
drstd = (dxhat * xc).sum(axis=0, keepdims=True)
dxc = dxhat * rstd
dvar = drstd * -0.5 * (var + 1e-3) ** -1.5
dxc += dvar * 2 * xc / 3
dmu = -dxc.sum(axis=1, keepdims=True)
dx = dxc + dmu / 3
