"""
Gate proofs: the derivative rule of a primitive, minus SymPy's derivative of the primitive, is 0.

A rule is called with SymPy symbols. The real line is cut into the cases that the samples of the primitive visit (signs of the
operands, and their order where that matters), so that absolute values, steps and choices resolve; in each case the difference
must simplify to 0. Where SymPy can't see that it is 0, it is evaluated at 50 digits, and the gate is called numeric, not proved.
A proof is made once a process, so the whole layer is linear in the program.

Operations on axes are proved on small arrays of symbols: the rule, minus the derivative of what the operation computes
(`array_oracle`), must vanish for every element. Those that choose or eliminate are compared on numbers at 50 digits.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import sympy
from mpmath import mp

from bpcompile import exact
from bpcompile.array_oracle import MEANINGS, Dual, apply, concrete, elementwise
from bpcompile.ir import Builder, Eqn, Lit, Program, Var
from bpcompile.ops.array import at_sizes
from bpcompile.oracle import Unsupported, compile_high, differentiate
from bpcompile.primitive import ZERO, Primitive

Status = Literal["proved", "numeric", "failed", "unchecked"]

_RANK: Final[dict[str, int]] = {"proved": 0, "numeric": 1, "unchecked": 2, "failed": 3}
#: Operations whose rules look at a literal operand; proved for the literals that a program has.
_SPECIALISED: Final = frozenset({"pow", "powr", "div"})
#: At most so many different literals a program are proved one by one.
_MAX_LITERALS: Final = 16
_POINTS: Final = 6
_MAX_OPS: Final = 60
#: Relative differences that are rounding at 50 digits, and in double precision.
_EXACT: Final = 1e-40
_DOUBLE: Final = 1e-13

Literals = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on one primitive."""

    name: str
    status: Status
    detail: str = ""


def prove(program: Program, sizes: Mapping[str, int] | None = None) -> tuple[Gate, ...]:
    """
    Check the rules of every distinct primitive of a program, in order of first appearance.

    Args:
        program: The program as read by a front end.
        sizes: Numbers in place of the names of sizes, for operations on axes.
    """
    uses: dict[Primitive, dict[Literals, None]] = {}
    constants: dict[Primitive, list[bool]] = {}
    active = {v for p in program.params if p.wrt for v in p.leaves() if v.dtype == "float"}
    structural: dict[Primitive, dict[_Use, None]] = {}
    for eqn in program.eqns:
        primitive = eqn.prim
        if primitive.variadic or primitive.shape is not None:
            kinds = structural.setdefault(primitive, {})
            if any(arg in active for arg in eqn.args) and primitive.result == "float":
                active.add(eqn.out)
                if sizes is not None and len(kinds) < _MAX_LITERALS:
                    kinds.setdefault(_use(eqn, sizes, active))
            continue
        if primitive not in uses:
            uses[primitive] = {}
            constants[primitive] = [True] * primitive.arity
        always = constants[primitive]
        hot = False
        for i, arg in enumerate(eqn.args):
            if arg in active:
                always[i] = False
                hot = True
        if hot and primitive.result == "float":
            active.add(eqn.out)
        if hot:
            special = primitive.name in _SPECIALISED and len(uses[primitive]) < _MAX_LITERALS
            uses[primitive].setdefault(tuple([a.value if special and isinstance(a, Lit) else None for a in eqn.args]))
    gates = [_gate(primitive, tuple(constants[primitive]), tuple(patterns)) for primitive, patterns in uses.items()]
    gates += [_axes_gate(primitive, tuple(kinds), known=sizes is not None) for primitive, kinds in structural.items()]
    return tuple(gates)


def _gate(primitive: Primitive, constant: tuple[bool, ...], patterns: Sequence[Literals]) -> Gate:
    if all(constant) or primitive.result != "float":
        return Gate(primitive.name, "proved", "carries no derivative here")
    verdicts = [_prove(primitive, i, literals) for literals in patterns for i in range(primitive.arity) if not constant[i] and literals[i] is None]
    return max(verdicts, key=lambda gate: _RANK[gate.status])


@lru_cache(maxsize=4096)
def _prove(primitive: Primitive, operand: int, literals: Literals) -> Gate:
    """Check the rules (compact and textbook) of one operand; `literals` fixes some of the operands."""
    name = primitive.name
    symbols = [sympy.Symbol(f"x{i}", real=True) for i in range(primitive.arity)]
    ct = sympy.Symbol("ct", real=True)
    plain = [s if v is None else v for s, v in zip(symbols, literals, strict=True)]
    if primitive.name == "select":
        return _prove_select(primitive, operand)
    try:
        answer = primitive.sympy(*[s if v is None else exact.exact(v) for s, v in zip(symbols, literals, strict=True)])
        want = ct * differentiate(answer, symbols[operand])
        rule = primitive.vjp[operand]
        differences = [_exact_floats((0 if rule is ZERO else rule(ct, answer, *plain)) - want)]  # type: ignore[operator]  # not ZERO
        if primitive.textbook is not None and rule is not ZERO:
            differences.append(_exact_floats(ct * primitive.textbook[operand](answer, *plain) - want))
    except Unsupported as reason:
        return Gate(name, "unchecked", str(reason))
    except (TypeError, ValueError, AttributeError, NotImplementedError, ArithmeticError, RecursionError) as error:
        return Gate(name, "unchecked", f"SymPy fails with {type(error).__name__}")
    free = [i for i, v in enumerate(literals) if v is None]
    samples = _samples(primitive, free)
    verdict: Status = "proved"
    for difference in differences:
        distance = _largest(difference, want, [ct, *[symbols[i] for i in free]], samples)
        if distance is None:
            return Gate(name, "unchecked", "no sample lies in the domain")
        # Constants are doubles, and series near a removable singularity are right to double precision.
        if distance > _DOUBLE:
            return Gate(name, "failed", f"the rule of operand {operand + 1} is not SymPy's derivative")
        if distance > _EXACT:
            verdict = "numeric"
        if verdict == "proved" and not all(_is_zero(d) for d in _cases(difference, symbols, free, samples)):
            verdict = "numeric"
    return Gate(name, verdict)


def _prove_select(primitive: Primitive, operand: int) -> Gate:
    """A choice is linear in its branches: with the condition true and false the rule must give ct or 0."""
    rule = primitive.vjp[operand]
    if operand == 0:
        return Gate(primitive.name, "proved" if rule is ZERO else "failed", "" if rule is ZERO else "a condition carries no derivative")
    for taken in (True, False):
        a, b, ct = 2.5, -1.25, 3.0
        want = ct if taken is (operand == 1) else 0.0
        got = rule(ct, a if taken else b, taken, a, b)  # type: ignore[operator]  # the rule of a branch
        if got != want:
            return Gate(primitive.name, "failed", f"the rule of operand {operand + 1} does not route the gradient")
    return Gate(primitive.name, "proved")


def _exact_floats(expression: Any) -> sympy.Expr:
    expression = sympy.sympify(expression)
    floats = sorted(expression.atoms(sympy.Float), key=str)
    result: sympy.Expr = expression.xreplace({f: exact.exact(float(f)) for f in floats}) if floats else expression
    return result


def _samples(primitive: Primitive, free: Sequence[int]) -> list[tuple[float, ...]]:
    """Return the samples of the operands that are no literals, without repetitions."""
    return list(dict.fromkeys(tuple(float(sample[i]) for i in free) for sample in primitive.samples))


def _largest(difference: sympy.Expr, want: sympy.Expr, symbols: Sequence[sympy.Symbol], samples: Sequence[tuple[float, ...]]) -> float | None:
    """Evaluate at 50 digits, at the samples and near them: the largest relative difference, None if nothing could be evaluated."""
    if difference == 0:
        return 0.0
    function: Callable[..., Any] = compile_high(symbols, [difference, want])
    source = random.Random(2024)  # noqa: S311  reproducible points, not secrets
    points = list(samples)
    while len(points) < max(_POINTS, len(samples)):
        sample = points[source.randrange(len(samples))]
        points.append(tuple(x * (1 + source.randrange(-64, 64) / 1024) if x != int(x) else x for x in sample))
    worst: float | None = None
    for point in points:
        try:
            values = function(mp.mpf("1.375"), *map(mp.mpf, point))
        except (ValueError, ArithmeticError, TypeError):
            continue  # outside the domain: a literal operand may narrow it
        # The principal values of SymPy's functions may pass through the complex plane and leave a rounding error there.
        if any(abs(mp.im(v)) > mp.mpf(10) ** -30 for v in values):
            continue
        error, scale = abs(mp.re(values[0])), 1 + abs(mp.re(values[1]))
        if mp.isfinite(error) and mp.isfinite(scale):
            worst = max(worst or 0.0, float(error / scale))
    return worst


def _cases(difference: sympy.Expr, symbols: Sequence[sympy.Symbol], free: Sequence[int], samples: Sequence[tuple[float, ...]]) -> Iterator[sympy.Expr]:
    """Yield the difference under the assumptions that each kind of sample stands for."""
    if not difference.has(sympy.Piecewise, sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Max, sympy.Min) and _is_zero(difference):
        return
    patterns = dict.fromkeys(tuple(x > 0 for x in sample) for sample in samples)
    for signs in patterns:
        positive = [sympy.Symbol(f"p{i}", positive=True) for i in range(len(free))]
        values = {symbols[j]: p if up else -p for j, p, up in zip(free, positive, signs, strict=True)}
        signed = difference.xreplace(values)
        if not _undecided(signed):
            yield from _branches(signed)
            continue
        if len(free) == 1 or not _compares(signed):
            yield from _branches(signed)
            continue
        # Order matters: the smallest operand and positive steps up from it.
        steps = [sympy.Symbol(f"s{i}", positive=True) for i in range(len(free) - 1)]
        orders = dict.fromkeys(tuple(sorted(range(len(free)), key=sample.__getitem__)) for sample in samples if len(set(sample)) == len(sample))
        for order in orders or [tuple(range(len(free)))]:
            level: sympy.Expr = sympy.Symbol("low", real=True)
            ordered = {}
            for rank, place in enumerate(order):
                level = level + steps[rank - 1] if rank else level
                ordered[symbols[free[place]]] = level
            yield from _branches(difference.xreplace(ordered))


def _compares(expression: sympy.Expr) -> bool:
    """Whether a condition is left that is about two operands."""
    conditions = expression.atoms(sympy.core.relational.Relational, sympy.Max, sympy.Min, sympy.Heaviside)
    return any(len(c.free_symbols) > 1 for c in conditions)


def _undecided(expression: sympy.Expr) -> bool:
    return bool(expression.has(sympy.Piecewise, sympy.Heaviside, sympy.Max, sympy.Min))


def _branches(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    """Take apart what conditions are left: each branch must vanish, but for those that hold at single points."""
    pieces = sorted(expression.atoms(sympy.Piecewise), key=sympy.default_sort_key)
    if not pieces:
        yield expression
        return
    outer = [p for p in pieces if not any(p is not q and q.has(p) for q in pieces)]
    choices = [[(p, e) for e in _generic_branches(p)] for p in outer]
    for combination in itertools.islice(itertools.product(*choices), 16):
        yield from _branches(expression.xreplace(dict(combination)))


def _generic_branches(piecewise: sympy.Piecewise) -> list[sympy.Expr]:
    """Return the branches that hold at more than single points: not `x = 0`, nor what is left after `x != 0`."""
    found = []
    for expression, condition in piecewise.args:
        if isinstance(condition, sympy.Eq):
            continue
        found.append(expression)
        if isinstance(condition, sympy.Ne):
            break
    return found


def _difference_of_squares(expression: sympy.Expr) -> sympy.Expr:
    """
    For a - b return a**2 - b**2, where roots are gone.

    The numbers have agreed before, so a = -b is ruled out.
    """
    if not isinstance(expression, sympy.Add) or len(expression.args) != 2:
        return expression
    a, b = expression.args
    return sympy.cancel(sympy.expand(a**2 - b**2))


def _differs(expression: sympy.Expr) -> bool:
    """Whether the expression is not 0 at some point: then there is nothing to prove."""
    symbols = sorted(expression.free_symbols, key=str)
    point = [mp.mpf(3 + 5 * i) / 17 for i in range(len(symbols))]
    try:
        value = compile_high(symbols, expression)(*point)
    except (ValueError, ArithmeticError, TypeError):
        return False
    return bool(mp.isfinite(value) and abs(value) > mp.mpf(10) ** -30)


def _is_zero(expression: sympy.Expr) -> bool:
    """Try what is cheap first; `simplify` comes last and only for small expressions."""
    if expression == 0:
        return True
    if _differs(expression):
        return False
    attempts: tuple[Callable[[sympy.Expr], sympy.Expr], ...] = (
        sympy.expand,
        lambda e: sympy.cancel(sympy.together(e)),
        lambda e: sympy.powsimp(sympy.expand(e)),
        lambda e: sympy.cancel(sympy.expand(e.rewrite(sympy.exp))),
        lambda e: sympy.simplify(e.rewrite(sympy.exp)),
        _difference_of_squares,
        sympy.trigsimp,
        sympy.simplify,
    )
    for attempt in attempts:
        if expression.count_ops() > _MAX_OPS:
            return False
        try:
            if attempt(expression) == 0:
                return True
        except (TypeError, ValueError, AttributeError, NotImplementedError, ArithmeticError, RecursionError, sympy.PolynomialError):
            continue
    return False


# -- operations on axes


#: Shapes and kinds of the operands, static parameters, and which operands carry a derivative.
_Use = tuple[tuple[tuple[int, ...], ...], tuple[str, ...], tuple[tuple[str, Any], ...], tuple[bool, ...]]
#: Sizes of the table's own samples, for uses with more elements than are worth a proof.
_SAMPLE_SIZES: Final = {"N": 3, "D": 4, "K": 2, "M": 5, "H": 6}
_MAX_ELEMENTS: Final = 150
_MAX_SYMBOLS: Final = 70


def _use(eqn: Eqn, sizes: Mapping[str, int], active: set[Var]) -> _Use:
    """Return what a use of an operation has in common with others that are proved together with it."""
    shapes = tuple(concrete(a.shape, sizes) for a in eqn.args)
    params = at_sizes(eqn.params, sizes)
    if params == eqn.params and not any(_holds_size(v) for k, v in params.items() if k not in {"axis", "axes", "perm", "n", "k", "axis1", "axis2"}):
        # Nothing depends on how large the axes are: small ones will do.
        small: dict[int, int] = {1: 1, 0: 0}
        shapes = tuple(tuple(small.setdefault(d, len(small)) for d in s) for s in shapes)
    kinds = tuple("int" if isinstance(a, Var) and a.dtype == "int" else "float" for a in eqn.args)
    return shapes, kinds, tuple(sorted(params.items())), tuple(a in active for a in eqn.args)


def _holds_size(value: Any) -> bool:
    return any(map(_holds_size, value)) if isinstance(value, tuple) else isinstance(value, int) and not isinstance(value, bool)


def _axes_gate(primitive: Primitive, uses: Sequence[_Use], *, known: bool) -> Gate:
    if not known:
        return Gate(primitive.name, "unchecked", "works on axes")
    if primitive.name not in MEANINGS:
        return Gate(primitive.name, "unchecked", "nothing to compare it with")
    if not uses:
        return Gate(primitive.name, "proved", "carries no derivative here")
    verdicts = [_prove_axes(primitive, *use[:3], operand) for use in uses for operand, hot in enumerate(use[3]) if hot]
    return max(verdicts, key=lambda gate: _RANK[gate.status])


@lru_cache(maxsize=4096)
def _prove_axes(primitive: Primitive, shapes: tuple[tuple[int, ...], ...], kinds: tuple[str, ...], params: tuple[tuple[str, Any], ...], operand: int) -> Gate:
    """Check the rule of one operand, for every element of it."""
    cases = [(shapes, dict(params))]
    result_shape = primitive.shape(*shapes, **dict(params)) if primitive.shape else ()
    if max(map(math.prod, [*shapes, result_shape])) > _MAX_ELEMENTS:
        cases = [(tuple(concrete(s, _SAMPLE_SIZES) for s in sample), at_sizes(given, _SAMPLE_SIZES)) for sample, given in primitive.array_samples]
        cases = [(s, p) for s, p in cases if operand < len(s)]
    verdict: Status = "proved"
    for sample, given in cases:
        names = [kinds[min(i, len(kinds) - 1)] for i in range(len(sample))]
        try:
            eqns, variables, result = _rule_equations(primitive, sample, names, given, operand)
            if not _agrees_on_numbers(primitive, variables, eqns, result, given, operand):
                return Gate(primitive.name, "failed", f"the rule of operand {operand + 1} is not the derivative")
        except (Unsupported, ArithmeticError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            return Gate(primitive.name, "unchecked", f"{type(error).__name__} in a sample")
        if not _vanishes(primitive, variables, eqns, result, given, operand):
            verdict = "numeric"
    return Gate(primitive.name, verdict)


def _rule_equations(
    primitive: Primitive, shapes: Sequence[tuple[int, ...]], kinds: Sequence[str], params: Mapping[str, Any], operand: int
) -> tuple[list[Eqn], list[Var], Any]:
    """Return the equations of a rule, its variables (upstream gradient, answer, operands), and its result."""
    operands = [Var(shape=s, dtype=k) for s, k in zip(shapes, kinds, strict=True)]
    shape = primitive.shape(*shapes, **params) if primitive.shape else ()
    ct, answer = Var(shape=shape), Var(shape=shape)
    rule = primitive.vjp[operand]
    with Builder() as builder:
        result = 0.0 if rule is ZERO else rule(ct, answer, *operands, **params)  # type: ignore[operator]  # not ZERO
    return builder.eqns, [ct, answer, *operands], result


def _difference_of_rule(
    primitive: Primitive,
    variables: Sequence[Var],
    eqns: Sequence[Eqn],
    result: Any,
    values: Sequence[Any],
    params: Mapping[str, Any],
    operand: int,
    elements: Callable[[Primitive, Sequence[Dual]], Dual],
) -> Iterator[tuple[Any, Any]]:
    """Yield, for each element of the operand, what the rule gives and the derivative. `values`: upstream gradient, then operands."""
    ct, *operands = [Dual(v) for v in values]
    x = operands[operand].value
    unit = np.zeros((x.size, x.size), dtype=object)
    np.fill_diagonal(unit, 1)
    moving = [Dual(o.value, unit.reshape(x.size, *x.shape)) if i == operand else o for i, o in enumerate(operands)]
    answer = MEANINGS[primitive.name](*moving, **params)
    env = dict(zip(variables, [ct, Dual(answer.value), *operands], strict=True))
    for eqn in eqns:
        env[eqn.out] = apply(eqn, [env[a] if isinstance(a, Var) else Dual(np.asarray(a.value, dtype=object)) for a in eqn.args], elements)
    got = np.broadcast_to(env[result].value if isinstance(result, Var) else np.asarray(result, dtype=object), x.shape).ravel()
    for k in range(x.size):
        slope = answer.slopes[k] if answer.slopes is not None else np.zeros(answer.shape, dtype=object)
        yield got[k], np.sum(ct.value * slope)


def _agrees_on_numbers(primitive: Primitive, variables: Sequence[Var], eqns: Sequence[Eqn], result: Any, params: Mapping[str, Any], operand: int) -> bool:
    for seed in range(2):
        source = np.random.default_rng(100 + seed)
        drawn = _operands(primitive, variables[2:], params, source)
        shape: Any = variables[0].shape
        ct = _objects(source.integers(300, 1700, shape) / 1024 * source.choice([-1, 1], shape))
        values = [ct, *[d if v.dtype == "int" else _objects(d) for v, d in zip(variables[2:], drawn, strict=True)]]
        pairs = _difference_of_rule(primitive, variables, eqns, result, values, params, operand, lambda p, xs: elementwise(p, xs, high=True))
        for got, want in pairs:
            error, size = abs(mp.mpf(got) - mp.mpf(want)), 1 + abs(mp.mpf(want))
            if not mp.isfinite(error) or error > _EXACT * size:
                return False
    return True


def _operands(primitive: Primitive, variables: Sequence[Var], params: Mapping[str, Any], source: Any) -> Sequence[Any]:
    shapes: list[Any] = [v.shape for v in variables]
    if primitive.draw is not None:
        drawn: Sequence[Any] = primitive.draw(source, *shapes, **params)
        return drawn
    return [source.standard_normal(s) for s in shapes]


def _objects(array: Any) -> Any:
    array = np.asarray(array)
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(*array.shape):
        out[index] = mp.mpf(float(array[index]))
    return out


def _vanishes(primitive: Primitive, variables: Sequence[Var], eqns: Sequence[Eqn], result: Any, params: Mapping[str, Any], operand: int) -> bool:
    """Whether the rule is the derivative identically, on arrays of symbols."""
    shapes: list[Any] = [v.shape for v in variables]
    if sum(map(math.prod, shapes)) > _MAX_SYMBOLS:
        return False
    values: list[Any] = []
    drawn = _operands(primitive, variables[2:], params, np.random.default_rng(7))
    for i, (var, number) in enumerate(zip([variables[0], *variables[2:]], [None, *drawn], strict=True)):
        if var.dtype == "int":
            values.append(number)
            continue
        array: Any = np.empty(shapes[0] if i == 0 else shapes[i + 1], dtype=object)
        for index in np.ndindex(*array.shape):
            array[index] = sympy.Symbol(f"x{i}_{'_'.join(map(str, index))}", positive=True)
        values.append(array)
    try:
        pairs = list(_difference_of_rule(primitive, variables, eqns, result, values, params, operand, _symbolic))
        return all(_is_zero(sympy.sympify(got - want)) for got, want in pairs)
    except (Unsupported, TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
        return False


def _symbolic(primitive: Primitive, operands: Sequence[Dual]) -> Dual:
    function = np.frompyfunc(lambda *xs: primitive.sympy(*map(sympy.sympify, xs)), len(operands), 1)
    return Dual(np.asarray(function(*[o.value for o in operands])))
