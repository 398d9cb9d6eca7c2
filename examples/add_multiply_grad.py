"""Value and gradient of f(x, y, z).

Written by bpcompile.

derivative rules: 2 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 121 points agree with the program
operations: value 2, value and gradient 4 (2.00 times)
"""


def value(x, y, z):
    """Return f."""
    q = x + y
    f = q * z
    return f


def value_and_grad(x, y, z, df=1.0):
    """Return f and its gradients (dx, dy, dz), given the upstream gradient df."""
    # forward pass
    q = x + y  # (1)
    f = q * z  # (2)

    # backward pass
    # backprop f = q * z
    dq = z * df  # (2)
    dz = q * df  # (2)
    # backprop q = x + y
    dx = dq      # (1)
    dy = dq      # (1)
    return f, (dx, dy, dz)
