"""Value and gradient of f(x, y, z, w).

Written by bpcompile.

derivative rules: 3 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 140 points agree with the program
operations: value 4, value and gradient 8 (2.00 times)
"""


def value(x, y, z, w):
    """Return f."""
    prod = x * y
    largest = max(z, w)
    total = prod + largest
    f = 2.0 * total
    return f


def value_and_grad(x, y, z, w, df=1.0):
    """Return f and its gradients (dx, dy, dz, dw), given the upstream gradient df."""
    # forward pass
    prod = x * y            # (1)
    largest = max(z, w)     # (2)
    total = prod + largest  # (3)
    f = 2.0 * total         # (4)

    # backward pass
    # backprop f = 2.0 * total
    dtotal = 2.0 * df               # (4)
    # backprop total = prod + largest
    dprod = dtotal                  # (3)
    dlargest = dtotal               # (3)
    # backprop largest = max(z, w)
    zgew = z >= w                   # (2)
    dz = dlargest if zgew else 0.0  # (2)
    dw = 0.0 if zgew else dlargest  # (2)
    # backprop prod = x * y
    dx = y * dprod                  # (1)
    dy = x * dprod                  # (1)
    return f, (dx, dy, dz, dw)
