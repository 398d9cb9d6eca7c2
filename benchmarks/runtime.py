"""
Time emitted gradients beside the best straight-line code that a person would write.

Each case is forward code, compiled here, and a hand-written function of the same parameters that returns the same
`(value, gradients)`. Both are first compared to 1e-12, then timed in turns: many short rounds over several
fresh loads, of each side the least. Every case is measured equally often, whether or not it is within its bound.

    python benchmarks/runtime.py            # the table
    python benchmarks/runtime.py --check    # exit 1 if a ratio is above its bound
    python benchmarks/runtime.py --show arm # the emitted and the hand-written text of one case
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bpcompile import compile_gradient
from bpcompile.cost import count

_CLOSE = 1e-12
_ROUND_SECONDS = 5e-4


@dataclass(frozen=True)
class Case:
    """
    One function to be timed.

    Attributes:
        name: In the table.
        forward: What is compiled: forward code.
        hand: Text of the hand-written module, which defines `hand`.
        point: The arguments, floats or lists of floats.
        bound: The ratio that must not be exceeded.
    """

    name: str
    forward: str
    hand: str
    point: tuple[Any, ...]
    bound: float


@dataclass(frozen=True)
class Timing:
    """Nanoseconds a call of the hand-written and of the emitted function, and the operations of both texts."""

    hand: float
    emitted: float
    hand_operations: int
    emitted_operations: int

    @property
    def ratio(self) -> float:
        """How many times the hand-written time the emitted function takes."""
        return self.emitted / self.hand


def measure(case: Case, *, loads: int = 8, rounds: int = 150) -> Timing:
    """
    Time one case.

    Raises:
        ValueError: The two functions disagree, so that comparing their times says nothing.
    """
    compiled = compile_gradient(case.forward, check="off")
    times: dict[str, float] = {"hand": math.inf, "emitted": math.inf}
    for _ in range(loads):
        # Where code and floats lie in memory makes a function up to 1.4 times slower for as long as it is loaded. Each side keeps the
        # least time of its own over all loads: choosing among the ratios instead would choose the loads that were unlucky for the hand.
        emitted = _load(compiled.source, "value_and_grad")
        hand = _load(case.hand, "hand")
        _compare(case, emitted(*case.point), hand(*case.point))
        number = max(1, int(_ROUND_SECONDS / _once(hand, case.point, 1)))
        for turn in range(rounds):
            functions = [("hand", hand), ("emitted", emitted)]
            for name, function in functions if turn % 2 else functions[::-1]:
                times[name] = min(times[name], _once(function, case.point, number))
    operations = count(_Text(case.hand.replace("def hand(", "def value_and_grad("), "function")).value_and_grad
    return Timing(times["hand"] * 1e9, times["emitted"] * 1e9, operations, count(compiled.emitted).value_and_grad)


@dataclass(frozen=True)
class _Text:
    text: str
    layout: str


def _once(function: Callable[..., Any], point: tuple[Any, ...], number: int) -> float:
    """Return the seconds one call takes, from `number` calls."""
    calls = range(number)
    start = time.perf_counter()
    for _ in calls:
        function(*point)
    return (time.perf_counter() - start) / number


def _load(text: str, name: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(compile(text, f"<{name}>", "exec"), namespace)  # noqa: S102  our own text and the emitted one
    function: Callable[..., Any] = namespace[name]
    return function


def _flat(tree: Any) -> Iterator[float]:
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _flat(item)
    else:
        yield tree


def _compare(case: Case, emitted: Any, hand: Any) -> None:
    ours, theirs = list(_flat(emitted)), list(_flat(hand))
    largest = max(map(abs, theirs))
    if len(ours) != len(theirs) or any(abs(a - b) > _CLOSE * max(abs(b), 1e-3 * largest) for a, b in zip(ours, theirs, strict=True)):
        worst = max(zip(ours, theirs, strict=False), key=lambda p: abs(p[0] - p[1]))
        raise ValueError(f"{case.name}: {len(ours)} and {len(theirs)} numbers; emitted {worst[0]!r}, hand-written {worst[1]!r}")


# -- the cases ---------------------------------------------------------------------------------------------------------


def _function(parameters: str, lines: list[str], imports: str = "") -> str:
    return imports + f"def hand({parameters}):\n" + "".join(f"    {line}\n" for line in lines)


def _joined(names: list[str]) -> str:
    return ", ".join(names)


def staged() -> Case:
    """The staged example of the lecture notes."""
    forward = """
import math
def f(x, y):
    sigy = 1.0 / (1.0 + math.exp(-y))
    num = x + sigy
    sigx = 1.0 / (1.0 + math.exp(-x))
    xpy = x + y
    xpysqr = xpy**2
    den = sigx + xpysqr
    invden = 1.0 / den
    f = num * invden
    return f
"""
    hand = """
import math
def hand(x, y):
    sigy = 1.0 / (1.0 + math.exp(-y))
    sigx = 1.0 / (1.0 + math.exp(-x))
    xpy = x + y
    invden = 1.0 / (sigx + xpy * xpy)
    f = (x + sigy) * invden
    dden = -f * invden
    dxpy = 2.0 * xpy * dden
    return f, (invden + dxpy + (1.0 - sigx) * sigx * dden, dxpy + (1.0 - sigy) * sigy * invden)
"""
    return Case("staged example", forward, hand, (3.0, -4.0), 1.10)


def rosenbrock(n: int, *, as_list: bool) -> Case:
    """The Rosenbrock function of n variables: a list and a loop, or a variable each."""
    x = [f"x{i}" for i in range(n)]
    if as_list:
        forward = f"""
def f(x):
    total = 0.0
    for i in range({n - 1}):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total
"""
    else:
        terms = [f"100.0 * ({b} - {a} ** 2) ** 2 + (1.0 - {a}) ** 2" for a, b in itertools.pairwise(x)]
        forward = f"def f({_joined(x)}):\n    return {' + '.join(terms)}\n"
    lines = [f"{_joined(x)} = x"] if as_list else []
    for i in range(n - 1):
        lines += [f"a{i} = 1.0 - x{i}", f"t{i} = x{i + 1} - x{i} * x{i}", f"k{i} = 200.0 * t{i}"]
    total = " + ".join(f"a{i} * a{i} + 100.0 * t{i} * t{i}" for i in range(n - 1))
    gradient = ["-2.0 * (x0 * k0 + a0)", *(f"k{i - 1} - 2.0 * (x{i} * k{i} + a{i})" for i in range(1, n - 1)), f"k{n - 2}"]
    result = f"([{_joined(gradient)}],)" if as_list else f"({_joined(gradient)})"
    lines.append(f"return {total}, {result}")
    hand = _function("x" if as_list else _joined(x), lines)
    generator = random.Random(n)
    values = [round(generator.uniform(-1.2, 1.2), 3) for _ in x]
    return Case(f"Rosenbrock, {n} variables, {'list' if as_list else 'separate'}", forward, hand, (values,) if as_list else tuple(values), 1.10)


def product(n: int) -> Case:
    """The product of n variables: products from the left and from the right."""
    x = [f"x{i}" for i in range(n)]
    forward = f"def f({_joined(x)}):\n    return {' * '.join(x)}\n"
    lines = ["p1 = x0 * x1", *(f"p{i} = p{i - 1} * x{i}" for i in range(2, n))]
    lines.append(f"s = x{n - 1}")
    for i in range(n - 2, 1, -1):
        lines += [f"d{i} = p{i - 1} * s", f"s *= x{i}"]
    gradient = ["x1 * s", "x0 * s", *(f"d{i}" for i in range(2, n - 1)), f"p{n - 2}"]
    lines.append(f"return p{n - 1}, ({_joined(gradient)})")
    generator = random.Random(n)
    return Case(f"product of {n}", forward, _function(_joined(x), lines), tuple(round(generator.uniform(0.7, 1.4), 3) for _ in x), 1.10)


def camera() -> Case:
    """Squared reprojection error of a point seen by a camera whose rotation is given by a Rodrigues vector."""
    parameters = "rx, ry, rz, tx, ty, tz, X, Y, Z, fx, fy, cx, cy, u, v"
    forward = f"""
import math
def f({parameters}):
    theta2 = rx * rx + ry * ry + rz * rz
    theta = math.sqrt(theta2)
    c = math.cos(theta)
    s = math.sin(theta) / theta
    k = (1.0 - c) / theta2
    dot = rx * X + ry * Y + rz * Z
    kdot = k * dot
    px = c * X + s * (ry * Z - rz * Y) + kdot * rx + tx
    py = c * Y + s * (rz * X - rx * Z) + kdot * ry + ty
    pz = c * Z + s * (rx * Y - ry * X) + kdot * rz + tz
    ex = fx * px / pz + cx - u
    ey = fy * py / pz + cy - v
    error = ex * ex + ey * ey
    return error
"""
    hand = f"""
from math import cos, sin, sqrt
def hand({parameters}):
    theta2 = rx * rx + ry * ry + rz * rz
    theta = sqrt(theta2)
    c = cos(theta)
    s = sin(theta) / theta
    k = (1.0 - c) / theta2
    dot = rx * X + ry * Y + rz * Z
    kdot = k * dot
    wx = ry * Z - rz * Y
    wy = rz * X - rx * Z
    wz = rx * Y - ry * X
    pz = c * Z + s * wz + kdot * rz + tz
    x = (c * X + s * wx + kdot * rx + tx) / pz
    y = (c * Y + s * wy + kdot * ry + ty) / pz
    ex = fx * x + cx - u
    ey = fy * y + cy - v
    dex = 2.0 * ex
    dey = 2.0 * ey
    dpx = dex * fx / pz
    dpy = dey * fy / pz
    dpz = -(dpx * x + dpy * y)
    dkdot = dpx * rx + dpy * ry + dpz * rz
    ddot = k * dkdot
    dk = dot * dkdot / theta2
    ds = (dpx * wx + dpy * wy + dpz * wz) / theta
    dwx = s * dpx
    dwy = s * dpy
    dwz = s * dpz
    dtheta = (ds * (c - s) - (dpx * X + dpy * Y + dpz * Z - dk) * s * theta) / theta - 2.0 * dk * k
    return ex * ex + ey * ey, (
        dtheta * rx + ddot * X + kdot * dpx + dwz * Y - dwy * Z,
        dtheta * ry + ddot * Y + kdot * dpy + dwx * Z - dwz * X,
        dtheta * rz + ddot * Z + kdot * dpz + dwy * X - dwx * Y,
        dpx,
        dpy,
        dpz,
        ddot * rx + c * dpx + dwy * rz - dwz * ry,
        ddot * ry + c * dpy + dwz * rx - dwx * rz,
        ddot * rz + c * dpz + dwx * ry - dwy * rx,
        dex * x,
        dey * y,
        dex,
        dey,
        -dex,
        -dey,
    )
"""
    point = (0.3, -0.5, 0.2, 0.1, -0.2, 4.0, 0.7, -0.4, 1.1, 500.0, 510.0, 320.0, 240.0, 400.0, 180.0)
    return Case("camera, Rodrigues, 15 inputs", forward, hand, point, 1.10)


def chain(n: int) -> Case:
    """A chain of n steps x = sin(x) * x + c."""
    forward = f"""
import math
def f(x, c):
    for _ in range({n}):
        x = math.sin(x) * x + c
    return x
"""
    lines = []
    for i in range(n):
        lines += [f"s{i} = sin(x{i})", f"x{i + 1} = s{i} * x{i} + c"]
    lines += [f"d = s{n - 1} + x{n - 1} * cos(x{n - 1})", "dc = 1.0 + d"]
    for i in range(n - 2, -1, -1):
        lines.append(f"d *= s{i} + x{i} * cos(x{i})")
        if i:
            lines.append("dc += d")
    lines.append(f"return x{n}, (d, dc)")
    return Case(f"chain of {n} x = sin(x) * x + c", forward, _function("x0, c", lines, "from math import cos, sin\n"), (0.5, 0.3), 1.10)


def arm(n: int) -> Case:
    """Squared distance of the hand of a planar arm of n joints from a target."""
    q = [f"q{i}" for i in range(n)]
    parameters = _joined([*q, "tx", "ty"])
    length = [round(1.0 - 0.05 * i, 2) for i in range(n)]
    angles = ["q0", *(f"a{i - 1} + q{i}" for i in range(1, n))]
    body = [f"a{i} = {angle}" for i, angle in enumerate(angles)]
    forward = f"""
import math
def f({parameters}):
    {"; ".join(body)}
    ex = {" + ".join(f"{length[i]} * math.cos(a{i})" for i in range(n))} - tx
    ey = {" + ".join(f"{length[i]} * math.sin(a{i})" for i in range(n))} - ty
    return ex**2 + ey**2
"""
    lines = ["a0 = q0", *body[1:]]
    for i in range(n):
        lines += [f"c{i} = {length[i]} * cos(a{i})", f"s{i} = {length[i]} * sin(a{i})"]
    lines += [f"ex = {' + '.join(f'c{i}' for i in range(n))} - tx", f"ey = {' + '.join(f's{i}' for i in range(n))} - ty"]
    lines += ["dex = 2.0 * ex", "dey = 2.0 * ey"]
    # Joint i turns everything behind it: its gradient is a sum from the end.
    lines.append(f"g{n - 1} = dey * c{n - 1} - dex * s{n - 1}")
    lines += [f"g{i} = g{i + 1} + dey * c{i} - dex * s{i}" for i in range(n - 2, -1, -1)]
    lines.append(f"return ex * ex + ey * ey, ({_joined([f'g{i}' for i in range(n)])}, -dex, -dey)")
    generator = random.Random(n)
    point = (*(round(generator.uniform(-0.6, 0.6), 3) for _ in q), 4.0, 3.0)
    return Case(f"planar arm, {n} joints", forward, _function(parameters, lines, "from math import cos, sin\n"), point, 1.5)


def helmholtz(n: int) -> Case:
    """The Helmholtz energy of n components (Griewank 1993)."""
    a = [[round(1.0 / (1 + i + j), 6) for j in range(n)] for i in range(n)]
    b = [round(0.01 + 0.001 * i, 3) for i in range(n)]
    x = [f"x{i}" for i in range(n)]
    root = 2.0**0.5
    up, down, scale = 1.0 + root, 1.0 - root, 8.0**0.5
    energy = f"math.log((1.0 + {up!r} * bx) / (1.0 + {down!r} * bx))"
    forward = f"""
import math
def f({_joined(x)}):
    bx = {" + ".join(f"{b[i]} * x{i}" for i in range(n))}
    quad = {" + ".join(f"x{i} * ({' + '.join(f'{a[i][j]} * x{j}' for j in range(n))})" for i in range(n))}
    free = {" + ".join(f"x{i} * math.log(x{i} / (1.0 - bx))" for i in range(n))}
    return free - quad / ({scale!r} * bx) * {energy}
"""
    lines = [f"bx = {' + '.join(f'{b[i]} * x{i}' for i in range(n))}"]
    lines += [f"r{i} = {' + '.join(f'{a[i][j]} * x{j}' for j in range(n))}" for i in range(n)]
    lines += ["rest = 1.0 - bx", *(f"l{i} = log(x{i} / rest)" for i in range(n))]
    lines += [
        f"quad = {' + '.join(f'x{i} * r{i}' for i in range(n))}",
        f"top = 1.0 + {up!r} * bx",
        f"bottom = 1.0 + {down!r} * bx",
        "energy = log(top / bottom)",
        f"w = energy / ({scale!r} * bx)",
        "part = quad * w",
        # The matrix is symmetric: the gradient of the quadratic form is twice what the value computed already.
        "m = -2.0 * w",
        f"dbx = ({' + '.join(x)}) / rest + part / bx - quad / ({scale!r} * bx) * ({up!r} / top - {down!r} / bottom)",
    ]
    gradient = [f"l{i} + 1.0 + m * r{i} + {b[i]} * dbx" for i in range(n)]
    lines.append(f"return {' + '.join(f'x{i} * l{i}' for i in range(n))} - part, ({_joined(gradient)})")
    generator = random.Random(n)
    point = tuple(round(generator.uniform(0.5, 2.0), 3) for _ in x)
    return Case(f"Helmholtz energy, {n} variables", forward, _function(_joined(x), lines, "from math import log\n"), point, 1.5)


def cases() -> dict[str, Case]:
    """Return every case by a short name."""
    return {
        "staged": staged(),
        "rosenbrock10": rosenbrock(10, as_list=False),
        "rosenbrock10list": rosenbrock(10, as_list=True),
        "rosenbrock100": rosenbrock(100, as_list=False),
        "rosenbrock100list": rosenbrock(100, as_list=True),
        "product": product(100),
        "camera": camera(),
        "chain": chain(100),
        "arm": arm(10),
        "helmholtz": helmholtz(20),
    }


def main() -> int:
    """Print the table; with `--check` return 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(description="Time emitted gradients beside hand-written straight-line code.")
    parser.add_argument("cases", nargs="*", help="short names; all without them")
    parser.add_argument("--check", action="store_true", help="exit 1 if a ratio is above its bound")
    parser.add_argument("--show", action="store_true", help="print both texts")
    chosen = parser.parse_args()
    known = cases()
    above = []
    print(f"{'case':38} {'hand ns':>9} {'emitted ns':>10} {'ratio':>6} {'bound':>6}  operations: hand, emitted")
    for key in chosen.cases or known:
        case = known[key]
        if chosen.show:
            print(compile_gradient(case.forward, check="off").source, case.hand, sep="\n# ---- by hand ----\n")
        timing = measure(case)
        mark = "" if timing.ratio <= case.bound else "  above"
        if mark:
            above.append(key)
        print(
            f"{case.name:38} {timing.hand:9.0f} {timing.emitted:10.0f} {timing.ratio:6.2f} {case.bound:6.2f}"
            f"  {timing.hand_operations}, {timing.emitted_operations}{mark}",
            flush=True,
        )
    return 1 if chosen.check and above else 0


if __name__ == "__main__":
    sys.exit(main())
