"""Value and gradient of f(w, x).

Written by bpcompile.

derivative rules: 4 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
zeros, ties and large values: 161 points agree with the program
operations: value 7, value and gradient 14 (2.00 times)
"""

import math


def value(w, x):
    """Return f."""
    w0, w1, w2 = w
    x0, x1 = x
    dot = w0 * x0 + w1 * x1 + w2
    scaled = -dot
    power = math.exp(scaled)
    shifted = 1.0 + power
    f = 1.0 / shifted
    return f


def value_and_grad(w, x, df=1.0):
    """Return f and its gradients (dw, dx), given the upstream gradient df."""
    # forward pass
    w0, w1, w2 = w
    x0, x1 = x
    dot = w0 * x0 + w1 * x1 + w2  # (1)
    scaled = -dot                 # (2)
    power = math.exp(scaled)      # (3)
    shifted = 1.0 + power         # (4)
    f = 1.0 / shifted             # (5)

    # backward pass
    # backprop f = 1.0 / shifted
    dshifted = -df * f * f             # (5)
    # backprop shifted = 1.0 + power
    dpower = dshifted                  # (4)
    # backprop power = math.exp(scaled)
    dscaled = power * dpower           # (3)
    # backprop scaled = -dot
    ddot = -dscaled                    # (2)
    # backprop dot = w0 * x0 + w1 * x1 + w2
    dw = [x0 * ddot, x1 * ddot, ddot]  # (1)
    dx = [w0 * ddot, w1 * ddot]        # (1)
    return f, (dw, dx)
