"""
Subtract the largest element before exponentials are added up, where that changes nothing.

Before::

    e = exp s
    t = sum e axis=(1,) keepdims=True
    p = div e t

After::

    m = peak s axis=(1,) keepdims=True
    d = sub s m
    e = exp d
    t = sum e axis=(1,) keepdims=True
    p = div e t

The quotient of an exponential and the sum of its own slice does not depend on a shift of the slice, nor does the logarithm of the
sum once the shift is added again. So the exponential can't overflow, and the shift carries no gradient: not in a maximum that
the user subtracts either, whose contributions cancel.
"""

from __future__ import annotations

from bpcompile.ir import Eqn, Program, Var
from bpcompile.ops.array import ALL
from bpcompile.primitive import REGISTRY

_NOTE = "exp cannot overflow"


def shift_exponentials(program: Program) -> Program:
    """Return the program with softmax and logsumexp safe, written as they may be."""
    if not any(eqn.prim.name == "exp" and eqn.out.shape for eqn in program.eqns):
        return program
    search = _Search(program)
    before: dict[Eqn, list[Eqn]] = {}
    becomes: dict[Eqn, list[Eqn]] = {}
    for eqn in program.eqns:
        total = search.total_of(eqn)
        if total is None:
            continue
        known = search.maximum_in(eqn, total)
        if known is not None:
            if search.only_reader(known.out):
                becomes[known] = [known.replace(prim=REGISTRY["peak"])]
            continue
        axis, keepdims = total.params["axis"], len(total.params["axis"]) < len(eqn.out.shape)
        s = eqn.args[0]
        peak = Var(shape=tuple(1 if i in axis else n for i, n in enumerate(eqn.out.shape)) if keepdims else ())
        shifted = Var(shape=eqn.out.shape)
        before[eqn] = [
            eqn.replace(out=peak, prim=REGISTRY["peak"], params={"axis": axis, "keepdims": keepdims}),
            eqn.replace(out=shifted, prim=REGISTRY["sub"], args=(s, peak)),
        ]
        becomes[eqn] = [eqn.replace(args=(shifted,), note=_NOTE)]
        for reader in search.readers.get(total.out, []):
            if reader.prim.name == "log":
                becomes[reader] = _shifted_back(reader, peak, axis)
    if not becomes:
        return program
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        eqns += [*before.get(eqn, []), *becomes.get(eqn, [eqn])]
    return program.with_eqns(eqns)


def _shifted_back(logarithm: Eqn, peak: Var, axis: tuple[int, ...]) -> list[Eqn]:
    inner = Var(shape=logarithm.out.shape)
    made = [logarithm.replace(out=inner)]
    back = peak
    if peak.shape != inner.shape:
        back = Var(shape=inner.shape)
        index = tuple(0 if i in axis else ALL for i in range(len(peak.shape)))
        made.append(logarithm.replace(out=back, prim=REGISTRY["getitem"], args=(peak,), params={"index": index}))
    return [*made, logarithm.replace(prim=REGISTRY["add"], args=(back, inner))]


class _Search:
    """Finds exponentials whose shift cancels."""

    def __init__(self, program: Program) -> None:
        self.definition = {eqn.out: eqn for eqn in program.eqns}
        self.results = {atom for atom in program.results() if isinstance(atom, Var)}
        self.readers: dict[Var, list[Eqn]] = {}
        for eqn in program.eqns:
            for arg in dict.fromkeys(a for a in eqn.args if isinstance(a, Var)):
                self.readers.setdefault(arg, []).append(eqn)

    def only_reader(self, var: Var) -> bool:
        """Whether one equation alone reads a value, and no caller sees it."""
        return var not in self.results and len(self.readers.get(var, [])) == 1

    def total_of(self, eqn: Eqn) -> Eqn | None:
        """Return the sum that an exponential is part of, if nothing can tell by how much the exponential was shifted."""
        e = eqn.out
        if eqn.prim.name != "exp" or not e.shape or e in self.results or eqn.guard or not isinstance(eqn.args[0], Var) or eqn.args[0].shape != e.shape:
            return None
        sums = [r for r in self.readers.get(e, []) if r.prim.name == "sum"]
        if len(sums) != 1 or sums[0].out in self.results or sums[0].guard:
            return None
        total = sums[0]
        aligned = self._aligned(total, len(e.shape))
        if aligned is None:
            return None
        quotients = [r for r in self.readers[e] if r is not total]
        if any(q.prim.name != "div" or q.args[0] is not e or q.args[1] not in aligned or q.guard for q in quotients):
            return None
        for var in {total.out, *aligned}:
            for reader in self.readers.get(var, []):
                fits = reader in quotients or reader.out in aligned or (reader.prim.name == "log" and var is total.out and not reader.guard)
                if not fits:
                    return None
        return total

    def _aligned(self, total: Eqn, axes: int) -> set[Var] | None:
        """Return the forms of a sum that stand beside its own slices in a quotient."""
        axis = total.params["axis"]
        found = {total.out} if total.params["keepdims"] or len(axis) == axes else set()
        for reader in self.readers.get(total.out, []):
            if reader.prim.name == "getitem" and not total.params["keepdims"] and not reader.guard:
                index = list(reader.params["index"])
                index += [ALL] * (axes - len(index))
                if all(place is None if i in axis else place == ALL for i, place in enumerate(index)) and len(index) == axes:
                    found.add(reader.out)
        return None if found & self.results else found

    def maximum_in(self, eqn: Eqn, total: Eqn) -> Eqn | None:
        """Return the maximum that the user subtracts already, constant over each slice of the sum."""
        shifted = self.definition.get(eqn.args[0])  # type: ignore[arg-type]  # a variable, by `total_of`
        if shifted is None or shifted.prim.name != "sub" or not all(isinstance(a, Var) for a in shifted.args):
            return None
        x, m = shifted.args
        known = self.definition.get(m)  # type: ignore[arg-type]
        if known is None or known.prim.name != "amax" or known.args[0] is not x or known.guard or not self.only_reader(shifted.out):
            return None
        axis = known.params["axis"]
        whole = len(axis) == len(eqn.out.shape)
        return known if set(axis) >= set(total.params["axis"]) and (known.params["keepdims"] or whole) else None
