"""Value and gradient of f(w, x).

Written by bpcompile.

derivative rules: 5 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-14 at these points
zeros, ties and large values: 161 points agree with the program
operations: value 7, value and gradient 14 (2.00 times)
"""

import math

w = [2, -3, -3]
x = [-1, -2]

# forward pass
dot = w[0] * x[0] + w[1] * x[1] + w[2]  # (1)
f = 1.0 / (1 + math.exp(-dot))          # (2)

# backward pass
# backprop f = 1.0 / (1 + math.exp(-dot))
ddot = (1 - f) * f                           # (2)
# backprop dot = w[0] * x[0] + w[1] * x[1] + w[2]
dw = [x[0] * ddot, x[1] * ddot, (1) * ddot]  # (1)
dx = [w[0] * ddot, w[1] * ddot]              # (1)

print("f =", f)
print("dw =", dw)
print("dx =", dx)
