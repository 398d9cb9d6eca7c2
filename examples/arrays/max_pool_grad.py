"""Value and gradient of out(x).

Written by bpcompile.

derivative rules: 1 proved with SymPy, 2 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: N = 3, C = 4, H = 5, W = 6; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 8, value and gradient 13 (1.62 times)
"""

import numpy as np


def value(x):
    """Return out."""
    x = _array("x", x, "N C H W")
    H = x.shape[2]
    W = x.shape[3]
    _at_least("H", H, 1)
    _at_least("W", W, 1)
    _at_least("(H // 2)", (H // 2), 0)
    _at_least("(W // 2)", (W // 2), 0)
    squares = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))[:, :, ::2, ::2]
    out = squares.max(axis=(4, 5))
    return out


def value_and_grad(x, dout=1.0):
    """Return out and its gradients (dx,), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "N C H W")
    H = x.shape[2]
    W = x.shape[3]
    _at_least("H", H, 1)
    _at_least("W", W, 1)
    _at_least("(H // 2)", (H // 2), 0)
    _at_least("(W // 2)", (W // 2), 0)
    colsx = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))  # (1)
    squares = colsx[:, :, ::2, ::2]  # (2)
    out = squares.max(axis=(4, 5))   # (3)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = squares.max(axis=(4, 5))
    hit1 = (squares == out[:, :, :, :, None, None]).astype(squares.dtype)  # (3)
    hit1 /= hit1.sum(axis=(4, 5), keepdims=True)    # (3)
    dsquares = hit1 * dout[:, :, :, :, None, None]  # (3)
    # backprop squares = colsx[:, :, ::2, ::2]
    dcolsx = np.zeros_like(colsx)                   # (2)
    dcolsx[:, :, ::2, ::2] = dsquares               # (2)
    # backprop colsx = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))
    dx = np.zeros_like(x)                           # (1)
    for i in range(2):                              # (1)
        for j in range(2):                          # (1)
            dx[:, :, i : i + dcolsx.shape[2], j : j + dcolsx.shape[3]] += dcolsx[..., i, j]  # (1)
    return out, (dx,)


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


def _at_least(name, size, least):
    """Raise ValueError unless a size leaves room for the slices taken of it."""
    if size < least:
        raise ValueError(f"the size {name} must be at least {least}, not {size}")
