"""Value and gradient of loss(xs, h0, Wx, Wh, b, target).

Written by bpcompile.

derivative rules: 8 proved with SymPy
value and gradient equal forward mode at 50 digits, element by element: 5 points, relative error below 1e-50
in double precision: relative error below 1e-14 at these points
sizes: D = 3, H = 5; 3 more in double precision, 1 among them
zeros, ties and large values: 19 points agree with the program
operations: value 24, value and gradient 85 (3.54 times)
"""

import numpy as np


def value(xs, h0, Wx, Wh, b, target):
    """Return loss."""
    xs = _array("xs", xs, "4 D")
    h0 = _array("h0", h0, "H")
    Wx = _array("Wx", Wx, "H D")
    Wh = _array("Wh", Wh, "H H")
    b = _array("b", b, "H")
    target = _array("target", target, "H")
    _same_size("D", xs.shape[1], Wx.shape[1])
    _same_size("H", h0.shape[0], Wx.shape[0], Wh.shape[0], Wh.shape[1], b.shape[0], target.shape[0])
    h = np.tanh(Wx @ xs[0] + Wh @ h0 + b)
    h_1 = np.tanh(Wx @ xs[1] + Wh @ h + b)
    h_2 = np.tanh(Wx @ xs[2] + Wh @ h_1 + b)
    h_3 = np.tanh(Wx @ xs[3] + Wh @ h_2 + b)
    h_3mtarget = h_3 - target
    loss = 0.5 * (h_3mtarget * h_3mtarget).sum()
    return loss


def value_and_grad(xs, h0, Wx, Wh, b, target, dloss=1.0):
    """Return loss and its gradients (dxs, dh0, dWx, dWh, db, dtarget), given the upstream gradient dloss."""
    # forward pass
    xs = _array("xs", xs, "4 D")
    h0 = _array("h0", h0, "H")
    Wx = _array("Wx", Wx, "H D")
    Wh = _array("Wh", Wh, "H H")
    b = _array("b", b, "H")
    target = _array("target", target, "H")
    _same_size("D", xs.shape[1], Wx.shape[1])
    _same_size("H", h0.shape[0], Wx.shape[0], Wh.shape[0], Wh.shape[1], b.shape[0], target.shape[0])
    zh = Wx @ xs[0] + Wh @ h0 + b                 # (1)
    h = np.tanh(zh)                               # (2)
    zh_1 = Wx @ xs[1] + Wh @ h + b                # (3)
    h_1 = np.tanh(zh_1)                           # (4)
    zh_2 = Wx @ xs[2] + Wh @ h_1 + b              # (5)
    h_2 = np.tanh(zh_2)                           # (6)
    zh_3 = Wx @ xs[3] + Wh @ h_2 + b              # (7)
    h_3 = np.tanh(zh_3)                           # (8)
    h_3mtarget = h_3 - target                     # (9)
    loss = 0.5 * (h_3mtarget * h_3mtarget).sum()  # (10)

    # backward pass
    dloss = np.broadcast_to(np.asarray(dloss, dtype=loss.dtype), loss.shape)
    # backprop loss = 0.5 * (h_3mtarget * h_3mtarget).sum()
    dh_3mtarget = dloss * h_3mtarget                   # (10)
    # backprop h_3mtarget = h_3 - target
    dh_3 = dh_3mtarget                                 # (9)
    dtarget = -dh_3mtarget                             # (9)
    # backprop h_3 = np.tanh(zh_3)
    exp1 = np.exp(-2.0 * np.abs(zh_3))                 # (8)
    onepexp1 = 1.0 + exp1                              # (8)
    dzh_3 = 4.0 * exp1 / (onepexp1 * onepexp1) * dh_3  # (8)
    # backprop zh_3 = Wx @ xs[3] + Wh @ h_2 + b
    db = dzh_3.copy()                                  # (7)
    dWh = np.outer(dzh_3, h_2)                         # (7)
    dh_2 = Wh.T @ dzh_3                                # (7)
    dWx = np.outer(dzh_3, xs[3])                       # (7)
    dxs = np.zeros_like(xs)                            # (7)
    dxs[3] = Wx.T @ dzh_3                              # (7)
    # backprop h_2 = np.tanh(zh_2)
    exp2 = np.exp(-2.0 * np.abs(zh_2))                 # (6)
    onepexp2 = 1.0 + exp2                              # (6)
    dzh_2 = 4.0 * exp2 / (onepexp2 * onepexp2) * dh_2  # (6)
    # backprop zh_2 = Wx @ xs[2] + Wh @ h_1 + b
    db += dzh_2                                        # (5)
    dWh += np.outer(dzh_2, h_1)                        # (5)
    dh_1 = Wh.T @ dzh_2                                # (5)
    dWx += np.outer(dzh_2, xs[2])                      # (5)
    dxs[2] += Wx.T @ dzh_2                             # (5)
    # backprop h_1 = np.tanh(zh_1)
    exp3 = np.exp(-2.0 * np.abs(zh_1))                 # (4)
    onepexp3 = 1.0 + exp3                              # (4)
    dzh_1 = 4.0 * exp3 / (onepexp3 * onepexp3) * dh_1  # (4)
    # backprop zh_1 = Wx @ xs[1] + Wh @ h + b
    db += dzh_1                                        # (3)
    dWh += np.outer(dzh_1, h)                          # (3)
    dh = Wh.T @ dzh_1                                  # (3)
    dWx += np.outer(dzh_1, xs[1])                      # (3)
    dxs[1] += Wx.T @ dzh_1                             # (3)
    # backprop h = np.tanh(zh)
    exp4 = np.exp(-2.0 * np.abs(zh))                   # (2)
    onepexp4 = 1.0 + exp4                              # (2)
    dzh = 4.0 * exp4 / (onepexp4 * onepexp4) * dh      # (2)
    # backprop zh = Wx @ xs[0] + Wh @ h0 + b
    db += dzh                                          # (1)
    dWh += np.outer(dzh, h0)                           # (1)
    dh0 = Wh.T @ dzh                                   # (1)
    dWx += np.outer(dzh, xs[0])                        # (1)
    dxs[0] += Wx.T @ dzh                               # (1)
    return loss, (dxs, dh0, dWx, dWh, db, dtarget)


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
