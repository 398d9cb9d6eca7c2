"""Value and gradient of E(a0, W1, b1, W2, b2, W3, b3, y).

Written by bpcompile.

derivative rules: 9 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-13 at these points
sizes: D0 = 2, N = 3, D1 = 4, D2 = 5, D3 = 6; 6 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 35, value and gradient 57 (1.63 times)
"""

import numpy as np

a0 = np.random.default_rng(1).uniform(0.5, 1.5, (2, 3))
W1 = np.random.default_rng(2).uniform(0.5, 1.5, (4, 2))
b1 = np.random.default_rng(3).uniform(0.5, 1.5, (4, 1))
W2 = np.random.default_rng(4).uniform(0.5, 1.5, (5, 4))
b2 = np.random.default_rng(5).uniform(0.5, 1.5, (5, 1))
W3 = np.random.default_rng(6).uniform(0.5, 1.5, (6, 5))
b3 = np.random.default_rng(7).uniform(0.5, 1.5, (6, 1))
y = np.random.default_rng(8).uniform(0.5, 1.5, (6, 3))

# forward pass
a1 = 1.0 / (1 + np.exp(-(W1.dot(a0) + b1)))  # (1)
a2 = 1.0 / (1 + np.exp(-(W2.dot(a1) + b2)))  # (2)
a3 = 1.0 / (1 + np.exp(-(W3.dot(a2) + b3)))  # (3)
a3my = a3 - y                                # (4)
a3mysqr = a3my**2                            # (5)
E = 0.5 * a3mysqr.sum()                      # (6)

# backward pass
# backprop a3mysqr = a3my**2
da3my = (2 * a3my) * np.broadcast_to(0.5, a3mysqr.shape)  # (5) (D3, N)
# backprop a3my = a3 - y
da3 = (1) * da3my                                         # (4) (D3, N)
dy = (-1) * da3my                                         # (4) (D3, N)
# backprop a3 = 1.0 / (1 + np.exp(-(W3.dot(a2) + b3)))
onema3a3da3 = ((1 - a3) * a3) * da3                       # (3) (D3, N)
db3 = onema3a3da3.sum(axis=1, keepdims=True)              # (3) (D3, N) -> (D3, 1)
dW3 = onema3a3da3.dot(a2.T)                               # (3) (D3, D2) = (D3, N) . (N, D2)
da2 = W3.T.dot(onema3a3da3)                               # (3) (D2, N) = (D2, D3) . (D3, N)
# backprop a2 = 1.0 / (1 + np.exp(-(W2.dot(a1) + b2)))
onema2a2da2 = ((1 - a2) * a2) * da2                       # (2) (D2, N)
db2 = onema2a2da2.sum(axis=1, keepdims=True)              # (2) (D2, N) -> (D2, 1)
dW2 = onema2a2da2.dot(a1.T)                               # (2) (D2, D1) = (D2, N) . (N, D1)
da1 = W2.T.dot(onema2a2da2)                               # (2) (D1, N) = (D1, D2) . (D2, N)
# backprop a1 = 1.0 / (1 + np.exp(-(W1.dot(a0) + b1)))
onema1a1da1 = ((1 - a1) * a1) * da1                       # (1) (D1, N)
db1 = onema1a1da1.sum(axis=1, keepdims=True)              # (1) (D1, N) -> (D1, 1)
dW1 = onema1a1da1.dot(a0.T)                               # (1) (D1, D0) = (D1, N) . (N, D0)
da0 = W1.T.dot(onema1a1da1)                               # (1) (D0, N) = (D0, D1) . (D1, N)

print("E =", E)
print("da0 =", da0)
print("dW1 =", dW1)
print("db1 =", db1)
print("dW2 =", dW2)
print("db2 =", db2)
print("dW3 =", dW3)
print("db3 =", db3)
print("dy =", dy)
