"""
Compute nothing twice.

Before::

    t0 = add x y
    t1 = add y x
    f = mul t0 t1

After::

    t0 = add x y
    f = mul t0 t0

Named stages keep their names: a second name for the same value becomes a `copy`. Versions of adjoints are never merged,
for `+=` must not reach a value that something else reads.
"""

from __future__ import annotations

from typing import Any, Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var, implies
from bpcompile.primitive import REGISTRY

_COMMUTATIVE: Final = frozenset({"add", "mul", "eq", "ne", "and", "or", "hypot", "logaddexp"})


def share(program: Program, *, eager: bool = False) -> Program:
    """
    Return the program with each value computed once.

    Equations are numbered by value, whatever their guards; one that repeats another is dropped if the other is computed
    wherever this one is needed. (Two branches may both divide by x, yet neither division may move in front of the branch.)

    Args:
        program: Any program.
        eager: Whether all branches are computed, so that guards say nothing of that; they have to be found again.
    """
    number: dict[Atom, Any] = {}
    classes: dict[Any, int] = {}
    seen: dict[int, list[tuple[Eqn, int]]] = {}
    same: dict[Var, Atom] = {}
    eqns: list[list[Eqn]] = []
    # The first version of an adjoint changes under its name when the next is added: nobody else may read it.
    superseded = {before for eqn in program.eqns if eqn.out.twin is not None and (before := eqn.adds_to()) is not None}
    for eqn in program.eqns:
        if same:
            eqn = _renamed_eqn(eqn, same)  # noqa: PLW2901  the equation goes on under its new operands
        eqns.append([eqn])
        if eqn.prim.name == "copy":
            # Another name for a value: what is computed from either is the same.
            number[eqn.out] = number.get(eqn.args[0], eqn.args[0])
            continue
        if (eqn.out.twin is not None and eqn.adds_to() is not None) or (eqn.prim.name == "chain" and isinstance(eqn.args[0], Lit)):
            continue
        key = _key(eqn, number)
        value = number[eqn.out] = classes.setdefault(key, len(classes))
        candidates = seen.get(value)
        if candidates is None:
            seen[value] = [(eqn, len(eqns) - 1)]
            continue
        found = next(((e, i) for e, i in candidates if eager or implies(eqn.guard, e.guard)), None)
        if found is None:
            candidates.append((eqn, len(eqns) - 1))
            continue
        first, index = found
        if first.out in superseded:
            apart = Var(shape=first.out.shape, dtype=first.out.dtype)
            number[apart] = value
            eqns[index] = [first.replace(out=apart), first.replace(prim=REGISTRY["copy"], args=(apart,), params={})]
            candidates[candidates.index(found)] = (first.replace(out=apart), index)
            first = first.replace(out=apart)
        if not eqn.out.stage and eqn.out.twin is None:
            same[eqn.out] = first.out
            eqns[-1] = []
        elif eqn.out.stage and _nameless(first) and eqn.origin is None:
            # The earlier value had no name: it takes this one.
            first.out.name, first.out.stage = eqn.out.name, True
            same[eqn.out] = first.out
            eqns[-1] = []
        else:
            eqns[-1] = [eqn.replace(prim=REGISTRY["copy"], args=(first.out,), params={})]
    return program.redirected([eqn for group in eqns for eqn in group], same)


def _nameless(eqn: Eqn) -> bool:
    return eqn.out.name is None and not eqn.out.stage and eqn.out.twin is None and eqn.origin is None


def _renamed_eqn(eqn: Eqn, same: dict[Var, Atom]) -> Eqn:
    args = tuple([same.get(a, a) if isinstance(a, Var) else a for a in eqn.args])
    guard = tuple([(new if isinstance(new := same.get(c, c), Var) else c, taken) for c, taken in eqn.guard]) if eqn.guard else ()
    return eqn if args == eqn.args and guard == eqn.guard else eqn.replace(args=args, guard=guard)


def _key(eqn: Eqn, number: dict[Atom, Any]) -> Any:
    args: Any = tuple([number.get(a, a) for a in eqn.args])
    if eqn.prim.name in _COMMUTATIVE:
        args = frozenset(args) if args[0] != args[1] else args
    params = tuple(sorted(eqn.params.items())) if eqn.params else ()
    return eqn.prim, args, params
