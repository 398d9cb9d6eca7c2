# judge: np.sum(y * dy) -> dx of x, dgamma of gamma, dbeta of beta
# the six formulas as they stand in the paper on batch normalisation, with the term of dmu that is zero
import numpy as np

m, D = 6, 4
eps = 1e-3
x = np.random.randn(m, D)
gamma = np.random.randn(D)
beta = np.random.randn(D)

mu = x.mean(axis=0)
var = ((x - mu) ** 2).mean(axis=0)
xhat = (x - mu) / np.sqrt(var + eps)
y = gamma * xhat + beta

dy = np.random.randn(m, D)
dxhat = dy * gamma
dvar = np.sum(dxhat * (x - mu) * -0.5 * (var + eps) ** (-1.5), axis=0)
dmu = np.sum(dxhat * -1 / np.sqrt(var + eps), axis=0) + dvar * np.mean(-2 * (x - mu), axis=0)
dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mu) / m + dmu / m
dgamma = np.sum(dy * xhat, axis=0)
dbeta = np.sum(dy, axis=0)
