"""Value and gradient of E(x, y, W1, W2, W3, b1, b2, b3).

Written by bpcompile.

derivative rules: 8 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-11 at these points
sizes: n0 = 2, n3 = 3, n1 = 4, n2 = 5; 5 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 35, value and gradient 54 (1.54 times)
"""

import numpy as np

x = np.random.default_rng(1).uniform(0.5, 1.5, (2, 1))
y = np.random.default_rng(2).uniform(0.5, 1.5, (3, 1))
W1 = np.random.default_rng(3).uniform(0.5, 1.5, (4, 2))
W2 = np.random.default_rng(4).uniform(0.5, 1.5, (5, 4))
W3 = np.random.default_rng(5).uniform(0.5, 1.5, (3, 5))
b1 = np.random.default_rng(6).uniform(0.5, 1.5, (4, 1))
b2 = np.random.default_rng(7).uniform(0.5, 1.5, (5, 1))
b3 = np.random.default_rng(8).uniform(0.5, 1.5, (3, 1))

# forward pass
a1 = 1.0 / (1 + np.exp(-(W1.dot(x) + b1)))   # (1)
a2 = 1.0 / (1 + np.exp(-(W2.dot(a1) + b2)))  # (2)
a3 = 1.0 / (1 + np.exp(-(W3.dot(a2) + b3)))  # (3)
e = a3 - y                                   # (4)
esqr = e**2                                  # (5)
E = esqr.sum() / 2                           # (6)

# backward pass
# backprop esqr = e**2
de = (2 * e) * np.broadcast_to(0.5, esqr.shape)  # (5) (n3, 1)
# backprop e = a3 - y
da3 = (1) * de                                   # (4) (n3, 1)
dy = (-1) * de                                   # (4) (n3, 1)
# backprop a3 = 1.0 / (1 + np.exp(-(W3.dot(a2) + b3)))
db3 = ((1 - a3) * a3) * da3                      # (3) (n3, 1)
dW3 = db3.dot(a2.T)                              # (3) (n3, n2) = (n3, 1) . (1, n2)
da2 = W3.T.dot(db3)                              # (3) (n2, 1) = (n2, n3) . (n3, 1)
# backprop a2 = 1.0 / (1 + np.exp(-(W2.dot(a1) + b2)))
db2 = ((1 - a2) * a2) * da2                      # (2) (n2, 1)
dW2 = db2.dot(a1.T)                              # (2) (n2, n1) = (n2, 1) . (1, n1)
da1 = W2.T.dot(db2)                              # (2) (n1, 1) = (n1, n2) . (n2, 1)
# backprop a1 = 1.0 / (1 + np.exp(-(W1.dot(x) + b1)))
db1 = ((1 - a1) * a1) * da1                      # (1) (n1, 1)
dW1 = db1.dot(x.T)                               # (1) (n1, n0) = (n1, 1) . (1, n0)
dx = W1.T.dot(db1)                               # (1) (n0, 1) = (n0, n1) . (n1, 1)

print("E =", E)
print("dx =", dx)
print("dy =", dy)
print("dW1 =", dW1)
print("dW2 =", dW2)
print("dW3 =", dW3)
print("db1 =", db1)
print("db2 =", db2)
print("db3 =", db3)
