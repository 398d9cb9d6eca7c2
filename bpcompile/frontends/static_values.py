"""
Arithmetic on what is known while reading: sizes, indices, range bounds, products of constants.

Exactly Python's arithmetic, with limits: no input makes the reader compute a number that nobody could print.

>>> arithmetic(ast.Pow(), 2, 10)
1024
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

from bpcompile.frontends.values import Refusal

#: No integer known at reading time has more bits; floats end at 1024.
MAX_BITS: Final = 8192

Static = int | float


def _power(a: Static, b: Static) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b > 0 and a.bit_length() * b > MAX_BITS and a not in {-1, 0, 1}:
        raise _too_large("power")
    return a**b


def _product(a: Static, b: Static) -> Static:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() + b.bit_length() > MAX_BITS:
        raise _too_large("product")
    return a * b


def _left_shift(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b + a.bit_length() > MAX_BITS:
        raise _too_large("shift")
    return operator.lshift(a, b)  # floats raise TypeError, which the caller turns into a diagnostic


_OPERATIONS: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _product,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.LShift: _left_shift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def arithmetic(op: ast.operator, a: Static, b: Static) -> Static:
    """
    Return `a op b` as Python computes it.

    Raises:
        Refusal: E107 too large, E110 division by zero, overflow or a complex result, E116 operands that Python refuses.
    """
    return guarded(_OPERATIONS[type(op)], a, b)


def compare(op: ast.cmpop, a: object, b: object) -> bool:
    """
    Return `a op b` for a comparison.

    Raises:
        Refusal: E116, operands that can't be compared.
    """
    try:
        return bool(_COMPARISONS[type(op)](a, b))
    except TypeError as fault:
        raise Refusal("E116", f"these can't be compared: {fault}") from fault


def guarded(function: Callable[..., Any], *operands: Any) -> Static:
    """
    Return `function(*operands)`, a number.

    Raises:
        Refusal: E110 or E116, where the function raises, overflows, or leaves the reals.
    """
    try:
        result = function(*operands)
    except ZeroDivisionError as fault:
        raise Refusal("E110", "division by zero") from fault
    except OverflowError as fault:
        raise Refusal("E110", "this constant is too large for a float") from fault
    except ValueError as fault:
        raise Refusal("E110", "this constant is outside the domain of the function") from fault
    except TypeError as fault:
        raise Refusal("E116", f"operands of the wrong kind: {fault}") from fault
    if isinstance(result, complex):
        raise Refusal("E110", "this constant is a complex number", help_="`math.cbrt` gives the real cube root of a negative number")
    if isinstance(result, bool | int | float):
        return result
    return float(result)


def check_representable(value: int) -> None:
    """
    Check that an integer constant can enter float arithmetic.

    Raises:
        Refusal: E110, it is beyond the largest float.
    """
    try:
        float(value)
    except OverflowError as fault:
        raise Refusal("E110", "this integer is too large for a float", help_="the largest float is about 1.8e308") from fault


def _too_large(what: str) -> Refusal:
    return Refusal("E107", f"this {what} of integers is too large to compute", help_="use floats, or make it an input")
