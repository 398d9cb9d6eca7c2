"""
Find what a user should know of a program though nothing is wrong with its gradient.

Steps and jumps carry no derivative, formulas kept as written may overflow. Each finding is a warning or a note with the place
in the source; none of them changes the output.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final

from bpcompile.diagnostics import Diagnostic
from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.passes.recognise import recognise
from bpcompile.primitive import ZERO
from bpcompile.reverse import active_vars

#: Programs beyond this are not searched for jumps.
_LARGEST: Final = 1000
_MOST_BRANCHES: Final = 20
_LINES: Final = 3
_STEPS: Final = 24
#: Their textbook derivative cancels, and the safe one does not.
_CANCELS: Final = frozenset({"tanh", "coth"})
_ORDERED: Final = frozenset({"lt", "le", "gt", "ge", "and", "or", "not"})


def find_hazards(program: Program, *, literal: bool) -> list[Diagnostic]:
    """
    Return warnings of steps and jumps, and with `literal` a note for each formula that a safer one could replace.

    Args:
        program: As read, before any pass.
        literal: Whether formulas are kept as written.
    """
    found = [*_steps(program), *_jumps(program)]
    if literal:
        found += _unsafe(program)
    return list({(d.code, d.message, _place(d)): d for d in found}.values())


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    span = diagnostic.span
    return (span.line, span.column) if span else (0, 0)


def _steps(program: Program) -> Iterator[Diagnostic]:
    """Operations that are constant between their jumps."""
    active = active_vars(program)
    for eqn in program.eqns:
        if eqn.out.dtype != "float" or eqn.prim.variadic:
            continue
        moving = [i for i, a in enumerate(eqn.args) if isinstance(a, Var) and a in active]
        if moving and all(eqn.prim.vjp[i] is ZERO for i in moving) and eqn.prim.kinks:
            message = f"`{eqn.prim.name}` is constant between its jumps: its derivative is taken as 0"
            yield Diagnostic("W201", message, eqn.span, level="warning")


def _unsafe(program: Program) -> Iterator[Diagnostic]:
    """Formulas that stable numerics would have replaced."""
    written = {id(eqn) for eqn in program.eqns}
    for eqn in recognise(program, stable=True).eqns:
        replaced = id(eqn) not in written
        if replaced or eqn.prim.lower or eqn.prim.name in _CANCELS:
            why = eqn.note if replaced and eqn.note else f"{eqn.prim.name}: {eqn.prim.hazard}" if eqn.prim.hazard else ""
            if why and any(isinstance(a, Var) for a in eqn.args):
                yield Diagnostic("N201", f"kept as written, though {why}", eqn.span, help="`--numerics stable` avoids it", level="note")


def _jumps(program: Program) -> Iterator[Diagnostic]:
    """Branches that do not meet where their condition changes."""
    if len(program.eqns) > _LARGEST:
        return
    active = active_vars(program)
    place = {eqn.out: i for i, eqn in enumerate(program.eqns)}
    definition = {eqn.out: eqn for eqn in program.eqns}
    for eqn in program.eqns:
        condition = definition.get(eqn.args[0]) if eqn.prim.name == "select" and isinstance(eqn.args[0], Var) else None
        if condition is not None and condition.prim.name in {"eq", "ne"} and any(isinstance(a, Var) and a in active for a in condition.args):
            message = "at the single points that this condition picks out the gradient is that of one branch, whatever the limit: a kink"
            yield Diagnostic("W203", message, eqn.span, level="warning")
    selects = [e for e in program.eqns if e.prim.name == "select" and e.out.dtype == "float" and _moves(e.args[0], active, definition)]
    inputs = [v for v in program.inputs() if v.dtype == "float"]
    if any(v.shape for v in inputs) or any(eqn.out.shape for eqn in program.eqns):
        return
    for eqn in selects[:_MOST_BRANCHES]:
        before = program.eqns[: place[eqn.out]]
        jump = _jump(before, eqn, inputs)
        if jump is not None:
            message = f"the branches differ by {jump:.3g} where the condition changes: the gradient does not see the jump"
            yield Diagnostic("W202", message, eqn.span, level="warning")


def _moves(condition: object, active: set[Var], definition: dict[Var, Eqn]) -> bool:
    """Whether a condition compares something that has a gradient."""
    stack = [condition]
    while stack:
        atom = stack.pop()
        if isinstance(atom, Var) and atom in active:
            return True
        eqn = definition.get(atom) if isinstance(atom, Var) and atom.dtype == "bool" else None
        if eqn is not None and eqn.prim.name in _ORDERED:
            stack.extend(eqn.args)
    return False


def _jump(before: list[Eqn], eqn: Eqn, inputs: list[Var]) -> float | None:
    """Walk along random lines to where the condition changes, and return by how much the two branches differ there."""
    generator = random.Random(0)  # noqa: S311  a search, not a secret
    decides = _leading_to(before, eqn.args[0])
    both = _leading_to(before, *eqn.args)
    for _ in range(_LINES):
        start = [generator.uniform(-2.0, 2.0) for _ in inputs]
        way = [generator.uniform(-1.0, 1.0) for _ in inputs]

        def at(t: float, eqns: list[Eqn] = decides, start: list[float] = start, way: list[float] = way) -> dict[Var, float]:
            return _run(eqns, {v: s + t * w for v, s, w in zip(inputs, start, way, strict=True)})

        points = [4.0 * k / _STEPS - 2.0 for k in range(_STEPS + 1)]
        sides = [_read(at(t), eqn.args[0]) for t in points]
        for k in range(_STEPS):
            left, right = sides[k], sides[k + 1]
            if left is None or right is None or bool(left) is bool(right):
                continue
            low, high = points[k], points[k + 1]
            for _ in range(60):
                middle = 0.5 * (low + high)
                side = _read(at(middle), eqn.args[0])
                if side is None:
                    break
                low, high = (middle, high) if bool(side) is bool(left) else (low, middle)
            env = at(low, both)
            yes, no = _read(env, eqn.args[1]), _read(env, eqn.args[2])
            if yes is not None and no is not None and abs(yes - no) > 1e-6 * (1.0 + abs(yes) + abs(no)):
                return abs(yes - no)
    return None


def _leading_to(eqns: list[Eqn], *atoms: Atom) -> list[Eqn]:
    """Return the equations that some values depend on."""
    wanted = set(atoms)
    found = []
    for eqn in reversed(eqns):
        if eqn.out in wanted:
            found.append(eqn)
            wanted.update(eqn.args)
    return found[::-1]


def _run(eqns: list[Eqn], env: dict[Var, float]) -> dict[Var, float]:
    """Evaluate what can be evaluated; what fails is absent."""
    for eqn in eqns:
        args = [_read(env, a) for a in eqn.args]
        if any(a is None for a in args):
            continue
        try:
            value = eqn.prim.impl(*args, **eqn.params)
        except (ArithmeticError, ValueError):
            continue
        if not isinstance(value, complex) and math.isfinite(value):
            env[eqn.out] = value
    return env


def _read(env: dict[Var, float], atom: object) -> float | None:
    if isinstance(atom, Lit):
        return atom.value
    return env.get(atom) if isinstance(atom, Var) else None
