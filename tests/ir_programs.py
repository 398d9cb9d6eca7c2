"""
Programs of the intermediate language for tests: a reader of their text form, random ones, and what primitives mean at 50 digits.

`MEANING` is written with mpmath alone and knows nothing of rules, so that finite differences through it are an oracle of their own.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mpmath import mp

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile.interpret import evaluate
from bpcompile.ir import Atom, Eqn, Lit, Output, Param, Program, Var
from bpcompile.passes.dead import eliminate_dead
from bpcompile.primitive import REGISTRY

# -- the text form --------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"(\w+) = (\w+)((?: [^\s()]+)*)\s*(?:\((.*)\))?$")


def read(text: str, *, adjoints: Mapping[str, str] | None = None) -> tuple[Program, dict[str, Var]]:
    """
    Read a program as docstrings write it: `name = primitive operand ...`, `(a stage)` behind a line, `return a, b`.

    Names that nothing defines are inputs; without a `return`, what nothing reads is an output. Names like `t0` are temporaries.

    Args:
        text: The program.
        adjoints: Which names are adjoints, and of what.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    returned = [n.strip() for line in lines if line.startswith("return ") for n in line.removeprefix("return ").split(",")]
    lines = [line for line in lines if not line.startswith("return ")]
    defined = {line.split(" = ")[0] for line in lines}
    names: dict[str, Var] = {}
    params: list[Param] = []
    eqns: list[Eqn] = []
    used: set[str] = set()

    def atom(word: str) -> Atom:
        if re.fullmatch(r"-?[\d.]+(e-?\d+)?|-?inf|nan", word):
            return Lit(int(word) if re.fullmatch(r"-?\d+", word) else float(word))
        used.add(word)
        if word not in names:
            assert word not in defined, f"{word} is used before it is defined"
            names[word] = Var(name=word)
            params.append(Param(word, names[word]))
        return names[word]

    for line in lines:
        match = _LINE.match(line)
        assert match, line
        name, primitive, operands, remark = match.groups()
        entry = REGISTRY[primitive]
        args = tuple(atom(w) for w in operands.split())
        temporary = re.fullmatch(r"[tT]\d+", name) is not None
        out = Var(name=None if temporary else name, dtype=entry.result, stage=remark == "a stage")
        names[name] = out
        eqns.append(Eqn(out, entry, args))
    for name, twin in (adjoints or {}).items():
        if name in names:
            names[name].twin = names.setdefault(twin, Var(name=twin))
    results = returned or [n for n in (line.split(" = ")[0] for line in lines) if n not in used]
    return Program(params, eqns, [Output(n, names[n]) for n in results]), names


def canonical(program: Program) -> str:
    """Return the text of a program with every computed value numbered, so that two programs can be compared by shape."""
    names: dict[Var, str] = {v: p.name for p in program.params for v in p.leaves()}

    def show(a: Atom) -> str:
        return repr(a) if isinstance(a, Lit) else names.get(a) or f"?{a!r}"

    lines = []
    for eqn in program.eqns:
        line = " ".join([eqn.prim.name, *map(show, eqn.args), *(f"{k}={v!r}" for k, v in sorted(eqn.params.items()))])
        names[eqn.out] = f"v{len(names)}"
        lines.append(f"{names[eqn.out]} = {line}")
    return "\n".join([*lines, "return " + ", ".join(show(o.atom) for o in program.outputs)])


# -- meaning at 50 digits -------------------------------------------------------------------------------------------------


def _round(x: Any) -> Any:
    return mp.nint(x)


def _trunc(x: Any) -> Any:
    return mp.floor(x) if x >= 0 else mp.ceil(x)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _sinc(x: Any) -> Any:
    return mp.sin(x) / x if x else mp.mpf(1)


MEANING: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": lambda x, n: x ** int(n),
    "powr": lambda x, y: x**y,
    "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * abs(x) ** (mp.mpf(1) / 3),
    "hypot": mp.hypot,
    **{n: getattr(mp, n) for n in "sin cos tan sec csc cot asin acos atan asec acsc sinh cosh tanh sech csch coth asinh acosh atanh".split()},
    "acot": lambda x: mp.atan(1 / x),
    "asech": lambda x: mp.acosh(1 / x),
    "acsch": lambda x: mp.asinh(1 / x),
    "acoth": lambda x: mp.atanh(1 / x),
    "atan2": mp.atan2,
    "sigmoid": _sigmoid,
    "sigmoid_slope": lambda x, s: _sigmoid(x) * _sigmoid(-x),
    "tanh_slope": lambda x, y: 1 - mp.tanh(x) ** 2,
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
    "relu": lambda x: max(x, mp.mpf(0)),
    "abs": abs,
    "sign": mp.sign,
    "min": min,
    "max": max,
    "clip": lambda x, lo, hi: min(max(x, lo), hi),
    "floor": mp.floor,
    "ceil": mp.ceil,
    "round": _round,
    "trunc": _trunc,
    "mod": lambda x, y: x - y * mp.floor(x / y),
    "fmod": lambda x, y: x - y * _trunc(x / y),
    "heaviside": lambda x, h: mp.mpf(1) if x > 0 else mp.mpf(0) if x < 0 else h,
    "sinc": _sinc,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": lambda a: not a,
    "select": lambda c, a, b: a if c else b,
    "copy": lambda x: x,
    "chain": lambda local, ct: local * ct,
    "fill_like": lambda x, value: value,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "erfinv": mp.erfinv,
    "gamma": mp.gamma,
    "lgamma": lambda x: mp.log(abs(mp.gamma(x))),
    "digamma": mp.digamma,
    "polygamma": lambda n, x: mp.polygamma(int(n), x),
    "beta": mp.beta,
}


def precise(program: Program, inputs: Mapping[Var, Any]) -> dict[Var, Any]:
    """Evaluate a program at 50 digits."""

    def literal(value: float) -> Any:
        return value if isinstance(value, bool) else mp.mpf(value)

    with mp.workdps(50):
        return evaluate(program, {v: mp.mpf(x) for v, x in inputs.items()}, meaning=lambda p: MEANING[p.name], literal=literal)


def slopes(program: Program, inputs: Mapping[Var, float], output: Atom) -> dict[Var, Any]:
    """Return the derivative of one output in every input by central differences at 50 digits, right to 30 of them."""
    if isinstance(output, Lit):
        return dict.fromkeys(inputs, mp.mpf(0))
    found: dict[Var, Any] = {}
    with mp.workdps(50):
        step = mp.mpf(10) ** -16
        for var in inputs:
            ahead, behind = ({**inputs, var: mp.mpf(inputs[var]) + s} for s in (step, -step))
            found[var] = (precise(program, ahead)[output] - precise(program, behind)[output]) / (2 * step)
    return found


# -- random programs ------------------------------------------------------------------------------------------------------

_Domain = Callable[..., bool]


def _whole(x: float) -> bool:
    return abs(x - round(x)) > 1e-3


#: Where a random program may use a primitive: inside its domain, away from its kinks.
DOMAINS: Final[dict[str, _Domain]] = {
    **dict.fromkeys("add sub mul neg sin cos atan asinh sigmoid softplus logaddexp tanh sech erf erfc sinc copy".split(), lambda *_: True),
    **dict.fromkeys("exp exp2 expm1 sinh cosh".split(), lambda x: abs(x) < 4),
    **dict.fromkeys("log log2 log10 sqrt lgamma".split(), lambda x: x > 0.05),
    **dict.fromkeys("asin acos atanh erfinv".split(), lambda x: abs(x) < 0.9),
    **dict.fromkeys("asec acsc acoth".split(), lambda x: abs(x) > 1.1),
    **dict.fromkeys("abs sign relu cbrt acot acsch csch coth".split(), lambda x: abs(x) > 0.05),
    **dict.fromkeys("tan sec csc cot".split(), lambda x: abs(math.cos(x)) > 0.1 and abs(math.sin(x)) > 0.1),
    **dict.fromkeys("lt le gt ge eq ne min max".split(), lambda x, y: abs(x - y) > 1e-3),
    **dict.fromkeys("hypot atan2".split(), lambda x, y: abs(x) > 0.05 and abs(y) > 0.05),
    **dict.fromkeys("floor ceil trunc".split(), _whole),
    **dict.fromkeys("mod fmod".split(), lambda x, y: abs(y) > 0.1 and _whole(x / y)),
    "div": lambda x, y: abs(y) > 0.05,
    "log1p": lambda x: x > -0.95,
    "acosh": lambda x: x > 1.05,
    "asech": lambda x: 0.05 < x < 0.95,
    "round": lambda x: _whole(x + 0.5),
    "powr": lambda x, y: 0.05 < x < 10 and abs(y) < 3,
    "clip": lambda x, lo, hi: min(abs(x - lo), abs(x - hi), abs(lo - hi)) > 1e-3,
    "heaviside": lambda x, h: abs(x) > 0.05,
    "gamma": lambda x: 0.1 < x < 5,
    "digamma": lambda x: 0.1 < x < 20,
    "beta": lambda x, y: 0.2 < x < 5 and 0.2 < y < 5,
}
ARITHMETIC: Final = ("add", "sub", "mul", "div", "neg")
_LITERALS: Final = (0, 1, -1, 2, -2, 3, 0.5, -0.5, 0.1, 2.0, -1.0, 1.0, 4, 10, 100, -0.25)


@dataclass(frozen=True)
class Sample:
    """A random program with a point at which it is smooth."""

    program: Program
    point: dict[Var, float]


def sample(seed: int, *, size: int = 12, primitives: Iterable[str] | None = None, outputs: int = 1, stages: bool = True, branches: bool = True) -> Sample:
    """Return a random program: sharing, literals, powers, guarded branches; every value is used if that can be."""
    source = random.Random(seed)
    names = list(primitives or DOMAINS)
    inputs = [Var(name=n) for n in "xyz"[: source.choice((1, 2, 2, 3))]]
    point = {v: round(source.uniform(-2.5, 2.5), 3) or 0.5 for v in inputs}
    values: dict[Var, float] = dict(point)
    floats, bools, eqns, fresh = list(inputs), [], [], list(inputs)

    def operand() -> Atom:
        roll = source.random()
        if roll < 0.15:
            return Lit(source.choice(_LITERALS))
        return source.choice(fresh) if fresh and roll < 0.5 else source.choice(floats[-8:] if roll < 0.8 else floats)

    def value(a: Atom) -> Any:
        return a.value if isinstance(a, Lit) else values[a]

    def emit(name: str, *args: Atom, known: float | None = None) -> Var:
        entry = REGISTRY[name]
        out = Var(dtype=entry.result)
        values[out] = entry.impl(*map(value, args)) if known is None else known
        eqns.append(Eqn(out, entry, args))
        for a in args:
            if a in fresh:
                fresh.remove(a)
        return out

    def keep(out: Var) -> None:
        (bools if out.dtype == "bool" else floats).append(out)
        if out.dtype == "float":
            fresh.append(out)
            if stages and source.random() < 0.3:
                out.name, out.stage = f"s{len(eqns)}", True

    for _ in range(size * 30):
        if len(eqns) >= size:
            break
        kind = source.random()
        if kind < 0.08:
            base, n = source.choice(floats), source.choice((2, 3, 4, 5, -1, -2, -5, 2.0))
            if 0.1 < abs(values[base]) < 4:
                keep(emit("pow", base, Lit(n)))
            continue
        if kind < 0.16 and branches:
            arg, bound = source.choice(floats), source.choice((0, 0.1, -0.5))
            if abs(values[arg] - bound) > 0.05:
                inner = source.choice(("sqrt", "log", "acosh", "asin", "exp", "sin"))
                try:
                    known = REGISTRY[inner].impl(values[arg])
                except (ValueError, ArithmeticError):
                    known = math.nan
                condition = emit("gt", arg, Lit(bound))
                branch = emit(inner, arg, known=known)
                other = operand()
                sense = values[condition]
                pair = (branch, other) if source.random() < 0.8 else (other, branch)
                chosen = pair[0] if sense else pair[1]
                if (
                    math.isfinite(value(chosen))
                    and abs(value(chosen)) < 40
                    and not (chosen is branch and inner in {"asin", "acosh"} and abs(abs(values[arg]) - 1) < 0.05)
                ):
                    keep(emit("select", condition, *pair))
            continue
        if kind < 0.22 and bools:
            joined = source.choice(bools)
            if source.random() < 0.4:
                joined = emit(source.choice(("and", "or")), joined, source.choice(bools))
            if source.random() < 0.3:
                joined = emit("not", joined)
            keep(emit("select", joined, operand(), operand()))
            continue
        name = source.choice(names)
        args = tuple(operand() for _ in range(REGISTRY[name].arity))
        if all(isinstance(a, Lit) for a in args):
            continue
        try:
            if not DOMAINS[name](*map(value, args)):
                continue
            result = REGISTRY[name].impl(*map(value, args))
        except (ArithmeticError, ValueError):
            continue
        if isinstance(result, bool) or (math.isfinite(result) and abs(result) < 40):
            keep(emit(name, *args))
    results: list[Atom] = []
    for i in range(outputs):
        out = fresh[0] if fresh else floats[-1]
        for other in fresh[1:] if i == 0 else source.sample(floats, min(2, len(floats))):
            out = emit("add", out, other)
        results.append(out)
    program = Program([Param(v.name or "", v) for v in inputs], eqns, [Output(f"f{i}" if outputs > 1 else "f", a) for i, a in enumerate(results)])
    return Sample(eliminate_dead(program), point)
