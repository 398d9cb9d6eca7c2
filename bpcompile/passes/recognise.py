"""
Recognise gates that a person knows by name in the operations that spell them out.

Before::

    t0 = neg x
    t1 = exp t0
    t2 = add 1 t1
    s = div 1.0 t2

After::

    s = sigmoid x

Always: the sigmoid, whose local gradient is then `(1 - s) * s`. With `stable`, whatever loses digits or overflows as
written: softplus, logaddexp, expm1, log1p, hypot, sinc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.passes.dead import eliminate_dead
from bpcompile.primitive import REGISTRY

#: Definitions of variables by name of the primitive: how matchers look behind an operand.
_Match = tuple[str, tuple[Atom, ...]] | None


class _Matcher:
    """Looks through the equations seen so far; temporaries only, since a named stage stays a gate of its own."""

    def __init__(self) -> None:
        self.definition: dict[Var, Eqn] = {}
        self.new: list[Eqn] = []

    def operands(self, atom: Atom, name: str) -> tuple[Atom, ...] | None:
        """Return the operands of `atom` if it is a temporary computed by that primitive."""
        if not isinstance(atom, Var) or atom.stage:
            return None
        eqn = self.definition.get(atom)
        return eqn.args if eqn is not None and eqn.prim.name == name else None

    def negated(self, atom: Atom) -> Atom | None:
        """Return -atom where it is there already or is only a sign away."""
        inner = self.operands(atom, "neg")
        if inner:
            return inner[0]
        product = self.operands(atom, "mul") or self.operands(atom, "div")
        if product and isinstance(atom, Var):
            eqn = self.definition[atom]
            for i in (0, 1):
                factor = product[i]
                if isinstance(factor, Lit) and factor.value < 0:
                    changed = tuple(Lit(-factor.value) if j == i else a for j, a in enumerate(product))
                    if eqn.prim.name == "mul" and abs(factor.value) == 1:
                        return product[1 - i]
                    return self.emit(eqn, eqn.prim.name, *changed)
            first = self.operands(product[0], "neg")
            if first:
                return self.emit(eqn, eqn.prim.name, first[0], product[1])
        difference = self.operands(atom, "sub")
        if difference and isinstance(atom, Var):
            # -(b - a) = a - b
            return self.emit(self.definition[atom], "sub", difference[1], difference[0])
        return None

    def same(self, a: Atom, b: Atom, depth: int = 4) -> bool:
        """Whether two operands are the same value, or spelled the same way."""
        if a is b or (isinstance(a, Lit) and a == b):
            return True
        if depth == 0 or not isinstance(a, Var) or not isinstance(b, Var):
            return False
        first, second = self.definition.get(a), self.definition.get(b)
        if first is None or second is None or first.prim is not second.prim or first.params != second.params:
            return False
        return all(self.same(x, y, depth - 1) for x, y in zip(first.args, second.args, strict=True))

    def emit(self, like: Eqn, name: str, *args: Atom) -> Var:
        """Add an equation in front of the one being matched."""
        out = Var(shape=like.out.shape)
        eqn = Eqn(out, REGISTRY[name], args, span=like.span, guard=like.guard)
        self.new.append(eqn)
        self.definition[out] = eqn
        return out


def recognise(program: Program, *, stable: bool) -> Program:
    """Return the program with spelled-out gates replaced by the primitives that they are."""
    rules = {name: (*_ALWAYS.get(name, ()), *(_STABLE.get(name, ()) if stable else ())) for name in (*_ALWAYS, *_STABLE)}
    matcher = _Matcher()
    eqns: list[Eqn] = []
    changed = False
    for eqn in program.eqns:
        for rule in rules.get(eqn.prim.name, ()):
            found = rule(matcher, eqn)
            if found is not None:
                name, args = found
                eqns.extend(matcher.new)
                eqn = eqn.replace(prim=REGISTRY[name], args=args, note=_SAFER.get(name, ""))  # noqa: PLW2901  the equation goes on as what it was recognised to be
                changed = True
                matcher.new.clear()
                break
            matcher.new.clear()
        matcher.definition[eqn.out] = eqn
        eqns.append(eqn)
    return eliminate_dead(program.with_eqns(eqns)) if changed else program


def _is(atom: Atom, number: float) -> bool:
    return isinstance(atom, Lit) and atom.value == number


def _one_plus(matcher: _Matcher, atom: Atom) -> Atom | None:
    """Return t of 1 + t."""
    terms = matcher.operands(atom, "add")
    if terms and _is(terms[0], 1):
        return terms[1]
    return terms[0] if terms and _is(terms[1], 1) else None


def _sigmoid(matcher: _Matcher, eqn: Eqn) -> _Match:
    """1 / (1 + exp(-x)), 1 / (1 + exp(x)), 1 / (1 + 1 / exp(x)), exp(x) / (1 + exp(x)), and powers of -1."""
    top, bottom = eqn.args
    if eqn.prim.name == "pow":
        top, bottom = (Lit(1), top) if _is(bottom, -1) else (bottom, top)
    tail = _one_plus(matcher, bottom)
    if tail is None:
        return None
    exponent = matcher.operands(tail, "exp")
    if exponent is None:
        inverse = matcher.operands(tail, "div")
        inner = matcher.operands(inverse[1], "exp") if inverse and _is(inverse[0], 1) else None
        return ("sigmoid", inner) if inner and _is(top, 1) else None
    if _is(top, 1):
        opposite = matcher.negated(exponent[0])
        if opposite is None or isinstance(opposite, Lit):
            opposite = matcher.emit(eqn, "neg", exponent[0])
        return "sigmoid", (opposite,)
    return ("sigmoid", (exponent[0],)) if matcher.same(top, tail) else None


def _sigmoid_product(matcher: _Matcher, eqn: Eqn) -> _Match:
    """exp(x) * (1 / (1 + exp(x))), as SymPy writes it."""
    for top, bottom in (eqn.args, eqn.args[::-1]):
        exponent = matcher.operands(top, "exp")
        inverse = matcher.operands(bottom, "sigmoid")
        if exponent and inverse:
            minus = matcher.operands(inverse[0], "neg")
            if minus and matcher.same(minus[0], exponent[0]):
                return "sigmoid", (exponent[0],)
            again = matcher.operands(exponent[0], "neg")
            if again and matcher.same(again[0], inverse[0]):
                return "sigmoid", (exponent[0],)
    return None


def _softplus(matcher: _Matcher, eqn: Eqn) -> _Match:
    """log(1 + exp(x)) and log(exp(x) + exp(y))."""
    tail = _one_plus(matcher, eqn.args[0])
    exponent = matcher.operands(tail, "exp") if tail is not None else None
    if exponent:
        return "softplus", exponent
    parts: list[Atom] = [eqn.args[0]]
    terms: list[Atom] = []
    while parts:
        part = parts.pop()
        split = matcher.operands(part, "add")
        if split:
            parts += split[::-1]
            continue
        inner = matcher.operands(part, "exp")
        if inner is None and _is(part, 1):
            inner = (Lit(0.0),)
        if inner is None:
            return None
        terms.append(inner[0])
    if len(terms) < 2:
        return None
    left = terms[0]
    for term in terms[1:-1]:
        left = matcher.emit(eqn, "logaddexp", left, term)
    return "logaddexp", (left, terms[-1])


def _log1p(matcher: _Matcher, eqn: Eqn) -> _Match:
    tail = _one_plus(matcher, eqn.args[0])
    if tail is not None and not isinstance(tail, Lit):
        return "log1p", (tail,)
    difference = matcher.operands(eqn.args[0], "sub")
    if difference and _is(difference[0], 1) and isinstance(difference[1], Var):
        return "log1p", (matcher.emit(eqn, "neg", difference[1]),)
    return None


def _softplus_of_log1p(matcher: _Matcher, eqn: Eqn) -> _Match:
    """log1p(exp(x))."""
    exponent = matcher.operands(eqn.args[0], "exp")
    return ("softplus", exponent) if exponent else None


def _expm1(matcher: _Matcher, eqn: Eqn) -> _Match:
    left, right = eqn.args
    if eqn.prim.name == "sub" and _is(right, 1):
        exponent = matcher.operands(left, "exp")
        return ("expm1", exponent) if exponent else None
    return None


def _hypot(matcher: _Matcher, eqn: Eqn) -> _Match:
    """sqrt(x*x + y*y): the squares would overflow long before the root does."""
    squares = matcher.operands(eqn.args[0], "add")
    if not squares:
        return None
    bases = [_square_of(matcher, s) for s in squares]
    return ("hypot", tuple(b for b in bases if b is not None)) if None not in bases else None


def _square_of(matcher: _Matcher, atom: Atom) -> Atom | None:
    power = matcher.operands(atom, "pow")
    if power and _is(power[1], 2):
        return power[0]
    product = matcher.operands(atom, "mul")
    return product[0] if product and matcher.same(product[0], product[1]) else None


def _sinc(matcher: _Matcher, eqn: Eqn) -> _Match:
    """sin(x) / x, whose derivative as written cancels near 0."""
    inner = matcher.operands(eqn.args[0], "sin")
    return ("sinc", inner) if inner and matcher.same(inner[0], eqn.args[1]) else None


#: What a reader should know of a line that no longer says what the user wrote.
_SAFER: Final = {
    "expm1": "expm1: exp(x) - 1 loses digits near 0",
    "log1p": "log1p: 1 + x loses digits near 0",
    "hypot": "hypot: the squares could overflow",
    "sinc": "sinc: its derivative cancels near 0",
}
_Rule = Callable[[_Matcher, Eqn], _Match]
_ALWAYS: dict[str, tuple[_Rule, ...]] = {"div": (_sigmoid,), "pow": (_sigmoid,), "mul": (_sigmoid_product,)}
_STABLE: dict[str, tuple[_Rule, ...]] = {
    "div": (_sinc,),
    "log": (_softplus, _log1p),
    "log1p": (_softplus_of_log1p,),
    "sub": (_expm1,),
    "sqrt": (_hypot,),
}
