"""
Operand texts to the text of an operation, with the fewest parentheses that keep the tree.

Minimal means *same tree*: `a + (b + c)` keeps its parentheses, for floats are not associative. Parentheses follow from
the precedence ladder in `forms` and from nothing else.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bpcompile.forms import Form, Prec

_NAME: Final = re.compile(r"[^\W\d]\w*(\[\d+\])*\Z")
_NUMBER: Final = re.compile(r"[\d.]+\Z")


class Text(NamedTuple):
    """A piece of source with its place on the ladder; `op` names the operation on top, or a remainder that a product begins with."""

    text: str
    prec: Prec = Prec.ATOM
    op: str = ""

    def within(self, loosest: Prec) -> str:
        """Return the text, in parentheses where the place demands more than it has."""
        return self.text if self.prec >= loosest else f"({self.text})"


def show(op: str, form: Form, operands: list[Text], *, notes: bool = False) -> Text:
    """
    Return the text of one operation.

    Args:
        op: Name of the primitive.
        form: Its printed form.
        operands: The texts of its operands.
        notes: Lecture style: a power below a fraction line keeps its parentheses.

    >>> from bpcompile.forms import infix
    >>> a, b, c = Text("a"), Text("b"), Text("c")
    >>> minus = infix("-", Prec.ARITH)
    >>> show("sub", minus, [a, show("sub", minus, [b, c])]).text
    'a - (b - c)'
    """
    last = len(form.operands) - 1
    if form.flat or form.loud or notes:
        parts = [_part(op, form, i, operand, notes=notes) for i, operand in enumerate(operands)]
    else:
        parts = [o.text if o.prec >= form.operands[min(i, last)] else f"({o.text})" for i, o in enumerate(operands)]
    if op == "neg" and operands[0].op in _PRODUCTS and not operands[0].text.startswith("-"):
        # (-a) * b and -(a * b) are the same float, and the first is how people write it.
        return Text(f"-{operands[0].text}", operands[0].prec, operands[0].op)
    if op == "pow" and _is_simple(parts[0]) and _is_simple(parts[1]):
        return Text(f"{parts[0]}**{parts[1]}", form.prec, op)
    text = form.template.replace("{}", ", ".join(parts), 1) if "{}" in form.template else form.template.format(*parts)
    # -(a % b * c) keeps its parentheses: (-a) % b is another number.
    begins = operands[0].op if op in _PRODUCTS and operands[0].prec is Prec.TERM else op
    return Text(text, form.prec, op if begins in _PRODUCTS else begins)


def _part(op: str, form: Form, i: int, operand: Text, *, notes: bool) -> str:
    """Return the text of one operand of a form with a rule of its own about parentheses."""
    if form.flat and i == 0 and operand.op == op:
        return operand.text[operand.text.index("(") + 1 : -1]  # max(max(a, b), c) is max(a, b, c)
    if i in form.loud and not (_NAME.match(operand.text) or (operand.text.endswith(")") and operand.prec is Prec.ATOM)):
        return f"({operand.text})"
    if notes and i == 1 and op == "div" and operand.op in _POWERS:
        return f"({operand.text})"
    return operand.within(form.operands[min(i, len(form.operands) - 1)])


_PRODUCTS: Final = ("mul", "div")
_POWERS: Final = ("pow", "powr")


def _is_simple(text: str) -> bool:
    """Whether formatters write a power of it without spaces."""
    return bool(_NAME.match(text) or _NUMBER.match(text.removeprefix("-")))
