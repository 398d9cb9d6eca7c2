"""
Multiply inside a choice between numbers, for targets whose choices have a type of their own.

Before::

    t0 = select c 1.0 0.0
    dx = chain t0 dm

After::

    dx = select c dm 0.0

`np.where(c, 1.0, 0.0)` is an array of float64, whatever the type of the gradient it multiplies; float32 would be lost.
"""

from __future__ import annotations

from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.primitive import REGISTRY


def multiply_inside(program: Program) -> Program:
    """Return the program without products of a choice between numbers."""
    definition: dict[Var, Eqn] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        if eqn.prim.name == "chain" and isinstance(eqn.args[0], Var) and _is_choice(eqn.args[0], definition):
            made: list[Eqn] = []
            value = _times(eqn.args[0], eqn.args[1], eqn, definition, made)
            if made and made[-1].out is value:
                eqns += made[:-1]
                eqns.append(made[-1].replace(out=eqn.out))
            else:
                eqns.append(eqn.replace(prim=REGISTRY["copy"], args=(value,)))
        else:
            eqns.append(eqn)
        definition[eqn.out] = eqn
    return program.with_eqns(eqns)


def _is_choice(atom: Atom, definition: dict[Var, Eqn]) -> bool:
    """Whether a value is a number, or a choice between such values."""
    stack = [atom]
    while stack:
        here = stack.pop()
        if isinstance(here, Lit):
            continue
        eqn = definition.get(here)
        if eqn is None or eqn.prim.name != "select":
            return False
        stack += eqn.args[1:]
    return True


def _times(choice: Atom, factor: Atom, like: Eqn, definition: dict[Var, Eqn], made: list[Eqn]) -> Atom:
    """Emit choice * factor with the product in each branch; the depth is that of one rule of the table."""
    if isinstance(choice, Lit):
        if choice.value == 0:
            return Lit(0.0)
        if choice.value == 1:
            return factor
        negative = choice.value == -1
        return _emit("neg" if negative else "mul", (factor,) if negative else (choice, factor), like, made)
    condition, yes, no = definition[choice].args
    return _emit("select", (condition, _times(yes, factor, like, definition, made), _times(no, factor, like, definition, made)), like, made)


def _emit(name: str, args: tuple[Atom, ...], like: Eqn, made: list[Eqn]) -> Var:
    out = Var(shape=like.out.shape)
    made.append(Eqn(out, REGISTRY[name], args, span=like.span, origin=like.origin, guard=like.guard))
    return out


def keep_type(program: Program) -> Program:
    """
    Return the program with choices between two numbers made in the type of what is compared.

    Before::

        c = eq x 0.0
        t = select c 0.0 nan

    After::

        c = eq x 0.0
        t0 = fill_like x nan
        t = select c 0.0 t0
    """
    definition = {eqn.out: eqn for eqn in program.eqns}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        if eqn.prim.name == "select" and eqn.out.dtype == "float" and isinstance(eqn.args[1], Lit) and isinstance(eqn.args[2], Lit):
            compared = _compared(eqn.args[0], definition)
            if compared is not None and compared.shape == eqn.out.shape:
                filled = Var(shape=compared.shape)
                eqns.append(eqn.replace(out=filled, prim=REGISTRY["fill_like"], args=(compared, eqn.args[2])))
                eqns.append(eqn.replace(args=(*eqn.args[:2], filled)))
                continue
        eqns.append(eqn)
    return program.with_eqns(eqns)


def spread_constants(program: Program) -> Program:
    """
    Return the program with each result in the shape of the inputs, whether it depends on them or not.

    Before, where no input has a shape of its own, so that all of them are arrays of one shape::

        return f = 2.0

    After::

        t0 = fill_like x 2.0
        return f = t0
    """
    inputs = [v for v in program.inputs() if v.dtype == "float"]
    spread: set[Atom] = set(program.inputs())
    for eqn in program.eqns:
        if any(arg in spread for arg in eqn.args):
            spread.add(eqn.out)
    split = next((i for i, eqn in enumerate(program.eqns) if eqn.origin is not None), len(program.eqns))
    result = program.with_eqns(list(program.eqns))
    made = []
    for output in result.outputs:
        if output.atom not in spread and inputs:
            constant = output.atom
            filled = Var(name=output.name, stage=True)
            made.append(Eqn(filled, REGISTRY["fill_like"], (inputs[0], constant)))
            if isinstance(constant, Var):
                constant.name, constant.stage = None, False
            output.atom = filled
    result.eqns[split:split] = made
    return result


def _compared(condition: Atom, definition: dict[Var, Eqn]) -> Var | None:
    """Return the first float that a condition looks at."""
    stack = [condition]
    while stack:
        atom = stack.pop()
        if isinstance(atom, Var):
            if atom.dtype == "float":
                return atom
            eqn = definition.get(atom)
            if eqn is not None:
                stack += eqn.args[::-1]
    return None
