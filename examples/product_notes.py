"""Value and gradient of f(x, y, z).

Written by bpcompile.

derivative rules: 1 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 121 points agree with the program
operations: value 2, value and gradient 4 (2.00 times)
"""

x = 6
y = -2
z = -3

# forward pass
a = x * y  # (1)
f = a * z  # (2)

# backward pass
# backprop f = a * z
da = z       # (2)
dz = a       # (2)
# backprop a = x * y
dx = y * da  # (1)
dy = x * da  # (1)

print("f =", f)
print("dx =", dx)
print("dy =", dy)
print("dz =", dz)
