"""Forward code that the tests of pictures, pages and worksheets share."""

from __future__ import annotations

from pathlib import Path

from bpcompile.compiler import compile_file, compile_gradient
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import Worked, work

ROOT = Path(__file__).resolve().parent.parent
SIX = ("add_multiply", "product", "neuron", "four_gates", "max_gate", "staged")

SCALAR = """
import math
x = 1.5
y = -0.5
z = 0.75
w = [0.5, -0.25, 0.8]
a = math.tanh(w[0] * x + w[1] * y + 0.1)
b = math.tanh(w[1] * x + w[2] * z - 0.2)
c = math.exp(-(a - b)**2)
d = max(a * b, c / z)
e = math.log(1 + d**2) - a / (b + 3)
g = abs(e) * math.sin(c)
f = math.sqrt(g + d * d) / x
"""

ARRAYS = """
import numpy as np
W = np.array([[0.5, -1.2, 0.3], [2.0, 1.0, -0.7]])
x = np.array([[1.0, 2.0, -0.3, 0.4], [0.5, -1.0, 0.9, 1.2], [3.0, 0.2, 0.1, -0.6]])
b = np.array([[0.1], [0.2]])
h = W.dot(x) + b
a = np.maximum(h, 0)
loss = np.sum(a * a)
"""


def example(name: str, **options) -> Worked:
    return work(compile_file(ROOT / "examples" / f"{name}.py", layout="script", **{"style": "notes", "check": "off"} | options))


def of_text(text: str, *, seed: int | None = None, at=None, **options) -> Worked:
    return work(compile_gradient(text, at=at, layout="script", examples=examples(seed), **{"style": "notes", "check": "off"} | options))
