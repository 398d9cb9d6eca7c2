"""
Read through adjoints that only pass a gradient on.

Before, where t is a temporary and s a stage::

    dt = copy dq
    ds = copy dt
    dx = mul ds y

After::

    ds = copy dq
    dx = mul ds y

The adjoint of a stage keeps its line (`dsigx = dden`); that of a temporary never had one, and `dtotal = dtotal` between two values
of one user variable says nothing.
"""

from __future__ import annotations

from bpcompile.ir import Atom, Eqn, Program, Var


def forward_aliases(program: Program) -> Program:
    """Return the program without copies into adjoints that nothing adds to and nobody named."""
    added_to = {before for eqn in program.eqns if (before := eqn.adds_to()) is not None}
    same: dict[Var, Atom] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        if same:
            args = tuple([same.get(a, a) if isinstance(a, Var) else a for a in eqn.args])
            if args != eqn.args:
                eqn = eqn.replace(args=args)  # noqa: PLW2901  the equation goes on under its new operands
        twin = eqn.out.twin
        if eqn.prim.name == "copy" and twin is not None and _is_idle(eqn.args[0], twin) and twin not in program.gradients and eqn.out not in added_to:
            same[eqn.out] = eqn.args[0]
        else:
            eqns.append(eqn)
    return program.with_eqns(eqns) if same else program


def _is_idle(source: Atom, twin: Var) -> bool:
    """Whether a copy into the adjoint of `twin` needs no line."""
    if not twin.stage:
        return True
    of = source.twin if isinstance(source, Var) else None
    return of is not None and twin.name is not None and of.name == twin.name
