"""Value and gradient of h, c(x, h_before, c_before, Wx, Wh, b).

Written by bpcompile.

derivative rules: 7 proved with SymPy, 1 equal to the derivative at 50 digits
value and gradient equal forward mode at 50 digits, element by element: 3 points, relative error below 1e-50
in double precision: relative error below 1e-15 at these points
sizes: N = 3, D = 4, H = 5; 4 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 29, value and gradient 69 (2.38 times)
"""

import numpy as np


def value(x, h_before, c_before, Wx, Wh, b):
    """Return (h, c)."""
    x = _array("x", x, "N D")
    h_before = _array("h_before", h_before, "N H")
    c_before = _array("c_before", c_before, "N H")
    Wx = _array("Wx", Wx, "D 4*H")
    Wh = _array("Wh", Wh, "H 4*H")
    b = _array("b", b, "4*H")
    _same_size("N", x.shape[0], h_before.shape[0], c_before.shape[0])
    _same_size("D", x.shape[1], Wx.shape[0])
    _same_size("H", h_before.shape[1], c_before.shape[1], Wh.shape[0])
    H = h_before.shape[1]
    _same_size("4*H", 4*H, Wx.shape[1], Wh.shape[1], b.shape[0])
    a = x @ Wx + h_before @ Wh + b
    zi = a[:, :H]
    expnegabszi = np.exp(-np.abs(zi))
    i = np.where(zi >= 0.0, 1.0, expnegabszi) / (1.0 + expnegabszi)  # exp cannot overflow
    zf = a[:, H : 2 * H]
    expnegabszf = np.exp(-np.abs(zf))
    f = np.where(zf >= 0.0, 1.0, expnegabszf) / (1.0 + expnegabszf)  # exp cannot overflow
    zo = a[:, 2 * H : 3 * H]
    expnegabszo = np.exp(-np.abs(zo))
    o = np.where(zo >= 0.0, 1.0, expnegabszo) / (1.0 + expnegabszo)  # exp cannot overflow
    g = np.tanh(a[:, 3 * H :])
    c = f * c_before + i * g
    h = o * np.tanh(c)
    return (h, c)


def value_and_grad(x, h_before, c_before, Wx, Wh, b, dh=1.0, dc=1.0):
    """Return (h, c) and its gradients (dx, dh_before, dc_before, dWx, dWh, db), given the upstream gradients dh, dc."""
    # forward pass
    x = _array("x", x, "N D")
    h_before = _array("h_before", h_before, "N H")
    c_before = _array("c_before", c_before, "N H")
    Wx = _array("Wx", Wx, "D 4*H")
    Wh = _array("Wh", Wh, "H 4*H")
    b = _array("b", b, "4*H")
    _same_size("N", x.shape[0], h_before.shape[0], c_before.shape[0])
    _same_size("D", x.shape[1], Wx.shape[0])
    _same_size("H", h_before.shape[1], c_before.shape[1], Wh.shape[0])
    H = h_before.shape[1]
    _same_size("4*H", 4*H, Wx.shape[1], Wh.shape[1], b.shape[0])
    a = x @ Wx + h_before @ Wh + b                    # (1)
    zi = a[:, :H]                                     # (2)
    expnegabszi = np.exp(-np.abs(zi))
    sum1 = 1.0 + expnegabszi
    i = np.where(zi >= 0.0, 1.0, expnegabszi) / sum1  # (3) exp cannot overflow
    zf = a[:, H : 2 * H]                              # (4)
    expnegabszf = np.exp(-np.abs(zf))
    sum2 = 1.0 + expnegabszf
    f = np.where(zf >= 0.0, 1.0, expnegabszf) / sum2  # (5) exp cannot overflow
    zo = a[:, 2 * H : 3 * H]                          # (6)
    expnegabszo = np.exp(-np.abs(zo))
    sum3 = 1.0 + expnegabszo
    o = np.where(zo >= 0.0, 1.0, expnegabszo) / sum3  # (7) exp cannot overflow
    zg = a[:, 3 * H :]                                # (8)
    g = np.tanh(zg)                                   # (9)
    c = f * c_before + i * g                          # (10)
    tanhc = np.tanh(c)                                # (11)
    h = o * tanhc                                     # (12)

    # backward pass
    dh = np.broadcast_to(np.asarray(dh, dtype=h.dtype), h.shape)
    dc = np.broadcast_to(np.asarray(dc, dtype=c.dtype), c.shape)
    # backprop h = o * tanhc
    do = tanhc * dh                                           # (12)
    # backprop tanhc = np.tanh(c)
    exp1 = np.exp(-2.0 * np.abs(c))                           # (11)
    onepexp1 = 1.0 + exp1                                     # (11)
    d_c = dc + 4.0 * exp1 / (onepexp1 * onepexp1) * (o * dh)  # (11)
    # backprop c = f * c_before + i * g
    di = g * d_c                                              # (10)
    dg = i * d_c                                              # (10)
    df = c_before * d_c                                       # (10)
    dc_before = f * d_c                                       # (10)
    # backprop g = np.tanh(zg)
    exp2 = np.exp(-2.0 * np.abs(zg))                          # (9)
    onepexp2 = 1.0 + exp2                                     # (9)
    # backprop zg = a[:, 3 * H :]
    da = np.zeros_like(a)                                     # (8)
    da[:, 3 * H :] = 4.0 * exp2 / (onepexp2 * onepexp2) * dg  # (8)
    # backprop zo = a[:, 2 * H : 3 * H]
    da[:, 2 * H : 3 * H] += expnegabszo / (sum3 * sum3) * do  # (6)
    # backprop zf = a[:, H : 2 * H]
    da[:, H : 2 * H] += expnegabszf / (sum2 * sum2) * df      # (4)
    # backprop zi = a[:, :H]
    da[:, :H] += expnegabszi / (sum1 * sum1) * di             # (2)
    # backprop a = x @ Wx + h_before @ Wh + b
    db = da.sum(axis=0)                                       # (1)
    dh_before = da @ Wh.T                                     # (1)
    dWh = h_before.T @ da                                     # (1)
    dx = da @ Wx.T                                            # (1)
    dWx = x.T @ da                                            # (1)
    return (h, c), (dx, dh_before, dc_before, dWx, dWh, db)


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
