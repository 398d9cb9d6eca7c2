"""Value and gradient of loss(W, X, y).

Written by bpcompile.

derivative rules: 14 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: D = 3, K = 4, N = 5; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 14, value and gradient 25 (1.79 times)
"""

import numpy as np


def value(W, X, y):
    """Return loss."""
    W = _array("W", W, "D K")
    X = _array("X", X, "N D")
    y = _integers("y", y, "N")
    _same_size("D", W.shape[0], X.shape[1])
    _same_size("N", X.shape[0], y.shape[0])
    N = X.shape[0]
    scores = X @ W
    arange = np.arange(N)
    correct = scores[arange, y][:, None]
    margins = np.maximum(0.0, scores - correct + 1.0)
    placed1 = np.zeros_like(margins)
    np.add.at(placed1, (arange, y), 1.0)
    margins_1 = np.where(placed1 > 0.0, 0.0, margins)
    loss = margins_1.sum() / N + 0.3 * (W * W).sum()
    return loss


def value_and_grad(W, X, y, dloss=1.0):
    """Return loss and its gradients (dW, dX), given the upstream gradient dloss."""
    # forward pass
    W = _array("W", W, "D K")
    X = _array("X", X, "N D")
    y = _integers("y", y, "N")
    _same_size("D", W.shape[0], X.shape[1])
    _same_size("N", X.shape[0], y.shape[0])
    N = X.shape[0]
    scores = X @ W                                    # (1)
    arange = np.arange(N)
    correct = scores[arange, y][:, None]              # (2)
    sum1 = scores - correct + 1.0                     # (3)
    margins = np.maximum(0.0, sum1)                   # (4)
    placed1 = np.zeros_like(margins)
    np.add.at(placed1, (arange, y), 1.0)
    placed1pos = placed1 > 0.0
    margins_1 = np.where(placed1pos, 0.0, margins)    # (5)
    loss = margins_1.sum() / N + 0.3 * (W * W).sum()  # (6)

    # backward pass
    dloss = np.broadcast_to(np.asarray(dloss, dtype=loss.dtype), loss.shape)
    # backprop loss = margins_1.sum() / N + 0.3 * (W * W).sum()
    dW = 0.6 * dloss * W                             # (6)
    # backprop margins_1 = np.where(placed1pos, 0.0, margins)
    dmargins = np.where(placed1pos, 0.0, dloss / N)  # (5)
    # backprop margins = np.maximum(0.0, sum1)
    dsum1 = np.where(sum1 <= 0.0, 0.0, dmargins)     # (4)
    # backprop sum1 = scores - correct + 1.0
    dscores = dsum1.copy()                           # (3)
    dcorrect = -dsum1.sum(axis=1, keepdims=True)     # (3)
    # backprop correct = scores[arange, y][:, None]
    np.add.at(dscores, (arange, y), dcorrect[:, 0])  # (2)
    # backprop scores = X @ W
    dX = dscores @ W.T                               # (1)
    dW += X.T @ dscores                              # (1)
    return loss, (dW, dX)


def _array(name, x, sizes):
    """Return x as an array of floats: integers become float64, float32 stays."""
    if isinstance(x, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(f"{name} is a {type(x).__name__}: pass a plain array")
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {x.dtype}")
    _check_shape(name, x, sizes.split())
    return x if x.dtype.kind == "f" else x.astype(float)


def _integers(name, x, sizes):
    """Return x as an array of integers."""
    x = np.asarray(x)
    if x.dtype.kind not in "iub":
        raise TypeError(f"{name} must hold integers, not {x.dtype}")
    _check_shape(name, x, sizes.split())
    return x


def _check_shape(name, x, sizes):
    """Raise ValueError unless x has one axis for each size, as long as the size says where that is a number."""
    if x.ndim != len(sizes) or any(size.isdigit() and int(size) != n for size, n in zip(sizes, x.shape, strict=True)):
        raise ValueError(f"{name} must have shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''}), not {x.shape}")


def _same_size(name, *sizes):
    """Raise ValueError unless all sizes are equal."""
    if len(set(sizes)) > 1:
        raise ValueError(f"the sizes {name} must be equal, not {sizes}")
