"""
Find the conditions under which each value is needed.

A value that only one branch of a `select` reads need not be computed, and in Python code must not be, where the other branch
is taken: `math.sqrt(x) if x > 0 else x` may not take the root of -1.

Before::

    c = gt x 0
    r = sqrt x
    f = select c r x

After, `r` carries the guard ((c, True),), and so will the equations that undo it.
"""

from __future__ import annotations

import heapq
from typing import Final

from bpcompile.ir import Atom, Eqn, Guard, Program, Shape, Var

#: An operation shared by more branches than this is computed in front of them.
_MOST_COPIES: Final = 6


def find_guards(program: Program) -> Program:
    """Return the program with the guard of each equation set, conditions moved before what they guard."""
    if not any(eqn.prim.name == "select" or eqn.guard for eqn in program.eqns):
        return program
    guard: dict[Var, Guard] = {}

    def use(atom: Atom, under: Guard) -> None:
        if isinstance(atom, Var):
            before = guard.get(atom)
            under = _of_its_elements(under, atom.shape)
            guard[atom] = under if before is None else _common(before, under)

    for atom in program.results():
        use(atom, ())
    for eqn in reversed(program.eqns):
        under = guard.get(eqn.out)
        if under is None:
            continue
        under = guard[eqn.out] = _through(eqn, under)
        if eqn.prim.name == "select":
            condition, yes, no = eqn.args
            use(condition, under)
            if isinstance(condition, Var):
                use(yes, (*under, (condition, True)))
                use(no, (*under, (condition, False)))
        else:
            for arg in eqn.args:
                use(arg, _through(eqn, under))
    # A value with no effect keeps no guard: it is dropped by dead code elimination.
    eqns = [eqn.replace(guard=guard[eqn.out]) if guard.get(eqn.out, eqn.guard) != eqn.guard else eqn for eqn in program.eqns]
    return program.with_eqns(_sorted(_loosened(eqns)))


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

    Only operations that can fail are doubled, and only while few branches share them.
    """
    if sum(eqn.prim.name == "select" for eqn in program.eqns) == 0:
        return program
    readers: dict[Var, list[tuple[Guard, Eqn | None, int]]] = {}

    def read(eqn: Eqn, under: Guard) -> None:
        for i, arg in enumerate(eqn.args):
            if isinstance(arg, Var):
                branch = eqn.prim.name == "select" and i > 0 and isinstance(eqn.args[0], Var)
                here = (*under, (eqn.args[0], i == 1)) if branch else _through(eqn, under)
                readers.setdefault(arg, []).append((here, eqn, i))  # type: ignore[arg-type]  # a branch has a condition

    for atom in program.results():
        if isinstance(atom, Var):
            readers.setdefault(atom, []).append(((), None, 0))
    eqns: list[Eqn] = []
    for original in reversed(program.eqns):
        eqn = original.replace()
        places = readers.get(eqn.out, [])
        guards = list(dict.fromkeys(_through(eqn, _of_its_elements(g, eqn.out.shape)) for g, _, _ in places))
        outermost = [g for g in guards if not any(h != g and h == g[: len(h)] for h in guards)]
        if eqn.prim.total or eqn.out.stage or not 1 < len(outermost) <= _MOST_COPIES:
            common = guards[0] if guards else ()
            for other in guards[1:]:
                common = _common(common, other)
            read(eqn, common)
            eqns.append(eqn)
            continue
        for n, guard in enumerate(outermost):
            copy = eqn if n == 0 else eqn.replace(out=Var(name=eqn.out.name, shape=eqn.out.shape, dtype=eqn.out.dtype))
            for here, reader, i in places:
                if n > 0 and reader is not None and guard == here[: len(guard)]:
                    reader.args = (*reader.args[:i], copy.out, *reader.args[i + 1 :])
            read(copy, guard)
            eqns.append(copy)
    eqns.reverse()
    return program.with_eqns(eqns)


def _through(eqn: Eqn, guard: Guard) -> Guard:
    """Return the conditions under which operands are needed: a sum, a product of matrices, a transpose mixes elements or moves them."""
    if eqn.prim.shape is None:
        return guard
    return next((guard[:i] for i, (condition, _) in enumerate(guard) if condition.shape), guard)


def _of_its_elements(guard: Guard, shape: Shape) -> Guard:
    """Return the conditions that hold element by element: a value that all elements share is needed if any of them is."""
    for i, (condition, _) in enumerate(guard):
        if condition.shape and not _covers(shape, condition.shape):
            return guard[:i]
    return guard


def _covers(shape: Shape, smaller: Shape) -> bool:
    """Whether broadcasting against `smaller` leaves a shape as it is."""
    return len(smaller) <= len(shape) and all(b in {1, a} for a, b in zip(shape[len(shape) - len(smaller) :], smaller, strict=True))


def _common(a: Guard, b: Guard) -> Guard:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return a[:length]


def _loosened(eqns: list[Eqn]) -> list[Eqn]:
    """Free operations that can't fail from conditions that come later: moving them would tear lines apart for nothing."""
    place = {eqn.out: i for i, eqn in enumerate(eqns)}
    result = []
    for i, eqn in enumerate(eqns):
        known = 0
        while known < len(eqn.guard) and place.get(eqn.guard[known][0], -1) < i:
            known += 1
        result.append(eqn.replace(guard=eqn.guard[:known]) if known < len(eqn.guard) and not eqn.can_fail() else eqn)
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
