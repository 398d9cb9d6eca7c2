"""
SymPy expressions to programs.

Each distinct sub-expression becomes one value, in the shape in which a person writes it: quotients and differences instead of
powers with negative exponents and coefficients of -1, terms and factors in the order of the inputs. Named stages are computed
in their own order, each from the earlier ones as far as they can be found in it again (`stages`).

Invariants: inputs are real by contract; no expression is printed or walked as a tree; what has no meaning here is refused by
name, together with everything else that is wrong.

>>> x, y = sympy.symbols("x y")
>>> print(read_expressions({"f": (x - y) / (1 + sympy.exp(-x))}))
program(x, y)
  t0 = sub x y
  t1 = neg x
  t2 = exp t1
  t3 = add 1 t2
  t4 = div 1.0 t3
  f = mul t0 t4
return f = f
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import sympy
from sympy.codegen import cfunctions, numpy_nodes
from sympy.logic.boolalg import BooleanFalse, BooleanTrue
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.matrixbase import MatrixBase

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile import dims
from bpcompile.diagnostics import CompileError, Diagnostic, Source, Span, error
from bpcompile.frontends import sympy_indices, sympy_matrices
from bpcompile.frontends.expression_inputs import Inputs, SymbolTree
from bpcompile.frontends.expression_table import ARRAY_HEADS, Opaque, Table
from bpcompile.frontends.index_ranges import Entries, Indices
from bpcompile.frontends.stages import ONE, ProductForm, Recovery, Stage, SumForm
from bpcompile.frontends.sympy_indices import Element, Value
from bpcompile.frontends.sympy_matrices import Products
from bpcompile.ir import Atom, Builder, Dim, Eqn, Lit, Output, Program, Reference, Shape, Var, leaves
from bpcompile.primitive import REGISTRY

#: The nodes that must be lowered first, and what to do with their values.
Plan = tuple[list[int], Callable[[list[Value]], Value]]

#: Integers up to here are exact as floats.
_EXACT: Final = 2**53
#: SymPy's own functions recurse; deeper expressions are no use to them.
_REFERENCE_DEPTH: Final = 200
#: Faults reported at once.
_FAULT_LIMIT: Final = 20
#: Conditions up to this many nodes are given to SymPy to see whether they leave a gap.
_CONDITION_LIMIT: Final = 60
#: Stands for "no input" where nodes are ordered by their first input.
_NO_INPUT: Final = -1

#: Functions whose arguments are the operands of one primitive.
_CALLS: Final[Mapping[type[sympy.Basic], str]] = {
    **{
        getattr(sympy, name): name
        for name in ("exp", "log", "sign", "sin", "cos", "tan", "sec", "csc", "cot", "sinc", "floor", "gamma", "erf", "erfc", "erfinv")
    },
    **{getattr(sympy, name): name for name in ("asin", "acos", "atan", "asec", "acsc", "acot", "atan2", "sinh", "cosh", "tanh", "sech", "csch", "coth")},
    **{getattr(sympy, name): name for name in ("asinh", "acosh", "atanh", "asech", "acsch", "acoth")},
    sympy.Abs: "abs",
    sympy.ceiling: "ceil",
    sympy.Mod: "mod",
    sympy.Heaviside: "heaviside",
    sympy.loggamma: "lgamma",
    sympy.Lt: "lt",
    sympy.Le: "le",
    sympy.Gt: "gt",
    sympy.Ge: "ge",
    sympy.Eq: "eq",
    sympy.Ne: "ne",
    sympy.Not: "not",
    sympy.ITE: "select",
    **{getattr(cfunctions, name): name for name in ("log1p", "expm1", "exp2", "log2", "log10", "hypot")},
    cfunctions.Sqrt: "sqrt",
    cfunctions.Cbrt: "cbrt",
    numpy_nodes.logaddexp: "logaddexp",
}

#: What to write instead of a node without meaning here.
_INSTEAD: Final[Mapping[str, str]] = {
    "factorial": "write `gamma(x + 1)`, or `loggamma(x + 1)` for its logarithm",
    "binomial": "write it with `gamma`: gamma(n + 1)/(gamma(k + 1)*gamma(n - k + 1))",
    "RisingFactorial": "write it with `gamma`",
    "FallingFactorial": "write it with `gamma`",
    **dict.fromkeys(("Integral", "Derivative", "Subs", "Limit"), "evaluate it first, with `.doit()`"),
    "DiracDelta": "the derivative of a step is no function: differentiate before, or leave it out",
    "LambertW": "give the value a symbol of its own and pass it in",
}


def read_expressions(
    outputs: Mapping[str, Any],
    *,
    stages: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
    at: Mapping[Any, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    order: Sequence[str] | None = None,
    inputs: Sequence[tuple[str, SymbolTree]] = (),
    source: Source | None = None,
    spans: Mapping[str, Span] | None = None,
) -> Program:
    """
    Turn SymPy expressions into a program.

    Args:
        outputs: The results by name: expressions, or lists and matrices of them.
        stages: Named parts in the order of definition, each possibly part of the later ones.
        wrt: The inputs whose gradient is wanted; all unless given.
        at: Example values by symbol or by name of an input.
        shapes: Shapes of inputs that are arrays.
        order: Names of inputs that come first, in this order; the others follow sorted by name.
        inputs: Inputs with name and symbols, in order; they stay inputs even if nothing depends on them.
        source: The text that the expressions come from.
        spans: Where each stage or output is written.

    Returns:
        The program, with the outputs' own expressions as its reference.

    Raises:
        CompileError: E150 a node without meaning, E151 not a finite number, E152 a complex value, E153 a symbol that does not
            commute, E154 two symbols of one name, E155 a `Piecewise` with a gap, E156 a number no float can hold,
            E157 an array, index or size without meaning here, E158 an unknown name, E159 shapes, ranges or example values that do not fit.
    """
    table = Table()
    whole = _has_arrays(table, [*outputs.items(), *(stages or {}).items()], spans)
    results = {name: table.add(expr) for key, value in outputs.items() for name, expr in elements(key, value, spans, whole=whole)}
    named = {name: table.add(expr) for key, value in (stages or {}).items() for name, expr in elements(key, value, spans, whole=whole)}
    indices = Indices(table, [*results.values(), *named.values()] if whole else [], shapes or {})
    axes: dict[int, tuple[int, ...]] = {}
    if whole:
        results, named, axes = _with_indices(table, indices, results, named)
    named = {name: node for name, node in named.items() if results.get(name, node) == node}
    named.update({name: node for name, node in results.items() if name not in named})

    roots = list(results.values())
    declared = Inputs(table, indices, table.reachable(roots), inputs, order or (), shapes or {}, spans or {})
    declared.check_symbols(spans)
    declared.give_examples(at or {})
    declared.choose(wrt)

    lowering = Lowering(table, declared, indices, spans or {}, roots)
    lowering.asked = axes
    for name, node in named.items():
        lowering.lower_stage(name, node)
    lowering.raise_faults(results)
    values = {name: lowering.atoms[node] for name, node in results.items()}
    atoms = {name: value.array if isinstance(value, Element) else value for name, value in values.items()}
    program = Program(
        declared.params,
        _needed(lowering.builder.eqns, list(atoms.values())),
        [Output(name, atom, (spans or {}).get(_stem(name))) for name, atom in atoms.items()],
        name=next(iter(outputs), "f"),
        source=source,
    )
    if whole:
        _check_sizes(program, indices)
        program.notes += [Diagnostic("E162", note, level="note") for note in indices.notes]
    unused = [p for p in declared.params if not any(leaf in declared.used for leaf in leaves(p.tree))]
    program.notes += [Diagnostic("E160", f"no output depends on `{p.name}`: its gradient is zero", p.span, level="note") for p in unused]
    if not whole:
        _set_reference(program, table, roots, declared)
    return program


def _has_arrays(table: Table, values: Sequence[tuple[str, Any]], spans: Mapping[str, Span] | None) -> bool:
    """Say whether there are arrays among the expressions: then a matrix that is written out is an array as well."""
    nodes = [table.add(expr) for name, value in values for _, expr in elements(name, value, spans)]
    kinds = {table.heads[number] for number in table.reachable(nodes)}
    return not kinds.isdisjoint({*ARRAY_HEADS.values(), sympy.MatrixSymbol, sympy.IndexedBase, sympy.Idx})


def _check_sizes(program: Program, indices: Indices) -> None:
    """
    Refuse sizes that no input has.

    Raises:
        CompileError: E157.
    """
    known = dims.solve([size for var in program.inputs() for size in var.shape])
    for eqn in program.eqns:
        for name in indices.sizes.values():
            if name not in known and any(name in dims.names(size) for size in _sizes_in([*eqn.params.values(), eqn.out.shape])):
                help_ = "a size is read from the arrays at run time: give one of them an axis of this size, or write a number"
                raise error("E157", f"`{name}` is not the size of any input", eqn.span, help=help_)


def _sizes_in(values: Sequence[Any]) -> Iterator[Dim]:
    """Yield the names and formulas of sizes in the static parameters of an equation."""
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(part for part in value if part != "slice")
        elif isinstance(value, str | sympy.Expr):
            yield value


def _with_indices(
    table: Table, indices: Indices, results: dict[str, int], named: dict[str, int]
) -> tuple[dict[str, int], dict[str, int], dict[int, tuple[int, ...]]]:
    """Return results and stages whose indices have their ranges, and the order of axes that `Eq(Z[i, j], ...)` asks for."""
    left = {node: table.args[table.args[node][0]][1:] for node in (*results.values(), *named.values()) if _is_definition(table, node)}

    def right(node: int) -> int:
        return table.args[node][1] if node in left else node

    indices.resolve([*(right(node) for node in results.values()), *(place for node in results.values() for place in left.get(node, ()))])
    indices.infer([indices.numbers[right(node)] for node in results.values()])
    closed = {name: indices.close(right(node)) for name, node in results.items()}
    axes = {closed[name]: tuple(indices.close(place) for place in left[node]) for name, node in results.items() if node in left}
    known = set(table.reachable(list(closed.values())))
    indices.resolve([right(node) for node in named.values()])
    return closed, {name: indices.close_like(right(node), known) for name, node in named.items()}, axes


def _is_definition(table: Table, node: int) -> bool:
    """Whether a node says what the elements of an array are: `Eq(Z[i, j], ...)`."""
    return table.heads[node] is sympy.Eq and table.heads[table.args[node][0]] is sympy.Indexed


def elements(name: str, value: Any, spans: Mapping[str, Span] | None = None, *, whole: bool = False) -> list[tuple[str, sympy.Basic]]:
    """
    Return the named expressions of a value: the value itself, or `name[0]`, `name[1]`, ... of a list or matrix.

    Args:
        name: Its name.
        value: An expression, or a list or matrix of them.
        spans: Where each name is assigned.
        whole: Whether a matrix is an expression itself.

    Raises:
        CompileError: E150, the value is no expression.
    """
    found: list[tuple[str, sympy.Basic]] = []
    stack: list[tuple[str, Any]] = [(name, value)]
    while stack:
        label, item = stack.pop()
        if whole and isinstance(item, MatrixBase):
            item = sympy.ImmutableDenseMatrix(item)
        elif isinstance(item, MatrixBase | sympy.NDimArray):
            item = _nested(item)
        if isinstance(item, list | tuple | sympy.Tuple):
            stack.extend((f"{label}[{i}]", part) for i, part in reversed(list(enumerate(item))))
            continue
        expr = sympy.sympify(item) if isinstance(item, int | float | sympy.Basic) and not isinstance(item, bool) else None
        if not isinstance(expr, sympy.Basic):
            raise error("E150", f"`{label}` is no SymPy expression but {type(item).__name__}", (spans or {}).get(name))
        found.append((label, expr))
    return found


def _nested(matrix: Any) -> Any:
    """Return a matrix as nested lists; a row or column as a flat one, as people index vectors."""
    if len(matrix.shape) == 2 and 1 in matrix.shape:
        return list(matrix)
    return matrix.tolist()


def _stem(name: str) -> str:
    return name.partition("[")[0]


def _needed(eqns: Sequence[Eqn], results: Sequence[Atom]) -> list[Eqn]:
    """Return the equations that the results need: stages off the path to an output are dropped."""
    needed = {atom for atom in results if isinstance(atom, Var)}
    kept = []
    for eqn in reversed(eqns):
        if eqn.out in needed:
            kept.append(eqn)
            needed.update(a for a in eqn.args if isinstance(a, Var))
    return kept[::-1]


def _set_reference(program: Program, table: Table, roots: list[int], declared: Inputs) -> None:
    """Attach what the certificate compares with: the expressions themselves on symbols that no two print alike."""
    depth = [0] * len(table)
    for number in table.reachable(roots):
        depth[number] = 1 + max((depth[part] for part in table.args[number]), default=0)
    if max(depth[root] for root in roots) > _REFERENCE_DEPTH:
        message = "too deep for SymPy's own derivative: checked in forward mode"
        program.notes.append(Diagnostic("E161", message, level="note"))
        return
    fresh = {var: sympy.Symbol(f"x{i}", real=True) for i, var in enumerate(program.inputs())}
    replace = {node: fresh[var] for node, var in declared.vars.items() if var in fresh}
    program.reference = Reference(tuple(table.rebuild(roots, replace)), fresh)


class Lowering:
    """
    Emits the equations of nodes, arguments first, each node once.

    Attributes:
        table: The nodes.
        indices: The indices, sizes and shapes among them.
        user_nodes: How many of the nodes the user has written.
        atoms: What each node that is computed is.
        stage: The name of what is being computed.
        recovery, products: The stages so far, to be found again.
    """

    def __init__(self, table: Table, inputs: Inputs, indices: Indices, spans: Mapping[str, Span], roots: Sequence[int]) -> None:
        self.table = table
        self.indices = indices
        self.products = Products()
        self.user_nodes = len(table)
        self.builder = Builder()
        self.atoms: dict[int, Value] = dict(inputs.vars)
        self._faulty: dict[int, tuple[int, ...]] = {}
        self._faults: list[Diagnostic] = []
        self._spans = spans
        self.stage = ""
        self.recovery = Recovery()
        self._rank: dict[int, int] = {}
        self._sums_of_matrices: list[tuple[int, SumForm]] = []
        self._plans: dict[int, Plan] = {}
        # The place of the first input that a node depends on: terms and factors are written in this order.
        self._place = {node: i for i, node in enumerate(inputs.vars)}
        self._first: list[int] = []
        #: The order of axes that the user asks for, by node.
        self.asked: dict[int, tuple[int, ...]] = {}
        self._axes = self._find_axes(roots)

    def lower_stage(self, name: str, node: int) -> None:
        """Compute a stage and let later ones find it."""
        self.stage = name
        self.builder.span = self._spans.get(_stem(name))
        try:
            with self.builder:
                self._lower(node)
                value = self.atoms.get(node)
                asked = self.asked.get(node)
                if asked is not None and node not in self._faulty and (not isinstance(value, Element) or sorted(asked) != sorted(set(value.indices))):
                    help_ = "on the left stand the free indices of the right side, each once"
                    self._poison(node, self.refuse("E159", f"the indices on the left of `{name}` are not those on its right", help_).diagnostics)
                elif isinstance(value, Element):
                    self.atoms[node] = sympy_indices.ordered(value, asked or self.in_order(set(value.indices)))
        finally:
            self.builder.span = None
        self._name(node, name)
        self._file(node)

    def _name(self, node: int, name: str) -> None:
        value = self.atoms.get(node)
        atom = value.array if isinstance(value, Element) else value
        if isinstance(atom, Var) and not atom.name:
            atom.name = name
            atom.stage = True

    def _file(self, node: int) -> None:
        """Make a computed node known as a stage."""
        if node not in self.atoms or node in self._rank or not self.table.args[node]:
            return
        self._rank[node] = len(self._rank)
        if self.indices.matrix_shape(node) is not None:
            self._file_matrix(node)
            return
        if self.table.heads[node] is sympy.Add:
            form = self._sum_form(node)
            if form:
                self.recovery.add_sum(node, form)
            return
        product = self.product_form(node)
        if product:
            trivial = product.coefficient == 1 and product.factors == {node: Fraction(1)}
            if not trivial:
                self.recovery.add_product(node, product)
            if product.coefficient != 1 and self.table.heads[node] is sympy.Mul:
                coefficient, inexact, base = self._split(node)
                if base != ONE and self.table.args[base]:
                    self.recovery.add_sum(node, SumForm({base: coefficient}, {base} if inexact else set()))

    def _file_matrix(self, node: int) -> None:
        """Make a computed matrix known as a stage: its entries, and its factors."""
        entry = self.table.node(Entries, (node,))
        self._rank[entry] = self._rank[node]
        scalar = sympy_matrices.entries(self.table, self.indices, node)
        if scalar is not None and self.table.heads[scalar] is sympy.Add and (terms := self._sum_form(scalar)):
            self.recovery.add_sum(entry, terms)
            if all(self.table.heads[base] is Entries for base in terms.terms):
                self._sums_of_matrices.append((node, terms))
        elif scalar is not None and (product := self.product_form(scalar)) and product.factors != {scalar: Fraction(1)}:
            self.recovery.add_product(entry, product)
        elif scalar is None and self.table.heads[node] is sympy.MatMul:
            self.products.add(node, sympy_matrices.factors_of(self, node) or [])

    def _file_entries(self, form: SumForm) -> None:
        """Make the entries of named matrices known at the positions that a sum has entries of others at: `x[i, 0] - m[i, 0]` is `r[i, 0]`."""
        table = self.table
        for place in dict.fromkeys(table.args[base][1:] for base in form.terms if base != ONE and table.heads[base] is MatrixElement):
            for matrix, terms in self._sums_of_matrices:
                entry = table.node(MatrixElement, (matrix, *place))
                if entry not in self.recovery:
                    at = {table.node(MatrixElement, (*table.args[base], *place)): value for base, value in terms.terms.items()}
                    self.recovery.add_sum(entry, SumForm(at))
                    self._rank[entry] = self._rank[matrix]

    def raise_faults(self, results: Mapping[str, int]) -> None:
        """
        Raise what is wrong with the outputs, and nothing that is wrong elsewhere.

        Raises:
            CompileError: Everything that stands in the way of `results`.
        """
        indices = {index for node in results.values() for index in self._faulty.get(node, ())}
        faults = [self._faults[index] for index in sorted(indices)]
        for name, node in results.items():
            atom = self.atoms.get(node)
            condition = atom.dtype == "bool" if isinstance(atom, Var | Element) else self.table.is_one_of(node, BooleanTrue, BooleanFalse)
            if condition:
                faults.append(Diagnostic("E150", f"`{name}` is a condition, not a number", self._spans.get(_stem(name))))
        if faults:
            raise CompileError(*faults)

    def _lower(self, root: int) -> None:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.atoms or node in self._faulty:
                stack.pop()
                continue
            plan = self._plans.get(node)
            if plan is None:
                try:
                    plan = self._plans[node] = self._plan(node)
                except CompileError as fault:
                    self._poison(node, fault.diagnostics)
                    continue
            parts, build = plan
            missing = [part for part in parts if part not in self.atoms and part not in self._faulty]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            del self._plans[node]
            if any(part in self._faulty for part in parts):
                inherited = sorted({index for part in parts for index in self._faulty.get(part, ())})
                self._faulty[node] = tuple(inherited[:_FAULT_LIMIT])
                continue
            try:
                self.atoms[node] = build([self.atoms[part] for part in parts])
            except CompileError as fault:
                self._poison(node, fault.diagnostics)
            except ValueError as fault:  # shapes that do not broadcast
                self._poison(node, (Diagnostic("E159", f"{fault} in `{self.stage}`", self.builder.span),))

    def _poison(self, node: int, diagnostics: Sequence[Diagnostic]) -> None:
        self._faulty[node] = tuple(range(len(self._faults), len(self._faults) + len(diagnostics)))
        self._faults += diagnostics

    def refuse(self, code: str, message: str, help_: str = "") -> CompileError:
        """Return the error for what is being computed."""
        return error(code, message, self.builder.span, help=help_)

    def emit(self, name: str, *operands: Value, note: str = "") -> Value:
        """Emit an element-wise operation."""
        if any(isinstance(operand, Element) for operand in operands):
            return sympy_indices.emit(self, name, operands, note)
        return self.builder.emit(REGISTRY[name], operands, note=note)  # type: ignore[arg-type]  # no elements: above

    def _operand(self, value: Value, name: str) -> Value | None:
        """Return the operand of a value that was computed just now by a primitive and has no name."""
        for eqn in self.builder.eqns[-3:]:
            if eqn.out is value and eqn.prim.name == name and not eqn.out.name:
                return eqn.args[0]
        return None

    def _log(self, value: Value) -> Value:
        """Emit a logarithm; that of a determinant without the determinant, which may overflow."""
        inner = self._operand(value, "abs")
        matrix = None if inner is None else self._operand(inner, "det")
        if matrix is not None:
            return self.emit("logdet", matrix)
        matrix = self._operand(value, "det")
        return self.emit("log", value) if matrix is None else self.emit("log_det", matrix)

    def _root(self, value: Value) -> Value:
        """Emit a square root; that of a sum of squares is a norm, which has a gradient at 0."""
        squares = self._operand(value, "sum")
        base = None if squares is None else self._operand(squares, "pow")
        square = next((eqn for eqn in self.builder.eqns[-3:] if eqn.out is squares), None)
        if not isinstance(base, Var) or square is None or square.args[1] != Lit(2) or not isinstance(value, Var):
            return self.emit("sqrt", value)
        total = next(eqn for eqn in self.builder.eqns if eqn.out is value)
        return self.builder.emit(REGISTRY["norm"], (base,), total.params)

    # Arrays

    def in_order(self, indices: Collection[int]) -> tuple[int, ...]:
        """Return indices in the order of the axes of a result."""
        for index in sorted(indices):
            self._axes.setdefault(index, len(self._axes))
        return tuple(sorted(indices, key=self._axes.__getitem__))

    def shape_of(self, node: int) -> Shape:
        """Return the shape of a matrix."""
        shape = self.indices.matrix_shape(node)
        assert shape is not None  # asked of matrices only
        if "?" in shape:
            raise self.refuse(
                "E157", f"the shape of a matrix in `{self.stage}` is not known", "sizes are whole numbers, symbols, and sums and products of these"
            )
        return shape

    def name_of(self, node: int) -> str:
        """Return what a person calls an array or an index."""
        atom: Any = self.table.atoms[node]
        return str(atom.name) if hasattr(atom, "name") else self.table.heads[node].__name__

    def _find_axes(self, roots: Sequence[int]) -> dict[int, int]:
        """Return the place of each index in the order of axes: as it is met in the inputs, in their order."""
        positions: dict[tuple[int, int], set[int]] = {}
        for number in self.table.reachable(roots):
            if self.table.heads[number] in (sympy.Indexed, MatrixElement):
                base, *places = self.table.args[number]
                for axis, place in enumerate(places):
                    position = self.indices.affine(place)
                    positions.setdefault((self._place.get(base, len(self._place)), axis), set()).update(position.terms if position else ())
        axes: dict[int, int] = {}
        for _, found in sorted(positions.items()):
            for index in sorted(found, key=lambda n: (self.name_of(n), n)):
                axes.setdefault(index, len(axes))
        return axes

    def _plan(self, node: int) -> Plan:
        head = self.table.heads[node]
        parts = list(self.table.args[node])
        name = _CALLS.get(head)
        if head is sympy.exp and (power := self._stage_power(node)):
            return power
        if name == "log":
            return parts, lambda atoms: self._log(atoms[0])
        if name is not None:
            return parts, lambda atoms: self.emit(name, *atoms)
        planner = PLANNERS.get(head) or _ARRAY_PLANNERS.get(head)
        return planner(self, node) if planner else self._plan_leaf(node)

    # Leaves

    def _plan_leaf(self, node: int) -> Plan:
        fault = self.indices.faults.get(node)
        if fault is not None:
            raise CompileError(replace(fault, span=self.builder.span))
        if node in self.indices.sizes:
            size = self.indices.size(node)
            return [], lambda _: Lit(size) if isinstance(size, int) else self.builder.emit(REGISTRY["dim"], (), {"size": size})
        literal = self._literal(node)
        return [], lambda _: literal

    def _literal(self, node: int) -> Lit:
        """Return the literal of a constant."""
        atom: Any = self.table.atoms[node]
        stage = self.stage
        if isinstance(atom, Opaque):
            raise self.refuse_opaque(atom)
        if atom is sympy.I:
            raise self.refuse("E152", f"`{stage}` contains the imaginary unit", "values are real numbers: split the expression into its two parts")
        if isinstance(atom, BooleanTrue | BooleanFalse):
            return Lit(isinstance(atom, BooleanTrue))
        if isinstance(atom, sympy.Rational | sympy.Float) and atom.is_finite:
            return self._number(node)
        if isinstance(atom, sympy.NumberSymbol):
            return Lit(math.pi if atom is sympy.pi else math.e if atom is sympy.E else float(atom.evalf(17)))
        raise self.refuse("E151", f"`{stage}` contains {_infinite_name(atom)}, which is not a finite number")

    def refuse_opaque(self, atom: Opaque) -> CompileError:
        """Return the error for a node without meaning."""
        stage = self.stage
        if atom.family == "refused":
            message, _, help_ = atom.kind.partition("\n")
            return self.refuse("E157", f"{message} in `{stage}`", help_)
        if atom.family == "array":
            help_ = "write it with sums, products, transposes and inverses, or in index notation"
            return self.refuse("E157", f"`{atom.kind}` in `{stage}` has no meaning here", help_)
        if atom.family == "undefined":
            near = difflib.get_close_matches(atom.kind, [*_INSTEAD, *(p.name for p in REGISTRY)], 1, 0.5)
            help_ = (
                f"did you mean `sympy.{near[0]}`?"
                if near and hasattr(sympy, near[0])
                else "write its formula; for an unknown that is an input, make it a `Symbol`"
            )
            return self.refuse("E150", f"`{atom.kind}` in `{stage}` is a function without definition", help_)
        return self.refuse("E150", f"`{atom.kind}` in `{stage}` has no derivative rule here", _INSTEAD.get(atom.kind, "`bpcompile ops` lists what has"))

    def _number(self, node: int) -> Lit:
        exact = self.table.value(node)
        if exact is None:  # zero, or beyond every float
            atom: Any = self.table.atoms[node]
            if not atom.is_zero:
                raise self._refuse_size(atom.is_negative)
            return Lit(0.0)
        value, inexact = exact
        if value.denominator == 1 and not inexact and abs(value) <= _EXACT:
            return Lit(int(value))
        return Lit(self._float(value))

    def _float(self, value: Fraction) -> float:
        try:
            result = float(value)
        except OverflowError:
            raise self._refuse_size(value < 0) from None
        if not result and value:
            raise self._refuse_size(value < 0)
        return result

    def _refuse_size(self, negative: bool) -> CompileError:  # noqa: FBT001  internal
        sign = "negative " if negative else ""
        return self.refuse("E156", f"a {sign}number in `{self.stage}` is beyond the range of floats", "rescale the expression, or work with its logarithm")

    # Order

    def _first_input(self, node: int) -> int:
        """Return the place of the first input that a node depends on, `_NO_INPUT` for a constant."""
        first, table = self._first, self.table
        for number in range(len(first), len(table)):  # arguments come before the nodes that use them
            place = self._place.get(number)
            if place is None:
                known = [first[part] for part in table.args[number] if first[part] != _NO_INPUT]
                place = min(known, default=_NO_INPUT)
            first.append(place)
        return first[node]

    def factor_key(self, node: int) -> tuple[int, int]:
        """Return what factors are ordered by: their first input."""
        return self._first_input(node), self._rank.get(node, -1)

    def _term_key(self, node: int) -> tuple[int, int, int, Fraction]:
        """Order terms as people write them: by input, higher powers first, constants after, then what decays."""
        if node == ONE:
            return 1, 0, 0, Fraction(0)
        rank = self._rank.get(node, -1)
        first = self._first_input(node)
        degree = self._degree(node) if rank < 0 else Fraction(1)
        group = 1 if first == _NO_INPUT else 2 if degree < 0 else 0
        return group, first, rank, -degree

    def _degree(self, node: int) -> Fraction:
        table = self.table
        if table.heads[node] is sympy.Mul:
            return sum((self._power_degree(part) for part in table.args[node]), Fraction(0))
        return self._power_degree(node)

    def _power_degree(self, node: int) -> Fraction:
        table = self.table
        if not table.args[node]:
            return Fraction(0 if self._first_input(node) == _NO_INPUT else 1)
        if table.heads[node] is sympy.Pow:
            exact = table.value(table.args[node][1])
            return exact[0] if exact else Fraction(1)
        if table.heads[node] is sympy.exp:
            return Fraction(-1 if self._is_negated(table.args[node][0]) else 1)
        return Fraction(1)

    def _is_negated(self, node: int) -> bool:
        """Whether an expression reads as minus something."""
        parts = self.table.args[node] if self.table.heads[node] is sympy.Add else (node,)
        return all(self._split(part)[0] < 0 for part in parts)

    # Sums

    def _split(self, node: int) -> tuple[Fraction, bool, int]:
        """Return coefficient, whether it is a float, and the rest of a term; the rest of a number is `ONE`."""
        exact = self.table.value(node)
        if exact:
            return *exact, ONE
        args = self.table.args[node]
        if self.table.heads[node] is sympy.Mul and (exact := self.table.value(args[0])):
            rest = args[1:]
            return *exact, rest[0] if len(rest) == 1 else self.table.node(sympy.Mul, rest)
        return Fraction(1), False, node

    def _sum_form(self, node: int) -> SumForm | None:
        form = SumForm({})
        for part in self.table.args[node]:
            coefficient, inexact, base = self._split(part)
            if base in form.terms or not coefficient:
                return None  # written so on purpose, unevaluated
            form.terms[base] = coefficient
            if inexact:
                form.floats.add(base)
        return form

    def _term(self, base: int, coefficient: Fraction, *, inexact: bool) -> int:
        """Return the node of `coefficient * base`."""
        if base == ONE:
            return self.table.number(coefficient, inexact=inexact)
        if coefficient == 1 and not inexact:
            return base
        factors = self.table.args[base] if self.table.heads[base] is sympy.Mul and base not in self._rank else (base,)
        return self.table.node(sympy.Mul, (self.table.number(coefficient, inexact=inexact), *factors))

    def _plan_sum(self, node: int) -> Plan:
        form = self._sum_form(node)
        if form is None:
            terms = [(*self._split(part), part) for part in self.table.args[node]]
            pieces = [(base, coefficient, inexact) for coefficient, inexact, base, _ in terms]
        else:
            self._file_entries(form)
            found, rest = self.recovery.cover_sum(form)
            pieces = [(base, value, base in rest.floats) for base, value in rest.terms.items()]
            pieces += [(stage, value, value.denominator != 1 and bool(form.floats)) for stage, value in found]
        pieces.sort(key=lambda piece: self._term_key(piece[0]))
        scale, pieces = self._common_factor(pieces)
        lead = next((i for i, piece in enumerate(pieces) if piece[1] > 0), 0)
        pieces.insert(0, pieces.pop(lead))  # y - x rather than -x + y
        (base, value, inexact), *others = pieces
        parts = [self._term(base, value, inexact=inexact)]
        parts += [self._term(base, abs(value), inexact=inexact) for base, value, inexact in others]
        signs = [value < 0 for _, value, _ in others]

        def build(atoms: list[Value]) -> Value:
            total = atoms[0]
            for negative, atom in zip(signs, atoms[1:], strict=True):
                total = self.emit("sub" if negative else "add", total, atom)
            return scale(total)

        return parts, build

    def _common_factor(self, pieces: list[tuple[int, Fraction, bool]]) -> tuple[Callable[[Value], Value], list[tuple[int, Fraction, bool]]]:
        """Take out a factor that all terms share: SymPy has multiplied `2*(x + y)` and `-(x + y)` out by itself."""
        _, value, inexact = pieces[0]
        size = abs(value)
        sign = -1 if all(v < 0 for _, v, _ in pieces) else 1
        shared = len(pieces) > 1 and size * sign != 1 and all(abs(v) == size and i == inexact for _, v, i in pieces)
        if len(pieces) > 1 and sign < 0 and not shared:
            return (lambda total: self.emit("neg", total)), [(base, -v, i) for base, v, i in pieces]
        if not shared or (max(size.numerator, size.denominator) > _EXACT and not inexact):
            return (lambda total: total), pieces
        number, divisor = (Lit(self._float(size * sign)), 1) if inexact else (Lit(size.numerator * sign), size.denominator)

        def scale(total: Value) -> Value:
            if number.value != 1:
                total = self.emit("neg", total) if number.value == -1 else self.emit("mul", number, total)
            return total if divisor == 1 else self.emit("div", total, Lit(divisor))

        return scale, [(base, v / size * sign, False) for base, v, _ in pieces]

    # Products and powers

    def product_form(self, node: int) -> ProductForm | None:
        """Return a node as a product, None where it is none or was written unevaluated on purpose."""
        head = self.table.heads[node]
        if head not in (sympy.Mul, sympy.Pow, sympy.exp):
            return None
        form = ProductForm({})
        parts = self.table.args[node] if head is sympy.Mul else (node,)
        for position, part in enumerate(parts):
            exact = self.table.value(part) if position == 0 else None
            if exact:
                form.coefficient, form.inexact = exact
                continue
            base, exponent = self._base_and_exponent(part)
            if base in form.factors or not exponent:
                return None  # written so on purpose, unevaluated
            form.factors[base] = exponent
        return form if form.coefficient else None

    def _base_and_exponent(self, node: int) -> tuple[int, Fraction]:
        table = self.table
        if table.heads[node] is sympy.Pow:
            base, power = table.args[node]
            exact = table.value(power)
            if exact and not exact[1]:
                return base, exact[0]
        elif table.heads[node] is sympy.exp:
            coefficient, inexact, rest = self._split(table.args[node][0])
            if abs(coefficient) > 1 and coefficient.denominator == 1 and not inexact and rest != ONE:
                # exp(2*x) is exp(x)**2, should exp(x) be a stage.
                inner = rest if coefficient > 0 else self._term(rest, Fraction(-1), inexact=False)
                return table.node(sympy.exp, (inner,)), abs(coefficient)
        return node, Fraction(1)

    def power(self, base: int, exponent: Fraction) -> int:
        """Return the node of a positive power, undoing `_base_and_exponent`."""
        table = self.table
        if exponent == 1:
            return base
        if table.heads[base] is sympy.exp and exponent.denominator == 1 and base not in self._rank:
            sign, _, rest = self._split(table.args[base][0])
            return table.node(sympy.exp, (self._term(rest, sign * exponent, inexact=False),))
        return table.node(sympy.Pow, (base, table.number(exponent)))

    def _plan_product(self, node: int) -> Plan:
        form = self.product_form(node)
        if form is None:  # x*x written unevaluated: as it stands
            parts = list(self.table.args[node])
            return parts, self._fold("mul")
        return self._plan_quotient(self._with_cbrt(form))

    def _with_cbrt(self, form: ProductForm) -> ProductForm:
        """Take `sign(u)*Abs(u)**(1/3)`, which is how SymPy writes a real cube root, as a cube root."""
        for base, exponent in form.factors.items():
            if exponent == Fraction(1, 3) and self.table.heads[base] is sympy.Abs:
                inner = self.table.args[base]
                sign = self.table.node(sympy.sign, inner)
                if form.factors.get(sign) == 1:
                    factors = {k: v for k, v in form.factors.items() if k not in (base, sign)}
                    factors[self.table.node(cfunctions.Cbrt, inner)] = Fraction(1)
                    return ProductForm(factors, form.coefficient, form.inexact)
        return form

    def _plan_quotient(self, form: ProductForm) -> Plan:
        found, rest = self.recovery.cover_product(form)
        factors = [*rest.factors.items(), *((stage, Fraction(power)) for stage, power in found)]
        factors.sort(key=lambda item: self.factor_key(item[0]))
        above = [self.power(base, exponent) for base, exponent in factors if exponent > 0]
        below = [(base, -exponent) for base, exponent in factors if exponent < 0]
        coefficient, inexact = rest.coefficient, rest.inexact
        numerator, denominator, negate = coefficient, Fraction(1), False
        if not inexact and max(abs(coefficient.numerator), coefficient.denominator) <= _EXACT:
            numerator, denominator = Fraction(coefficient.numerator), Fraction(coefficient.denominator)
            negate = numerator == -1  # -x/3 is minus a third of x, -2*x/3 is -2*x over 3
            numerator = Fraction(1) if negate else numerator
        else:
            inexact = True
        return self._assemble_quotient(above, below, numerator, denominator, inexact=inexact, negate=negate)

    def _assemble_quotient(
        self, above: list[int], below: list[tuple[int, Fraction]], numerator: Fraction, denominator: Fraction, *, inexact: bool, negate: bool
    ) -> Plan:
        bottom = [self.power(base, exponent) for base, exponent in below]
        # A name or a number divides; a longer denominator is inverted first, as a stage of its own.
        plain = not bottom or (denominator == 1 and len(bottom) == 1 and self._is_plain(bottom[0]))
        count = len(above)

        def build(atoms: list[Value]) -> Value:
            top = list(atoms[:count])
            if numerator != 1 or (inexact and top):
                top.insert(0, Lit(self._float(numerator)) if inexact else Lit(int(numerator)))
            low = list(atoms[count:])
            if denominator != 1:
                low.insert(0, Lit(int(denominator)))
            value: Value | None = self._fold("mul")(top) if top else None
            if low:
                divisor = self._fold("mul")(low)
                if value is None or plain or isinstance(value, Lit):
                    value = self.emit("div", Lit(1.0) if value is None else value, divisor)
                else:
                    value = self.emit("mul", value, self.emit("div", Lit(1.0), divisor))
            elif value is None:
                value = Lit(1)
            return self.emit("neg", value) if negate else value

        return [*above, *bottom], build

    def _is_plain(self, node: int) -> bool:
        head = self.table.heads[node]
        return node in self._rank or head in (sympy.Symbol, sympy.Dummy, Stage, sympy.Indexed, MatrixElement, Entries) or self._first_input(node) == _NO_INPUT

    def _fold(self, name: str) -> Callable[[list[Value]], Value]:
        def build(atoms: list[Value]) -> Value:
            value = atoms[0]
            for atom in atoms[1:]:
                value = self.emit(name, value, atom)
            return value

        return build

    def _stage_power(self, node: int) -> Plan | None:
        """Return `exp(2*x)` as the square of a stage `exp(x)`, where there is one."""
        base, exponent = self._base_and_exponent(node)
        if exponent == 1 or base not in self._rank:
            return None
        return [base], lambda atoms: self.emit("pow", atoms[0], Lit(int(exponent)))

    def _plan_power(self, node: int) -> Plan:
        base, exponent = self.table.args[node]
        if self.table.atoms[base] is sympy.E:
            return [exponent], lambda atoms: self.emit("exp", *atoms)
        exact = self.table.value(exponent)
        if exact is None:
            return [base, exponent], lambda atoms: self.emit("powr", *atoms)
        value, inexact = exact
        if not inexact:
            form = ProductForm({base: value}) if value else None
            if form and (value < 0 or self.recovery.cover_product(form)[0]):
                return self._plan_quotient(form)
            if value == Fraction(1, 2):
                return [base], lambda atoms: self._root(atoms[0])
        if value.denominator == 1 and abs(value) <= _EXACT:
            literal = Lit(float(value)) if inexact else Lit(int(value))
            return [base], lambda atoms: self.emit("pow", atoms[0], literal)
        literal = Lit(self._float(value))
        note = "nan below 0; cbrt or real_root is the real root" if value.denominator % 2 and not inexact and not self._is_nonnegative(base) else ""
        return [base], lambda atoms: self.emit("powr", atoms[0], literal, note=note)

    def _is_nonnegative(self, node: int) -> bool:
        atom: Any = self.table.atoms[node]
        return self.table.is_one_of(node, sympy.Abs, sympy.exp) or (atom is not None and bool(atom.is_nonnegative))

    # Choices

    def _plan_extremum(self, node: int) -> Plan:
        # A constant comes first: ties go to the first operand, and the gradient of max(0, x) at 0 is to be 0.
        parts = sorted(self.table.args[node], key=self.factor_key)
        return parts, self._fold("max" if self.table.heads[node] is sympy.Max else "min")

    def _plan_pieces(self, node: int) -> Plan:
        pairs = [self.table.args[pair] for pair in self.table.args[node]]
        conditions = [condition for _, condition in pairs]
        if not pairs or not self._covers_everything(conditions):
            help_ = "say what holds everywhere else: end it with a pair `(expr, True)`"
            raise self.refuse("E155", f"a `Piecewise` in `{self.stage}` has no value where none of its conditions holds", help_)
        parts = [part for expr, condition in pairs[:-1] for part in (condition, expr)] + [pairs[-1][0]]

        def build(atoms: list[Value]) -> Value:
            value = atoms[-1]
            for i in range(len(atoms) - 3, -1, -2):
                value = self.emit("select", atoms[i], atoms[i + 1], value)
            return value

        return parts, build

    def _covers_everything(self, conditions: list[int]) -> bool:
        if self.table.is_one_of(conditions[-1], BooleanTrue):
            return True
        if len(self.table.reachable(conditions)) > _CONDITION_LIMIT:
            return False
        real = {n: sympy.Symbol(f"x{n}", real=True) for n in self.table.reachable(conditions) if isinstance(self.table.atoms[n], sympy.Symbol)}
        try:
            return bool(sympy.Or(*self.table.rebuild(conditions, real)).simplify() == sympy.true)
        except Exception:  # noqa: BLE001  SymPy raises anything on conditions it can't decide; then the user has to say
            return False

    def _plan_xor(self, node: int) -> Plan:
        def build(atoms: list[Value]) -> Value:
            value = atoms[0]
            for atom in atoms[1:]:
                either, both = self.emit("or", value, atom), self.emit("and", value, atom)
                value = self.emit("and", either, self.emit("not", both))
            return value

        return list(self.table.args[node]), build

    # Functions without a primitive of their own

    def _plan_polygamma(self, node: int) -> Plan:
        order, inner = self.table.args[node]
        exact = self.table.value(order)
        if exact is None or exact[0].denominator != 1 or not 0 <= exact[0] <= _EXACT:
            raise self.refuse("E150", f"the order of `polygamma` in `{self.stage}` is not a whole number", "its derivative in the order has no closed form")
        number = int(exact[0])
        if number == 0:
            return [inner], lambda atoms: self.emit("digamma", *atoms)
        return [inner], lambda atoms: self.emit("polygamma", Lit(number), *atoms)

    def _plan_beta(self, node: int) -> Plan:
        parts = list(self.table.args[node])
        return (parts * 2)[:2] if len(parts) == 1 else parts, lambda atoms: self.emit("beta", *atoms)

    def _plan_frac(self, node: int) -> Plan:
        return list(self.table.args[node]), lambda atoms: self.emit("sub", atoms[0], self.emit("floor", atoms[0]))

    def _plan_arg(self, node: int) -> Plan:
        return list(self.table.args[node]), lambda atoms: self.emit("select", self.emit("lt", atoms[0], Lit(0)), Lit(math.pi), Lit(0.0))

    def _plan_fma(self, node: int) -> Plan:
        return list(self.table.args[node]), lambda atoms: self.emit("add", self.emit("mul", atoms[0], atoms[1]), atoms[2])

    def _plan_implies(self, node: int) -> Plan:
        return list(self.table.args[node]), lambda atoms: self.emit("or", self.emit("not", atoms[0]), atoms[1])

    def _plan_junction(self, node: int) -> Plan:
        return list(self.table.args[node]), self._fold("and" if self.table.heads[node] is sympy.And else "or")

    def _plan_cut(self, node: int) -> Plan:
        """Plan a stage that was cut by hand: its definition under its name."""
        stage: Any = self.table.atoms[node]
        (definition,) = self.table.args[node]

        def build(atoms: list[Value]) -> Value:
            self._name(definition, stage.name)
            self._file(definition)
            self._rank.setdefault(node, self._rank.get(definition, 0))
            return atoms[0]

        return [definition], build


def _infinite_name(atom: Any) -> str:
    return {sympy.nan: "nan", sympy.zoo: "complex infinity", sympy.oo: "infinity", -sympy.oo: "infinity"}.get(atom, f"`{type(atom).__name__}`")


PLANNERS: Final[Mapping[type[sympy.Basic], Callable[[Lowering, int], Plan]]] = {
    sympy.Add: Lowering._plan_sum,  # noqa: SLF001  its own dispatch, as all below
    sympy.Mul: Lowering._plan_product,  # noqa: SLF001
    sympy.Pow: Lowering._plan_power,  # noqa: SLF001
    sympy.Max: Lowering._plan_extremum,  # noqa: SLF001
    sympy.Min: Lowering._plan_extremum,  # noqa: SLF001
    sympy.Piecewise: Lowering._plan_pieces,  # noqa: SLF001
    sympy.And: Lowering._plan_junction,  # noqa: SLF001
    sympy.Or: Lowering._plan_junction,  # noqa: SLF001
    sympy.Xor: Lowering._plan_xor,  # noqa: SLF001
    sympy.Implies: Lowering._plan_implies,  # noqa: SLF001
    sympy.polygamma: Lowering._plan_polygamma,  # noqa: SLF001
    sympy.beta: Lowering._plan_beta,  # noqa: SLF001
    sympy.frac: Lowering._plan_frac,  # noqa: SLF001
    sympy.arg: Lowering._plan_arg,  # noqa: SLF001
    cfunctions.fma: Lowering._plan_fma,  # noqa: SLF001
    Stage: Lowering._plan_cut,  # noqa: SLF001
}
_ARRAY_PLANNERS: Final[Mapping[type[sympy.Basic], Callable[[Lowering, int], Plan]]] = {**sympy_indices.PLANNERS, **sympy_matrices.PLANNERS}
