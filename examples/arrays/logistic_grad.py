"""Value and gradient of loss(w, b, X, y).

Written by bpcompile.

derivative rules: 7 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: D = 2, N = 3; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 6, value and gradient 20 (3.33 times)
"""

import numpy as np


def value(w, b, X, y):
    """Return loss."""
    w = _array("w", w, "D")
    b = _array("b", b, "")
    X = _array("X", X, "N D")
    y = _array("y", y, "N")
    _same_size("D", w.shape[0], X.shape[1])
    _same_size("N", X.shape[0], y.shape[0])
    z = X @ w + b
    loss = (np.logaddexp(0.0, z) - y * z).mean()
    return loss


def value_and_grad(w, b, X, y, dloss=1.0):
    """Return loss and its gradients (dw, db, dX, dy), given the upstream gradient dloss."""
    # forward pass
    w = _array("w", w, "D")
    b = _array("b", b, "")
    X = _array("X", X, "N D")
    y = _array("y", y, "N")
    _same_size("D", w.shape[0], X.shape[1])
    _same_size("N", X.shape[0], y.shape[0])
    N = X.shape[0]
    z = X @ w + b                                 # (1)
    loss = (np.logaddexp(0.0, z) - y * z).mean()  # (2)

    # backward pass
    dloss = np.broadcast_to(np.asarray(dloss, dtype=loss.dtype), loss.shape)
    # backprop loss = (np.logaddexp(0.0, z) - y * z).mean()
    dlossbyN = dloss / N             # (2)
    negdlossbyN = -dlossbyN          # (2)
    dy = z * negdlossbyN             # (2)
    dz = y * negdlossbyN             # (2)
    expnegabsz = np.exp(-np.abs(z))  # (2)
    dz += np.where(z >= 0.0, 1.0, expnegabsz) / (1.0 + expnegabsz) * dlossbyN  # (2)
    # backprop z = X @ w + b
    db = dz.sum()                    # (1)
    dX = np.outer(dz, w)             # (1)
    dw = X.T @ dz                    # (1)
    return loss, (dw, db, dX, dy)


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
