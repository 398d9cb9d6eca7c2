# judge: np.sum(out * dout) -> dQ of Q, dK of K, dV of V
# expect: line 19, upstream-only or missing-mean-factor or unknown or global-factor: dscores = dscaled / np.sqrt(d)
import numpy as np

T, S, d = 3, 4, 5
Q = np.random.randn(T, d)
K = np.random.randn(S, d)
V = np.random.randn(S, d)

scores = Q @ K.T
scaled = scores / np.sqrt(d)
weights = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
out = weights @ V

dout = np.random.randn(T, d)
dV = weights.T @ dout
dweights = dout @ V.T
dscaled = weights * (dweights - (weights * dweights).sum(axis=1, keepdims=True))
dscores = dscaled
dQ = dscores @ K
dK = dscores.T @ Q
