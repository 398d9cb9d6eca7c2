"""Value and gradient of out(x, w, b).

Written by bpcompile.

derivative rules: 2 proved with SymPy, 1 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits, element by element: 3 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: N = 2, C = 3, H = 4, W = 5, M = 6; 6 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 6, value and gradient 9 (1.50 times)
"""

import numpy as np


def value(x, w, b):
    """Return out."""
    x = _array("x", x, "N C H W")
    w = _array("w", w, "C*H*W M")
    b = _array("b", b, "M")
    _same_size("M", w.shape[1], b.shape[0])
    N = x.shape[0]
    C = x.shape[1]
    H = x.shape[2]
    W = x.shape[3]
    _same_size("C*H*W", C*H*W, w.shape[0])
    flatx = x.reshape(N, C * H * W)
    prodflatxw = flatx @ w
    out = prodflatxw + b
    return out


def value_and_grad(x, w, b, dout=1.0):
    """Return out and its gradients (dx, dw, db), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "N C H W")
    w = _array("w", w, "C*H*W M")
    b = _array("b", b, "M")
    _same_size("M", w.shape[1], b.shape[0])
    N = x.shape[0]
    C = x.shape[1]
    H = x.shape[2]
    W = x.shape[3]
    _same_size("C*H*W", C*H*W, w.shape[0])
    flatx = x.reshape(N, C * H * W)  # (1)
    prodflatxw = flatx @ w           # (2)
    out = prodflatxw + b             # (3)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = prodflatxw + b
    dprodflatxw = dout                      # (3)
    db = dout.sum(axis=0)                   # (3)
    # backprop prodflatxw = flatx @ w
    dflatx = dprodflatxw @ w.T              # (2)
    dw = flatx.T @ dprodflatxw              # (2)
    # backprop flatx = x.reshape(N, C * H * W)
    dx = dflatx.reshape(N, C, H, W).copy()  # (1)
    return out, (dx, dw, db)


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
