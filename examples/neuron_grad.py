"""Value and gradient of f(w, x).

Written by bpcompile.

derivative rules: 5 proved with SymPy
value and gradient equal SymPy's derivative at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
zeros, ties and large values: 161 points agree with the program
operations: value 8, value and gradient 16 (2.00 times)
"""

import math


def value(w, x):
    """Return f."""
    w0, w1, w2 = w
    x0, x1 = x
    dot = w0 * x0 + w1 * x1 + w2
    f = 1.0 / (1.0 + (math.inf if dot < -709.0 else math.exp(-dot)))  # exp cannot overflow
    return f


def value_and_grad(w, x, df=1.0):
    """Return f and its gradients (dw, dx), given the upstream gradient df."""
    # forward pass
    w0, w1, w2 = w
    x0, x1 = x
    dot = w0 * x0 + w1 * x1 + w2  # (1)
    expnegdot = math.inf if dot < -709.0 else math.exp(-dot)
    f = 1.0 / (1.0 + expnegdot)   # (2) exp cannot overflow

    # backward pass
    # backprop f = 1.0 / (1.0 + expnegdot)
    ddot = (1.0 - f if dot < 0.0 else expnegdot * f) * f * df  # (2)
    # backprop dot = w0 * x0 + w1 * x1 + w2
    dw = [x0 * ddot, x1 * ddot, ddot]  # (1)
    dx = [w0 * ddot, w1 * ddot]        # (1)
    return f, (dw, dx)
