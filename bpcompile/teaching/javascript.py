"""
Print a scalar program with its backward pass as plain JavaScript: what lets a page recompute itself.

The statements come from the same equations as the emitted Python, with the same names and the same order of operations; the
printed forms are JavaScript's. Where the language has no such function, the page stays as it was printed.

>>> from bpcompile.compiler import compile_gradient
>>> from bpcompile.teaching.worked import work
>>> worked = work(compile_gradient("x = 3\\ny = 4\\nf = x * y", layout="script", style="notes", check="off"))
>>> print(function(worked))
function backprop([x, y]) {
  // forward pass
  const f = x * y;
  // backward pass
  const dx = y;
  const dy = x;
  return {
    values: [x, y, f],
    gradients: [dx, dy, 1.0],
    locals: [y, x],
  };
}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bpcompile.forms import Form, Prec, call, infix, pattern
from bpcompile.ir import Atom, Builder, Eqn, Lit, Operand, Var
from bpcompile.printer import Text, show
from bpcompile.teaching.worked import Gate, Wire, Worked, local_derivative

_NAME: Final = re.compile(r"[^\W\d]\w*\Z")
_RESERVED: Final = frozenset(
    """
    arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if
    implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof
    undefined var void while with yield Math NaN Infinity backprop
    """.split(),
)
_LONGEST: Final = 88

_FORMS: Final[dict[str, Form]] = {
    "add": infix("+", Prec.ARITH),
    "sub": infix("-", Prec.ARITH),
    "mul": infix("*", Prec.TERM),
    "chain": infix("*", Prec.TERM),
    "div": infix("/", Prec.TERM),
    "neg": pattern("-{0}", Prec.FACTOR, Prec.ATOM),
    "pow": call("Math.pow"),
    "powr": call("Math.pow"),
    "exp2": pattern("Math.pow(2, {0})", Prec.ATOM, Prec.TEST),
    "copy": pattern("{0}", Prec.ATOM, Prec.ATOM),
    "select": pattern("{0} ? {1} : {2}", Prec.TEST, Prec.OR, Prec.OR, Prec.OR),
    "relu": pattern("Math.max({0}, 0)", Prec.ATOM, Prec.TEST),
    "clip": pattern("Math.min(Math.max({0}, {1}), {2})", Prec.ATOM, Prec.TEST, Prec.TEST, Prec.TEST),
    "fmod": infix("%", Prec.TERM),
    "lt": infix("<", Prec.CMP),
    "le": infix("<=", Prec.CMP),
    "gt": infix(">", Prec.CMP),
    "ge": infix(">=", Prec.CMP),
    "eq": infix("===", Prec.CMP),
    "ne": infix("!==", Prec.CMP),
    "and": infix("&&", Prec.AND),
    "or": infix("||", Prec.OR),
    "not": pattern("!({0})", Prec.FACTOR, Prec.TEST),
    "sec": pattern("1.0 / Math.cos({0})", Prec.TERM, Prec.TEST),
    "csc": pattern("1.0 / Math.sin({0})", Prec.TERM, Prec.TEST),
    "cot": pattern("1.0 / Math.tan({0})", Prec.TERM, Prec.TEST),
    "sech": pattern("1.0 / Math.cosh({0})", Prec.TERM, Prec.TEST),
    "csch": pattern("1.0 / Math.sinh({0})", Prec.TERM, Prec.TEST),
    "coth": pattern("1.0 / Math.tanh({0})", Prec.TERM, Prec.TEST),
    "sigmoid": pattern("1.0 / (1.0 + Math.exp(-{0}))", Prec.TERM, Prec.FACTOR),
    "cosigmoid": pattern("1.0 / (1.0 + Math.exp({0}))", Prec.TERM, Prec.TEST),
    "sign": call("Math.sign"),
} | {
    name: call(f"Math.{name}")
    for name in (
        "exp expm1 log log1p log2 log10 sqrt cbrt hypot sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh max min abs floor ceil trunc"
    ).split()
}


class UnprintableError(Exception):
    """JavaScript has no such function."""


def function(worked: Worked) -> str:
    """
    Return a function `backprop(inputs)` that computes the values and gradients of all wires, and all local derivatives.

    Args:
        worked: The program; `values` and `gradients` are in the order of its wires, `locals` in that of its contributions.

    Raises:
        UnprintableError: The program has arrays, or a function that JavaScript lacks.
    """
    if worked.has_arrays:
        raise UnprintableError("arrays")
    return _Function(worked).text()


class _Function:
    def __init__(self, worked: Worked) -> None:
        self.worked = worked
        self.env: dict[Var, Text] = {}
        self.taken: set[str] = set(_RESERVED)
        self.lines: list[str] = []
        self.program = worked.joint
        self.uses: dict[Var, int] = {}
        self.grown: set[Var] = set()

    def text(self) -> str:
        worked, names, adjoints = self.worked, self.worked.detail.names, self.worked.detail.adjoints
        for wire in worked.inputs:
            self.env[wire.var] = Text(self._claim(re.sub(r"\W+", "_", names[wire.var]).strip("_")))
        inputs = ", ".join(self.env[w.var].text for w in worked.inputs)
        locals_ = [self._local(gate, i) for gate in worked.gates for i in gate.places]
        self._count([eqn for _, eqns in locals_ for eqn in eqns], [result for result, _ in locals_])
        was_forward = True
        self.lines.append("// forward pass")
        for eqn in self.program.eqns:
            if was_forward and eqn.origin is not None:
                self.lines.append("// backward pass")
                was_forward = False
            wanted = names.get(eqn.out) if eqn.out.twin is None else adjoints.get(eqn.out.twin)
            self._statement(eqn, re.sub(r"\W+", "_", wanted).strip("_") if wanted else None)
        for _, eqns in locals_:
            for eqn in eqns:
                self._statement(eqn, None)
        values = ", ".join(self._read(w.var) for w in worked.wires)
        gradients = ", ".join(self._gradient(w) for w in worked.wires)
        local = ", ".join(self._read(result) for result, _ in locals_)
        body = "\n".join(f"  {line}" for line in self.lines)
        result = f"    values: [{values}],\n    gradients: [{gradients}],\n    locals: [{local}],"
        return f"function backprop([{inputs}]) {{\n{body}\n  return {{\n{result}\n  }};\n}}"

    def _local(self, gate: Gate, i: int) -> tuple[Operand, list[Eqn]]:
        operands = [o.var if isinstance(o, Wire) else o for o in gate.operands]
        with Builder() as builder:
            result = local_derivative(gate.primitive, i, gate.out.var, operands, gate.eqn.params)
        return result, builder.eqns

    def _count(self, more: Sequence[Eqn], results: Sequence[Any]) -> None:
        """Find what is read more than once, and which adjoints grow."""
        read = [a for eqn in (*self.program.eqns, *more) for a in eqn.args]
        read += [*results, *(w.var for w in self.worked.wires), *self.program.gradients.values()]
        for atom in read:
            if isinstance(atom, Var):
                self.uses[atom] = self.uses.get(atom, 0) + 1
        for eqn in self.program.eqns:
            before = eqn.adds_to()
            if before is not None:
                self.grown.add(before)

    def _claim(self, wanted: str) -> str:
        name = wanted
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _statement(self, eqn: Eqn, wanted: str | None) -> None:
        form = _FORMS.get(eqn.prim.name)
        if form is None:
            raise UnprintableError(eqn.prim.name)
        before = eqn.adds_to()
        if before is not None and before in self.env:
            name = self.env[before].text
            sign = "+=" if eqn.prim.name == "add" else "-="
            self.lines.append(f"{name} {sign} {self._text(eqn.args[1]).text};")
            self.env[eqn.out] = Text(name)
            return
        # Not by its own name: the printer knows short forms that are Python's.
        text = show(f"js {eqn.prim.name}", form, [self._text(a) for a in eqn.args])
        if eqn.prim.name == "copy":
            text = self._text(eqn.args[0])
        if wanted is None and self.uses.get(eqn.out, 0) <= 1 and len(text.text) < _LONGEST and eqn.out not in self.grown:
            self.env[eqn.out] = text
            return
        name = self._claim(wanted or "t")
        self.lines.append(f"{'let' if eqn.out in self.grown else 'const'} {name} = {text.text};")
        self.env[eqn.out] = Text(name)

    def _text(self, atom: Atom) -> Text:
        if isinstance(atom, Var):
            return self.env[atom]
        return _number(atom.value)

    def _read(self, value: Any) -> str:
        if isinstance(value, Var):
            return self.env[value].text
        return _number(value.value if isinstance(value, Lit) else value).text

    def _gradient(self, wire: Wire) -> str:
        """Return how the final gradient of a wire is read."""
        if wire.gradient is None:
            return "null"
        last = self.final.get(wire.var)
        return _number(float(wire.gradient)).text if last is None else self._read(last)

    @property
    def final(self) -> Mapping[Var, Atom]:
        """The last version of each adjoint."""
        found: dict[Var, Atom] = dict(self.program.gradients)
        for eqn in self.program.eqns:
            if eqn.out.twin is not None and eqn.out.twin not in self.program.gradients:
                found[eqn.out.twin] = eqn.out
        return found


def _number(value: float) -> Text:
    if isinstance(value, bool):
        return Text("true" if value else "false")
    if value != value:  # noqa: PLR0124  nan
        return Text("NaN")
    if value in (float("inf"), float("-inf")):
        return Text("Infinity" if value > 0 else "-Infinity", Prec.ATOM if value > 0 else Prec.FACTOR)
    text = repr(value)
    return Text(text, Prec.FACTOR if text.startswith("-") else Prec.ATOM)
