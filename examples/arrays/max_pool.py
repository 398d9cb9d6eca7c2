"""Max-pooling over squares of two by two: the gradient goes to the largest element of each square."""

import numpy as np


def pool(x: "N C H W"):
    squares = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))[:, :, ::2, ::2]
    out = squares.max(axis=(4, 5))
    return out
