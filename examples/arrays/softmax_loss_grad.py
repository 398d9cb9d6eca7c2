"""Value and gradient of loss(X, W, b, y).

Written by bpcompile.

derivative rules: 10 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: N = 3, D = 4, K = 5; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 9, value and gradient 22 (2.44 times)
"""

import numpy as np


def value(X, W, b, y):
    """Return loss."""
    X = _array("X", X, "N D")
    W = _array("W", W, "D K")
    b = _array("b", b, "K")
    y = _integers("y", y, "N")
    _same_size("N", X.shape[0], y.shape[0])
    _same_size("D", X.shape[1], W.shape[0])
    _same_size("K", W.shape[1], b.shape[0])
    N = X.shape[0]
    scores = X @ W + b
    e = np.exp(scores - scores.max(axis=1, keepdims=True))  # exp cannot overflow
    probs = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).mean()
    return loss


def value_and_grad(X, W, b, y, dloss=1.0):
    """Return loss and its gradients (dX, dW, db), given the upstream gradient dloss."""
    # forward pass
    X = _array("X", X, "N D")
    W = _array("W", W, "D K")
    b = _array("b", b, "K")
    y = _integers("y", y, "N")
    _same_size("N", X.shape[0], y.shape[0])
    _same_size("D", X.shape[1], W.shape[0])
    _same_size("K", W.shape[1], b.shape[0])
    N = X.shape[0]
    scores = X @ W + b                                      # (1)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))  # (2) exp cannot overflow
    sume = e.sum(axis=1, keepdims=True)                     # (3)
    probs = e / sume                                        # (4)
    arange = np.arange(N)
    pick1 = probs[arange, y]                                # (5)
    loss = -np.log(pick1).mean()                            # (6)

    # backward pass
    dloss = np.broadcast_to(np.asarray(dloss, dtype=loss.dtype), loss.shape)
    # backprop pick1 = probs[arange, y]
    dprobs = np.zeros_like(probs)                             # (5)
    np.add.at(dprobs, (arange, y), -dloss / N / pick1)        # (5)
    # backprop probs = e / sume
    de = dprobs / sume                                        # (4)
    # backprop sume = e.sum(axis=1, keepdims=True)
    de -= (dprobs * probs / sume).sum(axis=1, keepdims=True)  # (3)
    # backprop e = np.exp(scores - scores.max(axis=1, keepdims=True))
    dscores = e * de                                          # (2)
    # backprop scores = X @ W + b
    db = dscores.sum(axis=0)                                  # (1)
    dX = dscores @ W.T                                        # (1)
    dW = X.T @ dscores                                        # (1)
    return loss, (dX, dW, db)


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
