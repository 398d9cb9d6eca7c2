"""Value and gradient of h(C, ix, W, b).

Written by bpcompile.

derivative rules: 3 proved with SymPy, 2 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits, element by element: 3 points, relative error below 1e-43
in double precision: relative error below 1e-15 at these points
sizes: V = 3, E = 4, N = 5, T = 6, K = 7; 6 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 5, value and gradient 17 (3.40 times)
"""

import numpy as np


def value(C, ix, W, b):
    """Return h."""
    C = _array("C", C, "V E")
    ix = _integers("ix", ix, "N T")
    W = _array("W", W, "E*T K")
    b = _array("b", b, "K")
    _same_size("K", W.shape[1], b.shape[0])
    E = C.shape[1]
    N = ix.shape[0]
    T = ix.shape[1]
    _same_size("E*T", E*T, W.shape[0])
    emb = C[ix]
    h = np.tanh(emb.reshape(N, E * T) @ W + b)
    return h


def value_and_grad(C, ix, W, b, dh=1.0):
    """Return h and its gradients (dC, dW, db), given the upstream gradient dh."""
    # forward pass
    C = _array("C", C, "V E")
    ix = _integers("ix", ix, "N T")
    W = _array("W", W, "E*T K")
    b = _array("b", b, "K")
    _same_size("K", W.shape[1], b.shape[0])
    E = C.shape[1]
    N = ix.shape[0]
    T = ix.shape[1]
    _same_size("E*T", E*T, W.shape[0])
    emb = C[ix]                      # (1)
    flatemb = emb.reshape(N, E * T)  # (2)
    zh = flatemb @ W + b             # (3)
    h = np.tanh(zh)                  # (4)

    # backward pass
    dh = np.broadcast_to(np.asarray(dh, dtype=h.dtype), h.shape)
    # backprop h = np.tanh(zh)
    exp1 = np.exp(-2.0 * np.abs(zh))               # (4)
    onepexp1 = 1.0 + exp1                          # (4)
    dzh = 4.0 * exp1 / (onepexp1 * onepexp1) * dh  # (4)
    # backprop zh = flatemb @ W + b
    db = dzh.sum(axis=0)                           # (3)
    dW = flatemb.T @ dzh                           # (3)
    # backprop flatemb = emb.reshape(N, E * T)
    demb = (dzh @ W.T).reshape(N, T, E)            # (2)
    # backprop emb = C[ix]
    dC = np.zeros_like(C)                          # (1)
    np.add.at(dC, ix, demb)                        # (1)
    return h, (dC, dW, db)


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
