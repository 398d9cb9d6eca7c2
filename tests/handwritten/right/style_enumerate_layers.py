# judge: loss -> grads["W1"] of W1, grads["b1"] of b1, grads["W2"] of W2, grads["b2"] of b2
import numpy as np

X = np.random.randn(5, 4)
T = np.random.randn(5, 2)
W1, b1 = np.random.randn(4, 3), np.random.randn(3)
W2, b2 = np.random.randn(3, 2), np.random.randn(2)
params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
L = 2

a = X
caches = []
for i in range(1, L + 1):
    inp = a
    z = inp @ params[f"W{i}"] + params[f"b{i}"]
    a = np.tanh(z)
    caches.append((inp, z))
loss = np.sum((a - T) ** 2) / (2 * X.shape[0])

grads = {k: np.zeros_like(v) for k, v in params.items()}
da = (a - T) / X.shape[0]
for i in range(L, 0, -1):
    inp, z = caches[i - 1]
    dz = da * (1 - np.tanh(z) ** 2)
    grads[f"W{i}"] += inp.T @ dz
    grads[f"b{i}"] += dz.sum(axis=0)
    da = dz @ params[f"W{i}"].T

for k in params:
    params[k] = params[k] - 0.01 * grads[k]
