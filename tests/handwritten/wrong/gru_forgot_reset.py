# judge: np.sum(h * dh) -> dx of x, dhp of hp, dUr of Ur, dUn of Un
# expect: line 25, missing-branch: dhp += dar @ Ur.T + drh * r
import numpy as np

x = np.random.randn(3, 5)
hp = np.random.randn(3, 5)
Ur = np.random.randn(5, 5)
Un = np.random.randn(5, 5)

r = 1 / (1 + np.exp(-(x + hp @ Ur)))
rh = r * hp
n = np.tanh(x + rh @ Un)
h = 0.5 * n + 0.5 * hp

dh = np.random.randn(3, 5)
dn = 0.5 * dh
dan = dn * (1 - n**2)
dUn = rh.T @ dan
drh = dan @ Un.T
dr = drh * hp
dar = dr * r * (1 - r)
dUr = hp.T @ dar
dx = dan + dar
dhp = 0.5 * dh
dhp += dar @ Ur.T
