"""Value and gradient of y(x, w).

Written by bpcompile.

derivative rules: 1 proved with SymPy, 1 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: H = 5, W = 6, k = 3, l = 4; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 2, value and gradient 5 (2.50 times)
"""

import numpy as np


def value(x, w):
    """Return y."""
    x = _array("x", x, "H W")
    w = _array("w", w, "k l")
    k = w.shape[0]
    l = w.shape[1]
    colsx = np.lib.stride_tricks.sliding_window_view(x, (k, l), axis=(0, 1))
    y = np.tensordot(colsx, w, axes=((2, 3), (0, 1)))
    return y


def value_and_grad(x, w, dy=1.0):
    """Return y and its gradients (dx, dw), given the upstream gradient dy."""
    # forward pass
    x = _array("x", x, "H W")
    w = _array("w", w, "k l")
    k = w.shape[0]
    l = w.shape[1]
    colsx = np.lib.stride_tricks.sliding_window_view(x, (k, l), axis=(0, 1))  # (1)
    y = np.tensordot(colsx, w, axes=((2, 3), (0, 1)))  # (2)

    # backward pass
    dy = np.broadcast_to(np.asarray(dy, dtype=y.dtype), y.shape)
    # backprop y = np.tensordot(colsx, w, axes=((2, 3), (0, 1)))
    dcolsx = dy[:, :, None, None] * w                    # (2)
    dw = np.tensordot(colsx, dy, axes=((0, 1), (0, 1)))  # (2)
    # backprop colsx = np.lib.stride_tricks.sliding_window_view(x, (k, l), axis=(0, 1))
    dx = np.zeros_like(x)                                # (1)
    for i in range(k):                                   # (1)
        for j in range(l):                               # (1)
            dx[i : i + dcolsx.shape[0], j : j + dcolsx.shape[1]] += dcolsx[..., i, j]  # (1)
    return y, (dx, dw)


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
