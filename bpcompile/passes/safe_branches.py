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

import math
import random
from typing import Final

from bpcompile.ir import Atom, Eqn, Guard, Lit, Program, Var, broadcast
from bpcompile.primitive import REGISTRY

_CONSTANTS: Final = (1.0, 0.5, 2.0, -0.5, 0.25, 3.0, -2.0, 0.0)
_TRIES: Final = 400


def guard_branches(program: Program) -> Program:
    """Return the program with safe arguments for every guarded region that could fail."""
    regions: dict[Guard, list[Eqn]] = {}
    for eqn in program.eqns:
        if eqn.guard:
            regions.setdefault(eqn.guard, []).append(eqn)
    risky = {g for g, eqns in regions.items() if any(e.can_fail() for e in eqns)}
    if not risky:
        return program
    guards = {eqn.out: eqn.guard for eqn in program.eqns if eqn.guard}
    safe = {g: _safe_point(regions[g], guards) for g in risky}
    made: dict[tuple[Var, Guard], Var] = {}
    joined: dict[tuple[Guard, bool], Var] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        point = safe.get(eqn.guard) if eqn.guard else None
        if point is None:
            eqns.append(eqn)
            continue
        args: list[Atom] = []
        for arg in eqn.args:
            if isinstance(arg, Var) and arg in point and _fits(eqn.guard[len(guards.get(arg, ())) :], arg):
                key = (arg, eqn.guard)
                if key not in made:
                    made[key] = _guarded(arg, eqn, guards.get(arg, ()), point[arg], eqns, joined)
                args.append(made[key])
            else:
                args.append(arg)
        eqns.append(eqn.replace(args=tuple(args)))
    return program.with_eqns(eqns)


def _fits(conditions: Guard, var: Var) -> bool:
    """Whether a value is chosen element by element: one that is the same for all elements can't be safe for some of them."""
    return all(broadcast(condition.shape, var.shape) == var.shape for condition, _ in conditions)


def _guarded(var: Var, eqn: Eqn, outer: Guard, value: float, eqns: list[Eqn], joined: dict[tuple[Guard, bool], Var]) -> Var:
    """Emit `select(condition, var, value)` for the conditions that `var` itself is not under."""
    conditions = eqn.guard[len(outer) :]
    condition, taken = conditions[0]
    for i in range(1, len(conditions)):
        parts = [_positive(c, t, eqn, eqns, joined) for c, t in ((condition, taken), conditions[i])]
        key = (conditions[: i + 1], True)
        if key not in joined:
            joined[key] = Var(dtype="bool", shape=broadcast(*[p.shape for p in parts]))
            eqns.append(Eqn(joined[key], REGISTRY["and"], tuple(parts), origin=eqn.origin))
        condition, taken = joined[key], True
    branches: tuple[Atom, Atom] = (var, Lit(value)) if taken else (Lit(value), var)
    out = Var(name=f"{var.name}_safe" if var.name else None, shape=max(condition.shape, var.shape, key=len))
    eqns.append(Eqn(out, REGISTRY["select"], (condition, *branches), origin=eqn.origin, note="a safe argument where the branch is not taken"))
    return out


def _positive(condition: Var, taken: bool, eqn: Eqn, eqns: list[Eqn], joined: dict[tuple[Guard, bool], Var]) -> Var:  # noqa: FBT001  a pair of a guard
    """Return a condition that holds where the branch is taken."""
    if taken:
        return condition
    key = (((condition, False),), False)
    if key not in joined:
        joined[key] = Var(dtype="bool", shape=condition.shape)
        eqns.append(Eqn(joined[key], REGISTRY["not"], (condition,), origin=eqn.origin))
    return joined[key]


def _safe_point(region: list[Eqn], guards: dict[Var, Guard]) -> dict[Var, float] | None:
    """Find values of what enters a region at which all of it is finite."""
    inside = {eqn.out for eqn in region}
    guard = region[0].guard
    entering: dict[Var, None] = {}
    for eqn in region:
        for arg in eqn.args:
            if isinstance(arg, Var) and arg not in inside and arg.dtype == "float" and arg.twin is None and len(guards.get(arg, ())) < len(guard):
                entering[arg] = None
    generator = random.Random(len(region))  # noqa: S311  a search, not a secret
    for attempt in range(_TRIES):
        known = _CONSTANTS[attempt] if attempt < len(_CONSTANTS) else None
        point = {v: round(generator.uniform(-3.0, 3.0), 2) if known is None else known for v in entering}
        if _is_finite(region, point):
            return point
    return None


def _is_finite(region: list[Eqn], point: dict[Var, float]) -> bool:
    env: dict[Var, float] = dict(point)
    for eqn in region:
        if eqn.prim.shape is not None:
            return False  # numbers stand for arrays here, and this moves or mixes their elements
        try:
            value = eqn.prim.impl(*[a.value if isinstance(a, Lit) else env.get(a, 1.0) for a in eqn.args], **eqn.params)
        except (ArithmeticError, ValueError):
            return False
        unbounded = any(isinstance(a, Lit) and math.isinf(a.value) for a in eqn.args)
        if isinstance(value, complex) or value != value or (math.isinf(value) and not unbounded):  # noqa: PLR0124  nan
            return False
        env[eqn.out] = value
    return True
