# demo: cost, dw1, dw2 = cost_and_gradient(w1, w2, X, t)
# judge: cost -> dw1 of w1, dw2 of w2
import numpy as np


def cost_and_gradient(w1, w2, X, t):
    """w1: (3, 4), w2: (4,), X: (5, 3), t: (5,)"""

    def act(u):
        return np.tanh(u)

    def act_prime(u):
        return 1 - np.tanh(u) ** 2

    u = X @ w1
    h = act(u)
    out = h @ w2
    diff = out - t
    cost = 0.5 * diff @ diff

    dw2 = h.T @ diff
    dh = np.outer(diff, w2)
    du = dh * act_prime(u)
    dw1 = X.T @ du
    return cost, dw1, dw2


w1 = np.random.randn(3, 4)
w2 = np.random.randn(4)
X = np.random.randn(5, 3)
t = np.random.randn(5)
