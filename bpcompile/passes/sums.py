"""
Add up over all axes at once, and scale a number before it is spread over an array.

Before::

    t0 = spread s x axis=(0, 1)
    t1 = neg t0
    t2 = sum x axis=(0,)
    t3 = sum t2 axis=(0,)

After::

    t4 = neg s
    t1 = spread t4 x axis=(0, 1)
    t3 = sum x axis=(0, 1)
"""

from __future__ import annotations

from typing import Final

from bpcompile.ir import Atom, Eqn, Program, Shape, Var
from bpcompile.ops.array import ALL
from bpcompile.primitive import REGISTRY

#: What is the same before and after its operand is spread.
_SCALING: Final = frozenset({"neg", "mul", "div", "chain"})


def merge_sums(program: Program) -> Program:
    """Return the program with one sum for several, and operations on the small side of a repetition."""
    if not any(eqn.prim.name in {"spread", "sum"} for eqn in program.eqns):
        return program
    return _Merge(program).run()


class _Merge:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.uses: dict[Var, int] = {}
        for eqn in program.eqns:
            for arg in eqn.args:
                if isinstance(arg, Var):
                    self.uses[arg] = self.uses.get(arg, 0) + 1
        self.results = {a for a in program.results() if isinstance(a, Var)}
        self.definition: dict[Var, Eqn] = {}
        self.eqns: list[Eqn] = []

    def run(self) -> Program:
        for eqn in self.program.eqns:
            name = eqn.prim.name
            if name == "sum":
                self._define(self._one_sum(eqn))
            elif name == "getitem":
                self._define(self._dropped(eqn))
            elif eqn.prim.shape is None and eqn.out.shape and not eqn.guard:
                self._elementwise(eqn)
            else:
                self._define(eqn)
        return self.program.with_eqns(self.eqns)

    def _define(self, eqn: Eqn) -> None:
        self.definition[eqn.out] = eqn
        self.eqns.append(eqn)

    def _emit(self, like: Eqn, name: str, args: tuple[Atom, ...], params: dict[str, object], shape: Shape) -> Var:
        out = Var(shape=shape, dtype=like.out.dtype)
        self._define(Eqn(out, REGISTRY[name], args, params, span=like.span, origin=like.origin))
        return out

    def _temporary(self, atom: Atom, name: str) -> Eqn | None:
        """Return the equation of an unnamed value, if it is of that primitive."""
        if not isinstance(atom, Var) or atom.stage or atom in self.results:
            return None
        if atom.twin is not None and (atom.twin.stage or atom.twin in self.program.gradients):
            return None
        eqn = self.definition.get(atom)
        return eqn if eqn is not None and eqn.prim.name == name and not eqn.guard else None

    # -- spreading -----------------------------------------------------------------------------------------------------

    def _elementwise(self, eqn: Eqn) -> None:
        spreads = [self._temporary(a, "spread") for a in eqn.args]
        if not any(spreads):
            self._define(eqn)
            return
        others = [a.shape for a, s in zip(eqn.args, spreads, strict=True) if s is None and isinstance(a, Var)]
        first = next(s for s in spreads if s is not None)
        scaling = (
            eqn.prim.name in _SCALING and sum(s is not None for s in spreads) == 1 and not any(others) and (eqn.args[0] is first.out or eqn.prim.name != "div")
        )
        if scaling:
            y = first.args[0]
            inner = self._emit(eqn, eqn.prim.name, tuple(y if a is first.out else a for a in eqn.args), {}, y.shape if isinstance(y, Var) else ())
            self.uses[inner] = 1
            self._define(eqn.replace(prim=first.prim, args=(inner, first.args[1]), params=first.params))
            return
        self._define(eqn)

    # -- sums ----------------------------------------------------------------------------------------------------------

    def _one_sum(self, eqn: Eqn) -> Eqn:
        """Merge a sum over axes of what is a sum already."""
        inner = self._temporary(eqn.args[0], "sum")
        if inner is None or self.uses.get(inner.out, 0) != 1 or inner.params["keepdims"] or eqn.params["keepdims"] or eqn.guard:
            return eqn
        (x,) = inner.args
        if not isinstance(x, Var):
            return eqn
        left = [i for i in range(len(x.shape)) if i not in inner.params["axis"]]
        axis = sorted({*inner.params["axis"], *(left[i] for i in eqn.params["axis"])})
        return eqn.replace(args=(x,), params={"axis": tuple(axis), "keepdims": False})

    def _dropped(self, eqn: Eqn) -> Eqn:
        """Drop the axes that a sum has kept rather than index them."""
        inner = self._temporary(eqn.args[0], "sum")
        index = eqn.params["index"]
        if inner is None or self.uses.get(inner.out, 0) != 1 or not inner.params["keepdims"] or eqn.guard:
            return eqn
        if any(place != (0 if i in inner.params["axis"] else ALL) for i, place in enumerate(index)) or len(index) <= max(inner.params["axis"]):
            return eqn
        return self._one_sum(eqn.replace(prim=inner.prim, args=inner.args, params={"axis": inner.params["axis"], "keepdims": False}))
