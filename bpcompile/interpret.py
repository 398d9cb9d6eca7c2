"""
Run a program on numbers: what the certificate and the passes compare emitted text with.

The interpreter knows nothing of targets, names or printing. It calls each primitive's `impl`, or whatever other meaning the
caller gives to primitives (mpmath functions, say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bpcompile.ir import Atom, Lit, Program, Var
from bpcompile.primitive import Primitive


def evaluate(
    program: Program,
    inputs: Mapping[Var, Any],
    *,
    meaning: Callable[[Primitive], Callable[..., Any]] | None = None,
    literal: Callable[[float], Any] | None = None,
) -> dict[Var, Any]:
    """
    Return the value of every variable whose guard holds at `inputs`.

    Args:
        program: A program, before or after the reverse pass.
        inputs: A value for each input variable, upstream gradients included.
        meaning: What a primitive computes; its `impl` unless given.
        literal: How a literal enters; as it is unless given.

    Raises:
        ArithmeticError, ValueError: What the functions of a primitive raise outside its domain.
    """
    env: dict[Var, Any] = dict(inputs)

    def read(atom: Atom) -> Any:
        if isinstance(atom, Lit):
            return literal(atom.value) if literal else atom.value
        return env.get(atom, 0.0)  # skipped under its guard: nothing that counts reads it

    for eqn in program.eqns:
        if all(bool(env[condition]) is taken for condition, taken in eqn.guard if condition in env):
            function = meaning(eqn.prim) if meaning else eqn.prim.impl
            env[eqn.out] = function(*map(read, eqn.args), **eqn.params)
    return env
