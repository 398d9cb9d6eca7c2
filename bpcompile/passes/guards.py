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

from bpcompile.ir import Atom, Eqn, Guard, Program, Shape, Var, broadcast


def find_guards(program: Program) -> Program:
    """Return the program with the guard of each equation set, conditions moved before what they guard."""
    if not any(eqn.prim.name == "select" for eqn in program.eqns):
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
        if eqn.prim.name == "select":
            condition, yes, no = eqn.args
            use(condition, under)
            if isinstance(condition, Var):
                use(yes, (*under, (condition, True)))
                use(no, (*under, (condition, False)))
        else:
            for arg in eqn.args:
                use(arg, under)
    # A value with no effect keeps no guard: it is dropped by dead code elimination.
    eqns = [eqn.replace(guard=guard[eqn.out]) if guard.get(eqn.out) else eqn for eqn in program.eqns]
    return program.with_eqns(_sorted(eqns))


def _of_its_elements(guard: Guard, shape: Shape) -> Guard:
    """Return the conditions that hold element by element: a value that all elements share is needed if any of them is."""
    for i, (condition, _) in enumerate(guard):
        if condition.shape and broadcast(condition.shape, shape) != shape:
            return guard[:i]
    return guard


def _common(a: Guard, b: Guard) -> Guard:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return a[:length]


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
