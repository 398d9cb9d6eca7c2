"""
The invariants of a program, checked after every pass.

A pass that breaks one of them is a bug of the compiler, so the answer is not a diagnostic but `IllFormed`, with the text of
the equation. The check is one walk over the equations, cheap enough to be left on.

>>> from bpcompile.ir import Output, Param, Program, Var
>>> x = Var(name="x")
>>> check(Program([Param("x", x)], [], [Output("f", x)]))
>>> check(Program([Param("x", x)], [], [Output("f", Var(name="lost"))]))
Traceback (most recent call last):
    ...
bpcompile.wellformed.IllFormed: output `f`: `lost` is not defined
"""

from __future__ import annotations

from typing import Final

from bpcompile.ir import Atom, Eqn, Guard, Lit, Logic, Program, Shape, Var, broadcast, implies, show_shape

#: For each operation that takes conditions, which operands they are; None for all of them.
_CONDITIONS: Final[dict[str, tuple[int, ...] | None]] = {"select": (0,), "and": None, "or": None, "not": None}
#: Operations that pass a condition on as it is.
_TRANSPARENT: Final = frozenset({"copy", "eq", "ne"})


class IllFormed(AssertionError):  # noqa: N818  an assertion of the compiler about itself, not an error of a user
    """A program breaks an invariant: a bug in the pass that made it."""


def check(program: Program) -> None:
    """
    Check single assignment, definition before use, shapes, conditions and guards.

    Args:
        program: A program, before or after the reverse pass.

    Raises:
        IllFormed: An invariant does not hold; the message names the equation.
    """
    defined: set[Var] = set()
    for param in program.params:
        for var in param.leaves():
            if var in defined:
                msg = f"parameter `{param.name}`: `{var!r}` is a parameter twice"
                raise IllFormed(msg)
            defined.add(var)
    conditions = _CONDITIONS
    guards: set[Guard] = {()}
    for eqn in program.eqns:
        shape: Shape | None = ()
        for arg in eqn.args:
            if type(arg) is Var:
                if arg not in defined:
                    raise _ill(eqn, f"`{arg!r}` is used before it is defined")
                if arg.shape:
                    shape = None
                if arg.dtype == "bool":
                    _check_condition_use(eqn, arg)
            elif type(arg) is not Lit:
                raise _ill(eqn, f"operand {arg!r} is neither a variable nor a literal")
        out = eqn.out
        prim = eqn.prim
        if out in defined:
            raise _ill(eqn, f"`{out!r}` is defined twice")
        if not prim.variadic and len(eqn.args) != prim.arity:
            raise _ill(eqn, f"{len(eqn.args)} operands for {prim.arity}")
        if shape is None or prim.shape is not None or out.shape:
            _check_shape(eqn)
        if out.dtype != prim.result and not prim.passes and not _passes_condition(eqn):
            raise _ill(eqn, f"the result is {prim.result}, its variable is {out.dtype}")
        if prim.name in conditions:
            _check_conditions(eqn)
        if eqn.guard not in guards:
            _check_guard(eqn, defined)
            guards.add(eqn.guard)
        defined.add(out)
    _check_results(program, defined)


def _ill(eqn: Eqn, reason: str) -> IllFormed:
    return IllFormed(f"equation `{eqn!r}`: {reason}")


def _passes_condition(eqn: Eqn) -> bool:
    """Whether the result is a condition because an operand is one (`copy`, `select` between conditions)."""
    return eqn.prim.name in {"copy", "select"} and any(isinstance(a, Var) and a.dtype == eqn.out.dtype for a in eqn.args[-2:])


def _check_condition_use(eqn: Eqn, arg: Var) -> None:
    name = eqn.prim.name
    if name in _TRANSPARENT or eqn.prim.passes or (name == "select" and eqn.out.dtype == "bool"):
        return
    places = _CONDITIONS.get(name, ())
    if places is not None and any(a is arg and i not in places for i, a in enumerate(eqn.args)):
        raise _ill(eqn, f"condition `{arg!r}` is used as a number")


def _check_conditions(eqn: Eqn) -> None:
    places = _CONDITIONS[eqn.prim.name]
    for i, arg in enumerate(eqn.args):
        if (places is None or i in places) and not (arg.dtype == "bool" if isinstance(arg, Var) else isinstance(arg.value, bool)):
            raise _ill(eqn, f"`{arg!r}` is used as a condition")


def _check_shape(eqn: Eqn) -> None:
    try:
        if eqn.prim.shape is not None:
            want: Shape = eqn.prim.shape(*[a.shape for a in eqn.args], **eqn.params)
        else:
            want = broadcast(*[a.shape for a in eqn.args])
    except ValueError as error:
        raise _ill(eqn, str(error)) from error
    if want != eqn.out.shape:
        raise _ill(eqn, f"the operands give shape {show_shape(want)}, the result has {show_shape(eqn.out.shape)}")


def _check_guard(eqn: Eqn, defined: set[Var]) -> None:
    for condition, _ in eqn.guard:
        if condition not in defined:
            raise _ill(eqn, f"its guard `{condition!r}` is not defined before it")
        if condition.dtype != "bool":
            raise _ill(eqn, f"its guard `{condition!r}` is not a condition")


def check_guards(program: Program) -> None:
    """
    Check that what an equation reads is there wherever the equation is needed.

    Args:
        program: A program whose guards have just been found.

    Raises:
        IllFormed: An operand is computed in fewer cases than its reader; the message names the reader.
    """
    if not any(eqn.guard for eqn in program.eqns):
        return
    logic = Logic(program.eqns)
    guards = {eqn.out: eqn.guard for eqn in program.eqns if eqn.guard}
    for eqn in program.eqns:
        for i, arg in enumerate(eqn.args):
            if isinstance(arg, Var) and arg in guards:
                case = eqn.reads_when(i)
                if not implies(eqn.guard if case is None else logic.adds(eqn.guard, case), guards[arg]):
                    raise _ill(eqn, f"operand {i} is computed in fewer cases")
        for n, (condition, _) in enumerate(eqn.guard):
            if not implies(eqn.guard[:n], guards.get(condition, ())):
                raise _ill(eqn, f"its guard `{condition!r}` is tested where it is not known")
    for atom in program.results():
        if isinstance(atom, Var) and atom in guards:
            msg = f"result `{atom!r}` is computed in some cases only"
            raise IllFormed(msg)


def _check_results(program: Program, defined: set[Var]) -> None:
    def require(atom: Atom, role: str) -> None:
        if isinstance(atom, Var) and atom not in defined:
            msg = f"{role}: `{atom!r}` is not defined"
            raise IllFormed(msg)

    for output in program.outputs:
        require(output.atom, f"output `{output.name}`")
    for seed in program.seeds:
        require(seed, "upstream gradient")
    inputs = set(program.inputs())
    for var, atom in program.gradients.items():
        if var not in inputs:
            msg = f"gradient of `{var!r}`, which is no input"
            raise IllFormed(msg)
        require(atom, f"gradient of `{var!r}`")
        if isinstance(atom, Var) and atom.shape != var.shape:
            msg = f"gradient of `{var!r}` has shape {show_shape(atom.shape)}, the input has {show_shape(var.shape)}"
            raise IllFormed(msg)
