"""Value and gradient of f(x).

Written by bpcompile.

derivative rules: 6 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-50 at these points
sizes: N = 3; 2 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 9, value and gradient 17 (1.89 times)
"""

import numpy as np


def value(x):
    """Return f."""
    x = _array("x", x, "N")
    N = x.shape[0]
    _at_least("N", N, 1)
    part1 = x[1:]
    part2 = x[:-1]
    part2sqr = part2 * part2
    diff1 = part1 - part2sqr
    diff1sqr = diff1 * diff1
    onempart2 = 1.0 - part2
    onempart2sqr = onempart2 * onempart2
    sum1 = 100.0 * diff1sqr + onempart2sqr
    f = sum1.sum()
    return f


def value_and_grad(x, df=1.0):
    """Return f and its gradients (dx,), given the upstream gradient df."""
    # forward pass
    x = _array("x", x, "N")
    N = x.shape[0]
    _at_least("N", N, 1)
    part1 = x[1:]                           # (1)
    part2 = x[:-1]                          # (2)
    part2sqr = part2 * part2                # (3)
    diff1 = part1 - part2sqr                # (4)
    diff1sqr = diff1 * diff1                # (5)
    onempart2 = 1.0 - part2                 # (6)
    onempart2sqr = onempart2 * onempart2    # (7)
    sum1 = 100.0 * diff1sqr + onempart2sqr  # (8)
    f = sum1.sum()                          # (9)

    # backward pass
    df = np.broadcast_to(np.asarray(df, dtype=f.dtype), f.shape)
    # backprop f = sum1.sum()
    dsum1 = np.broadcast_to(df, sum1.shape)    # (9)
    # backprop sum1 = 100.0 * diff1sqr + onempart2sqr
    donempart2sqr = dsum1                      # (8)
    # backprop onempart2 = 1.0 - part2
    dpart2 = -2.0 * onempart2 * donempart2sqr  # (6)
    # backprop diff1sqr = diff1 * diff1
    ddiff1 = 200.0 * dsum1 * diff1             # (5)
    # backprop diff1 = part1 - part2sqr
    dpart1 = ddiff1                            # (4)
    dpart2sqr = -ddiff1                        # (4)
    # backprop part2sqr = part2 * part2
    dpart2 += 2.0 * part2 * dpart2sqr          # (3)
    # backprop part2 = x[:-1]
    dx = np.zeros_like(x)                      # (2)
    dx[:-1] = dpart2                           # (2)
    # backprop part1 = x[1:]
    dx[1:] += dpart1                           # (1)
    return f, (dx,)


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
