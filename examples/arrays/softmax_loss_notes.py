"""Value and gradient of loss(X, W, b, y).

Written by bpcompile.

derivative rules: 10 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: N = 3, D = 4, K = 5; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 16, value and gradient 32 (2.00 times)
"""

import numpy as np

X = np.random.default_rng(1).uniform(0.5, 1.5, (3, 4))
W = np.random.default_rng(2).uniform(0.5, 1.5, (4, 5))
b = np.random.default_rng(3).uniform(0.5, 1.5, (5,))
y = np.random.default_rng(4).integers(0, 2, (3,))

# forward pass
N = X.shape[0]
scores = X.dot(W) + b                # (1)
e = np.exp(scores)                   # (2)
sume = e.sum(axis=1, keepdims=True)  # (3)
probs = e / sume                     # (4)
arange = np.arange(N)
pick1 = probs[arange, y]             # (5)
loss = -np.log(pick1).mean()         # (6)

# backward pass
# backprop loss = -np.log(pick1).mean()
dpick1 = (1.0 / pick1) * (-1 / N)       # (6) (N,)
# backprop pick1 = probs[arange, y]
dprobs = np.zeros_like(probs)           # (5)
np.add.at(dprobs, (arange, y), dpick1)  # (5)
# backprop probs = e / sume
de = (1.0 / sume) * dprobs              # (4) (N, K)
dsume = ((-e / (sume**2)) * dprobs).sum(axis=1, keepdims=True)  # (4) (N, K) -> (N, 1)
# backprop sume = e.sum(axis=1, keepdims=True)
de += dsume                             # (3) (N, K)
# backprop e = np.exp(scores)
dscores = e * de                        # (2) (N, K)
# backprop scores = X.dot(W) + b
db = ((1) * dscores).sum(axis=0)        # (1) (N, K) -> (K,)
dX = dscores.dot(W.T)                   # (1) (N, D) = (N, K) . (K, D)
dW = X.T.dot(dscores)                   # (1) (D, K) = (D, N) . (N, K)

print("loss =", loss)
print("dX =", dX)
print("dW =", dW)
print("db =", db)
