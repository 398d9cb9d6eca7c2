"""
A worked example: a compiled program at a point, gate by gate, with every number that a teacher would write on the board.

All that is printed (pictures, pages, worksheets, notebooks) prints this model, and every value and gradient in it comes from
running emitted code. The program is emitted a second time with a statement for each gate, which gives the numbers on the wires
that the first text does not name; where both name a value they must agree.

>>> from bpcompile.compiler import compile_gradient
>>> compiled = compile_gradient("x = 3\\ny = -4\\nf = x * y + x", layout="script", style="notes", check="off")
>>> worked = work(compiled)
>>> [(wire.name, wire.value, wire.gradient) for wire in worked.inputs]
[('x', 3, -3), ('y', -4, 3)]
"""

from __future__ import annotations

import ast
import functools
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpcompile.compiler import Compiled, every_gate
from bpcompile.diagnostics import error
from bpcompile.emit import Emitted, Line
from bpcompile.forms import Form
from bpcompile.ir import Builder, Eqn, Lit, Operand, Param, Program, Tree, Var, leaves
from bpcompile.messages import LANGUAGES, say
from bpcompile.primitive import Primitive, Zero
from bpcompile.reverse import active_vars
from bpcompile.teaching import formula
from bpcompile.teaching.formula import Formula

#: Two runs of the same operations in another order differ by rounding; four digits are shown.
_ROUNDING: Final = 1e-6
#: The line between the example values and the program, in any language.
_MARK: Final = re.compile(rf"^# (?:{'|'.join(say(lang, 'code.forward') for lang in LANGUAGES)})$", re.MULTILINE)
_SIGNS: Final = {"*": "∗", "-": "−", "**": "^", "%": "mod"}
_EXPONENT: Final = str.maketrans("0123456789-.", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻·")


@dataclass(eq=False, slots=True)
class Wire:
    """
    A value of the program: one wire of the circuit.

    Attributes:
        name: As the emitted code calls it; for a part of a line, as the code with a line for each gate calls it.
        named: Whether the emitted code has that name.
        value: What the emitted code computes.
        gradient: The gradient that the emitted code computes; None where none flows (a condition, a constant).
        adjoint: The name of the gradient in the emitted code, if it has one.
        readers: The gates that read it, once for each operand.
        maker: The gate that computes it; None for an input.
    """

    var: Var
    name: str
    named: bool
    value: Any
    gradient: Any
    adjoint: str = ""
    readers: list[Gate] = field(default_factory=list)
    maker: Gate | None = None
    is_output: bool = False

    @property
    def is_array(self) -> bool:
        """Whether its shape says more than its number."""
        return bool(self.var.shape) or np.ndim(self.value) > 0

    @property
    def symbol(self) -> Formula:
        """Its name, typeset."""
        return formula.name(self.name)


@dataclass(eq=False, slots=True)
class Contribution:
    """
    What flows back through one operand of a gate.

    Attributes:
        wire: The operand.
        place: Which operand it is.
        local: The local derivative, typeset; None where the gate moves elements about and has none.
        local_value: The same as a number.
        product: Local derivative times upstream gradient.
    """

    wire: Wire
    place: int
    local: Formula | None
    local_value: float | None
    product: float | None


@dataclass(eq=False, slots=True)
class Gate:
    """One operation: its operands (wires, or literal numbers), its result, its line of code, and what flows back through it."""

    eqn: Eqn
    operands: list[Wire | float]
    out: Wire
    code: str
    contributions: list[Contribution] = field(default_factory=list)

    @property
    def places(self) -> list[int]:
        """The operands that the contributions belong to."""
        return [c.place for c in self.contributions]

    @property
    def primitive(self) -> Primitive:
        """The entry of the table."""
        return self.eqn.prim

    @property
    def wires(self) -> list[Wire]:
        """The operands that are no literals."""
        return [o for o in self.operands if isinstance(o, Wire)]

    @property
    def label(self) -> str:
        """What the gate shows in a circuit."""
        return _label(self.primitive, self.operands)

    @property
    def formula(self) -> Formula:
        """The operation on the names of its operands, typeset."""
        return formula.operation(self.eqn, [o.symbol if isinstance(o, Wire) else formula.number(o) for o in self.operands])


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of the emitted file: its number, counted from 1, its text, and the same without the comment behind it."""

    number: int
    text: str
    code: str


@dataclass(eq=False, slots=True)
class Stage:
    """A line of the forward pass: the gates in it, and the lines that undo it."""

    out: Wire
    number: int | None
    gates: list[Gate]
    formula: Formula
    forward: Statement
    backward: list[Statement] = field(default_factory=list)

    @property
    def inputs(self) -> list[Wire]:
        """The wires that enter it, each once, in the order of use."""
        inside = {gate.out for gate in self.gates}
        return list(dict.fromkeys(w for gate in self.gates for w in gate.wires if w not in inside))


@dataclass(frozen=True, slots=True)
class Difference:
    """A finite difference beside the gradient that it should equal."""

    wire: Wire
    measured: float
    computed: float

    @property
    def agrees(self) -> bool:
        """Whether they agree as far as differences can tell."""
        return math.isclose(self.measured, self.computed, rel_tol=1e-5, abs_tol=1e-7)


@dataclass(eq=False)
class Worked:
    """
    A program at a point.

    Attributes:
        compiled: What was compiled, as a script.
        name: The outputs and inputs: `f(x, y)`.
        inputs: The input wires, in order.
        gates: Every gate, in the order of evaluation.
        stages: Every line of the forward pass, in order.
        outputs: The output wires.
        backward: The lines of the backward pass, with the comment lines between them.
        detail: The code with a line for each gate.
        joint: The program that it was printed from.
    """

    compiled: Compiled
    name: str
    inputs: list[Wire]
    gates: list[Gate]
    stages: list[Stage]
    outputs: list[Wire]
    backward: list[Statement]
    detail: Emitted
    joint: Program

    @property
    def wires(self) -> list[Wire]:
        """Every wire that some gate reads or that is an output."""
        return [w for w in [*self.inputs, *(g.out for g in self.gates)] if w.readers or w.is_output]

    @property
    def has_arrays(self) -> bool:
        """Whether shapes take the place of numbers."""
        return any(w.is_array for w in self.wires)

    @functools.cached_property
    def differences(self) -> list[Difference]:
        """Central differences of the emitted forward pass, one an input; of an array along one direction."""
        return [_difference(self, wire) for wire in self.inputs if wire.gradient is not None]


def work(compiled: Compiled) -> Worked:
    """
    Work a compiled program at its example point.

    Args:
        compiled: Compiled with `layout="script"`, whose text holds the example values.

    Raises:
        CompileError: E020 the point lies outside the domain of the program; E025 rounding alone decides its numbers.
    """
    if compiled.emitted.layout != "script":
        msg = "a worked example needs layout `script`"
        raise ValueError(msg)
    detail, joint = every_gate(compiled)
    space = run(detail.text)
    page = run(compiled.source)
    emitted = compiled.emitted
    program = compiled.stages
    active = active_vars(program)
    outputs = {o.atom for o in program.outputs if isinstance(o.atom, Var)}
    _check_agreement(emitted, page, space, detail)

    def wire(var: Var) -> Wire:
        label = emitted.names.get(var) or detail.names.get(var, "")
        value = _read(detail.names[var], space)
        gradient = None
        if var in detail.adjoints and var in active:
            gradient = _read(detail.adjoints[var], space)
        elif var in outputs and var in active:
            gradient = np.ones(np.shape(value)) if np.ndim(value) else 1.0
        return Wire(var, label, var in emitted.names, value, gradient, emitted.adjoints.get(var, ""), is_output=var in outputs)

    code = {line.stage: line.code for line in detail.forward}
    wires: dict[Var, Wire] = {v: wire(v) for p in compiled.emitted.params for v in p[0].leaves()}
    gates = []
    for eqn in program.eqns:
        if eqn.out not in detail.names:
            continue  # no output needs it
        operands = [a.value if isinstance(a, Lit) else wires[a] for a in eqn.args]
        out = wires[eqn.out] = wire(eqn.out)
        gate = Gate(eqn, operands, out, code.get(eqn.out, out.name))
        out.maker = gate
        for operand in gate.wires:
            operand.readers.append(gate)
        gates.append(gate)
    for gate in gates:
        gate.contributions = _contributions(gate, active)
    lines = _statements(compiled)
    stages = _stages(compiled, gates, wires, lines)
    backward = [lines[id(line)] for line in emitted.backward if id(line) in lines]
    header = f"{', '.join(emitted.outputs)}({', '.join(n for _, n in emitted.params)})"
    inputs = [wires[v] for p, _ in emitted.params for v in p.leaves()]
    results = [wires[o.atom] for o in program.outputs if isinstance(o.atom, Var)]
    return Worked(compiled, header, inputs, gates, stages, list(dict.fromkeys(results)), backward, detail, joint)


def run(text: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Run an emitted script and return its variables.

    Args:
        text: The script.
        values: Values of the inputs in place of the example values in the text.

    Raises:
        CompileError: E020 the point lies outside the domain.
    """
    mark = _MARK.search(text)
    start = mark.start() if mark else 0
    head, body = text[:start], text[start:]
    body = re.sub(r"^print\(.*\)$", "", body, flags=re.MULTILINE)
    space: dict[str, Any] = {"__name__": "bpcompile_page"}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            exec(_compiled(head), space)  # noqa: S102  our own text
            space.update(values or {})
            exec(_compiled(body), space)  # noqa: S102  our own text
    except (ValueError, ArithmeticError) as fault:
        raise error("E020", f"the example point lies outside the domain: {fault}", help="`--at` gives another point") from None
    return space


@functools.lru_cache(maxsize=64)
def _compiled(text: str) -> Any:
    return compile(text, "<worked example>", "exec")


def _read(text: str, space: Mapping[str, Any]) -> Any:
    """Return what `dw[0]` is in a namespace."""
    name, *places = re.split(r"[\[\]]+", text.rstrip("]"))
    value = space[name]
    for place in places:
        value = value[int(place)]
    return value


def _check_agreement(emitted: Emitted, page: Mapping[str, Any], space: Mapping[str, Any], detail: Emitted) -> None:
    """Compare both runs wherever both name a value or a gradient."""
    for mine, theirs in ((emitted.names, detail.names), (emitted.adjoints, detail.adjoints)):
        for var, text in mine.items():
            if var in theirs and not np.allclose(_read(text, page), _read(theirs[var], space), rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True):
                what = f"`{text}` of the emitted code and the same worked gate by gate differ by more than rounding"
                raise error("E025", f"{what}: this point is too far out to be worked by hand", help="`--at` gives another point")


def _contributions(gate: Gate, active: set[Var]) -> list[Contribution]:
    found = []
    eqn = gate.eqn
    upstream = gate.out.gradient
    if upstream is None:
        return []
    for i, operand in enumerate(gate.operands):
        if not isinstance(operand, Wire) or operand.var not in active or isinstance(eqn.prim.vjp[i], Zero) or operand.gradient is None:
            continue
        if eqn.prim.shape is not None:
            found.append(Contribution(operand, i, None, None, None))
            continue
        local_value = product = None
        if not operand.is_array and not gate.out.is_array:
            values = [o.value if isinstance(o, Wire) else o for o in gate.operands]
            try:
                local_value = float(local_derivative(eqn.prim, i, gate.out.value, values, eqn.params))
                product = local_value * float(upstream)
            except (ValueError, ArithmeticError):
                local_value = product = math.nan
        found.append(Contribution(operand, i, _local_formula(gate, i), local_value, product))
    return found


def local_derivative(primitive: Primitive, i: int, answer: Any, operands: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """Return the local derivative as a lecture writes it; what `answer` and the operands are decides what it is."""
    if primitive.textbook is not None:
        return primitive.textbook[i](answer, *operands, **params)
    rule = primitive.vjp[i]
    assert not isinstance(rule, Zero)
    return rule(1, answer, *operands, **params)


def _local_formula(gate: Gate, i: int) -> Formula:
    operands: list[Operand] = [Var(name=o.name) if isinstance(o, Wire) else o for o in gate.operands]
    answer = Var(name=gate.out.name)
    with Builder() as builder:
        result = local_derivative(gate.primitive, i, answer, operands, gate.eqn.params)
    known = {v: formula.name(v.name or "") for v in (answer, *operands) if isinstance(v, Var)}
    return formula.typeset(result, builder.eqns, known)


def _statements(compiled: Compiled) -> dict[int, Statement]:
    """Find each line of the program in the text; by identity, for two lines may read the same."""
    rows = compiled.source.split("\n")
    found: dict[int, Statement] = {}
    at = next((i + 1 for i, text in enumerate(rows) if _MARK.fullmatch(text)), 0)
    for line in [*compiled.emitted.forward, *compiled.emitted.backward]:
        want = line.code or f"# {line.comment}"
        for i in range(at, len(rows)):
            text = rows[i].strip()
            if text == want or (line.code and text.startswith(line.code) and text[len(line.code) :].lstrip().startswith("#")):
                found[id(line)] = Statement(i + 1, rows[i], line.code)
                at = i + 1
                break
    return found


def _stages(compiled: Compiled, gates: Sequence[Gate], wires: Mapping[Var, Wire], lines: Mapping[int, Statement]) -> list[Stage]:
    emitted = compiled.emitted
    forward: dict[Var, Line] = {line.stage: line for line in emitted.forward if line.stage is not None and id(line) in lines}
    # A gate belongs to the line of the first value behind it that has one.
    owner: dict[Wire, Wire] = {}
    for gate in reversed(gates):
        out = gate.out
        if out.var in forward:
            owner[out] = out
        else:
            behind = next((owner[g.out] for g in out.readers if g.out in owner), None)
            if behind is not None:
                owner[out] = behind
    inside: dict[Wire, list[Gate]] = {}
    for gate in gates:
        if gate.out in owner:
            inside.setdefault(owner[gate.out], []).append(gate)
    stages = []
    for var, line in forward.items():
        if var not in wires or wires[var] not in inside:
            continue  # a line that printing added, a rescued exponential say
        out = wires[var]
        members = inside[out]
        known = {o.var: o.symbol for g in members for o in g.wires if owner.get(o) is not out}
        text = formula.typeset(var, [g.eqn for g in members], known)
        stages.append(Stage(out, emitted.numbers.get(var), members, text, lines[id(line)]))
    undone = {stage.out.var: stage for stage in stages}
    for line in emitted.backward:
        stage = undone.get(line.stage) if line.stage is not None else None
        if stage is not None and line.code and id(line) in lines:
            stage.backward.append(lines[id(line)])
    return stages


def _label(primitive: Primitive, operands: Sequence[Wire | float]) -> str:
    """Return what a gate shows: a sign, a function's name, or the operation with its constant (`+1`, `1/x`, `x²`)."""
    if primitive.symbol:
        return primitive.symbol
    form = primitive.forms["math"]
    if not isinstance(form, Form) or primitive.shape is not None:
        return primitive.name
    operator = re.fullmatch(r"\{0\} (\S+) \{1\}", form.template)
    literals = [o for o in operands if not isinstance(o, Wire)]
    shown = [_short(o) for o in literals]
    if operator and literals:
        sign = _SIGNS.get(operator[1], operator[1])
        first = isinstance(operands[0], Wire)
        if sign in "+∗":
            return f"{sign}{shown[0]}"
        if sign == "^" and first:
            return f"x{shown[0].translate(_EXPONENT)}"
        return f"x{sign}{shown[0]}" if first else f"{shown[0]}{sign}x"
    if operator:
        return _SIGNS.get(operator[1], operator[1])
    if form.template.endswith("{0}") and len(operands) == 1 and len(form.template) == 4:
        return f"{_SIGNS.get(form.template[0], form.template[0])}x"
    return f"{primitive.name} {shown[0]}" if len(shown) == 1 and len(operands) == 2 else primitive.name


def _short(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def digits(value: Any) -> str:
    """
    Write a number with 4 significant digits.

    >>> digits(0.0179862), digits(-123456.0), digits(3), digits(True)
    ('0.01799', '-1.235e+5', '3', 'true')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    text = f"{float(value):.4g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}" if e else text if text != "-0" else "0"


def spread(value: Any) -> str:
    """Write an array as its smallest, mean and largest element."""
    array = np.asarray(value, dtype=float)
    return " ".join(digits(x) for x in (array.min(), array.mean(), array.max())) if array.size else ""


def shown(value: Any) -> str:
    """Write a number, or what is known of an array."""
    return spread(value) if np.ndim(value) else digits(value)


def _difference(worked: Worked, wire: Wire) -> Difference:
    """Measure the slope of the outputs' sum along one direction of an input."""
    params = worked.compiled.emitted.params
    param, name = next((p, n) for p, n in params if any(v is wire.var for v in p.leaves()))
    generator = np.random.default_rng(0)
    direction = generator.uniform(0.5, 1.5, np.shape(wire.value)) if wire.is_array else 1.0
    scale = max(1.0, float(np.max(np.abs(wire.value), initial=0.0)))
    step = 2.0 ** round(math.log2(6e-6 * scale))

    def total(sign: int) -> float:
        changed = np.asarray(wire.value, dtype=float) + sign * step * direction
        value = _replaced(param.tree, wire.var, {w.var: w.value for w in worked.inputs}, changed if wire.is_array else float(changed))
        space = run(worked.compiled.source, {name: value})
        return float(sum(np.sum(_read(n, space)) for n in worked.compiled.emitted.outputs))

    return Difference(wire, (total(1) - total(-1)) / (2 * step), float(np.sum(wire.gradient * direction)))


def _replaced(tree: Tree, var: Var, values: Mapping[Var, Any], changed: Any) -> Any:
    if isinstance(tree, Var):
        return changed if tree is var else values[tree]
    return [_replaced(t, var, values, changed) for t in tree]


def point(worked: Worked) -> dict[str, Any]:
    """Return the values of the inputs by name, lists nested as they were given."""
    values = {w.var: w.value for w in worked.inputs}
    return {name: _replaced(param.tree, Var(), values, None) for param, name in worked.compiled.emitted.params}


def scalars(param: Param) -> int:
    """Count the numbers of an input that is no array."""
    return sum(1 for _ in leaves(param.tree))


def syntax(text: str) -> str:
    """Return the code of a text without its comments and docstrings, to compare two languages of it."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
