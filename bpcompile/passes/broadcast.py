"""
Leave broadcasting to the reader of a value: a value that is repeated and read beside an array of the full shape needs no repetition.

Before::

    t = spread y x axis=(1,) keepdims=False
    z = mul x t

After::

    t = spread y x axis=(1,) keepdims=False
    s = getitem y index=(all, None)
    z = mul x s

The repetition itself is dead code then, unless something else reads it.
"""

from __future__ import annotations

from typing import Final

from bpcompile.ir import Atom, Builder, Eqn, Lit, Program, Shape, Var, broadcast
from bpcompile.ops.array import against

#: Operations that only repeat an operand: which one.
_REPEATS: Final = {"spread": 0, "broadcast_to": 0, "fill_like": 1, "full": 0}
#: Operations that write an operand to a part of an array.
_WRITES: Final = frozenset({"embed", "setitem"})


def broadcast_late(program: Program, *, keep_stages: bool = False) -> Program:
    """Drop repetitions; with `keep_stages` the gradients of stages keep their lines, as lecture notes have them."""
    repeated: dict[Var, Eqn] = {}
    aligned: dict[Var, Atom] = {}
    #: A gradient that is the same number everywhere is that number.
    repeated_literals = {e.out: a for e in program.eqns if e.prim.name == "fill_like" and isinstance(a := e.args[1], Lit)}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        if eqn.prim.name in _REPEATS and isinstance(eqn.args[_REPEATS[eqn.prim.name]], Var) and not _is_named(eqn.out, program, keep_stages):
            repeated[eqn.out] = eqn
        changed = eqn
        for place in _places(eqn):
            arg = changed.args[place]
            source = repeated.get(arg) if isinstance(arg, Var) else None
            if source is None or not _fits(changed, place, _shape(source)):
                continue
            if source.out not in aligned:
                with Builder() as builder:
                    builder.origin, builder.span, builder.guard = source.origin, source.span, source.guard
                    aligned[source.out] = _aligned(source)
                eqns += builder.eqns
            args = (*changed.args[:place], aligned[source.out], *changed.args[place + 1 :])
            changed = changed.replace(args=args)
        eqns.append(changed)
    result = program.with_eqns(eqns)
    for var, atom in result.gradients.items():
        filled = repeated_literals.get(atom) if isinstance(atom, Var) else None
        if filled is not None:
            result.gradients[var] = filled
    return result


def _is_named(var: Var, program: Program, stages: bool) -> bool:  # noqa: FBT001  internal
    """Whether a value keeps its line: one of the user's, the gradient of an input, or of one of the user's values."""
    return var.stage or (var.twin is not None and ((var.twin.stage and stages) or var.twin in program.gradients))


def _places(eqn: Eqn) -> range:
    """Return the operands that broadcast against others."""
    if eqn.prim.name in _WRITES:
        return range(1, 2)
    if eqn.adds_to() is not None:
        return range(1, 2)  # what is added to keeps its shape
    return range(len(eqn.args)) if eqn.prim.shape is None and not eqn.prim.variadic and len(eqn.args) > 1 else range(0)


def _shape(source: Eqn) -> Shape:
    value = source.args[_REPEATS[source.prim.name]]
    if source.prim.name != "spread" or source.params["keepdims"]:
        return value.shape
    axis = source.params["axis"]
    wide = tuple(1 if i in axis else size for i, size in enumerate(source.out.shape))
    while wide and wide[0] == 1 and len(wide) > len(value.shape):
        wide = wide[1:]
    return wide


def _aligned(source: Eqn) -> Atom:
    value = source.args[_REPEATS[source.prim.name]]
    if source.prim.name != "spread" or not value.shape:
        return value
    result: Atom = against(value, source.params["axis"], source.params["keepdims"])
    return result


def _fits(eqn: Eqn, place: int, shape: Shape) -> bool:
    """Whether an operation has the same shape if one operand is not repeated."""
    if eqn.prim.name in _WRITES:
        return True
    return broadcast(*[shape if i == place else a.shape for i, a in enumerate(eqn.args)]) == eqn.out.shape
