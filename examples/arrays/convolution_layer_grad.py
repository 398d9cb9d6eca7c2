"""Value and gradient of out(x, k, b).

Written by bpcompile.

derivative rules: 2 proved with SymPy, 3 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits: 3 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: N = 4, C = 5, H = 6, W = 7, F = 8; 6 more in double precision, 1 among them
zeros, ties and large values: 5 points agree with the program
operations: value 4, value and gradient 8 (2.00 times)
"""

import numpy as np


def value(x, k, b):
    """Return out."""
    x = _array("x", x, "N C H W")
    k = _array("k", k, "F C 3 3")
    b = _array("b", b, "F")
    _same_size("C", x.shape[1], k.shape[1])
    _same_size("F", k.shape[0], b.shape[0])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    out = np.einsum("ncijpq,fcpq->nfij", windows, k) + b[:, None, None]
    return out


def value_and_grad(x, k, b, dout=1.0):
    """Return out and its gradients (dx, dk, db), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "N C H W")
    k = _array("k", k, "F C 3 3")
    b = _array("b", b, "F")
    _same_size("C", x.shape[1], k.shape[1])
    _same_size("F", k.shape[0], b.shape[0])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))  # (1)
    colspadded = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # (2)
    windows = colspadded[:, :, ::2, ::2]                  # (3)
    out = np.einsum("ncijpq,fcpq->nfij", windows, k) + b[:, None, None]  # (4)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = np.einsum("ncijpq,fcpq->nfij", windows, k) + b[:, None, None]
    db = dout.sum(axis=(0, 2, 3))                       # (4)
    dwindows = np.einsum("nfij,fcpq->ncijpq", dout, k)  # (4)
    dk = np.tensordot(dout, windows, axes=((0, 2, 3), (0, 2, 3)))  # (4)
    # backprop windows = colspadded[:, :, ::2, ::2]
    dcolspadded = np.zeros_like(colspadded)             # (3)
    dcolspadded[:, :, ::2, ::2] = dwindows              # (3)
    # backprop colspadded = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    dpadded = np.zeros_like(padded)                     # (2)
    for i in range(3):                                  # (2)
        for j in range(3):                              # (2)
            dpadded[:, :, i : i + dcolspadded.shape[2], j : j + dcolspadded.shape[3]] += dcolspadded[..., i, j]  # (2)
    # backprop padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dx = dpadded[:, :, 1:-1, 1:-1].copy()               # (1)
    return out, (dx, dk, db)


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


def _same_size(name, *sizes):
    """Raise ValueError unless all sizes are equal."""
    if len(set(sizes)) > 1:
        raise ValueError(f"the sizes {name} must be equal, not {sizes}")
