"""
Drop choices that guard against a zero which cannot occur.

Before::

    t0 = mul x x
    t1 = add t0 1e-05
    s = sqrt t1
    t2 = ne s 0.0
    t3 = div 0.5 s
    t4 = select t2 t3 inf

After::

    t0 = mul x x
    t1 = add t0 1e-05
    s = sqrt t1
    t3 = div 0.5 s

What is known holds for every float: a square is not negative, a sum of something that is not negative and a positive number is
positive, and so are its root and its mean; the exponential is not called positive, since it vanishes below -745.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.primitive import REGISTRY

#: What is known of a value that is not nan: nothing, >= 0, > 0.
_ANY, _NOT_NEGATIVE, _POSITIVE = 0, 1, 2
#: From here on a positive number is one in single precision, too.
_SAFE: Final = 1e-30


def drop_impossible_guards(program: Program) -> Program:
    """Return the program without choices whose condition always holds."""
    signs: dict[Var, int] = {}
    definition: dict[Var, Eqn] = {}
    same: dict[Var, Atom] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        new = eqn.replace(args=tuple(same.get(a, a) if isinstance(a, Var) else a for a in eqn.args)) if same else eqn
        known = _kept(new, definition, signs) if new.prim.name == "select" else None
        if known is not None and not new.out.stage and new.out.twin is None:
            same[new.out] = known
            continue
        if known is not None:
            new = new.replace(prim=REGISTRY["copy"], args=(known,))
        rule = _RULES.get(new.prim.name)
        if rule is not None and (sign := rule(new, [_sign(a, signs) for a in new.args])):
            signs[new.out] = sign
        definition[new.out] = new
        eqns.append(new)
    return program.redirected(eqns, same)


def _sign(atom: Atom, signs: dict[Var, int]) -> int:
    if isinstance(atom, Var):
        return signs.get(atom, _ANY)
    if isinstance(atom.value, bool) or math.isnan(atom.value):
        return _ANY
    return _POSITIVE if atom.value >= _SAFE else _NOT_NEGATIVE if atom.value >= 0 else _ANY


def _kept(eqn: Eqn, definition: dict[Var, Eqn], signs: dict[Var, int]) -> Atom | None:
    """Return the operand that a choice always takes, if its condition is known."""
    condition, yes, no = eqn.args
    asked = definition.get(condition) if isinstance(condition, Var) else None
    if asked is None or len(asked.args) != 2 or not isinstance(asked.args[1], Lit) or asked.args[1].value != 0 or isinstance(yes, Lit):
        return None
    sign = _sign(asked.args[0], signs)
    if asked.prim.name in {"ne", "gt"} and sign == _POSITIVE:
        return yes if _same_shape(eqn, yes) else None
    if asked.prim.name in {"eq", "le"} and sign == _POSITIVE:
        return no if _same_shape(eqn, no) else None
    return None


def _same_shape(eqn: Eqn, atom: Atom) -> bool:
    return isinstance(atom, Var) and atom.shape == eqn.out.shape and atom.dtype == eqn.out.dtype


def _product(eqn: Eqn, signs: list[int]) -> int:
    if eqn.args[0] is eqn.args[1] and isinstance(eqn.args[0], Var):
        return _NOT_NEGATIVE
    return _NOT_NEGATIVE if all(signs) else _ANY  # a product of small positive numbers may vanish


def _power(eqn: Eqn, signs: list[int]) -> int:
    exponent = eqn.args[1]
    return _NOT_NEGATIVE if signs[0] or (isinstance(exponent, Lit) and exponent.value % 2 == 0) else _ANY


def _added(_: Eqn, signs: list[int]) -> int:
    return max(signs) if all(signs) else _ANY


_RULES: Final[dict[str, Callable[[Eqn, list[int]], int]]] = {
    "mul": _product,
    "pow": _power,
    "add": _added,
    "div": lambda _, signs: _NOT_NEGATIVE if all(signs) else _ANY,
    "abs": lambda _, signs: max(signs[0], _NOT_NEGATIVE),
    "exp": lambda *_: _NOT_NEGATIVE,
    "sigmoid": lambda *_: _NOT_NEGATIVE,
    "sqrt": lambda _, signs: signs[0],
    "max": lambda _, signs: max(signs),
    "copy": lambda _, signs: signs[0],
    "select": lambda _, signs: min(signs[1:]),
    **dict.fromkeys(("sum", "mean", "amax", "getitem", "reshape", "transpose", "broadcast_to"), lambda _, signs: min(signs[0], _NOT_NEGATIVE)),
}
