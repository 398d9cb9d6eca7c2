# judge: loss -> gP of P, gQ of Q, gbu of bu, gbi of bi
import numpy as np

users = np.array([0, 1, 1, 2, 3, 0])
items = np.array([2, 0, 1, 2, 1, 0])
ratings = np.array([3.0, 4.0, 1.0, 5.0, 2.0, 4.0])
P = np.random.randn(4, 2)
Q = np.random.randn(3, 2)
bu = np.random.randn(4)
bi = np.random.randn(3)
lam = 0.1

pred = np.sum(P[users] * Q[items], axis=1) + bu[users] + bi[items]
e = pred - ratings
loss = 0.5 * np.sum(e**2) + 0.5 * lam * (np.sum(P**2) + np.sum(Q**2))

gP = lam * P
gQ = lam * Q
np.add.at(gP, users, e[:, None] * Q[items])
np.add.at(gQ, items, e[:, None] * P[users])
gbu = np.bincount(users, weights=e, minlength=4)
gbi = np.zeros(3)
np.add.at(gbi, items, e)
