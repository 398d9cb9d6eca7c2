"""
Let contractions do the transposing, and move signs out of sums over axes.

Before::

    t0 = transpose K (1, 0)
    t1 = einsum Q t0 "ij,jk->ik"
    t2 = neg dt1
    t3 = sum t2 axis=0

After::

    t1 = einsum Q K "ij,kj->ik"
    t2 = sum dt1 axis=0
    t3 = neg t2

so that the text is `Q @ K.T` and, for its gradient, `dt1.T @ Q` rather than `(Q.T @ dt1).T`. A transpose that the user
named keeps its line.
"""

from __future__ import annotations

from typing import Final

from bpcompile.contraction import parse
from bpcompile.ir import Atom, Eqn, Program, Var
from bpcompile.primitive import REGISTRY


def absorb(program: Program) -> Program:
    """Return the program with unnamed transposes merged into the contractions around them."""
    uses: dict[Var, int] = {}
    for eqn in program.eqns:
        for arg in eqn.args:
            if isinstance(arg, Var):
                uses[arg] = uses.get(arg, 0) + 1
    results = {a for a in program.results() if isinstance(a, Var)}
    definition: dict[Var, Eqn] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        name = eqn.prim.name
        if name == "einsum":
            made = [_read_through(eqn, definition)]
        elif name == "transpose":
            made = [_turned(eqn, definition, uses, results)]
        elif name == "sum" and not eqn.out.stage:
            made = _sign_outside(eqn, definition, uses, results)
        elif name in _OTHER_SIGN:
            made = [_signed(eqn, definition, uses, results)]
        else:
            made = [eqn]
        for new in made:
            definition[new.out] = new
        eqns += made
    return program.with_eqns(eqns)


def _read_through(eqn: Eqn, definition: dict[Var, Eqn]) -> Eqn:
    """Read what an operand is the transpose of."""
    left, right, output = parse(eqn.params["spec"])
    letters = [left, right]
    args: list[Atom] = list(eqn.args)
    for i, arg in enumerate(args):
        source = definition.get(arg) if isinstance(arg, Var) and not arg.stage else None
        if source is not None and source.prim.name == "transpose" and source.guard == eqn.guard:
            perm = source.params["perm"]
            letters[i] = "".join(letters[i][perm.index(axis)] for axis in range(len(perm)))
            args[i] = source.args[0]
    return eqn if tuple(args) == eqn.args else eqn.replace(args=tuple(args), params={"spec": f"{letters[0]},{letters[1]}->{output}"})


def _turned(eqn: Eqn, definition: dict[Var, Eqn], uses: dict[Var, int], results: set[Var]) -> Eqn:
    """Write the transpose of a contraction that nothing else reads as a contraction."""
    source = _only_reader(eqn, "einsum", definition, uses, results)
    if source is None:
        return eqn
    left, right, output = parse(source.params["spec"])
    turned = "".join(output[axis] for axis in eqn.params["perm"])
    return eqn.replace(prim=source.prim, args=source.args, params={"spec": f"{left},{right}->{turned}"})


def _sign_outside(eqn: Eqn, definition: dict[Var, Eqn], uses: dict[Var, int], results: set[Var]) -> list[Eqn]:
    source = _only_reader(eqn, "neg", definition, uses, results)
    if source is None:
        return [eqn]
    total = Var(shape=eqn.out.shape, dtype=eqn.out.dtype)
    uses[total] = 1
    return [eqn.replace(out=total, args=source.args), eqn.replace(prim=REGISTRY["neg"], args=(total,), params={})]


_OTHER_SIGN: Final = {"add": "sub", "sub": "add"}


def _signed(eqn: Eqn, definition: dict[Var, Eqn], uses: dict[Var, int], results: set[Var]) -> Eqn:
    """Subtract what was added with the other sign."""
    source = _only_reader(eqn, "neg", definition, uses, results)
    return eqn if source is None else eqn.replace(prim=REGISTRY[_OTHER_SIGN[eqn.prim.name]], args=(eqn.args[0], source.args[0]))


def _only_reader(eqn: Eqn, name: str, definition: dict[Var, Eqn], uses: dict[Var, int], results: set[Var]) -> Eqn | None:
    """Return the equation behind the last operand, if it is a temporary of that primitive which only this equation reads."""
    arg = eqn.args[-1]
    if not isinstance(arg, Var) or arg.stage or arg in results or uses.get(arg, 0) != 1 or (arg.twin is not None and arg.twin.stage):
        return None
    source = definition.get(arg)
    return source if source is not None and source.prim.name == name and source.guard == eqn.guard else None
