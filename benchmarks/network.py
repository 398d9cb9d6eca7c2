"""
Time value and gradients of a two-layer network beside the best hand-written NumPy: batch 256, 784-128-10, tanh, softmax and cross-entropy.

    python benchmarks/network.py           # times and peak memory
    python benchmarks/network.py --check   # exit 1 above 1.05 times the time, or above the memory of hand-written code
    python benchmarks/network.py --show    # the emitted text
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from bpcompile import compile_gradient

_BOUND = 1.05
_ROUNDS = 60

FORWARD = """
import numpy as np

def network(X: "N D", y: "int N", W1: "D H", b1: "H", W2: "H K", b2: "K"):
    h = np.tanh(X @ W1 + b1)
    scores = h @ W2 + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(X.shape[0]), y]).mean()
    return loss
"""


def hand(X: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """Return loss and gradients as one writes them who knows that softmax and cross-entropy give p - onehot(y)."""
    N = X.shape[0]
    rows = np.arange(N)
    h = np.tanh(X @ W1 + b1)
    scores = h @ W2 + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, y]).mean()
    dscores = p
    dscores[rows, y] -= 1.0
    dscores /= N
    dW2 = h.T @ dscores
    db2 = dscores.sum(axis=0)
    dz = dscores @ W2.T
    dz *= 1.0 - h * h
    dW1 = X.T @ dz
    db1 = dz.sum(axis=0)
    return loss, (dW1, db1, dW2, db2)


def _peak(function: Callable[[], Any]) -> int:
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 if a bound is exceeded")
    parser.add_argument("--show", action="store_true", help="print the emitted text")
    options = parser.parse_args()
    compiled = compile_gradient(FORWARD, wrt=["W1", "b1", "W2", "b2"])
    if options.show:
        print(compiled.source)
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(256, 784)), draw.integers(0, 10, 256)
    weights = [0.05 * draw.normal(size=(784, 128)), np.zeros(128), 0.05 * draw.normal(size=(128, 10)), np.zeros(10)]

    def emitted() -> Any:
        return compiled(X, y, *weights)

    def written() -> Any:
        return hand(X, y, *weights)

    (value, gradients), (want_value, want) = emitted(), written()
    if not (np.isclose(value, want_value, rtol=1e-12) and all(np.allclose(a, b, rtol=1e-9, atol=1e-14) for a, b in zip(gradients, want, strict=True))):
        print("the two disagree")
        return 1
    times: dict[str, list[float]] = {"hand": [], "emitted": []}
    for _ in range(_ROUNDS):
        for name, function in (("hand", written), ("emitted", emitted)):
            begin = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - begin)
    least = {name: min(values) * 1e3 for name, values in times.items()}
    middle = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    memory = {"hand": _peak(written) / 1e6, "emitted": _peak(emitted) / 1e6}
    for what, both in (("least time, ms", least), ("median time, ms", middle), ("peak memory, MB", memory)):
        print(f"{what:18} hand {both['hand']:8.3f}  emitted {both['emitted']:8.3f}  ratio {both['emitted'] / both['hand']:.3f}")
    above = least["emitted"] > _BOUND * least["hand"] or memory["emitted"] > memory["hand"] * 1.001
    return int(options.check and above)


if __name__ == "__main__":
    sys.exit(main())
