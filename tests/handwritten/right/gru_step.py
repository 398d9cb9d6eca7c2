# judge: np.sum(h * dh) -> dx of x, dhp of hp, dWz of Wz, dUz of Uz, dWr of Wr, dUr of Ur, dWn of Wn, dUn of Un
import numpy as np

x = np.random.randn(3, 4)
hp = np.random.randn(3, 5)
Wz, Uz = np.random.randn(4, 5), np.random.randn(5, 5)
Wr, Ur = np.random.randn(4, 5), np.random.randn(5, 5)
Wn, Un = np.random.randn(4, 5), np.random.randn(5, 5)

z = 1 / (1 + np.exp(-(x @ Wz + hp @ Uz)))
r = 1 / (1 + np.exp(-(x @ Wr + hp @ Ur)))
rh = r * hp
n = np.tanh(x @ Wn + rh @ Un)
h = (1 - z) * n + z * hp

dh = np.random.randn(3, 5)
dz = dh * (hp - n)
dn = dh * (1 - z)
dhp = dh * z
dan = dn * (1 - n**2)
dWn = x.T @ dan
dUn = rh.T @ dan
drh = dan @ Un.T
dr = drh * hp
dhp += drh * r
dar = dr * r * (1 - r)
daz = dz * z * (1 - z)
dWr = x.T @ dar
dUr = hp.T @ dar
dWz = x.T @ daz
dUz = hp.T @ daz
dhp += dar @ Ur.T + daz @ Uz.T
dx = dan @ Wn.T + dar @ Wr.T + daz @ Wz.T
