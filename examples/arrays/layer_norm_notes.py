"""Value and gradient of out(x, gamma, beta).

Written by bpcompile.

derivative rules: 6 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: N = 2, T = 3, D = 4; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 15, value and gradient 37 (2.47 times)
"""

import numpy as np

x = np.random.default_rng(1).uniform(0.5, 1.5, (2, 3, 4))
gamma = np.random.default_rng(2).uniform(0.5, 1.5, (4,))
beta = np.random.default_rng(3).uniform(0.5, 1.5, (4,))

# forward pass
D = x.shape[2]
mu = x.mean(axis=2, keepdims=True)               # (1)
xmmu = x - mu                                    # (2)
var = (xmmu * xmmu).mean(axis=2, keepdims=True)  # (3)
sqrt1 = np.sqrt(var + 1e-05)                     # (4)
xhat = xmmu / sqrt1                              # (5)
out = gamma * xhat + beta                        # (6)

# backward pass
# backprop out = gamma * xhat + beta
dout = np.full_like(out, 1.0)                    # (6) (N, T, D)
dbeta = ((1) * dout).sum(axis=(0, 1))            # (6) (N, T, D) -> (D,)
dgamma = (xhat * dout).sum(axis=(0, 1))          # (6) (N, T, D) -> (D,)
dxhat = gamma * dout                             # (6) (N, T, D)
# backprop xhat = xmmu / sqrt1
dxmmu = (1.0 / sqrt1) * dxhat                    # (5) (N, T, D)
dsqrt1 = ((-xmmu / (sqrt1**2)) * dxhat).sum(axis=2, keepdims=True)  # (5) (N, T, D) -> (N, T, 1)
# backprop sqrt1 = np.sqrt(var + 1e-05)
dvar = (0.5 / sqrt1) * dsqrt1                    # (4) (N, T, 1)
# backprop var = (xmmu * xmmu).mean(axis=2, keepdims=True)
prod1 = xmmu * (dvar / D)                        # (3) (N, T, D)
dxmmu += prod1                                   # (3) (N, T, D)
dxmmu += prod1                                   # (3) (N, T, D)
# backprop xmmu = x - mu
dx = (1) * dxmmu                                 # (2) (N, T, D)
dmu = ((-1) * dxmmu).sum(axis=2, keepdims=True)  # (2) (N, T, D) -> (N, T, 1)
# backprop mu = x.mean(axis=2, keepdims=True)
dx += dmu / D                                    # (1) (N, T, D)

print("out =", out)
print("dx =", dx)
print("dgamma =", dgamma)
print("dbeta =", dbeta)
