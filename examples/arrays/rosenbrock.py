"""Rosenbrock's valley in any dimension."""

import numpy as np


def rosenbrock(x: "N"):
    f = np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return f
