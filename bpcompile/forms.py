"""
The printed form of a primitive: a call, an infix or prefix operator, or a pattern; and the precedence ladder they share.

A form says how one operation reads in Python source. The ladder is Python's own; the printer decides parentheses from it
alone, so this is the only place where precedence and associativity are written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Prec(IntEnum):
    """Python's precedence ladder for expressions, loosest first."""

    TUPLE = 0
    TEST = 1  # a if c else b
    OR = 2
    AND = 3
    NOT = 4
    CMP = 5
    BOR = 6
    BXOR = 7
    BAND = 8
    SHIFT = 9
    ARITH = 10
    TERM = 11
    FACTOR = 12  # -x
    POWER = 13
    ATOM = 14  # names, literals, calls, subscripts


@dataclass(frozen=True, slots=True)
class Form:
    """
    How an operation is written.

    Attributes:
        template: Text with `{0}`, `{1}`, ... for the operands and `{}` alone for all of them joined by commas.
        prec: Where the whole stands on the ladder.
        operands: The loosest precedence each operand may have without parentheses; the last one repeats.
        imports: Names of modules the text needs: `math`, `numpy`, `scipy.special`.
        atoms: Operands that the template repeats, so that they must be names or literals.
        loud: Operands that stand in parentheses unless they are names or calls: `(2 * x) * dy`.
        flat: The operation's own nested result may stand at operand 0 without its call (`max(a, b, c)`).
        statements: Lines that compute what no single expression does, over `{out}`, `{0}`, `{1}`, ... and the names in `fresh`; a
            line inside a loop is indented. Where they are given, the template is not used.
        accumulate: Lines that add the value into an existing array `{out}` without computing it apart; empty where there is
            no such way.
        fresh: Placeholders in `statements` and `accumulate` that stand for names which nothing else uses.
        view: The value may share memory with an operand, or be read-only: it must be copied before anything is added to it.
    """

    template: str
    prec: Prec
    operands: tuple[Prec, ...]
    imports: tuple[str, ...] = ()
    atoms: tuple[int, ...] = ()
    flat: bool = False
    loud: tuple[int, ...] = ()
    statements: tuple[str, ...] = ()
    accumulate: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    view: bool = False


def call(function: str, *, flat: bool = False) -> Form:
    """Return the form `function(a, b, ...)`; a dotted name imports its module."""
    return Form(function + "({})", Prec.ATOM, (Prec.TEST,), _imports(function), flat=flat)


def infix(operator: str, prec: Prec, *, right: bool = False) -> Form:
    """Return the form `a operator b`, left associative unless `right`; comparisons do not chain."""
    tighter = Prec(prec + 1)
    if prec is Prec.CMP:
        operands = (tighter, tighter)
    elif right:
        # Python parses `-x ** -y` as -(x ** (-y)): an exponent may carry a sign, a base may not.
        operands = (tighter, Prec.FACTOR if prec is Prec.POWER else prec)
    else:
        operands = (prec, tighter)
    return Form(f"{{0}} {operator} {{1}}", prec, operands)


def prefix(operator: str, prec: Prec) -> Form:
    """Return the form `operator a`."""
    return Form(f"{operator}{{0}}", prec, (prec,))


def pattern(template: str, prec: Prec, *operands: Prec, atoms: tuple[int, ...] = (), imports: tuple[str, ...] = ()) -> Form:
    """Return a form for text that is neither a call nor an operator, such as `{1} if {0} else {2}`."""
    return Form(template, prec, operands, imports, atoms)


def method(name: str, arguments: str = "") -> Form:
    """Return the form `a.name(arguments)`."""
    return Form(f"{{0}}.{name}({arguments})", Prec.ATOM, (Prec.ATOM,))


def _imports(function: str) -> tuple[str, ...]:
    module = function.rpartition(".")[0]
    return ({"np": "numpy"}.get(module, module),) if module else ()
