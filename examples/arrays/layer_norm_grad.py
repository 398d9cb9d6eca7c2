"""Value and gradient of out(x, gamma, beta).

Written by bpcompile.

derivative rules: 6 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: N = 2, T = 3, D = 4; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 9, value and gradient 26 (2.89 times)
"""

import numpy as np


def value(x, gamma, beta):
    """Return out."""
    x = _array("x", x, "N T D")
    gamma = _array("gamma", gamma, "D")
    beta = _array("beta", beta, "D")
    _same_size("D", x.shape[2], gamma.shape[0], beta.shape[0])
    mu = x.mean(axis=2, keepdims=True)
    xmmu = x - mu
    var = (xmmu * xmmu).mean(axis=2, keepdims=True)
    xhat = xmmu / np.sqrt(var + 1e-05)
    out = gamma * xhat + beta
    return out


def value_and_grad(x, gamma, beta, dout=1.0):
    """Return out and its gradients (dx, dgamma, dbeta), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "N T D")
    gamma = _array("gamma", gamma, "D")
    beta = _array("beta", beta, "D")
    _same_size("D", x.shape[2], gamma.shape[0], beta.shape[0])
    D = x.shape[2]
    mu = x.mean(axis=2, keepdims=True)               # (1)
    xmmu = x - mu                                    # (2)
    var = (xmmu * xmmu).mean(axis=2, keepdims=True)  # (3)
    sqrt1 = np.sqrt(var + 1e-05)                     # (4)
    xhat = xmmu / sqrt1                              # (5)
    out = gamma * xhat + beta                        # (6)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = gamma * xhat + beta
    dbeta = dout.sum(axis=(0, 1))            # (6)
    dgamma = (xhat * dout).sum(axis=(0, 1))  # (6)
    dxhat = gamma * dout                     # (6)
    # backprop xhat = xmmu / sqrt1
    dxmmu = dxhat / sqrt1                    # (5)
    # backprop sqrt1 = np.sqrt(var + 1e-05)
    dvar = -0.5 / sqrt1 * (dxhat * xhat / sqrt1).sum(axis=2, keepdims=True)  # (4)
    # backprop var = (xmmu * xmmu).mean(axis=2, keepdims=True)
    dxmmu += 2.0 * xmmu * (dvar / D)         # (3)
    # backprop xmmu = x - mu
    dx = dxmmu.copy()                        # (2)
    dmu = -dxmmu.sum(axis=2, keepdims=True)  # (2)
    # backprop mu = x.mean(axis=2, keepdims=True)
    dx += dmu / D                            # (1)
    return out, (dx, dgamma, dbeta)


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
