"""Value and gradient of f(x, y, z).

Written by bpcompile.

derivative rules: 1 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 121 points agree with the program
operations: value 2, value and gradient 6 (3.00 times)
"""


def value(x, y, z):
    """Return f."""
    a = x * y
    f = a * z
    return f


def value_and_grad(x, y, z, df=1.0):
    """Return f and its gradients (dx, dy, dz), given the upstream gradient df."""
    # forward pass
    a = x * y  # (1)
    f = a * z  # (2)

    # backward pass
    # backprop f = a * z
    da = z * df  # (2)
    dz = a * df  # (2)
    # backprop a = x * y
    dx = y * da  # (1)
    dy = x * da  # (1)
    return f, (dx, dy, dz)
