"""Value and gradient of out(x, gamma, beta).

Written by bpcompile.

derivative rules: 7 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-11 at these points
sizes: N = 2, D = 3; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 9, value and gradient 26 (2.89 times)
"""

import numpy as np


def value(x, gamma, beta):
    """Return out."""
    x = _array("x", x, "N D")
    gamma = _array("gamma", gamma, "D")
    beta = _array("beta", beta, "D")
    _same_size("D", x.shape[1], gamma.shape[0], beta.shape[0])
    mu = x.mean(axis=0)
    xc = x - mu
    var = (xc * xc).mean(axis=0)
    std = np.sqrt(var + 1e-05)
    xhat = xc / std
    out = gamma * xhat + beta
    return out


def value_and_grad(x, gamma, beta, dout=1.0):
    """Return out and its gradients (dx, dgamma, dbeta), given the upstream gradient dout."""
    # forward pass
    x = _array("x", x, "N D")
    gamma = _array("gamma", gamma, "D")
    beta = _array("beta", beta, "D")
    _same_size("D", x.shape[1], gamma.shape[0], beta.shape[0])
    N = x.shape[0]
    mu = x.mean(axis=0)           # (1)
    xc = x - mu                   # (2)
    var = (xc * xc).mean(axis=0)  # (3)
    std = np.sqrt(var + 1e-05)    # (4)
    xhat = xc / std               # (5)
    out = gamma * xhat + beta     # (6)

    # backward pass
    dout = np.broadcast_to(np.asarray(dout, dtype=out.dtype), out.shape)
    # backprop out = gamma * xhat + beta
    dbeta = dout.sum(axis=0)                  # (6)
    dgamma = (xhat * dout).sum(axis=0)        # (6)
    dxhat = gamma * dout                      # (6)
    # backprop xhat = xc / std
    dxc = dxhat / std                         # (5)
    dstd = -(dxhat * xhat / std).sum(axis=0)  # (5)
    # backprop std = np.sqrt(var + 1e-05)
    dvar = 0.5 / std * dstd                   # (4)
    # backprop var = (xc * xc).mean(axis=0)
    dxc += 2.0 * xc * (dvar / N)              # (3)
    # backprop xc = x - mu
    dx = dxc.copy()                           # (2)
    dmu = -dxc.sum(axis=0)                    # (2)
    # backprop mu = x.mean(axis=0)
    dx += dmu / N                             # (1)
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
