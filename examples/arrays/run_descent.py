"""
Gradient descent with emitted gradients: a least-squares and a logistic model, each in batches of all samples, of one, and of a few.

Stops when the norm of the whole gradient is at most `tol`, or after so many passes over the data.
"""

import numpy as np
from least_squares_grad import value_and_grad as least_squares
from logistic_grad import value_and_grad as logistic


def descend(gradient, X, y, *, rate, batch, tol=1e-3, passes=2000, seed=0):
    """Return weights, offset, and the number of passes it took."""
    order = np.random.default_rng(seed)
    w, b = np.zeros(X.shape[1]), 0.0
    for count in range(passes):
        _, (dw, db, *_) = gradient(w, b, X, y)
        if np.sqrt(dw @ dw + db * db) <= tol:
            return w, b, count
        places = order.permutation(len(y))
        # Small batches wander around the minimum: their steps shrink.
        step = rate if batch >= len(y) else rate / (1 + 0.05 * count)
        for start in range(0, len(y), batch):
            some = places[start : start + batch]
            _, (dw, db, *_) = gradient(w, b, X[some], y[some])
            w = w - step * dw
            b = b - step * db
    return w, b, passes


def data(seed=0):
    """Return inputs, a noisy linear response, and noisy labels."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(60, 3))
    z = X @ np.array([1.5, -2.0, 0.5]) + 0.3
    return X, z + 0.1 * draw.normal(size=60), (draw.random(60) < 1 / (1 + np.exp(-z))).astype(float)


if __name__ == "__main__":
    X, response, labels = data()
    for name, gradient, y, rate in (("least squares", least_squares, response, 0.1), ("logistic", logistic, labels, 0.5)):
        for kind, batch in (("batch", 60), ("stochastic", 1), ("mini-batch", 12)):
            w, b, count = descend(gradient, X, y, rate=rate if batch == 60 else rate / 5, batch=batch)
            loss = gradient(w, b, X, y)[0]
            print(f"{name}, {kind}: loss {loss:.5f} after {count} passes, w = {np.round(w, 3)}, b = {b:.3f}")
