"""
The record of one primitive operation, and the registry that holds them.

An entry says everything the compiler knows of an operation: how SymPy calls it, how it is printed for each target, the
derivative rule of each operand, where it has kinks, where it may be sampled. A rule is a lambda written once and
*interpreted*: called with IR variables it emits equations, with SymPy symbols it can be proved against `sympy.diff`, with
floats it can be compared with finite differences. That works because primitives are called like functions inside rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, Literal

import sympy

from bpcompile.forms import Form

TARGETS: Final = ("math", "numpy")

#: (ct, ans, *operands) -> cotangent of one operand. `ct` is the cotangent of the answer `ans`.
Rule = Callable[..., Any]


class Zero:
    """The rule of an operand that carries no derivative."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO: Final = Zero()


class EachOperand:
    """
    The rules of an operation on any number of operands: one function that is told which operand it differentiates.

    `rule(i, ct, ans, *operands, **params)` returns the cotangent of operand i.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    #: There is no last rule: a loop over them would never end.
    __iter__ = None

    def __getitem__(self, operand: int) -> Rule:
        return partial(self._rule, operand)


@dataclass(frozen=True, slots=True)
class Kink:
    """A point where the derivative jumps: where it is, which value is chosen there, and why."""

    at: str
    value: str
    why: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Primitive:
    """
    One primitive operation.

    Attributes:
        name: The name in programs and in `bpcompile ops`.
        sympy: The SymPy counterpart, called with one expression an operand.
        impl: The value on floats; may raise what `math` raises outside the domain.
        forms: The printed form for each of `TARGETS`, and under `notes` that of lecture style where it differs from NumPy's; for
            structural operations a function of the static parameters, and of the operands' `shapes` if it has a parameter
            of that name.
        vjp: One rule an operand, or `ZERO`; or `EachOperand`, for any number of them. Linear in `ct`.
        textbook: The local gradient of each operand as a lecture writes it, `(ans, *operands) -> local`; where absent the
            rule at `ct = 1` serves.
        result: What the operation yields.
        passes: The result has the dtype of the first operand: moving truth values or integers about does not make them floats.
        total: Never raises, overflows or yields nan on finite operands of moderate size.
        domain: Where it is defined, for people.
        samples: Points inside the domain, away from kinks.
        kinks: Where the derivative jumps.
        lower: For a target (or `literal`), how the operation is written with simpler ones, `(*operands) -> value`.
        note: One phrase printed beside a line that uses `lower` or `forms` for numerical safety.
        hazard: What goes wrong in the literal form, for the notes of `--numerics literal`.
        notes: Source of a formula, numerical limits.
        short: The stem that names a value of this operation: `sig` makes `sigy`.
        symbol: What its gate shows in a circuit, where neither an operator nor the name says it.
        shape: Shape of the result from operand shapes, for operations that are not element-wise.
        shape_only: Operands of which only the shape (and the dtype) is used: their values need not be kept.
        cost: Arithmetic operations that one evaluation counts for.
        array_samples: For structural operations, what to try them on: shapes of the operands, and static parameters.
        draw: Makes the operands of an array sample where normal deviates would not do: `(rng, *shapes, **params)`.
    """

    name: str
    sympy: Callable[..., Any]
    impl: Callable[..., Any]
    forms: Mapping[str, Form | Callable[..., Form]]
    vjp: Sequence[Rule | Zero] | EachOperand
    samples: Sequence[tuple[float, ...]]
    textbook: Sequence[Rule] | None = None
    result: Literal["float", "bool", "int"] = "float"
    passes: bool = False
    total: bool = False
    domain: str = "all reals"
    kinks: Sequence[Kink] = ()
    lower: Mapping[str, Rule] = field(default_factory=dict)
    note: str = ""
    hazard: str = ""
    notes: str = ""
    short: str = ""
    symbol: str = ""
    shape: Callable[..., tuple[Any, ...]] | None = None
    shape_only: tuple[int, ...] = ()
    cost: int = 1
    array_samples: Sequence[tuple[tuple[tuple[Any, ...], ...], Mapping[str, Any]]] = ()
    draw: Callable[..., tuple[Any, ...]] | None = None

    def __post_init__(self) -> None:
        for target in TARGETS:
            if target not in self.forms:
                msg = f"{self.name}: no form for target {target}"
                raise ValueError(msg)
        if not self.samples:
            msg = f"{self.name}: an entry needs samples"
            raise ValueError(msg)
        if isinstance(self.vjp, EachOperand):
            return
        for sample in self.samples:
            if len(sample) != len(self.vjp):
                msg = f"{self.name}: sample {sample} for {len(self.vjp)} operands"
                raise ValueError(msg)
        for rule in self.vjp:
            if not isinstance(rule, Zero) and _positional(rule) != len(self.vjp) + 2:
                msg = f"{self.name}: a rule takes ct, ans and {len(self.vjp)} operands"
                raise ValueError(msg)
        if self.textbook is not None and len(self.textbook) != len(self.vjp):
            msg = f"{self.name}: one textbook gradient an operand"
            raise ValueError(msg)

    def form(self, target: str, params: Mapping[str, Any], shapes: Sequence[tuple[Any, ...]] | None = None) -> Form:
        """
        Return how an equation is printed.

        Args:
            target: One of `TARGETS`, or `notes` for lecture style, which is NumPy's form unless the entry has another.
            params: Its static parameters.
            shapes: The shapes of its operands: `x.sum()` instead of `x.sum(axis=(0, 1))` where they are known.
        """
        form = self.forms["numpy" if target == "notes" and "notes" not in self.forms else target]
        if isinstance(form, Form):
            return form
        return form(**params, shapes=shapes) if _wants_shapes(form) else form(**params)

    @property
    def variadic(self) -> bool:
        """Whether the operation takes any number of operands."""
        return isinstance(self.vjp, EachOperand)

    @property
    def arity(self) -> int:
        """The number of operands of an operation that has a fixed one."""
        if isinstance(self.vjp, EachOperand):
            msg = f"{self.name} takes any number of operands"
            raise TypeError(msg)
        return len(self.vjp)

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Apply to IR variables (emits an equation), SymPy expressions or floats; `params` are static parameters."""
        for operand in operands:
            emit = getattr(type(operand), "emit_with", None)
            if emit is not None:
                return emit(operand, self, operands, params)
        for operand in operands:
            if isinstance(operand, sympy.Basic):
                return self.sympy(*operands, **params)
        return self.impl(*operands, **params)

    def __repr__(self) -> str:
        return f"<{self.name}>"


@cache
def _wants_shapes(form: Callable[..., Form]) -> bool:
    return "shapes" in inspect.signature(form).parameters


def _positional(rule: Rule) -> int:
    return sum(p.kind is not p.KEYWORD_ONLY for p in inspect.signature(rule).parameters.values())


class Registry:
    """The primitives by name, in the order of definition."""

    def __init__(self) -> None:
        self._by_name: dict[str, Primitive] = {}

    def add(self, primitive: Primitive) -> Primitive:
        """Register an entry and return it; a name is taken once."""
        if primitive.name in self._by_name:
            msg = f"primitive {primitive.name} is defined twice"
            raise ValueError(msg)
        self._by_name[primitive.name] = primitive
        return primitive

    def __getitem__(self, name: str) -> Primitive:
        return self._by_name[name]

    def get(self, name: str) -> Primitive | None:
        """Return the entry of that name, or None."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Primitive]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)


REGISTRY: Final = Registry()


def define(**entry: Any) -> Primitive:
    """Build an entry, register it and return it."""
    return REGISTRY.add(Primitive(**entry))
