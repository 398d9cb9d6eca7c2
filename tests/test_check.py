"""The certificate: right texts pass, every text that computes something else fails."""

from __future__ import annotations

import ast
import math
import random
from typing import Any

import numpy as np
import pytest
import sympy
from mpmath import mp

from bpcompile.check import Certificate, certify
from bpcompile.emit import Emitted
from bpcompile.exact import FUNCTIONS
from bpcompile.interpret import evaluate
from bpcompile.ir import Builder, Lit, Output, Param, Program, Reference, Var
from bpcompile.ops import scalar as ops
from bpcompile.primitive import REGISTRY
from mutants import Mutant, mutate


def make(names: str, build: Any, *, examples: Any = None, shapes: Any = None) -> Program:
    """Build a program: `build(*variables)` returns the output, or a dict of outputs."""
    shapes = shapes or {}
    variables = [Var(name=n, shape=shapes.get(n, ())) for n in names.split()]
    with Builder() as builder:
        result = build(*variables)
    outputs = result if isinstance(result, dict) else {"f": result}
    params = [Param(v.name or "", v, (examples or {}).get(v.name)) for v in variables]
    return Program(params, builder.eqns, [Output(n, a) for n, a in outputs.items()])


def text(program: Program, source: str, layout: str = "function", target: str = "python") -> Emitted:
    """Describe a hand-written text with the usual names."""
    params = [(p, p.name) for p in program.params]
    outputs = [o.name for o in program.outputs]
    seeds = [] if layout == "script" else [f"d{n}" for n in outputs]
    return Emitted(source, layout, target, params, outputs, seeds, [(p, f"d{p.name}") for p in program.params if p.wrt])


def sigmoid_by_hand(x: Any) -> Any:
    return 1.0 / (1 + ops.exp(-x))


def staged(x: Any, y: Any) -> Any:
    sigy = sigmoid_by_hand(y)
    num = x + sigy
    sigx = sigmoid_by_hand(x)
    xpysqr = (x + y) ** 2
    return num * (1.0 / (sigx + xpysqr))


STAGED = make("x y", staged, examples={"x": 3, "y": -4})
SELECT = make("x y", lambda x, y: ops.select(x > y, ops.sqrt(x - y) * y, x * y))
SIGMOID = make("x", lambda x: ops.sigmoid(x) * x)

STAGED_FUNCTION = '''"""Value and gradient."""

import math


def value(x, y):
    sigy = 1.0 / (1.0 + math.exp(-y))
    num = x + sigy
    sigx = 1.0 / (1.0 + math.exp(-x))
    xpy = x + y
    xpysqr = xpy * xpy
    den = sigx + xpysqr
    return num / den


def value_and_grad(x, y, df=1.0):
    # forward pass
    sigy = 1.0 / (1.0 + math.exp(-y))  # (1)
    num = x + sigy  # (2)
    sigx = 1.0 / (1.0 + math.exp(-x))  # (3)
    xpy = x + y  # (4)
    xpysqr = xpy * xpy  # (5)
    den = sigx + xpysqr  # (6)
    invden = 1.0 / den  # (7)
    f = num * invden  # (8)
    # backward pass
    dnum = invden * df
    dinvden = num * df
    dden = -dinvden * invden * invden
    dxpy = 2 * xpy * dden
    dx = dxpy
    dy = dxpy
    dx += (1 - sigx) * sigx * dden
    dx += dnum
    dy += (1 - sigy) * sigy * dnum
    return f, (dx, dy)
'''

STAGED_SCRIPT = """import math

x = 3  # example values
y = -4

# forward pass
sigy = 1.0 / (1 + math.exp(-y))  # (1)
num = x + sigy  # (2)
sigx = 1.0 / (1 + math.exp(-x))  # (3)
xpy = x + y  # (4)
xpysqr = xpy**2  # (5)
den = sigx + xpysqr  # (6)
invden = 1.0 / den  # (7)
f = num * invden  # (8)

# backward pass
# backprop f = num * invden
dnum = invden
dinvden = num
dden = (-1.0 / (den**2)) * dinvden
dsigx = (1) * dden
dxpysqr = (1) * dden
dxpy = (2 * xpy) * dxpysqr
dx = (1) * dxpy
dy = (1) * dxpy
dx += ((1 - sigx) * sigx) * dsigx
dx += (1) * dnum
dsigy = (1) * dnum
dy += ((1 - sigy) * sigy) * dsigy
print(f"f = {f:.4f}, dx = {dx:.4f}")
"""

STAGED_SPLIT = """import math


def forward(x, y):
    sigy = 1.0 / (1.0 + math.exp(-y))
    num = x + sigy
    sigx = 1.0 / (1.0 + math.exp(-x))
    xpy = x + y
    den = sigx + xpy * xpy
    f = num / den
    return f, (sigy, sigx, xpy, den, f)


def backward(df, cache):
    sigy, sigx, xpy, den, f = cache
    dnum = df / den
    dden = -f * dnum
    dxpy = 2 * xpy * dden
    dx = dxpy + (1 - sigx) * sigx * dden + dnum
    dy = dxpy + (1 - sigy) * sigy * dnum
    return dx, dy
"""

SELECT_FUNCTION = """import math


def value(x, y):
    return math.sqrt(x - y) * y if x > y else x * y


def value_and_grad(x, y, df=1.0):
    c = x > y
    s = math.sqrt(x - y) if c else 1.0
    f = s * y if c else x * y
    ds = y * df
    dd = 0.5 / s * ds
    dx = dd if c else y * df
    dy = s * df - dd if c else x * df
    return f, (dx, dy)
"""

SIGMOID_FUNCTION = """import math


def value(x):
    e = math.exp(-x) if x > -709.0 else math.inf
    return 1.0 / (1.0 + e) * x


def value_and_grad(x, df=1.0):
    e = math.exp(-x) if x > -709.0 else math.inf
    s = 1.0 / (1.0 + e)
    c = 1.0 - s if x < 0.0 else e * s
    f = s * x
    ds = x * df
    dx = s * df
    dx += s * c * ds
    return f, (dx,)
"""

SELECT_NUMPY = """import numpy as np


def value(x, y):
    return np.where(x > y, np.sqrt(np.where(x > y, x - y, 1.0)) * y, x * y)


def value_and_grad(x, y, df=1.0):
    c = x > y
    s = np.sqrt(np.where(c, x - y, 1.0))
    f = np.where(c, s * y, x * y)
    dd = 0.5 / s * y * df
    dx = np.where(c, dd, y * df)
    dy = np.where(c, s * df - dd, x * df)
    return f, (dx, dy)
"""

CASES = {
    "staged function": (STAGED, STAGED_FUNCTION, "function", "python"),
    "staged script": (STAGED, STAGED_SCRIPT, "script", "python"),
    "staged split": (STAGED, STAGED_SPLIT, "split", "python"),
    "select": (SELECT, SELECT_FUNCTION, "function", "python"),
    "select numpy": (SELECT, SELECT_NUMPY, "function", "numpy"),
    "sigmoid": (SIGMOID, SIGMOID_FUNCTION, "function", "python"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", ["full", "fast"])
def test_right_text_passes(name: str, level: Any) -> None:
    program, source, layout, target = CASES[name]
    certificate = certify(program, text(program, source, layout, target), level=level)
    assert certificate.ok
    assert certificate.whole.status == "passed"
    if level == "full":
        assert certificate.whole.points >= 3
        assert certificate.whole.error < 1e-45
        assert certificate.whole.compared == "SymPy's derivative at 50 digits"
    assert all(g.status == "proved" for g in certificate.gates)


# -- an independent judge of mutants: runs both texts with mpmath in place of `math` or NumPy and compares the results


class _Lenient:
    """`math` or NumPy on mpf numbers."""

    inf = mp.inf

    def __getattr__(self, name: str) -> Any:
        if name == "where":
            return lambda c, a, b: a if c else b
        return FUNCTIONS[name]


def _results(source: str, layout: str, point: list[Any], seed: Any) -> Any:
    """Run a text at high precision, or on floats; a string says how it fails."""
    source = "\n".join("" if line.startswith(("import", "print", "from")) else line for line in source.split("\n"))
    high = isinstance(seed, mp.mpf)
    space: dict[str, Any] = {"math": _Lenient() if high else math, "np": _Lenient() if high else np}
    tree = ast.parse(source)
    if layout == "script":
        for name, value in zip("xy", point, strict=True):
            node = next(n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name) and n.targets[0].id == name)
            space["example_" + name] = eval(ast.unparse(node.value), {"x": 3, "y": -4})
            node.value = ast.copy_location(ast.Name("in_" + name, ast.Load()), node.value)
            space["in_" + name] = value
    try:
        exec(compile(tree, "<mutant>", "exec"), space)
        if layout == "script":
            return [space["f"], space["dx"], space["dy"], mp.mpf(space["example_x"]), mp.mpf(space["example_y"])]
        if layout == "split":
            f, cache = space["forward"](*point)
            return [f, *space["backward"](seed, cache)]
        f, gradients = space["value_and_grad"](*point, seed)
        g, again = space["value_and_grad"](*point)
        return [f, *gradients, space["value"](*point), g, *again]
    except Exception as error:
        return type(error).__name__


def _changes_function(original: str, mutant: str, layout: str, inputs: int) -> bool:
    source = random.Random(99)
    with mp.workdps(50):
        for scale in (1, 2, 3) * 12:
            point = [mp.mpf(source.uniform(-scale, scale)) for _ in range(inputs)]
            seed = mp.mpf(source.uniform(1, 2))
            a, b = _results(original, layout, point, seed), _results(mutant, layout, point, seed)
            assert not isinstance(a, str)
            with np.errstate(all="ignore"):
                plain = _results(mutant, layout, [float(v) for v in point], float(seed))
            if isinstance(b, str) or isinstance(plain, str) or any(isinstance(v, mp.mpc) for v in (*a, *b)):
                return True
            if len(a) != len(b) or any(abs(v - w) > mp.mpf(10) ** -20 * (1 + abs(v)) for v, w in zip(a, b, strict=True)):
                return True
    return False


@pytest.mark.parametrize("name", CASES)
def test_every_mutant_is_caught(name: str) -> None:
    program, source, layout, target = CASES[name]
    mutants: list[Mutant] = list(mutate(source))
    assert len(mutants) > 25
    inputs = len(program.params)
    missed, wrongly = [], []
    changed = 0
    for mutant in mutants:
        certificate = certify(program, text(program, mutant.text, layout, target))
        if _changes_function(source, mutant.text, layout, inputs):
            changed += 1
            if certificate.ok:
                missed.append(mutant.what)
        elif not certificate.ok and "e+" not in certificate.whole.detail:
            wrongly.append(f"{mutant.what}: {certificate.summary()}")
    assert missed == []
    assert wrongly == []
    assert changed > 20
