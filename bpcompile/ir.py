"""
Programs in static single assignment: a flat list of equations over variables and literals.

Grammar::

    program  ::= params equation* outputs
    equation ::= var = primitive(atom, ..., **params)
    atom     ::= var | literal

Invariants (checked by `wellformed`): every variable is defined once, before its uses; operands and result have shapes that
agree. A variable compares by identity and has no truth value, so that a Python `if` in a rule can't be silently true.

>>> from bpcompile.ops.scalar import mul, add
>>> x, y = Var(name="x"), Var(name="y")
>>> with Builder() as b:
...     q = x + y
...     f = q * y
>>> print(Program([Param("x", x), Param("y", y)], b.eqns, [Output("f", f)]))
program(x, y)
  t0 = add x y
  t1 = mul t0 y
return f = t1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Union

from bpcompile.diagnostics import Diagnostic, Source, Span
from bpcompile.primitive import REGISTRY, Primitive

if TYPE_CHECKING:
    import sympy

#: A size: a number, the name of a dimension known at run time, or a polynomial in such names (`dims`).
Dim = Union[int, str, "sympy.Expr"]
Shape = tuple[Dim, ...]
Number = int | float
#: What rules are called with: a variable, or the plain number of a literal.
Operand = Union["Var", int, float, bool]

_NO_PARAMS: Final[Mapping[str, Any]] = {}
#: Tuples: `isinstance` builds a union written with `|` anew at each call.
_NUMBERS: Final = (int, float)
_INFINITE: Final = (float("inf"), float("-inf"))


class Var:
    """
    One value of a program.

    Attributes:
        shape: Sizes of its axes; `()` for a scalar.
        dtype: `float`, `bool` or `int`.
        name: The user's name for it (`num`, `w[0]`), or None for a temporary.
        stage: Whether it must appear under a name of its own in the output.
        twin: For an adjoint, the primal value that it is the gradient of.
    """

    __slots__ = ("dtype", "name", "shape", "stage", "twin")

    def __init__(self, *, name: str | None = None, shape: Shape = (), dtype: str = "float", stage: bool = False, twin: Var | None = None) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.stage = stage
        self.twin = twin

    def __repr__(self) -> str:
        return self.name or f"<{'adjoint' if self.twin is not None else 'value'} {id(self):x}>"

    def __bool__(self) -> NoReturn:
        msg = "a variable of a program has no truth value: use `select`"
        raise TypeError(msg)

    def emit_with(self, primitive: Primitive, operands: Sequence[Operand], params: Mapping[str, Any] = _NO_PARAMS) -> Var:
        """Emit `primitive(*operands)` into the builder in use."""
        return Builder.current().emit(primitive, operands, params or _NO_PARAMS)

    # Operators never emit an identity: rules write `y * x ** (y - 1)` and y = 2 gives `2 * x`.
    def __add__(self, other: Operand) -> Operand:
        return self if _is(other, 0) else _emit("add", self, other)

    def __radd__(self, other: Operand) -> Operand:
        return self if _is(other, 0) else _emit("add", other, self)

    def __sub__(self, other: Operand) -> Operand:
        return self if _is(other, 0) else _emit("sub", self, other)

    def __rsub__(self, other: Operand) -> Operand:
        return _emit("neg", self) if _is(other, 0) else _emit("sub", other, self)

    def __mul__(self, other: Operand) -> Operand:
        if _is(other, 1):
            return self
        if _is(other, 0):
            return 0
        return _emit("neg", self) if _is(other, -1) else _emit("mul", self, other)

    def __rmul__(self, other: Operand) -> Operand:
        if _is(other, 1):
            return self
        if _is(other, 0):
            return 0
        return _emit("neg", self) if _is(other, -1) else _emit("mul", other, self)

    def __truediv__(self, other: Operand) -> Operand:
        return self if _is(other, 1) else _emit("div", self, other)

    def __rtruediv__(self, other: Operand) -> Operand:
        return 0 if _is(other, 0) else _emit("div", other, self)

    def __pow__(self, other: Operand) -> Operand:
        if _is(other, 1):
            return self
        return 1 if _is(other, 0) else _emit("pow", self, other)

    def __rpow__(self, other: Operand) -> Operand:
        return _emit("pow", other, self)

    def __neg__(self) -> Operand:
        return _emit("neg", self)

    def __lt__(self, other: Operand) -> Var:
        return _emit("lt", self, other)

    def __le__(self, other: Operand) -> Var:
        return _emit("le", self, other)

    def __gt__(self, other: Operand) -> Var:
        return _emit("gt", self, other)

    def __ge__(self, other: Operand) -> Var:
        return _emit("ge", self, other)


def _is(value: object, number: int) -> bool:
    return isinstance(value, _NUMBERS) and value == number


def _emit(name: str, *operands: Operand) -> Var:
    return Builder.current().emit(REGISTRY[name], operands)


class Lit:
    """A literal number. Keeps the type it was written with: `2` and `2.0` print differently."""

    __slots__ = ("value",)

    def __init__(self, value: Number) -> None:
        self.value = value

    @property
    def shape(self) -> Shape:
        """A literal is a scalar."""
        return ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lit) or type(self.value) is not type(other.value):
            return False
        if self.value == other.value:
            # 0.0 and -0.0 are equal and print differently.
            return self.value != 0 or repr(self.value) == repr(other.value)
        return self.value != self.value and other.value != other.value  # nan

    def __hash__(self) -> int:
        return hash(self.value) if self.value == self.value else 0  # nan hashes by identity

    def __repr__(self) -> str:
        return repr(self.value)


Atom = Var | Lit
_ATOMS: Final = (Var, Lit)
#: A condition and the way it must come out.
Case = tuple[Var, bool]
#: The cases in which a value is needed, all of them together. Where a condition can be known only in the cases before it, it comes
#: after them: cases are tested in this order.
Guard = tuple[Case, ...]


def common(a: Guard, b: Guard) -> Guard:
    """
    Return what two guards demand alike: a value needed under either of them is needed under this one.

    >>> x, y, z = Var(), Var(), Var()
    >>> common(((x, True), (y, True)), ((z, True), (y, True))) == ((y, True),)
    True
    """
    if a == b or not a:
        return a
    others = set(b)
    return tuple([case for case in a if case in others])


def implies(strong: Guard, weak: Guard) -> bool:
    """Whether `weak` holds wherever `strong` does."""
    return not weak or strong == weak or set(strong).issuperset(weak)


def beyond(strong: Guard, weak: Guard) -> Guard:
    """Return the cases that `strong` demands and `weak` does not."""
    known = set(weak)
    return tuple([case for case in strong if case not in known])


class Logic:
    """What follows from a condition: both operands of an `and` hold where it does."""

    def __init__(self, eqns: Iterable[Eqn]) -> None:
        self.eqns = {eqn.out: eqn for eqn in eqns if eqn.prim.name in _LOGIC and eqn.out.dtype == "bool"}

    def follows(self, case: Case) -> list[Case]:
        """Return the case and what it implies, itself last and operands from left to right."""
        found: dict[Case, None] = {}
        stack = [(case, False)]
        while stack:
            here, ready = stack.pop()
            operands = [] if ready or here in found else self._operands(*here)
            if operands:
                stack.append((here, True))
                stack += [(case, False) for case in reversed(operands)]
            else:
                found[here] = None
        return list(found)

    def _operands(self, condition: Var, taken: bool) -> list[Case]:  # noqa: FBT001  a case
        eqn = self.eqns.get(condition)
        if eqn is None or _LOGIC[eqn.prim.name] not in (taken, None):
            return []
        return [(a, taken is (eqn.prim.name != "not")) for a in eqn.args if isinstance(a, Var)]

    def adds(self, guard: Guard, case: Case) -> Guard:
        """Return the guard with one more case and what it implies."""
        return guard if case in guard else tuple(dict.fromkeys((*guard, *self.follows(case))))

    def tests(self, guard: Guard) -> Guard:
        """Return the cases of a guard that have to be tested: not those that others imply."""
        known: set[Case] = set()
        kept = []
        for case in reversed(guard):
            if case not in known:
                kept.append(case)
                known.update(self.follows(case) if case[0] in self.eqns else (case,))
        return tuple(kept[::-1])


#: For each operation on conditions, the outcome from which those of its operands follow; None for both outcomes.
_LOGIC: Final[Mapping[str, bool | None]] = {"and": True, "or": False, "not": None, "copy": None}


class Eqn:
    """
    One equation `out = prim(*args, **params)`.

    Attributes:
        span: Where the user wrote it.
        origin: For an equation of the backward pass, the primal value whose defining equation it undoes.
        guard: The cases in which its value is needed at all.
        note: One phrase for the reader, printed beside the line.
    """

    __slots__ = ("args", "guard", "note", "origin", "out", "params", "prim", "span")

    def __init__(
        self,
        out: Var,
        prim: Primitive,
        args: tuple[Atom, ...],
        params: Mapping[str, Any] = _NO_PARAMS,
        *,
        span: Span | None = None,
        origin: Var | None = None,
        guard: Guard = (),
        note: str = "",
    ) -> None:
        self.out = out
        self.prim = prim
        self.args = args
        self.params = params
        self.span = span
        self.origin = origin
        self.guard = guard
        self.note = note

    def can_fail(self) -> bool:
        """Whether the operation may raise, or make nan out of operands of moderate size."""
        if self.prim.total and self.prim.name != "select":
            return any(isinstance(a, Lit) and a.value in _INFINITE for a in self.args)
        return not self.prim.total

    def reads_when(self, operand: int) -> Case | None:
        """Return the case in which alone it reads an operand: a branch, or the second operand of `and` and `or`."""
        name = self.prim.name
        if operand == 0 or name not in _CHOOSING or not isinstance(self.args[0], Var):
            return None
        return self.args[0], operand == 1 if name == "select" else name == "and"

    def adds_to(self) -> Var | None:
        """Return the version of an adjoint that this equation adds a contribution to, if it does (`dx += ...`)."""
        if self.out.twin is None or self.prim.name not in {"add", "sub"}:
            return None
        before = self.args[0]
        return before if isinstance(before, Var) and before.twin is self.out.twin else None

    def replace(self, **changes: Any) -> Eqn:
        """Return a copy with some attributes changed."""
        copy = Eqn(self.out, self.prim, self.args, self.params, span=self.span, origin=self.origin, guard=self.guard, note=self.note)
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy

    def __repr__(self) -> str:
        return f"{self.out!r} = {self.prim.name} " + " ".join(map(repr, self.args))


_CHOOSING: Final = frozenset({"select", "and", "or"})

#: A parameter is one value, or a list of parameters: `w = [2, -3, -3]` is a tuple of three variables.
Tree = Union[Var, tuple["Tree", ...]]


def leaves(tree: Tree) -> Iterator[Var]:
    """Yield the variables of a parameter, left to right."""
    stack: list[Tree] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Var):
            yield node
        else:
            stack.extend(reversed(node))


@dataclass(slots=True)
class Param:
    """
    An input: a scalar, a list of scalars (nested as written), or an array.

    Attributes:
        name: The user's name.
        tree: Its variable, or the variables of its elements. Elements are named `w[0]`, `w[1]`.
        example: The example value, in the shape of `tree`.
        wrt: Whether its gradient is wanted.
        seed: For an upstream gradient, the name of the output it belongs to.
        note: What a reader should know of it (an assumption, a new name).
    """

    name: str
    tree: Tree
    example: Any = None
    span: Span | None = None
    wrt: bool = True
    seed: str | None = None
    note: str = ""

    def leaves(self) -> Iterator[Var]:
        """Yield its variables."""
        return leaves(self.tree)


@dataclass(slots=True)
class Output:
    """A result of the program under the name that the user gave it."""

    name: str
    atom: Atom
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """
    What a SymPy input says the outputs are, for the certificate: one expression an output, one symbol an input variable.

    The symbols are unique (no two print alike) and real; the expressions are the user's own, before any lowering.
    """

    expressions: tuple[sympy.Expr, ...]
    symbols: Mapping[Var, sympy.Symbol]


@dataclass(slots=True)
class Program:
    """
    Inputs, equations, outputs.

    After the reverse pass, `eqns` also holds the equations of the backward pass (those with an `origin`), `seeds` the
    upstream gradients in the order of the outputs, and `gradients` the final adjoint of each input variable.
    `notes` are warnings and notes for the user; `reference` is what the certificate compares with, where the input was SymPy.
    """

    params: list[Param]
    eqns: list[Eqn]
    outputs: list[Output]
    name: str = "f"
    source: Source | None = None
    seeds: list[Atom] = field(default_factory=list)
    gradients: dict[Var, Atom] = field(default_factory=dict)
    notes: list[Diagnostic] = field(default_factory=list)
    reference: Reference | None = None

    def inputs(self) -> Iterator[Var]:
        """Yield every input variable, elements of lists one by one."""
        for param in self.params:
            yield from param.leaves()

    def with_eqns(self, eqns: list[Eqn]) -> Program:
        """Return the program with other equations; outputs and gradients are copies, which a pass may redirect."""
        outputs = [Output(o.name, o.atom, o.span) for o in self.outputs]
        return Program(self.params, eqns, outputs, self.name, self.source, self.seeds, dict(self.gradients), self.notes, self.reference)

    def redirected(self, eqns: list[Eqn], same: Mapping[Var, Atom]) -> Program:
        """Return the program with other equations, its results read from what `same` says they are now."""
        result = self.with_eqns(eqns)
        if same:
            for output in result.outputs:
                if isinstance(output.atom, Var):
                    output.atom = same.get(output.atom, output.atom)
            result.gradients = {v: same.get(a, a) if isinstance(a, Var) else a for v, a in self.gradients.items()}
        return result

    def results(self) -> Iterator[Atom]:
        """Yield what must survive: the outputs and the gradients."""
        for output in self.outputs:
            yield output.atom
        yield from self.gradients.values()

    def __str__(self) -> str:
        names: dict[Var, str] = {}

        def show(atom: Atom) -> str:
            if isinstance(atom, Lit):
                return repr(atom)
            if atom not in names:
                names[atom] = atom.name or f"t{sum(n.startswith('t') for n in names.values())}"
            return names[atom]

        text = [f"program({', '.join(p.name for p in self.params)})"]
        for eqn in self.eqns:
            args = " ".join(show(a) for a in eqn.args)
            extra = "".join(f" {k}={v!r}" for k, v in sorted(eqn.params.items()))
            text.append(f"  {show(eqn.out)} = {eqn.prim.name} {args}{extra}")
        text.append("return " + ", ".join(f"{o.name} = {show(o.atom)}" for o in self.outputs))
        return "\n".join(text)


def broadcast(*shapes: Shape) -> Shape:
    """
    Return the shape that NumPy's broadcasting gives.

    Raises:
        ValueError: Two sizes differ and neither is 1.

    >>> broadcast(("N", 3), (3,), ())
    ('N', 3)
    """
    width = max(map(len, shapes), default=0)
    result: list[Dim] = [1] * width
    for shape in shapes:
        for axis, size in enumerate(shape, width - len(shape)):
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                msg = f"shapes {' and '.join(map(show_shape, shapes))} do not broadcast"
                raise ValueError(msg)
    return tuple(result)


def show_shape(shape: Shape) -> str:
    """
    Write a shape as Python writes a tuple, without quotes.

    >>> show_shape(("N",)), show_shape(("N", 3))
    ('(N,)', '(N, 3)')
    """
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"


class Builder:
    """
    Collects equations. As a context manager it is what operators on variables emit into.

    Attributes:
        eqns: The equations so far.
        span, origin, guard: Given to each new equation.
    """

    _stack: ClassVar[list[Builder]] = []

    def __init__(self) -> None:
        self.eqns: list[Eqn] = []
        self.span: Span | None = None
        self.origin: Var | None = None
        self.guard: Guard = ()

    def __enter__(self) -> Builder:  # noqa: PYI034  subclasses are not foreseen
        Builder._stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        Builder._stack.pop()

    @staticmethod
    def current() -> Builder:
        """Return the innermost builder in use."""
        return Builder._stack[-1]

    def emit(self, prim: Primitive, operands: Sequence[Operand | Lit], params: Mapping[str, Any] = _NO_PARAMS, *, note: str = "") -> Var:
        """
        Append `prim(*operands)` and return its result; plain numbers become literals.

        Raises:
            ValueError: The operands' shapes do not agree.
        """
        args = tuple([a if isinstance(a, _ATOMS) else Lit(a) for a in operands])
        if prim.shape is not None:
            shape = prim.shape(*[a.shape for a in args], **params)
        else:
            shape = ()
            for a in args:
                if a.shape != shape:
                    shape = broadcast(*[a.shape for a in args])
                    break
        out = Var(shape=shape, dtype=args[0].dtype if prim.passes and isinstance(args[0], Var) else prim.result)
        self.eqns.append(Eqn(out, prim, args, params, span=self.span, origin=self.origin, guard=self.guard, note=note))
        return out


def value_of(atom: Atom) -> Operand:
    """Return what a rule is called with: the variable, or the literal's number."""
    return atom.value if isinstance(atom, Lit) else atom
