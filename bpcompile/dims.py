"""
Sizes of axes: numbers, names, and the arithmetic of names.

A dimension is an `int`, a `str` (a name whose value is known at run time), or a polynomial in names (`N*D`, `H - k + 1`) in
SymPy's canonical form, so that two sizes are equal if and only if they compare equal.

>>> multiply("N", 2), add("N", "N"), subtract(add("H", 1), 1)
(2*N, 2*N, 'H')
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import sympy

if TYPE_CHECKING:
    from bpcompile.ir import Dim


class _FloorDiv(sympy.Function):  # type: ignore[misc]  # SymPy has no annotations
    """a // b, which SymPy must not simplify."""

    nargs = 2
    is_integer = True

    def _sympystr(self, printer: Any) -> str:
        top, bottom = (printer.parenthesize(a, sympy.printing.precedence.PRECEDENCE["Mul"]) for a in self.args)
        return f"({top} // {bottom})"


def _expr(dim: Dim) -> sympy.Expr:
    return sympy.Symbol(dim, integer=True, positive=True) if isinstance(dim, str) else sympy.sympify(dim)


def _dim(expr: sympy.Expr) -> Dim:
    expr = sympy.expand(expr)
    if expr.is_Integer:
        return int(expr)
    return str(expr.name) if expr.is_Symbol else expr


def add(a: Dim, b: Dim) -> Dim:
    """Return a + b."""
    return a + b if isinstance(a, int) and isinstance(b, int) else _dim(_expr(a) + _expr(b))


def subtract(a: Dim, b: Dim) -> Dim:
    """Return a - b."""
    return a - b if isinstance(a, int) and isinstance(b, int) else _dim(_expr(a) - _expr(b))


def multiply(a: Dim, b: Dim) -> Dim:
    """Return a * b."""
    return a * b if isinstance(a, int) and isinstance(b, int) else _dim(_expr(a) * _expr(b))


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of sizes; 1 for none."""
    result: Dim = 1
    for dim in dims:
        result = multiply(result, dim)
    return result


def divide(a: Dim, b: Dim) -> Dim:
    """Return a // b; exact where b divides the polynomial a."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    quotient, rest = sympy.fraction(sympy.together(sympy.cancel(_expr(a) / _expr(b))))
    if rest == 1:
        return _dim(quotient)
    return _FloorDiv(_expr(a), _expr(b))


def parse(text: str) -> Dim:
    """
    Read a size: a number, a name, or arithmetic of them.

    >>> parse("4*H"), parse("H - k + 1"), parse("7")
    (4*H, H - k + 1, 7)

    Raises:
        ValueError: It is something else.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"`{text}` is no size") from None
    return _parsed(node, text, 0)


def _parsed(node: ast.expr, text: str, depth: int) -> Dim:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS and depth < _DEEPEST:
        return _OPERATIONS[type(node.op)](_parsed(node.left, text, depth + 1), _parsed(node.right, text, depth + 1))
    raise ValueError(f"`{text}` is no size")


def read_shape(sizes: Any) -> tuple[Dim, ...]:
    """
    Return a shape from what a caller gives: one size, a sequence of them, or a text as in an annotation.

    >>> read_shape("N 4*H"), read_shape(3), read_shape(["N", 3])
    (('N', 4*H), (3,), ('N', 3))

    Raises:
        ValueError: A size is neither a number nor a name nor arithmetic of them.
    """
    if isinstance(sizes, str):
        sizes = sizes.split()
    items = sizes if isinstance(sizes, Iterable) else (sizes,)
    return tuple(parse(size) if isinstance(size, str) else size for size in items)


_DEEPEST: Final = 20
_OPERATIONS: Final = {ast.Add: add, ast.Sub: subtract, ast.Mult: multiply, ast.FloorDiv: divide}


def names(dim: Dim) -> tuple[str, ...]:
    """Return the names in a size, sorted."""
    if isinstance(dim, str):
        return (dim,)
    return () if isinstance(dim, int) else tuple(sorted(s.name for s in dim.free_symbols))


def substitute(dim: Dim, sizes: dict[str, int]) -> Dim:
    """Return the size with numbers in place of names."""
    if isinstance(dim, int):
        return dim
    if isinstance(dim, str):
        return sizes.get(dim, dim)
    value = dim.subs({s: sizes[s.name] for s in dim.free_symbols if s.name in sizes})
    value = value.replace(_FloorDiv, lambda a, b: a // b if a.is_Integer and b.is_Integer else _FloorDiv(a, b))
    return _dim(value)


def is_nonnegative(dim: Dim) -> bool:
    """
    Whether a size is certainly not negative, whatever its names (which are at least 1) stand for.

    >>> is_nonnegative(subtract("N", 1)), is_nonnegative(subtract("N", 2)), is_nonnegative(subtract("N", "D"))
    (True, False, False)
    """
    if isinstance(dim, int):
        return dim >= 0
    expr = _expr(dim)
    shifted = sympy.expand(expr.subs({s: s + 1 for s in expr.free_symbols}, simultaneous=True))
    return all(coefficient >= 0 for coefficient in shifted.as_coefficients_dict().values())


def solve(sizes: Sequence[Dim]) -> dict[str, tuple[int, int, Dim]]:
    """
    Say how the names in some sizes are found from their values.

    Returns:
        For each name that can be found (place, factor, rest): it is (the size at that place - rest) // factor. A name in `rest`
        stands earlier in the result.

    >>> solve(["N", add("H", "N"), multiply(2, "D")])
    {'N': (0, 1, 0), 'H': (1, 1, 'N'), 'D': (2, 2, 0)}
    """
    found: dict[str, tuple[int, int, Dim]] = {}
    for place, size in enumerate(sizes):
        if isinstance(size, str):
            found.setdefault(size, (place, 1, 0))
    waiting = [(place, size) for place, size in enumerate(sizes) if not isinstance(size, int | str)]
    while waiting:
        for item in waiting:
            unknown = [name for name in names(item[1]) if name not in found]
            if len(unknown) <= 1:
                break
        else:
            break
        waiting.remove(item)
        if unknown:
            symbol = _expr(unknown[0])
            factor = _expr(item[1]).coeff(symbol)
            rest = _dim(_expr(item[1]) - factor * symbol)
            if factor.is_Integer and factor > 0 and unknown[0] not in names(rest):
                found[unknown[0]] = item[0], int(factor), rest
    return found


def show(dim: Dim) -> str:
    """
    Return the size as Python source.

    >>> show(multiply("N", "D")), show(add(multiply("N", "N"), 1))
    ('D * N', 'N**2 + 1')
    """
    return re.sub(r"(?<!\*)\*(?!\*)", " * ", str(dim))


def surely_at_least(a: Dim, b: Dim) -> bool:
    """
    Return whether a >= b whatever the names stand for, 0 included.

    >>> surely_at_least(add("N", 1), "N"), surely_at_least("N", 2), surely_at_least(multiply("N", "D"), 0)
    (True, False, True)
    """
    rest = sympy.expand(_expr(a) - _expr(b))
    return all(term.is_number or not term.has(_FloorDiv) for term in sympy.Add.make_args(rest)) and all(
        term.as_coeff_Mul()[0] >= 0 for term in sympy.Add.make_args(rest)
    )


def constant_of(dim: Dim) -> int:
    """
    Return the number in a sum of names and a number.

    >>> constant_of(subtract("N", 2)), constant_of("N")
    (-2, 0)
    """
    return int(_expr(dim).as_coeff_Add()[0])


def terms(dim: Dim) -> list[str]:
    """
    Return the terms of a size as Python source, those that are negative with their sign.

    >>> terms(subtract("K", 1)), terms(0)
    (['K', '-1'], [])
    """
    return [] if dim == 0 else [str(term) for term in _expr(dim).as_ordered_terms()]
