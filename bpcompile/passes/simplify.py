"""
Write products, signs and constants as a careful person would.

Before::

    t0 = mul 2 x
    t1 = neg t0
    t2 = mul 100 df
    t3 = mul t1 t2

After::

    t0 = mul -200.0 df
    t3 = mul t0 x

Signs move outwards, where they end in a subtraction; numbers move to the left and are multiplied at compile time; `x ** 2` is
`x * x`; integers in float arithmetic are written as floats. Only identities that hold for every float are used, except that
the product of two literals is rounded once instead of twice, that 0 + x is x also where x is -0.0, and that -(a - b) is b - a also
where a is b, in the backward pass, whose values are read for no branch cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var, implies
from bpcompile.passes.fold import constant
from bpcompile.primitive import REGISTRY

_FLOATS: Final = frozenset({"add", "sub", "mul", "div", "lt", "le", "gt", "ge", "eq", "ne", "select", "min", "max", "clip", "fill_like", "copy"})
#: The highest power written as a product.
_PRODUCT_POWER: Final = 4
#: A factor read this often is worth a scaled copy of its own.
_SHARED: Final = 4


def simplify(program: Program) -> Program:
    """Return the program with sums, products and signs in their compact form."""
    return _Simplify(program).run()


def _copied(eqn: Eqn, value: Atom) -> Eqn:
    """Return an equation that gives a result its known value, in the shape that it has."""
    if value.shape == eqn.out.shape:
        return eqn.replace(prim=REGISTRY["copy"], args=(value,))
    like = next((a for a in eqn.args if a.shape == eqn.out.shape), None)
    if like is None or value.shape:
        return eqn.replace(prim=REGISTRY["full"], args=(value,), params={"shape": eqn.out.shape})
    return eqn.replace(prim=REGISTRY["fill_like"], args=(like, value))


class _Simplify:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.uses: dict[Var, int] = {}
        for eqn in program.eqns:
            for arg in eqn.args:
                if isinstance(arg, Var):
                    self.uses[arg] = self.uses.get(arg, 0) + 1
        for atom in program.results():
            if isinstance(atom, Var):
                self.uses[atom] = self.uses.get(atom, 0) + 1
        self.definition: dict[Var, Eqn] = {}
        self.same: dict[Var, Atom] = {}
        self.eqns: list[Eqn] = []
        self.eqn: Eqn

    def run(self) -> Program:
        for eqn in self.program.eqns:
            args = tuple([self.same.get(a, a) if isinstance(a, Var) else a for a in eqn.args]) if self.same else eqn.args
            name = eqn.prim.name
            if name in _FLOATS:
                args = tuple([Lit(_as_float(a.value)) if isinstance(a, Lit) and type(a.value) is int else a for a in args])
            if args != eqn.args:
                eqn = eqn.replace(args=args)  # noqa: PLW2901  the equation goes on under its new operands
            self.eqn = eqn
            rule = _RULES.get(name)
            result = constant(eqn) or (rule(self, args) if rule is not None else None)
            if result is None:
                self._define(eqn)
            elif isinstance(result, Eqn):
                self._define(eqn.replace(prim=result.prim, args=result.args))
            elif eqn.out.stage or eqn.out.twin is not None or result.shape != eqn.out.shape:
                self._define(_copied(eqn, result))
            else:
                self.same[eqn.out] = result
        return self.program.redirected(self.eqns, self.same)

    def _define(self, eqn: Eqn) -> None:
        self.definition[eqn.out] = eqn
        self.eqns.append(eqn)

    def make(self, name: str, *args: Atom) -> Eqn:
        """Return what the equation at hand becomes."""
        return Eqn(self.eqn.out, REGISTRY[name], args)

    def emit(self, name: str, *args: Atom) -> Var:
        """Add an equation in front of the one at hand, simplified in its turn."""
        shape = max((a.shape for a in args), key=len)
        out = Var(shape=shape)
        here, self.eqn = self.eqn, self.eqn.replace(out=out, prim=REGISTRY[name], args=args, note="")
        self._define(self.eqn)
        self.eqn = here
        self.uses[out] = 1
        return out

    def temporary(self, atom: Atom, *names: str) -> Eqn | None:
        """Return the equation of an unnamed value that only the equation at hand reads, if it is one of `names`."""
        if not isinstance(atom, Var) or atom.stage or self.uses.get(atom, 0) != 1:
            return None
        if atom.twin is not None and (atom.twin.stage or atom.twin in self.program.gradients):
            return None
        eqn = self.definition.get(atom)
        return eqn if eqn is not None and eqn.prim.name in names and eqn.guard == self.eqn.guard else None

    def scaled(self, atom: Atom) -> tuple[Lit, Atom] | None:
        """Return (c, t) for a value c * t that may be taken apart here."""
        if not isinstance(atom, Var) or atom.stage or (atom.shape and self.uses.get(atom, 0) != 1):
            return None
        eqn = self.definition.get(atom)
        if eqn is None or eqn.prim.name != "mul" or not isinstance(eqn.args[0], Lit):
            return None
        return (eqn.args[0], eqn.args[1]) if implies(self.eqn.guard, eqn.guard) else None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a refusal would come too late here: the front ends refuse what no float holds
        return value


_Result = Eqn | Atom | None


def _negative(s: _Simplify, atom: Atom) -> Atom | None:
    """Return t of a temporary -t, or the absolute value of a negative literal."""
    if isinstance(atom, Lit):
        return Lit(-atom.value) if atom.value < 0 else None
    eqn = s.temporary(atom, "neg")
    return eqn.args[0] if eqn else None


def _mul(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    left, right = args
    if isinstance(left, Lit) and isinstance(right, Lit):
        return _literal(left.value * right.value)
    if isinstance(right, Lit):
        left, right = right, left
    if isinstance(left, Lit):
        if left.value == 1:
            return right
        if left.value == -1:
            return s.make("neg", right)
        inner = _negative(s, right)
        if inner is not None:
            return s.make("mul", Lit(-left.value), inner)
        product = s.scaled(right)
        if product and _safe(left.value, product[0].value):
            return _product(s, left.value * product[0].value, product[1])
        return s.make("mul", left, right)
    for a, b in ((left, right), (right, left)):
        inner = _negative(s, a)
        if inner is not None:
            pair = (inner, b) if a is left else (b, inner)
            return s.make("neg", _simplified(s, "mul", *pair))
    scaled = s.temporary(left, "mul")
    if scaled and isinstance(scaled.args[0], Lit) and isinstance(right, Var) and s.uses.get(right, 0) >= _SHARED and not right.shape:
        # c*a * ct, as many times as ct is read: c*ct is the same each time.
        return s.make("mul", s.emit("mul", scaled.args[0], right), scaled.args[1])
    first, second = s.scaled(left), s.scaled(right)
    if first and second and _safe(first[0].value, second[0].value):
        # c1*a * c2*b: the constant goes to the factor that others share, so that they share the product too.
        coefficient = _literal(first[0].value * second[0].value)
        shared, single = (first[1], second[1]) if s.uses.get(left, 0) > 1 and isinstance(left, Var) else (second[1], first[1])
        return s.make("mul", _simplified(s, "mul", coefficient, shared), single)
    return None


def _product(s: _Simplify, coefficient: float, factor: Atom) -> _Result:
    if coefficient == 1:
        return factor
    return s.make("neg", factor) if coefficient == -1 else s.make("mul", _literal(coefficient), factor)


def _simplified(s: _Simplify, name: str, *args: Atom) -> Atom:
    """Return name(*args), simplified by the same rules, as an operand."""
    if name == "mul" and isinstance(args[0], Lit) and args[0].value == 1:
        return args[1]
    return s.emit(name, *args)


def _neg(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    (inner,) = args
    if isinstance(inner, Lit):
        return _literal(-inner.value)
    eqn = s.temporary(inner, "neg", "sub", "mul")
    if eqn is None:
        return None
    if eqn.prim.name == "neg":
        return eqn.args[0]
    if eqn.prim.name == "sub" and s.eqn.origin is None:
        return None  # -(a - b) is -0.0 where a is b, and b - a is 0.0: atan2 tells them apart
    if eqn.prim.name == "sub":
        return s.make("sub", eqn.args[1], eqn.args[0])
    if isinstance(eqn.args[0], Lit):
        return s.make("mul", Lit(-eqn.args[0].value), eqn.args[1])
    return None


def _add(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    left, right = args
    if isinstance(left, Lit) and isinstance(right, Lit):
        return _literal(left.value + right.value)
    if isinstance(left, Lit) and left.value == 0 and isinstance(right, Var):
        return right  # a sum that starts at zero
    if isinstance(right, Lit) and right.value == 0:
        return left
    inner = _negative(s, right)
    if inner is not None:
        return s.make("sub", left, inner)
    product = s.temporary(right, "mul")
    if product and isinstance(product.args[0], Lit) and product.args[0].value < 0:
        return s.make("sub", left, _scaled_by(s, -product.args[0].value, product.args[1]))
    if s.eqn.out.twin is None:
        inner = _negative(s, left)
        if inner is not None and isinstance(right, Var):
            return s.make("sub", right, inner)
    return None


def _sub(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    left, right = args
    if isinstance(left, Lit) and isinstance(right, Lit):
        return _literal(left.value - right.value)
    inner = _negative(s, right)
    if inner is not None:
        return s.make("add", left, inner)
    product = s.temporary(right, "mul")
    if product and isinstance(product.args[0], Lit) and product.args[0].value < 0:
        return s.make("add", left, _scaled_by(s, -product.args[0].value, product.args[1]))
    return None


def _scaled_by(s: _Simplify, coefficient: float, factor: Atom) -> Atom:
    return factor if coefficient == 1 else s.emit("mul", _literal(coefficient), factor)


def _div(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    top, bottom = args
    if isinstance(top, Lit) and isinstance(bottom, Lit):
        return _literal(top.value / bottom.value) if bottom.value else None
    if isinstance(bottom, Lit) and bottom.value == 1:
        return top
    if isinstance(bottom, Lit) and bottom.value and math.frexp(abs(bottom.value))[0] == 0.5 and 2.0**-1000 < abs(bottom.value) < 2.0**1000:
        return s.make("mul", Lit(1.0 / bottom.value), top)
    inner = _negative(s, top) if isinstance(top, Var) else None
    if inner is not None:
        return s.make("neg", s.emit("div", inner, bottom))
    inner = _negative(s, bottom) if isinstance(bottom, Var) else None
    if inner is not None:
        return s.make("neg", s.emit("div", top, inner))
    return None


def _pow(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    base, exponent = args
    if not isinstance(exponent, Lit) or isinstance(base, Lit) or exponent.value != int(exponent.value):
        return None
    n = int(exponent.value)
    if n == 0:
        return Lit(1.0)
    if n == 1:
        return base
    if n == -1:
        return s.make("div", Lit(1.0), base)
    if n < 0:
        power = s.emit("pow", base, Lit(-n))
        return s.make("div", Lit(1.0), power) if -n > _PRODUCT_POWER else s.make("div", Lit(1.0), _power(s, base, -n, power))
    if not 2 <= n <= _PRODUCT_POWER:
        return s.make("pow", base, Lit(n)) if exponent.value != n or isinstance(exponent.value, float) else None
    left = _power(s, base, n // 2 if n == 4 else n - 1, None)
    return s.make("mul", left, left if n == 4 else base)


def _power(s: _Simplify, base: Atom, n: int, made: Var | None) -> Atom:
    """Return base**n as products."""
    if made is not None:
        s.eqns.pop()
    if n == 1:
        return base
    half = s.emit("mul", base, base)
    if n == 2:
        return half
    return s.emit("mul", half, half if n == 4 else base)


def _select(s: _Simplify, args: tuple[Atom, ...]) -> _Result:
    condition, yes, no = args
    if yes is no:
        return yes
    for known, taken in s.eqn.guard:
        if known is condition:
            return yes if taken else no
    return None


def _safe(a: float, b: float) -> bool:
    """Whether the product of two literals neither overflows nor vanishes."""
    return 1e-300 < abs(a * b) < 1e300


def _literal(value: float) -> Lit:
    return Lit(value)


_RULES: Final[dict[str, Callable[[_Simplify, tuple[Atom, ...]], _Result]]] = {
    "mul": _mul,
    "neg": _neg,
    "add": _add,
    "sub": _sub,
    "div": _div,
    "pow": _pow,
    "select": _select,
}
