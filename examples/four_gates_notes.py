"""Value and gradient of f(w, x).

Written by bpcompile.

derivative rules: 4 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
zeros, ties and large values: 161 points agree with the program
operations: value 8, value and gradient 18 (2.25 times)
"""

import math

w = [2, -3, -3]
x = [-1, -2]

# forward pass
dot = w[0] * x[0] + w[1] * x[1] + w[2]  # (1)
scaled = -1 * dot                       # (2)
power = math.exp(scaled)                # (3)
shifted = 1 + power                     # (4)
f = 1 / shifted                         # (5)

# backward pass
# backprop f = 1 / shifted
dshifted = -1 / (shifted**2)                 # (5)
# backprop shifted = 1 + power
dpower = (1) * dshifted                      # (4)
# backprop power = math.exp(scaled)
dscaled = power * dpower                     # (3)
# backprop scaled = -1 * dot
ddot = (-1) * dscaled                        # (2)
# backprop dot = w[0] * x[0] + w[1] * x[1] + w[2]
dw = [x[0] * ddot, x[1] * ddot, (1) * ddot]  # (1)
dx = [w[0] * ddot, w[1] * ddot]              # (1)

print("f =", f)
print("dw =", dw)
print("dx =", dx)
