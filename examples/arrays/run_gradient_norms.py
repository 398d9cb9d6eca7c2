"""
Vanishing and exploding gradients: the norm of the loss's gradient at the input of each time step.

The recurrent matrix is a rotation times a number: below one it contracts what is sent back, above one it expands it.
"""

import numpy as np
from recurrent_grad import value_and_grad


def norms(scale, H=2, D=2):
    """Return the norms of the gradients with respect to the inputs of steps 1 to 4."""
    angle = 0.5
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Small inputs keep tanh in its linear part, where its slope is 1.
    xs = 1e-3 * np.ones((4, D))
    _, (dxs, *_) = value_and_grad(xs, np.zeros(H), np.eye(H, D), scale * rotation, np.zeros(H), np.ones(H))
    return np.sqrt((dxs**2).sum(axis=1))


if __name__ == "__main__":
    for name, scale in (("contracting", 0.5), ("expanding", 2.0)):
        print(f"{name} (times {scale}): " + ", ".join(f"step {t}: {norm:.4f}" for t, norm in enumerate(norms(scale), 1)))
