"""
Run hand-written programs under NumPy: the oracle for the marking, which never runs anything.

A program of the corpus says in its first comment lines what it is about::

    # demo: layer = Affine(W, b); out = layer.forward(x)     statements that a file of functions leaves to its reader
    # judge: np.sum(out * dout) -> dx of x, dW of W          the value, and which variable holds the gradient of which
    # expect: line 17, transpose or operands-swapped: dW = x.T.dot(dout)      a fault, what it may be called, the right line

It is run as it stands, with its inputs moved away from the author's numbers.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import re
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HANDWRITTEN = Path(__file__).resolve().parent / "handwritten"


@dataclass(frozen=True)
class Fault:
    """A wrong line, what it may be called, and the right line."""

    line: int
    kinds: tuple[str, ...]
    right: str


class Trace:
    """What each marked statement of the program under test left in its target, in the order of execution."""

    def __init__(self) -> None:
        self.values: dict[int, list[Any]] = {}

    def __call__(self, line: int, value: Any) -> None:
        self.values.setdefault(line, []).append(frozen(value))


def frozen(value: Any) -> Any:
    """Copy a value so that no later line of the program can change it."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list):
        return [frozen(v) for v in value]
    if isinstance(value, dict):
        return {k: frozen(v) for k, v in value.items()}
    return value


@dataclass(frozen=True)
class Program:
    """A hand-written program and what it is about."""

    name: str
    text: str

    @cached_property
    def judged(self) -> tuple[str, list[tuple[str, str]]]:
        """The expression of the value, and (gradient, input) for each gradient."""
        match = re.search(r"^# judge: (.*) -> (.*)$", self.text, re.MULTILINE)
        assert match, f"{self.name} does not say what it is about"
        pairs = [tuple(part.strip().split(" of ")) for part in match[2].split(", ")]
        return match[1], [(g, x) for g, x in pairs]

    @cached_property
    def demo(self) -> str:
        """The statements that a file of functions leaves to its reader."""
        return "\n".join(re.findall(r"^# demo: (.*)$", self.text, re.MULTILINE))

    @cached_property
    def faults(self) -> list[Fault]:
        """What is wrong with it."""
        found = re.findall(r"^# expect: line (\d+), ([^:]+): (.*)$", self.text, re.MULTILINE)
        return [Fault(int(line), tuple(kinds.split(" or ")), right) for line, kinds, right in found]

    def corrected(self, faults: Sequence[Fault]) -> Program:
        """Put the right lines in the place of some wrong ones."""
        lines = self.text.split("\n")
        for fault in faults:
            old = lines[fault.line - 1]
            lines[fault.line - 1] = old[: len(old) - len(old.lstrip())] + fault.right
        return Program(self.name, "\n".join(lines))

    @property
    def inputs(self) -> list[str]:
        return [x for _, x in self.judged[1]]

    @property
    def gradients(self) -> list[str]:
        return [g for g, _ in self.judged[1]]

    def run(self, given: Mapping[str, Any] | None = None, *, traced: Sequence[int] = ()) -> Run:
        """Run the program with some inputs replaced, and record the lines named."""
        return run(self.text, self, given, traced)

    @cached_property
    def first(self) -> Run:
        """The run at the author's own numbers."""
        return self.run()

    def points(self, count: int, seed: int = 0) -> list[dict[str, Any]]:
        """Give inputs near the author's own, so that they stay in the domain of the program."""
        rng = np.random.default_rng(seed)

        def moved(value: Any) -> Any:
            array = np.asarray(value, dtype=float)
            return array * (1 + 0.1 * rng.standard_normal(array.shape)) + 0.03 * rng.standard_normal(array.shape)

        return [{name: moved(value) for name, value in self.first.given.items()} for _ in range(count)]


@dataclass(frozen=True)
class Run:
    """One run: its inputs, value and gradients."""

    given: dict[str, Any]
    value: Any
    gradients: dict[str, Any]
    trace: dict[int, list[Any]]


def right_programs() -> list[Program]:
    """Give the corpus of correct programs."""
    return [Program(p.stem, p.read_text("utf-8")) for p in sorted((HANDWRITTEN / "right").glob("*.py"))]


def wrong_programs() -> list[Program]:
    """Give the corpus of programs with mistakes."""
    return [Program(p.stem, p.read_text("utf-8")) for p in sorted((HANDWRITTEN / "wrong").glob("*.py"))]


class _Prepare(ast.NodeTransformer):
    """Hand inputs over after their first binding, and record the lines asked for."""

    def __init__(self, inputs: list[str], traced: Sequence[int]) -> None:
        self.waiting = set(inputs)
        self.traced = set(traced)
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_For = visit_ClassDef = visit_FunctionDef

    def visit_Assign(self, node: ast.Assign) -> Any:
        after: list[ast.stmt] = []
        if self.depth == 0:
            names = [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            for name in names:
                if name in self.waiting:
                    self.waiting.remove(name)
                    after += ast.parse(f"{name} = given_({name!r}, {name})").body
        return [node, *after, *self._recorded(node)]

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return [node, *self._recorded(node)]

    def _recorded(self, node: ast.Assign | ast.AugAssign) -> list[ast.stmt]:
        if node.lineno not in self.traced:
            return []
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return ast.parse(f"trace_({node.lineno}, ({ast.unparse(target)}))").body


def run(text: str, about: Program, given: Mapping[str, Any] | None, traced: Sequence[int] = ()) -> Run:
    """
    Run a text that computes what `about` says.

    Raises:
        Exception: Whatever the text raises.
    """
    given = given or {}
    seen: dict[str, Any] = {}
    trace = Trace()

    def hand_over(name: str, value: Any) -> Any:
        if name in given:
            new = np.array(given[name], dtype=float)
            value = new.tolist() if isinstance(value, list) else new if isinstance(value, np.ndarray) else float(new)
        seen[name] = copy.deepcopy(value)
        return value

    prepare = _Prepare(about.inputs, traced)
    tree = prepare.visit(ast.parse(f"{text}\n{about.demo}\n"))
    assert not prepare.waiting, f"{about.name}: no line binds {sorted(prepare.waiting)}"
    namespace: dict[str, Any] = {"__name__": "__main__", "given_": hand_over, "trace_": trace, "np": np}
    np.random.seed(3)  # noqa: NPY002  the programs use it
    annotations = types.ModuleType("jaxtyping")  # not a dependency of the tests
    annotations.Float = dict[Any, Any]  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), mock.patch.dict(sys.modules, jaxtyping=annotations):
        warnings.simplefilter("ignore")
        exec(compile(ast.fix_missing_locations(tree), about.name, "exec"), namespace)
    value, pairs = about.judged
    with np.errstate(all="ignore"):
        return Run(seen, eval(value, namespace), {g: frozen(eval(g, namespace)) for g, _ in pairs}, trace.values)


def differences(program: Program, point: Mapping[str, Any], step: float = 1e-6) -> dict[str, np.ndarray]:
    """Give the gradient of the value by central differences, for every input."""
    result = {}
    for gradient, name in program.judged[1]:
        base = np.asarray(point[name], dtype=float)
        slope = np.zeros_like(base)
        for index in np.ndindex(base.shape):
            values = []
            for sign in (1, -1):
                moved = base.copy()
                moved[index] += sign * step
                values.append(program.run({**point, name: moved}).value)
            slope[index] = (values[0] - values[1]) / (2 * step)
        result[gradient] = slope
    return result


def same(left: Any, right: Any, tolerance: float = 1e-9) -> bool:
    """Whether two values have one shape and equal entries, to rounding; the same structure if they are made of parts."""
    if isinstance(left, list | tuple | dict) or isinstance(right, list | tuple | dict):
        if isinstance(left, dict) and isinstance(right, dict):
            return list(left) == list(right) and all(same(left[k], right[k], tolerance) for k in left)
        if not isinstance(left, list | tuple) or not isinstance(right, list | tuple):
            return False
        return len(left) == len(right) and all(same(a, b, tolerance) for a, b in zip(left, right, strict=True))
    try:
        a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    except (TypeError, ValueError):
        return bool(left is right or left == right)
    if a.shape != b.shape:
        return False
    scale = max(1e-3, float(np.max(np.abs(b), initial=0.0)))
    return bool(np.all(np.abs(a - b) <= tolerance * scale))
