"""Value and gradient of D(W, X).

Written by bpcompile.

derivative rules: 1 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
zeros, ties and large values: 19 points agree with the program
operations: value 1, value and gradient 3 (3.00 times)
"""

import numpy as np


def value(W, X):
    """Return D."""
    W = _array("W", W, "5 10")
    X = _array("X", X, "10 3")
    D = W @ X
    return D


def value_and_grad(W, X, dD=1.0):
    """Return D and its gradients (dW, dX), given the upstream gradient dD."""
    # forward pass
    W = _array("W", W, "5 10")
    X = _array("X", X, "10 3")
    D = W @ X  # (1)

    # backward pass
    dD = np.broadcast_to(np.asarray(dD, dtype=D.dtype), D.shape)
    # backprop D = W @ X
    dW = dD @ X.T  # (1)
    dX = W.T @ dD  # (1)
    return D, (dW, dX)


def _array(name, x, sizes):
    """Return x as an array of floats: integers become float64, float32 stays."""
    if isinstance(x, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(f"{name} is a {type(x).__name__}: pass a plain array")
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {x.dtype}")
    _check_shape(name, x, sizes.split())
    return x if x.dtype.kind == "f" else x.astype(float)


def _check_shape(name, x, sizes):
    """Raise ValueError unless x has one axis for each size, as long as the size says where that is a number."""
    if x.ndim != len(sizes) or any(size.isdigit() and int(size) != n for size, n in zip(sizes, x.shape, strict=True)):
        raise ValueError(f"{name} must have shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''}), not {x.shape}")
