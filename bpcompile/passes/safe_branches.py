"""
Give the branch not taken a safe argument, for targets that compute both.

Before, with `np.where` computing the root of -1 where it is not wanted::

    c = gt x 0
    r = sqrt x          (needed only if c)
    f = select c r x

After::

    c = gt x 0
    s = select c x 1.0
    r = sqrt s
    f = select c r x

The values that enter a guarded region are replaced by one point at which everything in the region, forward and backward, is
finite. Neither nan nor a warning comes out of a branch that nobody asked for.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any, Final

from bpcompile.ir import Atom, Case, Eqn, Guard, Lit, Logic, Program, Var, broadcast
from bpcompile.primitive import REGISTRY

_CONSTANTS: Final = (1.0, 0.5, 2.0, -0.5, 0.25, 3.0, -2.0, 0.0)
#: How many operations the search for a safe point may evaluate; the constants are tried in any case.
_EFFORT: Final = 200_000
#: Of so many conditions from outside a region every combination is tried.
_MOST_CONDITIONS: Final = 3

#: The guard of a region, in whatever order.
_Region = frozenset[Case]
#: Values of what enters a region at which all of it is finite.
_Point = dict[Var, float]


def guard_branches(program: Program) -> Program:
    """Return the program with safe arguments for every guarded region that could fail."""
    regions: dict[_Region, list[Eqn]] = {}
    for eqn in program.eqns:
        if eqn.guard:
            regions.setdefault(frozenset(eqn.guard), []).append(eqn)
    guards = {eqn.out: frozenset(eqn.guard) for eqn in program.eqns if eqn.guard}
    points: dict[Eqn, _Point] = {}
    steady: dict[Var, Any] = {}
    # Inner regions first: what they give where their branch is not taken is then known to those around them.
    for guard in sorted(regions, key=len, reverse=True):
        eqns = _leading_to_failure(regions[guard])
        if eqns:
            inner = {v: steady[v] for eqn in eqns for v in eqn.args if isinstance(v, Var) and v in steady and guards[v] > guard}
            point = _safe_point(eqns, inner, steady)
            # Where no point is safe for all of a region, each operation that could fail gets operands of its own.
            points |= dict.fromkeys(eqns, point) if point is not None else {e: _safe_point([e], {}, {}) or {} for e in eqns if e.can_fail()}
    return _Writer(program, points).run() if points else program


def _leading_to_failure(region: list[Eqn]) -> list[Eqn]:
    """Return the operations of a region that could fail or choose infinity, and those of it that they depend on."""
    found: list[Eqn] = []
    wanted: set[Atom] = set()
    infinite = {eqn.out for eqn in region if eqn.prim.name == "fill_like" and eqn.can_fail()}
    for eqn in reversed(region):
        if eqn.can_fail() or eqn.out in wanted or (eqn.prim.name == "select" and any(_is_infinite(a) or a in infinite for a in eqn.args)):
            found.append(eqn)
            wanted.update(eqn.args)
    return found[::-1]


def _is_infinite(atom: Atom) -> bool:
    return isinstance(atom, Lit) and math.isinf(atom.value)


class _Writer:
    """Puts safe arguments into a program."""

    def __init__(self, program: Program, points: dict[Eqn, _Point]) -> None:
        self.program = program
        self.points = points
        self.logic = Logic(program.eqns)
        self.eqns: list[Eqn] = []
        self.safe: dict[tuple[Var, _Region, float], Var] = {}
        self.conditions: dict[Guard, Var] = {}
        self.opposites: dict[Var, Var] = {}

    def run(self) -> Program:
        for eqn in self.program.eqns:
            point = self.points.get(eqn)
            if point:
                args = tuple([self._safe(arg, eqn, point[arg]) if isinstance(arg, Var) and arg in point else arg for arg in eqn.args])
                self.eqns.append(eqn.replace(args=args))
            else:
                self.eqns.append(eqn)
        return self.program.with_eqns(self.eqns)

    def _safe(self, var: Var, eqn: Eqn, value: float) -> Var:
        """Return a value that is `var` where the equation is needed, and a safe one elsewhere."""
        key = (var, frozenset(eqn.guard), value)
        if key not in self.safe:
            condition, taken = self._all_of(self.logic.tests(eqn.guard), eqn)
            branches: tuple[Atom, Atom] = (var, Lit(value)) if taken else (Lit(value), var)
            out = Var(name=f"{var.name}_safe" if var.name else None, shape=broadcast(condition.shape, var.shape))
            note = "a safe argument where the branch is not taken"
            self.eqns.append(Eqn(out, REGISTRY["select"], (condition, *branches), origin=eqn.origin, note=note))
            self.safe[key] = out
        return self.safe[key]

    def _all_of(self, cases: Guard, eqn: Eqn) -> Case:
        """Return one case that holds where all of those given do."""
        if len(cases) == 1:
            return cases[0]
        for n in range(2, len(cases) + 1):
            if cases[:n] not in self.conditions:
                last, taken = cases[n - 1]
                left = self.conditions[cases[: n - 1]] if n > 2 else self._positive(*cases[0], eqn)
                right = self._positive(last, taken, eqn)
                both = self.conditions[cases[:n]] = Var(dtype="bool", shape=broadcast(left.shape, right.shape))
                self.eqns.append(Eqn(both, REGISTRY["and"], (left, right), origin=eqn.origin))
        return self.conditions[cases], True

    def _positive(self, condition: Var, taken: bool, eqn: Eqn) -> Var:  # noqa: FBT001  a case
        """Return a condition that holds where the branch is taken."""
        if taken:
            return condition
        if condition not in self.opposites:
            self.opposites[condition] = Var(dtype="bool", shape=condition.shape)
            self.eqns.append(Eqn(self.opposites[condition], REGISTRY["not"], (condition,), origin=eqn.origin))
        return self.opposites[condition]


def _safe_point(region: list[Eqn], inner: Mapping[Var, Any], steady: dict[Var, Any]) -> _Point | None:
    """
    Find values of what enters a region at which all of it is finite.

    Args:
        region: Equations.
        inner: What is known, where the region is not wanted, of values from the regions inside it.
        steady: Where to put what is known of the region's own values.
    """
    inside = {eqn.out for eqn in region}
    outside = dict.fromkeys(a for eqn in region for a in eqn.args if isinstance(a, Var) and a not in inside and a not in inner)
    entering = [v for v in outside if v.dtype == "float" and v.twin is None]
    generator = random.Random(len(region))  # noqa: S311  a search, not a secret
    # Conditions and adjoints are as they happen to be.
    others = [v for v in outside if v.dtype != "float" or v.twin is not None]
    free = [v for v in others if v.dtype == "bool"]
    count = 2 ** min(len(free), _MOST_CONDITIONS)
    choices = list(itertools.product((True, False), repeat=len(free))) if len(free) <= _MOST_CONDITIONS else []
    choices = choices or [tuple(generator.random() < 0.5 for _ in free) for _ in range(count)]
    states = [{**dict.fromkeys(others, value), **dict(zip(free, choice, strict=True))} for choice in choices for value in (1.0, -0.75)]
    for attempt in range(max(len(_CONSTANTS), _EFFORT // (len(region) * len(states)))):
        known = _CONSTANTS[attempt] if attempt < len(_CONSTANTS) else None
        point = {v: round(generator.uniform(-3.0, 3.0), 2) if known is None else known for v in entering}
        runs = []
        for state in states:
            values = _finite_values(region, {**inner, **state, **point})
            if values is None:
                break
            runs.append(values)
        else:
            steady |= {v: runs[0][v] for v in inside if all(run[v] == runs[0][v] for run in runs)}
            return point
    return None


def _finite_values(region: list[Eqn], known: dict[Var, Any]) -> dict[Var, Any] | None:
    """Return the values of a region, or None where one is not finite."""
    env = dict(known)
    for eqn in region:
        if eqn.prim.shape is not None:
            return None  # numbers stand for arrays here, and this moves or mixes their elements
        try:
            value = eqn.prim.impl(*[a.value if isinstance(a, Lit) else env[a] for a in eqn.args], **eqn.params)
        except (ArithmeticError, ValueError):
            return None
        if eqn.prim.name == "fill_like":
            pass  # a constant is what it is
        elif isinstance(value, complex) or value != value:  # noqa: PLR0124  nan
            return None
        elif math.isinf(value) and (eqn.prim.name == "select" or not any(_is_infinite(a) for a in eqn.args)):
            return None  # a choice may not come out infinite, for the adjoint that it will multiply may be 0
        env[eqn.out] = value
    return env
