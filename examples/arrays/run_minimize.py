"""Minimise Rosenbrock's function with SciPy and an emitted gradient."""

import numpy as np
from rosenbrock_grad import value_and_grad
from scipy.optimize import minimize


def objective(x):
    """Return value and gradient as SciPy wants them."""
    value, (dx,) = value_and_grad(x)
    return value, dx


def solve(n=10):
    """Return SciPy's result from the origin."""
    return minimize(objective, np.zeros(n), jac=True, method="BFGS", options={"gtol": 1e-8})


if __name__ == "__main__":
    result = solve()
    print(f"minimum {result.fun:.3g} after {result.nit} iterations and {result.nfev} evaluations at {np.round(result.x, 6)}")
