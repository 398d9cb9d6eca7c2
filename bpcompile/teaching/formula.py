"""
Typeset formulas: equations of a program to MathML and LaTeX.

A formula is built from the equations themselves, as source text is, so a page shows the operations in the order in which the
emitted code performs them. Parentheses follow from the same precedence ladder; what typesetting brings is fractions, exponents,
roots and cases, inside which none are needed.

>>> from bpcompile.ir import Builder, Var
>>> x = Var(name="x")
>>> with Builder() as builder:
...     y = 1 / (1 + x**2)
>>> typeset(y, builder.eqns, {x: name("x")}).latex
'\\\\frac{1}{1 + x^{2}}'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple

from bpcompile.forms import Prec
from bpcompile.ir import Atom, Eqn, Lit, Operand, Var
from bpcompile.printer import Text, show
from bpcompile.targets import TARGETS

_GREEK: Final = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
}
_ELEMENT: Final = re.compile(r"(.+?)((?:\[\d+\])+)\Z")
_TAIL: Final = re.compile(r"([^\W\d_]+)_?(\d+)\Z")


class Formula(NamedTuple):
    """A piece of typeset mathematics with its place on the precedence ladder."""

    mathml: str
    latex: str
    prec: Prec = Prec.ATOM
    opposite: Formula | None = None
    """Of a comparison, the one that holds where it does not."""

    def within(self, loosest: Prec) -> Formula:
        """Return it in parentheses where the place demands more than it has."""
        return self if self.prec >= loosest else parenthesised(self)

    @property
    def element(self) -> str:
        """A complete `<math>` element."""
        return f"<math>{self.mathml}</math>"


def parenthesised(inner: Formula) -> Formula:
    """Put a formula in parentheses that grow with it."""
    return Formula(f"<mrow><mo>(</mo>{inner.mathml}<mo>)</mo></mrow>", rf"\left({inner.latex}\right)")


def row(*parts: Formula | str, prec: Prec = Prec.ATOM) -> Formula:
    """Put pieces beside each other; a string is an operator."""
    mathml, latex = [], []
    for part in parts:
        if isinstance(part, str):
            mathml.append(f"<mo>{escape(part).replace('·', '⋅')}</mo>")
            latex.append(_LATEX_OPERATORS.get(part, part))
        else:
            mathml.append(part.mathml)
            latex.append(part.latex)
    return Formula(f"<mrow>{''.join(mathml)}</mrow>", " ".join(latex), prec)


_LATEX_OPERATORS: Final = {
    "−": "-",
    "·": r"\cdot",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "∧": r"\land",
    "∨": r"\lor",
    "¬": r"\lnot",
    "=": "=",
    "≈": r"\approx",
    "∂": r"\partial",
    "%": r"\bmod",
}


def fraction(top: Formula, bottom: Formula) -> Formula:
    """Return a fraction; as the base of a power it needs parentheses."""
    return Formula(f"<mfrac>{top.mathml}{bottom.mathml}</mfrac>", rf"\frac{{{top.latex}}}{{{bottom.latex}}}", Prec.POWER)


def power(base: Formula, exponent: Formula) -> Formula:
    """Return a power."""
    base = base.within(Prec.ATOM)
    return Formula(f"<msup>{base.mathml}{exponent.mathml}</msup>", f"{base.latex}^{{{exponent.latex}}}", Prec.POWER)


def name(text: str) -> Formula:
    """
    Typeset a variable: one letter in italics, a word upright, indices below.

    >>> name("w[0]").latex, name("alpha").latex, name("num").latex, name("x_1").latex
    ('w_{0}', '\\\\alpha', '\\\\mathit{num}', 'x_{1}')
    """
    index = ""
    element = _ELEMENT.match(text)
    if element:
        text, index = element[1], ",".join(re.findall(r"\d+", element[2]))
    elif (tail := _TAIL.match(text)) and (len(tail[1]) == 1 or tail[1] in _GREEK):
        text, index = tail[1], tail[2]
    letter = _GREEK.get(text)
    if letter:
        mathml, latex = f"<mi>{letter}</mi>", f"\\{text}"
    elif len(text) == 1:
        mathml, latex = f"<mi>{escape(text)}</mi>", text
    else:
        mathml, latex = f"<mi>{escape(text)}</mi>", rf"\mathit{{{escaped(text)}}}"
    if not index:
        return Formula(mathml, latex)
    return Formula(f"<msub>{mathml}<mn>{index}</mn></msub>", f"{latex}_{{{index}}}")


def number(value: float) -> Formula:
    """Typeset a number as source text has it."""
    if isinstance(value, bool):
        return code(repr(value))
    text = TARGETS["python"].number(value)[0].removeprefix("math.").replace("-math.", "-")
    special = {"pi": ("π", r"\pi"), "e": ("e", "e"), "inf": ("∞", r"\infty"), "nan": ("nan", r"\mathrm{nan}")}
    negative = text.startswith("-")
    mathml, latex = special.get(text.lstrip("-"), ("", ""))
    if mathml:
        inner = Formula(f"<mi>{mathml}</mi>", latex)
    elif "e" in text:
        mantissa, _, exponent = text.lstrip("-").partition("e")
        ten = power(Formula("<mn>10</mn>", "10"), number(int(exponent)))
        inner = row(Formula(f"<mn>{mantissa}</mn>", mantissa), "·", ten, prec=Prec.TERM)
    else:
        # A whole float is a whole number on paper.
        digits = text.lstrip("-").removesuffix(".0")
        inner = Formula(f"<mn>{digits}</mn>", digits)
    return row("−", inner, prec=Prec.FACTOR) if negative else inner


def rounded(text: str) -> Formula:
    """Typeset a number that is written with few digits already."""
    return Formula(f"<mn>{text.replace('-', '−')}</mn>", text)


def code(text: str) -> Formula:
    """Typeset what has no mathematical notation as code."""
    return Formula(f"<mtext>{escape(text)}</mtext>", rf"\texttt{{{escaped(text)}}}")


def partial(top: Formula, bottom: Formula) -> Formula:
    """Typeset a partial derivative."""
    return fraction(row("∂", top), row("∂", bottom))


def escaped(text: str) -> str:
    """Return text as LaTeX shows it in running text or in `\\texttt`."""
    text = text.replace("\\", r"\textbackslash ")
    text = re.sub(r"([_%&#${}])", r"\\\1", text)
    for char, command in (
        ("^", r"\^{}"),
        ("~", r"\~{}"),
        ("−", "-"),
        ("←", r"$\leftarrow$"),
        ("σ", r"$\sigma$"),
        ("²", r"$^2$"),
        ("·", r"$\cdot$"),
        ("Σ", r"$\Sigma$"),
        ("³", "$^3$"),
        ("⁻", "$^-$"),
        ("¹", "$^1$"),
    ):
        text = text.replace(char, command)
    return text


def typeset(result: Operand | Atom, eqns: Sequence[Eqn], known: Mapping[Var, Formula]) -> Formula:
    """
    Typeset a value with all that it is computed from, down to the values in `known`.

    Args:
        result: The value.
        eqns: The equations that compute it, in order.
        known: How the values that they start from are written.
    """
    found = dict(known)

    def read(atom: Any) -> Formula:
        if isinstance(atom, Var):
            return found[atom] if atom in found else code(repr(atom))
        return number(atom.value if isinstance(atom, Lit) else atom)

    for eqn in eqns:
        if eqn.out not in found:
            found[eqn.out] = operation(eqn, [read(a) for a in eqn.args])
    return read(result)


def operation(eqn: Eqn, operands: Sequence[Formula]) -> Formula:
    """Typeset one operation."""
    known = _NOTATION.get(eqn.prim.name)
    if known is not None:
        return known(*operands)
    if eqn.prim.shape is not None:
        form = eqn.prim.form("numpy", eqn.params, [a.shape for a in eqn.args])
        if form.statements:
            return _call(code(eqn.prim.name), operands)
        # What moves or sums elements is written as the code that does it.
        plain = re.compile(r"</?m\w+>")
        texts = [Text(plain.sub("", o.mathml).replace("−", "-"), o.prec) for o in operands]
        shown = show(eqn.prim.name, form, texts)
        return Formula(f"<mtext>{shown.text}</mtext>", rf"\texttt{{{escaped(shown.text)}}}", shown.prec)
    return _call(function(eqn.prim.symbol or eqn.prim.name), operands)


def function(text: str) -> Formula:
    """Typeset the name of a function."""
    upright = ' mathvariant="normal"' if len(text) == 1 else ""
    return Formula(f"<mi{upright}>{escape(text)}</mi>", _FUNCTIONS.get(text, rf"\mathrm{{{escaped(text)}}}"))


_FUNCTIONS: Final = {n: f"\\{n}" for n in "exp log sin cos tan sinh cosh tanh max min".split()} | {"σ": r"\sigma"}


def _call(name_: Formula, operands: Sequence[Formula]) -> Formula:
    parts: list[Formula | str] = [operands[0]] if operands else []
    for operand in operands[1:]:
        parts += [",", operand]
    inner = parenthesised(row(*parts))
    return Formula(f"<mrow>{name_.mathml}<mo>&#x2061;</mo>{inner.mathml}</mrow>", name_.latex + inner.latex)


def _infix(sign: str, prec: Prec) -> Callable[..., Formula]:
    tighter = Prec(prec + 1)
    return lambda a, b: row(a.within(prec), sign, b.within(tighter), prec=prec)


def _comparison(sign: str, opposite: str) -> Callable[..., Formula]:
    holds, fails = _infix(sign, Prec.CMP), _infix(opposite, Prec.CMP)
    return lambda a, b: holds(a, b)._replace(opposite=fails(a, b))


def _product(a: Formula, b: Formula) -> Formula:
    return row(a.within(Prec.TERM), "·", b.within(Prec.POWER), prec=Prec.TERM)


def _cases(condition: Formula, yes: Formula, no: Formula) -> Formula:
    def line(value: Formula, when: str) -> str:
        return f"<mtr><mtd>{value.mathml}</mtd><mtd>{when}</mtd></mtr>"

    otherwise = condition.opposite or row("¬", parenthesised(condition))
    lines = line(yes, condition.mathml) + line(no, otherwise.mathml)
    latex = rf"\begin{{cases}} {yes.latex} & {condition.latex} \\ {no.latex} & {otherwise.latex} \end{{cases}}"
    return Formula(f'<mrow><mo>{{</mo><mtable columnalign="left">{lines}</mtable></mrow>', latex)


def _exponential(x: Formula) -> Formula:
    return power(Formula("<mi>e</mi>", "e"), x)


_NOTATION: Final[dict[str, Callable[..., Formula]]] = {
    "add": lambda a, b: row(a.within(Prec.ARITH), "+", b.within(Prec.TERM if b.prec != Prec.FACTOR else Prec.ATOM), prec=Prec.ARITH),
    "sub": lambda a, b: row(a.within(Prec.ARITH), "−", b.within(Prec.TERM if b.prec != Prec.FACTOR else Prec.ATOM), prec=Prec.ARITH),
    "mul": _product,
    "chain": _product,
    "div": fraction,
    "neg": lambda a: row("−", a.within(Prec.TERM), prec=Prec.FACTOR),
    "pow": power,
    "powr": power,
    "exp": _exponential,
    "sqrt": lambda x: Formula(f"<msqrt>{x.mathml}</msqrt>", rf"\sqrt{{{x.latex}}}"),
    "cbrt": lambda x: Formula(f"<mroot>{x.mathml}<mn>3</mn></mroot>", rf"\sqrt[3]{{{x.latex}}}"),
    "abs": lambda x: Formula(f"<mrow><mo>|</mo>{x.mathml}<mo>|</mo></mrow>", rf"\lvert {x.latex} \rvert"),
    "select": _cases,
    "copy": lambda x: x,
    "lt": _comparison("<", "≥"),
    "le": _comparison("≤", ">"),
    "gt": _comparison(">", "≤"),
    "ge": _comparison("≥", "<"),
    "eq": _comparison("=", "≠"),
    "ne": _comparison("≠", "="),
    "and": _infix("∧", Prec.AND),
    "or": _infix("∨", Prec.OR),
    "not": lambda x: row("¬", x.within(Prec.NOT), prec=Prec.NOT),
    "mod": _infix("%", Prec.TERM),
}
