"""
Put each temporary in front of the one equation that reads it.

Before, the product waits while a stage is computed::

    t0 = mul x y
    m = max z w         (a stage)
    q = add t0 m

After::

    m = max z w
    t0 = mul x y
    q = add t0 m

The backward pass then undoes a line of the output in one piece.
"""

from __future__ import annotations

from collections.abc import Container

from bpcompile.ir import Eqn, Program, Var


def schedule(program: Program, keep: Container[Var] = ()) -> Program:
    """
    Return the program with single-use temporaries next to their use, everything else in the order it was.

    Args:
        program: Any program.
        keep: Values that stay where they are because they will have a line of their own.
    """
    results = set(program.results())
    readers: dict[Var, Eqn | None] = {}
    for eqn in program.eqns:
        for arg in eqn.args:
            if isinstance(arg, Var):
                readers[arg] = None if arg in readers and readers[arg] is not eqn else eqn
    sunk: dict[Var, Eqn] = {}
    stays: list[Eqn] = []
    for eqn in program.eqns:
        if readers.get(eqn.out) is not None and not eqn.out.stage and eqn.out not in keep and eqn.out not in results:
            sunk[eqn.out] = eqn
        else:
            stays.append(eqn)
    if not sunk:
        return program
    eqns: list[Eqn] = []
    for root in stays:
        # Post-order without recursion: an equation is written when its own temporaries are.
        stack: list[tuple[Eqn, bool]] = [(root, False)]
        while stack:
            eqn, ready = stack.pop()
            below = [] if ready else [sunk[a] for a in dict.fromkeys(eqn.args) if isinstance(a, Var) and a in sunk]
            if below:
                stack.append((eqn, True))
                stack.extend((e, False) for e in reversed(below))
            else:
                eqns.append(eqn)
    return program.with_eqns(eqns)
