"""
Named stages of SymPy expressions: cutting an expression by hand, and finding a named stage again after SymPy has flattened it.

SymPy turns `a = x + y; b = a + z` into `b = x + y + z`: the stage is gone from `b`. `Recovery` finds it again. It works on
forms over opaque integer keys (a key stands for one sub-expression): a sum is `{key: coefficient}`, a product
`{key: exponent}` with a coefficient. A stage is found in a form when the form minus a multiple of the stage (for products:
divided by a power of it) is cheaper to compute than the form itself.

>>> recovery = Recovery()
>>> recovery.add_sum(7, SumForm({1: Fraction(1), 2: Fraction(1)}))  # stage 7 is x + y
>>> found, rest = recovery.cover_sum(SumForm({1: Fraction(-1), 2: Fraction(-1), 3: Fraction(1)}))
>>> found, rest.terms  # z - x - y is z - stage 7
([(7, Fraction(-1, 1))], {3: Fraction(1, 1)})
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Self

import sympy
from sympy.core.cache import cacheit

#: The key of the constant term of a sum.
ONE: Final = -1
#: Larger powers of a coefficient are not worth a look.
_POWER_LIMIT: Final = 64


class Stage(sympy.Symbol):  # type: ignore[misc]  # SymPy's classes are untyped
    """
    A symbol that stands for an expression.

    SymPy sees a symbol, so that expressions built on it stay shallow; derivatives and substitutions look through it.

    Attributes:
        definition: The expression it stands for.
    """

    __slots__ = ("definition", "index")

    definition: sympy.Expr
    index: int

    _count = itertools.count()

    def __new__(cls, name: str, definition: sympy.Expr) -> Self:
        """Make a stage of its own: two stages are never equal, whatever their names."""
        # Real, because inputs are real by contract; without it SymPy would carry re() and im() of a stage.
        self: Self = sympy.Symbol.__xnew__(cls, name, real=True)
        self.definition = definition
        self.index = next(cls._count)
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name, self.definition), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.index)

    @property
    def free_symbols(self) -> set[sympy.Symbol]:
        """The stage itself and the symbols that it is computed from."""
        return _free_symbols(self)

    @cacheit  # type: ignore[untyped-decorator]  # SymPy's decorators are untyped
    def sort_key(self, order: Any = None) -> Any:  # noqa: ARG002  SymPy's signature
        """Sort after symbols of the same name, in the order of creation."""
        return self.class_key(), (2, (self.name, self.index)), sympy.S.One.sort_key(), sympy.S.One

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        # Symbol's own answer would be 0: a silently wrong derivative.
        return sympy.S.One if symbol == self else self.definition.diff(symbol)

    def _eval_derivative_n_times(self, symbol: sympy.Symbol, n: Any) -> Any:
        return sympy.Basic._eval_derivative_n_times(self, symbol, n)  # noqa: SLF001  an atom's own answer is 0 as well

    def _eval_subs(self, old: Any, new: Any) -> Any:
        return self.definition._subs(old, new) if self._touched_by((old,)) else None  # noqa: SLF001  SymPy's protocol

    def _xreplace(self, rule: Any) -> tuple[Any, bool]:
        if self in rule:
            return rule[self], True
        return self.definition._xreplace(rule) if self._touched_by(rule) else (self, False)  # noqa: SLF001  SymPy's protocol

    def _touched_by(self, replaced: Any) -> bool:
        free = self.free_symbols
        return any(not isinstance(old, sympy.Symbol) or old in free for old in replaced)

    def _eval_evalf(self, prec: int) -> Any:
        return self.definition._eval_evalf(prec)  # noqa: SLF001  SymPy's protocol


def stage(name: Any, expr: Any) -> sympy.Expr:
    """
    Cut an expression: return a symbol that stands for `expr` and becomes a stage `name` of the compiled program.

    Expressions built from stages stay shallow, so that they can grow past SymPy's recursion limits.

    Args:
        name: The name of the value in the compiled program.
        expr: A scalar SymPy expression or a number.

    Raises:
        TypeError: `name` is no string, or `expr` no scalar expression.
    """
    if not isinstance(name, str) or not name:
        msg = f"a stage needs a name, not {name!r}"
        raise TypeError(msg)
    definition = sympy.sympify(expr, strict=True) if isinstance(expr, int | float | sympy.Basic) else None
    if not isinstance(definition, sympy.Expr):
        msg = f"a stage is a scalar SymPy expression, not {type(expr).__name__}"
        raise TypeError(msg)
    return Stage(name, definition)


def _free_symbols(expr: sympy.Basic) -> set[sympy.Symbol]:
    """Return the free symbols, visiting each shared node once: SymPy's own walk takes shared parts for trees."""
    found: set[sympy.Symbol] = set()
    seen: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, sympy.Symbol):
            found.add(node)
            if isinstance(node, Stage):
                stack.append(node.definition)
        elif hasattr(node, "bound_symbols"):
            found |= node.free_symbols  # Lambda, Integral and the like bind names
        else:
            stack.extend(node.args)
    return found


@dataclass(slots=True)
class SumForm:
    """
    A sum.

    Attributes:
        terms: Key to coefficient; the constant term has the key `ONE`.
        floats: Keys whose coefficient is a float, so that it must not be recomputed.
    """

    terms: dict[int, Fraction]
    floats: set[int] = field(default_factory=set)


@dataclass(slots=True)
class ProductForm:
    """
    A product.

    Attributes:
        factors: Key to exponent.
        coefficient: The numeric factor.
        inexact: Whether the coefficient is a float, so that it must not be recomputed.
    """

    factors: dict[int, Fraction]
    coefficient: Fraction = Fraction(1)
    inexact: bool = False


class Recovery:
    """The stages defined so far, in the order of definition, as forms that can be found inside other forms."""

    def __init__(self) -> None:
        self._sums: dict[int, SumForm] = {}
        self._products: dict[int, ProductForm] = {}
        # A stage is filed under one of its keys, the one with the fewest stages, so that running sums stay linear.
        self._sum_index: dict[int, list[int]] = {}
        self._product_index: dict[int, list[int]] = {}
        self._order: dict[int, int] = {}

    def add_sum(self, stage: int, form: SumForm) -> None:
        """File a stage whose value is a sum; `stage` is the key of the stage itself."""
        if stage not in self._sums and form.terms.keys() - {ONE}:
            self._file(stage, form.terms, self._sum_index)
            self._sums[stage] = form

    def add_product(self, stage: int, form: ProductForm) -> None:
        """File a stage whose value is a product or a power."""
        if stage not in self._products and form.factors:
            self._file(stage, form.factors, self._product_index)
            self._products[stage] = form

    def __contains__(self, stage: int) -> bool:
        return stage in self._order

    def _file(self, stage: int, keys: dict[int, Fraction], index: dict[int, list[int]]) -> None:
        self._order.setdefault(stage, len(self._order))
        key = min((k for k in keys if k != ONE), key=lambda k: len(index.get(k, ())))
        index.setdefault(key, []).append(stage)

    def cover_sum(self, form: SumForm) -> tuple[list[tuple[int, Fraction]], SumForm]:
        """
        Return the stages found in a sum, each with its factor, and what remains of the sum.

        Larger stages are tried first, among equals the latest.
        """
        found: list[tuple[int, Fraction]] = []
        rest = form
        candidates = {stage for key in form.terms for stage in self._sum_index.get(key, ())}
        for stage in sorted(candidates, key=lambda s: (-len(self._sums[s].terms), -self._order[s])):
            match = self._match_sum(rest, self._sums[stage])
            if match:
                factor, rest = match
                found.append((stage, factor))
        return found, rest

    def _match_sum(self, form: SumForm, stage: SumForm) -> tuple[Fraction, SumForm] | None:
        terms = form.terms
        if len(stage.terms) > len(terms) or not all(key in terms for key in stage.terms):
            return None
        ratios = [terms[key] / value for key, value in stage.terms.items()]
        factor = ratios[0]
        if any(ratio != factor for ratio in ratios):
            # 2*x + y with a = x + y is a + x; other multiples are not what anyone wrote.
            factor = Fraction(1 if factor > 0 else -1)
            if any(ratio / factor < 1 for ratio in ratios) or form.floats & stage.terms.keys() or stage.floats:
                return None
        if abs(factor) != 1 and not _keeps_floats(form, stage):
            return None
        rest = SumForm({k: v for k, v in terms.items() if k not in stage.terms}, form.floats - stage.terms.keys())
        rest.terms.update({k: left for k, v in stage.terms.items() if (left := terms[k] - factor * v)})
        gain = _sum_cost(form) - _sum_cost(rest) - _term_cost(0, factor)
        if len(stage.terms) == 1:
            # A lone term: z + x*y with s = -x*y is z - s, unless x*y is a stage itself.
            (key,) = stage.terms
            return (factor, rest) if gain > 0 or (gain == 0 and factor == -1 and key not in self._order) else None
        return (factor, rest) if gain > 0 else None

    def cover_product(self, form: ProductForm, *, whole: int | None = None) -> tuple[list[tuple[int, int]], ProductForm]:
        """
        Return the stages found in a product, each with its power, and what remains of the product.

        Args:
            form: The product.
            whole: The key of the product itself, which is not to be found in itself.
        """
        found: list[tuple[int, int]] = []
        rest = form
        candidates = {stage for key in form.factors for stage in self._product_index.get(key, ())} - {whole}
        for stage in sorted(candidates, key=lambda s: (-_units(self._products[s]), -self._order[s])):
            match = _match_product(rest, self._products[stage])
            if match:
                power, rest = match
                found.append((stage, power))
        return found, rest


def _keeps_floats(form: SumForm, stage: SumForm) -> bool:
    """Whether the factor is the very float that the user wrote, not the quotient of two."""
    return not stage.floats and (not form.floats & stage.terms.keys() or all(abs(v) == 1 for v in stage.terms.values()))


def _term_cost(key: int, coefficient: Fraction) -> int:
    return 1 if key == ONE or abs(coefficient) == 1 else 2


def _sum_cost(form: SumForm) -> int:
    return sum(_term_cost(key, value) for key, value in form.terms.items())


def _match_product(form: ProductForm, stage: ProductForm) -> tuple[int, ProductForm] | None:
    factors = form.factors
    if len(stage.factors) > len(factors) or not all(key in factors for key in stage.factors):
        return None
    ratios = [factors[key] / value for key, value in stage.factors.items()]
    sign = 1 if ratios[0] > 0 else -1
    power = sign * int(min(ratio * sign for ratio in ratios))
    if not 0 < power * sign <= _POWER_LIMIT:
        return None
    # (sqrt(x))**2 is not x: a root may stand for a fractional power only, or the domain shrinks.
    if any(value.denominator != 1 and factors[key].denominator == 1 for key, value in stage.factors.items()):
        return None
    coefficient = _quotient(form, stage, power)
    if coefficient is None:
        return None
    rest = ProductForm({k: v for k, v in factors.items() if k not in stage.factors}, coefficient, form.inexact and abs(coefficient) != 1)
    rest.factors.update({k: left for k, v in stage.factors.items() if (left := factors[k] - power * v)})
    gain = _product_cost(form) - _product_cost(rest) - (1 if power == 1 else 2)
    if _coefficient_cost(rest) > _coefficient_cost(form) or gain < 0:
        return None
    # At equal cost x**4 with s = x**2 is s**2, and 1/x**2 is 1/s; but 4*x with s = 2*x stays.
    is_root = any(e.denominator != 1 for e in stage.factors.values())
    if gain == 0 and _units(stage) < 2 and not is_root:
        return None
    return power, rest


def _quotient(form: ProductForm, stage: ProductForm, power: int) -> Fraction | None:
    """Return the coefficient that is left, or None where it would be a recomputed float."""
    if stage.coefficient == 0:
        return None
    unit = stage.coefficient**power
    if abs(unit) == 1 or not (form.inexact or stage.inexact):
        return form.coefficient / unit
    return Fraction(1 if form.coefficient == unit else -1) if abs(form.coefficient) == abs(unit) else None


def _coefficient_cost(form: ProductForm) -> int:
    value = abs(form.coefficient)
    if value == 1:
        return 0
    return 1 if form.inexact or value.denominator == 1 or value.numerator == 1 else 2


def _product_cost(form: ProductForm) -> int:
    return _coefficient_cost(form) + sum(1 if e == 1 else 2 for e in form.factors.values())


def _units(form: ProductForm) -> Fraction:
    """How much of a product a stage takes over: the sum of its exponents' sizes."""
    return sum((abs(e) for e in form.factors.values()), Fraction(0))
