"""Value and gradient of out(x, k).

Written by bpcompile.

derivative rules: 1 proved with SymPy, 1 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: H = 5, W = 6, P = 3, Q = 4; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 2, value and gradient 5 (2.50 times)
"""

import numpy as np


def value(x, k):
    """Return out."""
    x = _array("x", x, "H W")
    k = _array("k", k, "P Q")
    P = k.shape[0]
    Q = k.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (P, Q), axis=(0, 1))
    out = np.tensordot(windows, k, axes=((2, 3), (0, 1)))
    return out


def value_and_grad(x, k, dout=1.0):
    """Return out and its gradients (dx, dk), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "H W")
    k = _array("k", k, "P Q")
    P = k.shape[0]
    Q = k.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (P, Q), axis=(0, 1))  # (1)
    out = np.tensordot(windows, k, axes=((2, 3), (0, 1)))  # (2)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = np.tensordot(windows, k, axes=((2, 3), (0, 1)))
    dwindows = dout[:, :, None, None] * k                    # (2)
    dk = np.tensordot(windows, dout, axes=((0, 1), (0, 1)))  # (2)
    # backprop windows = np.lib.stride_tricks.sliding_window_view(x, (P, Q), axis=(0, 1))
    dx = np.zeros_like(x)                                    # (1)
    for i in range(P):                                       # (1)
        for j in range(Q):                                   # (1)
            dx[i : i + dwindows.shape[0], j : j + dwindows.shape[1]] += dwindows[..., i, j]  # (1)
    return out, (dx, dk)


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
