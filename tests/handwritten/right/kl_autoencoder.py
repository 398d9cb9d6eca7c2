# judge: loss -> dmu of mu, dlogvar of logvar, dx_hat of x_hat
import numpy as np

x = np.random.randn(4, 5)
x_hat = np.random.randn(4, 5)
mu = np.random.randn(4, 2)
logvar = np.random.randn(4, 2)

rec = np.sum((x_hat - x) ** 2) / 4
kl = -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar)) / 4
loss = rec + kl

dx_hat = 2 * (x_hat - x) / 4
dmu = mu / 4
dlogvar = -0.5 * (1 - np.exp(logvar)) / 4
