"""
Find the conditions under which each value is needed.

A value that only one branch of a `select` reads need not be computed, and in Python code must not be, where the other branch
is taken: `math.sqrt(x) if x > 0 else x` may not take the root of -1.

Before::

    c = gt x 0
    r = sqrt x
    f = select c r x

After, `r` carries the guard ((c, True),), and so will the equations that undo it.

A guard holds the cases that every way from the value to a result passes through, so it is the intersection of what the readers
need. What reads a value without a condition is never needed in more cases than the value itself.
"""

from __future__ import annotations

import heapq
from functools import reduce
from typing import Final

from bpcompile.ir import Atom, Eqn, Guard, Logic, Program, Shape, Var, beyond, common, implies

#: An operation shared by more branches than this is computed in front of them.
_MOST_COPIES: Final = 6
#: Operations that need an operand in one case only.
_CHOICES: Final = frozenset({"select", "and", "or"})


def find_guards(program: Program) -> Program:
    """Return the program with the guard of each equation set, conditions moved before what they guard."""
    if not any(eqn.prim.name in _CHOICES or eqn.guard for eqn in program.eqns):
        return program
    logic = Logic(program.eqns)
    guard: dict[Var, Guard] = {}

    def use(atom: Atom, under: Guard) -> None:
        if isinstance(atom, Var):
            before = guard.get(atom)
            under = _of_its_elements(under, atom.shape)
            guard[atom] = under if before is None else common(before, under)

    for atom in program.results():
        use(atom, ())
    for eqn in reversed(program.eqns):
        under = guard.get(eqn.out)
        if under is None:
            continue
        under = guard[eqn.out] = _through(eqn, under)
        for i, arg in enumerate(eqn.args):
            use(arg, _of_operand(eqn, i, under, logic))
    # A value with no effect keeps no guard: it is dropped by dead code elimination.
    eqns = [eqn.replace(guard=guard[eqn.out]) if guard.get(eqn.out, eqn.guard) != eqn.guard else eqn for eqn in program.eqns]
    return program.with_eqns(_sorted(_loosened(eqns, logic)))


def separate_branches(program: Program) -> Program:
    """
    Return the program with what two branches share, and no place around them needs, computed in each of them.

    Before::

        r = div 1.0 x
        f = select a r (select b x r)

    After, neither division has to move in front of the choice::

        r = div 1.0 x
        s = div 1.0 x
        f = select a r (select b x s)

    Only operations that can fail, and what is computed from them, are doubled, and only while few branches share them.
    """
    if not any(eqn.prim.name in _CHOICES for eqn in program.eqns):
        return program
    logic = Logic(program.eqns)
    fragile: set[Var] = set()
    for eqn in program.eqns:
        if not eqn.prim.total or any(arg in fragile for arg in eqn.args):
            fragile.add(eqn.out)
    readers: dict[Var, list[tuple[Guard, Eqn | None, int]]] = {}

    def read(eqn: Eqn, under: Guard) -> None:
        for i, arg in enumerate(eqn.args):
            if isinstance(arg, Var):
                readers.setdefault(arg, []).append((_of_operand(eqn, i, under, logic), eqn, i))

    for atom in program.results():
        if isinstance(atom, Var):
            readers.setdefault(atom, []).append(((), None, 0))
    eqns: list[Eqn] = []
    for original in reversed(program.eqns):
        eqn = original.replace()
        places = readers.get(eqn.out, [])
        guards = list(dict.fromkeys(_through(eqn, _of_its_elements(g, eqn.out.shape)) for g, _, _ in places))
        outermost = _weakest(guards)
        if eqn.out not in fragile or eqn.out.stage or not 1 < len(outermost) <= _MOST_COPIES:
            read(eqn, reduce(common, guards) if guards else ())
            eqns.append(eqn)
            continue
        for n, guard in enumerate(outermost):
            copy = eqn if n == 0 else eqn.replace(out=Var(name=eqn.out.name, shape=eqn.out.shape, dtype=eqn.out.dtype))
            for here, reader, i in places:
                if n > 0 and reader is not None and implies(here, guard):
                    reader.args = (*reader.args[:i], copy.out, *reader.args[i + 1 :])
            read(copy, guard)
            eqns.append(copy)
    eqns.reverse()
    return program.with_eqns(eqns)


def _weakest(guards: list[Guard]) -> list[Guard]:
    """Return the guards that no other one is weaker than."""
    found: list[Guard] = []
    for guard in guards:
        if not any(implies(guard, other) and (other in found or not implies(other, guard)) for other in guards if other is not guard):
            found.append(guard)
    return found


def _of_operand(eqn: Eqn, operand: int, under: Guard, logic: Logic) -> Guard:
    """Return the cases in which an equation needs an operand, if itself it is needed in those given."""
    case = eqn.reads_when(operand)
    return _through(eqn, under) if case is None else logic.adds(under, case)


def _through(eqn: Eqn, guard: Guard) -> Guard:
    """Return the cases in which operands are needed: a sum, a product of matrices, a transpose mixes elements or moves them."""
    if eqn.prim.shape is None:
        return guard
    return tuple([case for case in guard if not case[0].shape])


def _of_its_elements(guard: Guard, shape: Shape) -> Guard:
    """Return the cases that hold element by element: a value that all elements share is needed if any of them is."""
    return tuple([case for case in guard if not case[0].shape or _covers(shape, case[0].shape)])


def _covers(shape: Shape, smaller: Shape) -> bool:
    """Whether broadcasting against `smaller` leaves a shape as it is."""
    return len(smaller) <= len(shape) and all(b in {1, a} for a, b in zip(shape[len(shape) - len(smaller) :], smaller, strict=True))


def _loosened(eqns: list[Eqn], logic: Logic) -> list[Eqn]:
    """Free operations that can't fail from conditions that come later: moving them would tear lines apart for nothing."""
    place = {eqn.out: i for i, eqn in enumerate(eqns)}
    tied: dict[Var, Guard] = {}
    result = []
    for i, eqn in enumerate(eqns):
        if eqn.guard:
            if not eqn.can_fail() and any(place.get(condition, -1) > i for condition, _ in eqn.guard):
                # What an operand or a condition waits for, its reader waits for anyway.
                needed = {
                    case for k, arg in enumerate(eqn.args) if isinstance(arg, Var) and arg in tied for case in beyond(tied[arg], _of_operand(eqn, k, (), logic))
                }
                for case in reversed(eqn.guard):
                    if case in needed or place.get(case[0], -1) < i:
                        needed |= {case, *tied.get(case[0], ())}
                eqn = eqn.replace(guard=tuple([case for case in eqn.guard if case in needed]))  # noqa: PLW2901  the equation goes on with less
            if eqn.guard:
                tied[eqn.out] = eqn.guard
        result.append(eqn)
    return result


def _sorted(eqns: list[Eqn]) -> list[Eqn]:
    """Order equations so that guards' conditions come first, and as they were otherwise."""
    place = {eqn.out: i for i, eqn in enumerate(eqns)}
    if all(place.get(condition, -1) < i for i, eqn in enumerate(eqns) for condition, _ in eqn.guard):
        return eqns
    waiting = [0] * len(eqns)
    readers: list[list[int]] = [[] for _ in eqns]
    for i, eqn in enumerate(eqns):
        needs = {place[a] for a in eqn.args if isinstance(a, Var) and a in place}
        needs |= {place[c] for c, _ in eqn.guard if c in place}
        waiting[i] = len(needs)
        for j in needs:
            readers[j].append(i)
    ready = [i for i, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    result: list[Eqn] = []
    while ready:
        i = heapq.heappop(ready)
        result.append(eqns[i])
        for j in readers[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, j)
    assert len(result) == len(eqns), "guards form a cycle"
    return result
