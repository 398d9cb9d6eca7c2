"""Value and gradient of f(x, y, z).

Written by bpcompile.

derivative rules: 2 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 121 points agree with the program
operations: value 2, value and gradient 4 (2.00 times)
"""

x = -2
y = 5
z = -4

# forward pass
q = x + y  # (1)
f = q * z  # (2)

# backward pass
# backprop f = q * z
dq = z         # (2)
dz = q         # (2)
# backprop q = x + y
dx = (1) * dq  # (1)
dy = (1) * dq  # (1)

print("f =", f)
print("dx =", dx)
print("dy =", dy)
print("dz =", dz)
