"""A convolutional layer: a batch, channels, several kernels, stride 2, padding 1."""

import numpy as np


def layer(x: "N C H W", k: "F C 3 3", b: "F"):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    out = np.einsum("ncijpq,fcpq->nfij", windows, k) + b[:, None, None]
    return out
