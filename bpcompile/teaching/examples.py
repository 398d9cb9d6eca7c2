"""
Example values that are pleasant to work with by hand: short decimals, no overflow, no ties, nothing too large or too small.

A value is judged by running the program, gradients and all, on the numbers themselves.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from bpcompile.diagnostics import error
from bpcompile.dims import names, substitute
from bpcompile.interpret import evaluate
from bpcompile.ir import Eqn, Param, Program, Tree, Var

_TRIES: Final = 400
_WHOLE: Final = (-4, -3, -2, -1, 1, 2, 3, 4, 5)
_HALVES: Final = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
#: Values and gradients lie between these, or are 0; `_HUGE` none may exceed.
_SMALLEST: Final = 0.02
_LARGEST: Final = 100
_HUGE: Final = 1e3
#: Operands of a choice differ by at least this.
_APART: Final = 0.25
_SIZES: Final = (3, 2, 4, 5, 6, 7)


def examples(seed: int | None) -> Callable[[Program], None]:
    """
    Return what gives a program its example values.

    Args:
        seed: New values for every input, always the same for the same number; None keeps what the user gave and fills in the rest.
    """

    def fill(program: Program) -> None:
        open_ = [p for p in program.params if p.seed is None and (seed is not None or p.example is None)]
        if not open_:
            return
        sizes = _sizes(program)
        source = random.Random(0 if seed is None else seed)  # noqa: S311  numbers for a worksheet, not secrets
        arrays = any(v.shape for v in program.inputs())
        best, fewest = None, math.inf
        for attempt in range(1 if arrays else _TRIES):
            for param in open_:
                param.example = _draw(param, source, sizes, fractions=attempt % 2 == 1)
            flaws = 0 if arrays else _flaws(program)
            if flaws < fewest:
                best, fewest = [p.example for p in open_], flaws
            if not flaws:
                break
        if best is None:
            raise error("E022", "no example values of moderate size were found", help="`--at` gives values")
        for param, example in zip(open_, best, strict=True):
            param.example = example

    return fill


def _sizes(program: Program) -> dict[str, int]:
    """Return a number for each size: what given examples say, and small different numbers for the others."""
    found: dict[str, int] = {}
    for param in program.params:
        if param.seed is None and param.example is not None and isinstance(param.tree, Var):
            found |= {dim: size for dim, size in zip(param.tree.shape, np.shape(param.example), strict=False) if isinstance(dim, str)}
    for var in program.inputs():
        for dim in var.shape:
            for name in names(dim):
                if name not in found:
                    used = set(found.values())
                    found[name] = next((s for s in _SIZES if s not in used), 2)
    return found


def _draw(param: Param, source: random.Random, sizes: Mapping[str, int], *, fractions: bool) -> Any:
    # A size in the text, an index, a label: whole numbers that are not there to be differentiated stay.
    if param.example is not None and any(v.dtype != "float" for v in param.leaves()):
        return param.example
    pool = _WHOLE + _HALVES if fractions else _WHOLE

    def fill(tree: Tree) -> Any:
        if not isinstance(tree, Var):
            return [fill(t) for t in tree]
        if not tree.shape:
            return source.choice(pool)
        shape = tuple(int(substitute(dim, dict(sizes))) for dim in tree.shape)
        numbers = [source.randrange(-20, 21) / 10 or 0.5 for _ in range(math.prod(shape))]
        return np.array(numbers).reshape(shape).tolist()

    return fill(param.tree)


def _flaws(program: Program) -> float:
    """Count what makes the numbers unpleasant; infinite where they overflow, tie, or lie outside the domain."""
    inputs: dict[Var, Any] = {}
    for param in program.params:
        for var, value in _pairs(param.tree, param.example):
            inputs[var] = 1.0 if param.seed is not None else float(value) if var.dtype == "float" else value
    try:
        values = evaluate(program, inputs)
    except (ValueError, ArithmeticError):
        return math.inf
    numbers = [v for v in values.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    if any(not math.isfinite(v) or abs(v) > _HUGE for v in numbers):
        return math.inf
    if not all(_is_clear(eqn, values) for eqn in program.eqns if eqn.prim.kinks or eqn.prim.result == "bool"):
        return math.inf
    given = [inputs[v] for p in program.params if p.seed is None for v in p.leaves()]
    repeated = max(0, min(len(given), len(_WHOLE)) - len(set(given)))  # different numbers show which is which
    return repeated + sum(0 < abs(v) < _SMALLEST or abs(v) > _LARGEST for v in numbers)


def _is_clear(eqn: Eqn, values: Mapping[Var, Any]) -> bool:
    """Whether the operands of a choice are apart from each other, and from 0 where there is only one."""
    operands = [values.get(a, 0.0) if isinstance(a, Var) else a.value for a in eqn.args]
    if any(isinstance(o, bool) for o in operands):
        return True
    if len(operands) == 1:
        return bool(abs(operands[0]) >= _APART)
    return all(abs(a - b) >= _APART for i, a in enumerate(operands) for b in operands[:i])


def _pairs(tree: Tree, value: Any) -> Iterator[tuple[Var, Any]]:
    stack: list[tuple[Tree, Any]] = [(tree, value)]
    while stack:
        node, item = stack.pop()
        if isinstance(node, Var):
            yield node, item
        else:
            stack.extend(zip(node, item if item is not None else [None] * len(node), strict=True))
