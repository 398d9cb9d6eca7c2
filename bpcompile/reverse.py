"""
The reverse pass: from a program to the same program with the equations of its gradient behind it.

This is the only place that accumulates contributions, and the only place that undoes broadcasting. Equations are undone
last to first; each contribution is emitted where it arises, so the first one of a variable starts its adjoint (`=`) and the
others add to it (`+=`). A version of an adjoint is an `add` whose first operand is the version before and whose result has
the same `twin`.
"""

from __future__ import annotations

from functools import cache, reduce

from bpcompile.ir import Atom, Builder, Dim, Eqn, Guard, Lit, Logic, Operand, Output, Param, Program, Shape, Var, beyond, value_of
from bpcompile.primitive import REGISTRY, ZERO, Primitive, Zero


def reverse(program: Program, *, upstream: bool = True, textbook: bool = False, stable: bool = False) -> Program:
    """
    Append the backward pass.

    Args:
        program: A program whose guards are known (`passes.guards`).
        upstream: Whether the gradient of each output is an input (`df`); otherwise it is 1.
        textbook: Whether each contribution is written `local gradient * upstream gradient`, as in lecture notes.
        stable: Whether a textbook's local gradient that loses digits or overflows gives way to the safe one.

    Returns:
        A program with the same outputs, `seeds`, and a `gradients` entry for each input whose gradient is wanted.
    """
    return _Reverse(program, textbook=textbook, stable=stable).run(upstream=upstream)


class _Reverse:
    def __init__(self, program: Program, *, textbook: bool, stable: bool) -> None:
        self.program = program
        self.stable = stable
        self.textbook = textbook
        self.builder = Builder()
        self.adjoint: dict[Var, Atom] = {}
        self.guard: dict[Var, Guard] = {eqn.out: eqn.guard for eqn in program.eqns if eqn.guard}
        self.defined = {eqn.out for eqn in program.eqns}
        self.logic = Logic(program.eqns)
        # In lecture style a line is undone as a whole: a temporary inside it has no adjoint, only the product of the local
        # gradients from the line's result down to it.
        self.inner: set[Var] = _inside_a_line(program) if textbook else set()
        self.local: dict[Var, Operand] = {}

    def run(self, *, upstream: bool) -> Program:
        program = self.program
        active = active_vars(program)
        params = list(program.params)
        seeds: list[Atom] = []
        for output in program.outputs:
            atom = output.atom
            if upstream:
                var = Var(shape=atom.shape, twin=atom if isinstance(atom, Var) else None)
                params.append(Param(f"d{output.name}", var, wrt=False, seed=output.name))
                seeds.append(var)
            elif atom.shape:
                with self.builder:
                    self.builder.origin = atom if isinstance(atom, Var) else None
                    ones = self.builder.emit(REGISTRY["fill_like"], (atom, 1.0))
                ones.twin = self.builder.origin
                seeds.append(ones)
            else:
                seeds.append(Lit(1.0))
        with self.builder:
            self._seed(program.outputs, seeds, active)
            for eqn in reversed(program.eqns):
                if eqn.out in active and eqn.out in self.adjoint:
                    self._undo(eqn, active)
        gradients = {v: self.adjoint.get(v, Lit(0.0)) for p in program.params if p.wrt for v in p.leaves() if v.dtype == "float"}
        for var, atom in gradients.items():
            if isinstance(atom, Lit) and var.shape:
                with self.builder:
                    self.builder.origin, self.builder.guard = var, ()
                    filled = self.builder.emit(REGISTRY["fill_like"], (var, atom.value))
                    filled.twin = var
                    gradients[var] = filled
        eqns = program.eqns + self.builder.eqns
        return Program(params, eqns, program.outputs, program.name, program.source, seeds, gradients, program.notes, program.reference)

    def _seed(self, outputs: list[Output], seeds: list[Atom], active: set[Var]) -> None:
        for output, seed in zip(outputs, seeds, strict=True):
            atom = output.atom
            if not isinstance(atom, Var) or atom not in active:
                continue
            self.builder.origin = atom
            if atom in self.adjoint or atom not in self.defined:
                # The same value twice among the outputs, or an input returned as it is.
                self._contribute(atom, value_of(seed))
            else:
                self.adjoint[atom] = seed

    def _undo(self, eqn: Eqn, active: set[Var]) -> None:
        builder = self.builder
        builder.origin, builder.span = eqn.out, eqn.span
        ct = value_of(self.adjoint[eqn.out])
        outer = self.local.get(eqn.out, 1)
        operands = [value_of(a) for a in eqn.args]
        for i in self._in_order(eqn):
            arg, rule = eqn.args[i], eqn.prim.vjp[i]
            if not isinstance(arg, Var) or isinstance(rule, Zero) or arg not in active:
                continue
            builder.guard = eqn.guard
            inner = self.guard.get(arg, ())
            if eqn.prim.name == "select" and eqn.reads_when(i) in inner and arg.shape == eqn.out.shape:
                # A branch of its own: its adjoint is only ever read where the branch is taken.
                self._contribute(arg, ct if _is_one(outer) else self._chain(outer, ct))
            elif self.textbook and eqn.prim.shape is None:
                rules = None if self.stable and eqn.prim.hazard else eqn.prim.textbook
                local = rules[i](eqn.out, *operands, **eqn.params) if rules else rule(1, eqn.out, *operands, **eqn.params)
                local = local if _is_one(outer) else outer * local
                if arg in self.inner and arg.shape == eqn.out.shape and inner == eqn.guard:
                    self.local[arg], self.adjoint[arg] = local, self.adjoint[eqn.out]
                else:
                    self._contribute(arg, self._chain(local, ct))
            else:
                # What moves or sums elements has no local gradient to write as a factor.
                if not _is_one(outer):
                    ct, outer = self._chain(outer, ct), 1
                self._contribute(arg, rule(ct, eqn.out, *operands, **eqn.params))

    def _in_order(self, eqn: Eqn) -> list[int]:
        """Return the operands in the order of their contributions: temporaries last, which end the use of the upstream gradient."""
        order = list(range(len(eqn.args)))
        if not self.textbook and len(order) > 1:
            order.sort(key=lambda i: isinstance(a := eqn.args[i], Var) and not a.stage and a in self.defined)
        return order

    def _chain(self, local: Operand, ct: Operand) -> Operand:
        """Return local gradient times upstream gradient, as lecture notes write it."""
        if _is_zero(local) or _is_one(ct):
            return local
        return self.builder.emit(REGISTRY["chain"], (local, ct))

    def _contribute(self, var: Var, contribution: Operand) -> None:
        """Add a contribution to the adjoint of `var`."""
        builder = self.builder
        if _is_zero(contribution):
            return
        outer = self.guard.get(var, ())
        # Masked first, then summed: a sum over elements mixes those for which the branch is taken with the others.
        masks = self.logic.tests(beyond(builder.guard, outer))
        for n, (condition, taken) in reversed(list(enumerate(masks))):
            builder.guard = reduce(self.logic.adds, masks[:n], outer)
            branches = (contribution, 0.0) if taken else (0.0, contribution)
            contribution = builder.emit(REGISTRY["select"], (condition, *branches))
        builder.guard = outer
        contribution = self._unbroadcast(contribution, var.shape)
        before = self.adjoint.get(var)
        if before is not None:
            after = builder.emit(REGISTRY["add"], (before, contribution))
        elif isinstance(contribution, Var) and contribution.twin is None and builder.eqns and builder.eqns[-1].out is contribution:
            after = contribution
        elif isinstance(contribution, Var) or not var.shape:
            after = builder.emit(REGISTRY["copy"], (contribution,))
        else:
            after = builder.emit(REGISTRY["fill_like"], (var, contribution))
        after.twin = var
        self.adjoint[var] = after

    def _unbroadcast(self, contribution: Operand, shape: Shape) -> Operand:
        """Sum over the axes along which the operand was broadcast; spread what is the same for every element."""
        if not isinstance(contribution, Var) or contribution.shape == shape:
            return contribution
        wide = contribution.shape
        extra = len(wide) - len(shape)
        if extra:
            contribution = self.builder.emit(REGISTRY["sum"], (contribution,), {"axis": tuple(range(extra)), "keepdims": False})
        ones: list[int] = [axis for axis, (have, want) in enumerate(zip(wide[extra:], shape, strict=True)) if _shrinks(have, want)]
        if ones:
            contribution = self.builder.emit(REGISTRY["sum"], (contribution,), {"axis": tuple(ones), "keepdims": True})
        return contribution


def read_again(program: Program, *, textbook: bool) -> set[Var]:
    """
    Return the values that the backward pass will read: those that have a line of their own in the output.

    Found by asking each rule once, with fresh variables, which of its operands it uses.
    """
    active = active_vars(program)
    found: set[Var] = set()
    for eqn in program.eqns:
        if eqn.out not in active:
            continue
        for i, arg in enumerate(eqn.args):
            if isinstance(arg, Var) and arg in active and eqn.prim.vjp[i] is not ZERO:
                for j in _reads_of(eqn, i) if eqn.prim.shape is not None else _reads(eqn.prim, i, textbook):
                    value = eqn.out if j < 0 else eqn.args[j]
                    if isinstance(value, Var):
                        found.add(value)
    return found


@cache
def _reads(prim: Primitive, operand: int, textbook: bool) -> tuple[int, ...]:  # noqa: FBT001  a key of the cache
    """Return which operands the rule of one operand uses, -1 for the answer."""
    ans, ct = Var(), Var()
    operands = [Var() for _ in range(prim.arity)]
    rules = prim.textbook if textbook and prim.textbook else None
    with Builder() as builder:
        result = rules[operand](ans, *operands) if rules else prim.vjp[operand](ct, ans, *operands)  # type: ignore[operator]  # not ZERO
    used: set[object] = {result} | {a for eqn in builder.eqns for a in eqn.args}
    return tuple([-1] * (ans in used) + [j for j, v in enumerate(operands) if v in used])


def _reads_of(eqn: Eqn, operand: int) -> tuple[int, ...]:
    """Return what the rule of a structural operation uses, -1 for the answer; it depends on shapes and parameters."""
    ans, ct = Var(shape=eqn.out.shape), Var(shape=eqn.out.shape)
    operands = [a.value if isinstance(a, Lit) else Var(shape=a.shape, dtype=a.dtype) for a in eqn.args]
    with Builder() as builder:
        result = eqn.prim.vjp[operand](ct, ans, *operands, **eqn.params)  # type: ignore[operator]  # not ZERO
    used: set[object] = {result} | {a for e in builder.eqns for k, a in enumerate(e.args) if k not in e.prim.shape_only}
    return tuple([-1] * (ans in used) + [j for j, v in enumerate(operands) if isinstance(v, Var) and v in used])


def active_vars(program: Program) -> set[Var]:
    """Return the variables that depend on an input whose gradient is wanted."""
    active = {v for p in program.params if p.wrt for v in p.leaves() if v.dtype == "float"}
    for eqn in program.eqns:
        if eqn.out.dtype == "float" and any(arg in active for arg in eqn.args if isinstance(arg, Var)):
            active.add(eqn.out)
    return active


def _inside_a_line(program: Program) -> set[Var]:
    """Return the temporaries that one equation alone reads, once."""
    uses: dict[Var, int] = {}
    for eqn in program.eqns:
        for arg in eqn.args:
            if isinstance(arg, Var):
                uses[arg] = uses.get(arg, 0) + 1
    results = set(program.results())
    return {eqn.out for eqn in program.eqns if uses.get(eqn.out) == 1 and not eqn.out.stage and eqn.out not in results}


def _shrinks(have: Dim, want: Dim) -> bool:
    return want == 1 and have != 1


def _is_one(value: object) -> bool:
    return isinstance(value, int | float) and value == 1


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and value == 0
