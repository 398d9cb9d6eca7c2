"""Value and gradient of h(x, h_before, Wz, Uz, Wr, Ur, Wn, Un).

Written by bpcompile.

derivative rules: 8 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-12 at these points
sizes: N = 2, D = 3, H = 4; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 27, value and gradient 65 (2.41 times)
"""

import numpy as np


def value(x, h_before, Wz, Uz, Wr, Ur, Wn, Un):
    """Return h."""
    x = _array("x", x, "N D")
    h_before = _array("h_before", h_before, "N H")
    Wz = _array("Wz", Wz, "D H")
    Uz = _array("Uz", Uz, "H H")
    Wr = _array("Wr", Wr, "D H")
    Ur = _array("Ur", Ur, "H H")
    Wn = _array("Wn", Wn, "D H")
    Un = _array("Un", Un, "H H")
    _same_size("N", x.shape[0], h_before.shape[0])
    _same_size("D", x.shape[1], Wz.shape[0], Wr.shape[0], Wn.shape[0])
    _same_size("H", h_before.shape[1], Wz.shape[1], Uz.shape[0], Uz.shape[1], Wr.shape[1], Ur.shape[0], Ur.shape[1], Wn.shape[1], Un.shape[0], Un.shape[1])
    zupdate = x @ Wz + h_before @ Uz
    exp1 = np.exp(-np.abs(zupdate))
    update = np.where(zupdate >= 0.0, 1.0, exp1) / (1.0 + exp1)  # exp cannot overflow
    zreset = x @ Wr + h_before @ Ur
    exp2 = np.exp(-np.abs(zreset))
    reset = np.where(zreset >= 0.0, 1.0, exp2) / (1.0 + exp2)  # exp cannot overflow
    n = np.tanh(x @ Wn + reset * h_before @ Un)
    h = (1.0 - update) * n + update * h_before
    return h


def value_and_grad(x, h_before, Wz, Uz, Wr, Ur, Wn, Un, dh=1.0):
    """Return h and its gradients (dx, dh_before, dWz, dUz, dWr, dUr, dWn, dUn), given the upstream gradient dh."""
    # forward pass
    x = _array("x", x, "N D")
    h_before = _array("h_before", h_before, "N H")
    Wz = _array("Wz", Wz, "D H")
    Uz = _array("Uz", Uz, "H H")
    Wr = _array("Wr", Wr, "D H")
    Ur = _array("Ur", Ur, "H H")
    Wn = _array("Wn", Wn, "D H")
    Un = _array("Un", Un, "H H")
    _same_size("N", x.shape[0], h_before.shape[0])
    _same_size("D", x.shape[1], Wz.shape[0], Wr.shape[0], Wn.shape[0])
    _same_size("H", h_before.shape[1], Wz.shape[1], Uz.shape[0], Uz.shape[1], Wr.shape[1], Ur.shape[0], Ur.shape[1], Wn.shape[1], Un.shape[0], Un.shape[1])
    zupdate = x @ Wz + h_before @ Uz                         # (1)
    exp1 = np.exp(-np.abs(zupdate))
    onepexp1 = 1.0 + exp1
    update = np.where(zupdate >= 0.0, 1.0, exp1) / onepexp1  # (2) exp cannot overflow
    zreset = x @ Wr + h_before @ Ur                          # (3)
    exp2 = np.exp(-np.abs(zreset))
    onepexp2 = 1.0 + exp2
    reset = np.where(zreset >= 0.0, 1.0, exp2) / onepexp2    # (4) exp cannot overflow
    prod1 = reset * h_before                                 # (5)
    zn = x @ Wn + prod1 @ Un                                 # (6)
    n = np.tanh(zn)                                          # (7)
    onemupdate = 1.0 - update                                # (8)
    h = onemupdate * n + update * h_before                   # (9)

    # backward pass
    dh = np.broadcast_to(np.asarray(dh, dtype=h.dtype), h.shape)
    # backprop h = onemupdate * n + update * h_before
    dupdate = h_before * dh                            # (9)
    dh_before = update * dh                            # (9)
    dn = onemupdate * dh                               # (9)
    # backprop onemupdate = 1.0 - update
    dupdate -= n * dh                                  # (8)
    # backprop n = np.tanh(zn)
    exp3 = np.exp(-2.0 * np.abs(zn))                   # (7)
    onepexp3 = 1.0 + exp3                              # (7)
    dzn = 4.0 * exp3 / (onepexp3 * onepexp3) * dn      # (7)
    # backprop zn = x @ Wn + prod1 @ Un
    dUn = prod1.T @ dzn                                # (6)
    dprod1 = dzn @ Un.T                                # (6)
    dx = dzn @ Wn.T                                    # (6)
    dWn = x.T @ dzn                                    # (6)
    # backprop prod1 = reset * h_before
    dreset = h_before * dprod1                         # (5)
    dh_before += reset * dprod1                        # (5)
    # backprop reset = np.where(zreset >= 0.0, 1.0, exp2) / onepexp2
    dzreset = exp2 / (onepexp2 * onepexp2) * dreset    # (4)
    # backprop zreset = x @ Wr + h_before @ Ur
    dh_before += dzreset @ Ur.T                        # (3)
    dUr = h_before.T @ dzreset                         # (3)
    dx += dzreset @ Wr.T                               # (3)
    dWr = x.T @ dzreset                                # (3)
    # backprop update = np.where(zupdate >= 0.0, 1.0, exp1) / onepexp1
    dzupdate = exp1 / (onepexp1 * onepexp1) * dupdate  # (2)
    # backprop zupdate = x @ Wz + h_before @ Uz
    dh_before += dzupdate @ Uz.T                       # (1)
    dUz = h_before.T @ dzupdate                        # (1)
    dx += dzupdate @ Wz.T                              # (1)
    dWz = x.T @ dzupdate                               # (1)
    return h, (dx, dh_before, dWz, dUz, dWr, dUr, dWn, dUn)


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
