"""Value and gradient of f(x, y, z, w).

Written by bpcompile.

derivative rules: 3 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 140 points agree with the program
operations: value 4, value and gradient 11 (2.75 times)
"""

x = 3
y = -4
z = 2
w = -1

# forward pass
prod = x * y            # (1)
largest = max(z, w)     # (2)
total = prod + largest  # (3)
f = 2 * total           # (4)

# backward pass
# backprop f = 2 * total
dtotal = 2                              # (4)
# backprop total = prod + largest
dprod = (1) * dtotal                    # (3)
dlargest = (1) * dtotal                 # (3)
# backprop largest = max(z, w)
zgew = z >= w                           # (2)
dz = (1.0 if zgew else 0.0) * dlargest  # (2)
dw = (0.0 if zgew else 1.0) * dlargest  # (2)
# backprop prod = x * y
dx = y * dprod                          # (1)
dy = x * dprod                          # (1)

print("f =", f)
print("dx =", dx)
print("dy =", dy)
print("dz =", dz)
print("dw =", dw)
