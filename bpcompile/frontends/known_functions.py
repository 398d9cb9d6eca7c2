"""
The functions that forward code may call: builtins, `math`, NumPy, `scipy.special`; each said in primitives of the table.

An entry maps a name in a namespace to a `Known`. A function whose arguments are all known numbers is computed; any other
emits equations.

>>> sorted(NAMESPACES)
['builtins', 'math', 'numpy', 'numpy.lib.stride_tricks', 'numpy.linalg', 'scipy.special']
"""

from __future__ import annotations

import ast
import difflib
import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from bpcompile.frontends import arrays
from bpcompile.frontends.static_values import guarded
from bpcompile.frontends.values import Function, Input, Known, ListValue, Module, OneShot, Refusal, Size, SizeRange, Value, describe
from bpcompile.ir import Var
from bpcompile.primitive import REGISTRY

if TYPE_CHECKING:
    from bpcompile.frontends.evaluation import Evaluator

Apply = Callable[["Evaluator", ast.Call, list[Value], dict[str, Value]], Value]

_NUMBERS: Final = frozenset({int, float, bool})

#: Modules by the name they are imported under; what counts as NumPy's element-wise functions is shared by its look-alikes.
MODULES: Final = {
    "math": "math",
    "numpy": "numpy",
    "scipy.special": "scipy.special",
    "scipy": "scipy",
    "autograd.numpy": "numpy",
    "jax.numpy": "numpy",
    "numpy.random": "numpy.random",
    "numpy.linalg": "numpy.linalg",
    "numpy.lib": "numpy.lib",
    "numpy.lib.stride_tricks": "numpy.lib.stride_tricks",
    "jax.numpy.linalg": "numpy.linalg",
    "random": "random",
}

CONSTANTS: Final[dict[str, dict[str, float]]] = {
    "math": {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf},
    "numpy": {"pi": math.pi, "e": math.e, "inf": math.inf, "euler_gamma": 0.5772156649015329},
    "scipy.special": {},
    "builtins": {},
}

#: Names that people write for functions called something else.
_SPELLINGS: Final = {
    "ln": "log",
    "lg": "log10",
    "arctan": "atan",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "tg": "tan",
    "absolute": "fabs",
    "abs": "fabs",
    "power": "pow",
    "logistic": "expit",
    "lgamma": "gammaln",
    "minimum": "fmin",
    "maximum": "fmax",
}


def suggest(name: str, candidates: Iterable[str]) -> str:
    """Return the candidate that `name` most likely means, or an empty string."""
    names = list(candidates)
    spelled = _SPELLINGS.get(name)
    if spelled in names:
        return str(spelled)
    back = [plain for plain in names if _SPELLINGS.get(plain) == name]
    close = back or difflib.get_close_matches(name, names, n=1, cutoff=0.76)
    return close[0] if close else ""


def check_arguments(node: ast.Call, name: str, args: list[Value], keywords: dict[str, Value], least: int, most: int | None = None) -> None:
    """
    Check the number of arguments of a call.

    Raises:
        Refusal: E109.
    """
    most = least if most is None else most
    if keywords:
        raise Refusal("E109", f"`{name}` takes no argument `{next(iter(keywords))}` here", node=node.keywords[0])
    if not least <= len(args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise Refusal("E109", f"`{name}` takes {wanted} argument{'' if wanted == '1' else 's'}, not {len(args)}", node=node)


def is_known(value: Value) -> bool:
    """Say whether a value is a number known while reading."""
    return type(value) in _NUMBERS


def _elementwise(primitive: str, arity: int = 1, *, arrays: bool, computed: Callable[..., Any] | None = None) -> Callable[[str], Apply]:
    """Return what makes a function of one primitive: its operands are the arguments in order."""

    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            if keywords or len(args) != arity:
                check_arguments(node, name, args, keywords, arity)
            for value in args:
                if type(value) not in _NUMBERS:
                    if not arrays:
                        _no_arrays(ev, name, args, node)
                    return ev.emit(primitive, _numbers(ev, node, args, arrays_=name.startswith("np.")), node)
            return guarded(computed or REGISTRY[primitive].impl, *args)

        return apply

    return make


def _numbers(ev: Evaluator, node: ast.Call, args: list[Value], *, arrays_: bool) -> list[Any]:
    """Return arguments as operands, each refused at its own place; NumPy's functions make arrays of lists."""
    places: list[Any] = list(node.args) if len(node.args) == len(args) else [node] * len(args)
    return [arrays.operand(ev, v, n) if arrays_ else ev.number(v, n) for v, n in zip(args, places, strict=True)]


def _no_arrays(ev: Evaluator, name: str, args: list[Value], node: ast.Call) -> None:
    for value in args:
        if isinstance(value, Var | Input) and value.shape:
            numpy = "np." + {"max": "maximum", "min": "minimum", "atan2": "arctan2"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
            known = numpy[3:] in NAMESPACES["numpy"]
            raise Refusal("E111", f"`{name}` works on numbers, not on arrays", node=node, help_=f"use `{numpy}`" if known else "")


def _composed(function: Callable[..., Any], least: int, most: int | None = None, *, arrays: bool) -> Callable[[str], Apply]:
    """Return what makes a function of several equations: `function(ev, node, *operands)`, called with numbers and variables."""

    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            check_arguments(node, name, args, keywords, least, most)
            if not arrays:
                _no_arrays(ev, name, args, node)
            return function(ev, node, *_numbers(ev, node, args, arrays_=name.startswith("np.")))

        return apply

    return make


def _apply(ev: Evaluator, node: ast.AST, primitive: str, *operands: Any) -> Any:
    """Apply a primitive to numbers and variables: compute it when all are known."""
    if all(type(operand) in _NUMBERS for operand in operands):
        return guarded(REGISTRY[primitive].impl, *operands)
    return ev.emit(primitive, operands, node)


def _log(ev: Evaluator, node: ast.AST, x: Any, base: Any = None) -> Any:
    top = _apply(ev, node, "log", x)
    return top if base is None else _apply(ev, node, "div", top, _apply(ev, node, "log", base))


def _xlogy(ev: Evaluator, node: ast.AST, x: Any, y: Any, primitive: str = "log") -> Any:
    zero = _apply(ev, node, "eq", x, 0)
    if isinstance(zero, bool):
        return 0.0 if zero else _apply(ev, node, "mul", x, _apply(ev, node, primitive, y))
    with ev.guarded(zero, taken=False):
        product = _apply(ev, node, "mul", x, _apply(ev, node, primitive, y))
    return ev.emit("select", (zero, 0.0, product), node)


def _entr(ev: Evaluator, node: ast.AST, x: Any) -> Any:
    return _apply(ev, node, "neg", _xlogy(ev, node, x, x))


def _logit(ev: Evaluator, node: ast.AST, x: Any) -> Any:
    return _apply(ev, node, "sub", _apply(ev, node, "log", x), _apply(ev, node, "log1p", _apply(ev, node, "neg", x)))


def _normalised_sinc(ev: Evaluator, node: ast.AST, x: Any) -> Any:
    return _apply(ev, node, "sinc", _apply(ev, node, "mul", math.pi, x))


def _polygamma(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "polygamma", args, keywords, 2)
    order = ev.static_int(args[0], node, "the order of `polygamma`")
    if order < 0:
        raise Refusal("E110", "the order of `polygamma` is negative", node=node)
    x = ev.number(args[1], node)
    return _apply(ev, node, "digamma", x) if order == 0 else _apply(ev, node, "polygamma", order, x)


def _clip(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    names = {"a_min": 1, "min": 1, "a_max": 2, "max": 2}
    full: list[Value] = [*args, *[None] * (3 - len(args))]
    for key, value in keywords.items():
        if key not in names:
            raise Refusal("E109", f"`np.clip` takes no argument `{key}` here", node=node)
        full[names[key]] = value
    if len(full) != 3 or not args:
        raise Refusal("E109", "`np.clip` takes a value, a lower and an upper bound", node=node)
    x, low, high = full
    if low is not None and high is not None:
        return _apply(ev, node, "clip", *_numbers(ev, node, full, arrays_=True))
    if low is not None:
        return _apply(ev, node, "max", *_numbers(ev, node, [x, low], arrays_=True))
    return _apply(ev, node, "min", *_numbers(ev, node, [x, high], arrays_=True)) if high is not None else x


def _where(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    if len(args) == 1 and not keywords:
        raise Refusal(
            "E102", "`np.where` with one argument gives positions, whose number depends on values", node=node, help_="np.where(condition, a, b) chooses"
        )
    check_arguments(node, "np.where", args, keywords, 3)
    condition = ev.condition(arrays.build(ev, args[0], node) if isinstance(args[0], ListValue) else args[0], node, arrays=True)
    a, b = _numbers(ev, node, args, arrays_=True)[1:]
    if isinstance(condition, bool) and not arrays.shape_of(a) and not arrays.shape_of(b):
        return a if condition else b
    return ev.emit("select", (condition, a, b), node)


def _logical(primitive: str) -> Callable[[str], Apply]:
    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            check_arguments(node, name, args, keywords, 1 if primitive == "not" else 2)
            return ev.logic(primitive, [ev.condition(v, node, arrays=True) for v in args], node)

        return apply

    return make


def _fold(primitive: str) -> Callable[[str], Apply]:
    """Return what makes a function of any number of operands, or of one list of them: folded from the left."""

    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            if keywords:
                hint = "write the comparison with a conditional expression" if "key" in keywords else ""
                raise Refusal("E109", f"`{name}` takes no argument `{next(iter(keywords))}` here", node=node, help_=hint)
            if len(args) == 1 and arrays.is_array(args[0]) and not (isinstance(args[0], Input) and not args[0].array):
                return _extreme(ev, node, primitive, args[0])
            items = list(ev.sequence(args[0], node)) if len(args) == 1 else args
            if not items:
                raise Refusal("E109", f"`{name}` of nothing", node=node)
            _no_arrays(ev, name, items, node)
            return fold(ev, node, primitive, items)

        return apply

    return make


def _extreme(ev: Evaluator, node: ast.Call, primitive: str, value: Value) -> Value:
    """Return the largest or smallest element of a vector, as Python's own function finds it."""
    x = arrays.variable(ev, value, node)
    if len(x.shape) != 1:
        raise Refusal("E111", f"`{primitive}` compares whole rows here", node=node, help_=f"np.{primitive} takes arrays with several axes")
    return arrays.reduce(ev, f"a{primitive}", x, (0,), node)


def fold(ev: Evaluator, node: ast.AST, primitive: str, items: Iterable[Value]) -> Any:
    """Combine items from the left."""
    items = list(items)
    sizes = any(isinstance(item, Size) for item in items) and all(isinstance(item, Size) or type(item) is int for item in items)
    if sizes and primitive in {"add", "mul"}:
        op = ast.Add() if primitive == "add" else ast.Mult()
        return functools.reduce(lambda a, b: ev.arithmetic(op, a, b, node), items)
    iterator = iter(items)
    total = ev.number(next(iterator), node)
    for item in iterator:
        total = _apply(ev, node, primitive, total, ev.number(item, node))
    return total


def _sum(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        keywords = dict(keywords)
        start = keywords.pop("start", None) if name == "sum" else None
        if len(args) == 2 and name == "sum":
            start = args.pop()
        check_arguments(node, name, args, keywords, 1)
        if arrays.is_array(args[0]) and not (isinstance(args[0], Input) and not args[0].array):
            total = arrays.reduce(ev, "sum", arrays.operand(ev, args[0], node), (0,), node)
            return total if start is None or (is_known(start) and start == 0) else _apply(ev, node, "add", ev.number(start, node), total)
        items = list(ev.sequence(args[0], node))
        if any(isinstance(item, list | tuple) for item in [*items, start]):
            raise Refusal("E116", f"`{name}` of lists is not supported", node=node, help_="sum the elements, or join lists with `+`")
        if start is not None and not (is_known(start) and start == 0):
            items.insert(0, start)
        return fold(ev, node, "add", items) if items else 0

    return apply


def _product(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 1)
        items = list(ev.sequence(args[0], node))
        return fold(ev, node, "mul", items) if items else 1

    return apply


def _mean(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 1)
        items = list(ev.sequence(args[0], node))
        if not items:
            raise Refusal("E109", f"`{name}` of nothing", node=node)
        return _apply(ev, node, "div", fold(ev, node, "add", items), len(items))

    return apply


def _dot(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 2)
        a, b = list(ev.sequence(args[0], node)), list(ev.sequence(args[1], node))
        if len(a) != len(b):
            raise Refusal("E109", f"`{name}` of lists with {len(a)} and {len(b)} elements", node=node)
        return fold(ev, node, "add", [_apply(ev, node, "mul", ev.number(x, node), ev.number(y, node)) for x, y in zip(a, b, strict=True)]) if a else 0

    return apply


def _distance(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "math.dist", args, keywords, 2)
    a, b = list(ev.sequence(args[0], node)), list(ev.sequence(args[1], node))
    if len(a) != len(b) or not a:
        raise Refusal("E109", f"`math.dist` of points with {len(a)} and {len(b)} coordinates", node=node)
    differences = [_apply(ev, node, "sub", ev.number(x, node), ev.number(y, node)) for x, y in zip(a, b, strict=True)]
    return _apply(ev, node, "abs", differences[0]) if len(differences) == 1 else fold(ev, node, "hypot", differences)


def _hypot(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    if keywords or not args:
        check_arguments(node, "math.hypot", args, keywords, 1, 255)
    _no_arrays(ev, "math.hypot", args, node)
    return _apply(ev, node, "abs", ev.number(args[0], node)) if len(args) == 1 else fold(ev, node, "hypot", args)


def _power(name: str, *, arrays: bool) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 2)
        if not arrays:
            _no_arrays(ev, name, args, node)
        return ev.arithmetic(ast.Pow(), args[0], args[1], node)

    return apply


def _operator(op: ast.operator) -> Callable[[str], Apply]:
    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            check_arguments(node, name, args, keywords, 2)
            return ev.arithmetic(op, ev.number(args[0], node), ev.number(args[1], node), node)

        return apply

    return make


def _round(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 1, 2)
        if all(is_known(value) or value is None for value in args):
            return guarded(round, *args)
        if len(args) == 2 and args[1] is not None and ev.static_int(args[1], node, "the number of digits") != 0:
            raise Refusal("E109", f"`{name}` to digits has no rule", node=node, help_="scale, round and scale back: round(x * 100) / 100")
        if name == "round":
            _no_arrays(ev, name, args, node)
        return ev.emit("round", [ev.number(args[0], node)], node)

    return apply


def _float(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 1)
        value = args[0]
        if isinstance(value, str):
            words = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf, "-infinity": -math.inf}
            if value.strip().lower() in words:
                return words[value.strip().lower()]
        if is_known(value):
            return guarded(float, value)
        if isinstance(value, Var | Input) and value.shape and name == "float":
            raise Refusal("E111", "`float` works on numbers, not on arrays", node=node)
        return ev.number(value, node)

    return apply


def _int(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "int", args, keywords, 1)
    if isinstance(args[0], Size) or (isinstance(args[0], Var) and not args[0].shape and ev.facts.is_integral(args[0])):
        return args[0]
    if is_known(args[0]):
        return guarded(int, args[0])
    _no_arrays(ev, "int", args, node)
    return ev.emit("trunc", [ev.number(args[0], node)], node)


def _bool(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "bool", args, keywords, 1)
    return ev.condition(args[0], node)


def _divmod(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "divmod", args, keywords, 2)
    return tuple(ev.arithmetic(op, args[0], args[1], node) for op in (ast.FloorDiv(), ast.Mod()))


def _len(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "len", args, keywords, 1)
    if isinstance(args[0], OneShot):
        raise Refusal("E116", "a generator has no length", node=node, help_="make it a list: [...]")
    if isinstance(args[0], SizeRange):
        return Size.of(args[0].size)
    if arrays.is_array(args[0]) and not (isinstance(args[0], Input) and not args[0].array):
        return arrays.length(ev, args[0], node)
    return len(args[0]) if isinstance(args[0], dict) else len(ev.sequence(args[0], node))


def _range(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "range", args, keywords, 1, 3)
    if isinstance(args[-1], Size) and (len(args) == 1 or args[:-1] == [0]):
        return SizeRange(args[-1].dim)
    bounds = [ev.static_int(value, node, "a bound of `range`") for value in args]
    if len(bounds) == 3 and bounds[2] == 0:
        raise Refusal("E109", "the step of `range` is zero", node=node)
    return range(*bounds)


def _list(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "list", args, keywords, 0, 1)
    return ListValue(ev.items(args[0], node) if args else (), ev.path)


def _tuple(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "tuple", args, keywords, 0, 1)
    return tuple(ev.items(args[0], node)) if args else ()


def _dict(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    if args:
        raise Refusal("E109", "`dict` with positional arguments is not supported", node=node, help_="write {...} or dict(key=value)")
    return dict(keywords)


def _zip(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    keywords = dict(keywords)
    strict = keywords.pop("strict", False)
    if keywords:
        check_arguments(node, "zip", args, keywords, 0, 255)
    sequences = [ev.sequence(value, node) for value in args]
    if strict is True and len({len(s) for s in sequences}) > 1:
        raise Refusal("E108", "`zip(strict=True)` of lists with different lengths", node=node)
    ev.charge(min(map(len, sequences), default=0), node)
    return OneShot(zip(*sequences, strict=False), ev.path)


def _enumerate(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    keywords = dict(keywords)
    start = ev.static_int(keywords.pop("start", args[1] if len(args) > 1 else 0), node, "the start of `enumerate`")
    check_arguments(node, "enumerate", args, keywords, 1, 2)
    return OneShot(enumerate(ev.items(args[0], node), start), ev.path)


def _reversed(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "reversed", args, keywords, 1)
    return OneShot(reversed(ev.items(args[0], node)), ev.path)


def _sorted(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    check_arguments(node, "sorted", args, keywords, 1)
    items = ev.items(args[0], node)
    if not all(is_known(item) for item in items):
        raise Refusal("E102", "`sorted` of values has no derivative rule", node=node, help_="for two values, min and max")
    return ListValue(sorted(items), ev.path)


def _map(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
    if len(args) < 2 or keywords:
        raise Refusal("E109", "`map` takes a function and lists", node=node)
    if not isinstance(args[0], Function | Known):
        raise Refusal("E116", f"`map` of {describe(args[0])}", node=node)
    sequences = [ev.sequence(value, node) for value in args[1:]]
    ev.charge(min(map(len, sequences)), node)
    # The call node is the span of the results; a function of the user's has spans of its own.
    call = ast.copy_location(ast.Call(func=node.func, args=[], keywords=[]), node)
    return OneShot([ev.call(args[0], call, list(row), {}) for row in zip(*sequences, strict=False)], ev.path)


def _quantified(primitive: str) -> Callable[[str], Apply]:
    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            check_arguments(node, name, args, keywords, 1)
            conditions = [ev.condition(item, node) for item in ev.items(args[0], node)]
            if not conditions:
                return primitive == "and"
            total = conditions[0]
            for condition in conditions[1:]:
                total = ev.logic(primitive, [total, condition], node)
            return total

        return apply

    return make


def _integers(function: Callable[..., Any], name: str, limit: int) -> Apply:
    """Return a function of integers known while reading: `math.factorial(k)`."""

    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        check_arguments(node, name, args, keywords, 1, 2)
        bounds = [ev.static_int(value, node, f"an argument of `{name}`") for value in args]
        if any(abs(bound) > limit for bound in bounds):
            raise Refusal("E107", f"`{name}` of an integer this large", node=node)
        return guarded(function, *bounds)

    return apply


def _of_arrays(function: Callable[[arrays.Call], Value]) -> Callable[[str], Apply]:
    """Return what makes a function on arrays."""

    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            return function(arrays.Call(ev, node, name, args, keywords))

        return apply

    return make


def _on_lists(plain: Callable[[str], Apply]) -> Callable[[str], Apply]:
    """Return what makes a NumPy reduction: over lists of scalars it says what it does with the scalars."""

    def make(name: str) -> Apply:
        over_list, over_array = plain(name), _of_arrays(arrays.FUNCTIONS[name.removeprefix("np.")])(name)

        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            listed = bool(args) and not keywords and all(isinstance(value, ListValue | tuple) and _all_scalars(value) for value in args)
            listed = listed or (len(args) == 1 and not keywords and isinstance(args[0], Input) and args[0].state == "list" and not args[0].stated)
            return (over_list if listed else over_array)(ev, node, args, keywords)

        return apply

    return make


def _all_scalars(value: ListValue | tuple[Value, ...]) -> bool:
    return all(
        is_known(item)
        or isinstance(item, Size)
        or (isinstance(item, Var) and not item.shape)
        or (isinstance(item, Input) and not item.shape and item.state != "list")
        for item in value
    )


def _random(name: str) -> Known:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        last = name.rpartition(".")[2]
        if name.startswith("np.") and last == "seed":
            return None
        if name.startswith("np.") and last in {"default_rng", "RandomState"}:
            return Module("numpy.random")
        if name.startswith("np.") and ev.drawing:
            return arrays.draw(ev, node, last, args, keywords)
        raise Refusal("E119", f"`{name}` gives another number on every run", node=node, help_="make it an input of the program")

    return Known(name, apply)


_ONE: Final = "exp exp2 expm1 log1p log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh".split()


def _math() -> dict[str, Callable[[str], Apply]]:
    table: dict[str, Callable[[str], Apply]] = {name: _elementwise(name, arrays=False, computed=getattr(math, name, None)) for name in _ONE}
    table |= {
        "fabs": _elementwise("abs", arrays=False, computed=math.fabs),
        "atan2": _elementwise("atan2", 2, arrays=False, computed=math.atan2),
        "fmod": _elementwise("fmod", 2, arrays=False, computed=math.fmod),
        "floor": _elementwise("floor", arrays=False, computed=math.floor),
        "ceil": _elementwise("ceil", arrays=False, computed=math.ceil),
        "trunc": _elementwise("trunc", arrays=False, computed=math.trunc),
        "erf": _elementwise("erf", arrays=False, computed=math.erf),
        "erfc": _elementwise("erfc", arrays=False, computed=math.erfc),
        "gamma": _elementwise("gamma", arrays=False, computed=math.gamma),
        "lgamma": _elementwise("lgamma", arrays=False, computed=math.lgamma),
        "log": _composed(_log, 1, 2, arrays=False),
        "pow": lambda name: _power(name, arrays=False),
        "hypot": lambda _: _hypot,
        "dist": lambda _: _distance,
        "prod": _product,
        "fsum": _sum,
        "sumprod": _dot,
        "degrees": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, 180 / math.pi), 1, arrays=False),
        "radians": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, math.pi / 180), 1, arrays=False),
        "factorial": lambda name: _integers(math.factorial, name, 1000),
        "comb": lambda name: _integers(math.comb, name, 1000),
        "perm": lambda name: _integers(math.perm, name, 1000),
        "gcd": lambda name: _integers(math.gcd, name, 2**63),
        "isqrt": lambda name: _integers(math.isqrt, name, 2**63),
    }
    return table


_NUMPY_NAMES: Final = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "abs": "abs",
    "absolute": "abs",
    "fabs": "abs",
    "sign": "sign",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "fix": "trunc",
    "rint": "round",
    "negative": "neg",
    "log": "log",
}
_NUMPY_PAIRS: Final = {
    "arctan2": "atan2",
    "atan2": "atan2",
    "hypot": "hypot",
    "logaddexp": "logaddexp",
    "maximum": "max",
    "minimum": "min",
    "fmax": "max",
    "fmin": "min",
    "fmod": "fmod",
    "heaviside": "heaviside",
}
_NUMPY_OPERATORS: Final[dict[str, ast.operator]] = {
    "add": ast.Add(),
    "subtract": ast.Sub(),
    "multiply": ast.Mult(),
    "divide": ast.Div(),
    "true_divide": ast.Div(),
    "floor_divide": ast.FloorDiv(),
    "mod": ast.Mod(),
    "remainder": ast.Mod(),
    "power": ast.Pow(),
    "pow": ast.Pow(),
    "float_power": ast.Pow(),
}
_NUMPY_COMPARISONS: Final[dict[str, ast.cmpop]] = {
    "less": ast.Lt(),
    "less_equal": ast.LtE(),
    "greater": ast.Gt(),
    "greater_equal": ast.GtE(),
    "equal": ast.Eq(),
    "not_equal": ast.NotEq(),
}
#: Types of elements that NumPy code names.
_DTYPES: Final = "float32 float16 int64 int32 int16 int8 intp int_ uint8 bool_".split()


def _no_call(name: str) -> Apply:
    def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        raise Refusal("E104", f"`{name}` as a function is not supported", node=node.func, help_="`.astype` converts arrays")

    return apply


def _comparison(op: ast.cmpop) -> Callable[[str], Apply]:
    def make(name: str) -> Apply:
        def apply(ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
            check_arguments(node, name, args, keywords, 2)
            return ev.comparison(op, args[0], args[1], node)

        return apply

    return make


#: What NumPy's reductions are of lists of scalars.
_ON_LISTS: Final[dict[str, Callable[[str], Apply]]] = {
    "sum": _sum,
    "prod": _product,
    "mean": _mean,
    "dot": _dot,
    "max": _fold("max"),
    "min": _fold("min"),
}


def _numpy() -> dict[str, Callable[[str], Apply]]:
    table: dict[str, Callable[[str], Apply]] = {name: _elementwise(name, arrays=True, computed=getattr(math, name, None)) for name in _ONE}
    table |= {name: _elementwise(primitive, arrays=True) for name, primitive in _NUMPY_NAMES.items()}
    table |= {name: _elementwise(primitive, 2, arrays=True) for name, primitive in _NUMPY_PAIRS.items()}
    table |= {name: _operator(op) for name, op in _NUMPY_OPERATORS.items()}
    table |= {name: _comparison(op) for name, op in _NUMPY_COMPARISONS.items()}
    table |= {name: _of_arrays(function) for name, function in arrays.FUNCTIONS.items()}
    table |= {
        "square": _composed(lambda ev, node, x: ev.arithmetic(ast.Pow(), x, 2, node), 1, arrays=True),
        "reciprocal": _composed(lambda ev, node, x: _apply(ev, node, "div", 1.0, x), 1, arrays=True),
        "positive": _composed(lambda _ev, _node, x: x, 1, arrays=True),
        "deg2rad": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, math.pi / 180), 1, arrays=True),
        "radians": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, math.pi / 180), 1, arrays=True),
        "rad2deg": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, 180 / math.pi), 1, arrays=True),
        "degrees": _composed(lambda ev, node, x: _apply(ev, node, "mul", x, 180 / math.pi), 1, arrays=True),
        "sinc": _composed(_normalised_sinc, 1, arrays=True),
        "round": _round,
        "around": _round,
        "clip": lambda _: _clip,
        "where": lambda _: _where,
        "logical_and": _logical("and"),
        "logical_or": _logical("or"),
        "logical_not": _logical("not"),
        "float64": _float,
        "double": _float,
        "float_": _float,
        **dict.fromkeys(_DTYPES, _no_call),
        **{name: _on_lists(plain) for name, plain in _ON_LISTS.items()},
    }
    return table


def _special() -> dict[str, Callable[[str], Apply]]:
    one = {
        "expit": "sigmoid",
        "softplus": "softplus",
        "erf": "erf",
        "erfc": "erfc",
        "erfinv": "erfinv",
        "gamma": "gamma",
        "gammaln": "lgamma",
        "loggamma": "lgamma",
        "psi": "digamma",
        "digamma": "digamma",
        "expm1": "expm1",
        "log1p": "log1p",
        "exp2": "exp2",
        "cbrt": "cbrt",
    }
    table: dict[str, Callable[[str], Apply]] = {name: _elementwise(primitive, arrays=True) for name, primitive in one.items()}
    table |= {
        "beta": _elementwise("beta", 2, arrays=True),
        "polygamma": lambda _: _polygamma,
        "xlogy": _composed(_xlogy, 2, arrays=True),
        "xlog1py": _composed(lambda ev, node, x, y: _xlogy(ev, node, x, y, "log1p"), 2, arrays=True),
        "entr": _composed(_entr, 1, arrays=True),
        "logit": _composed(_logit, 1, arrays=True),
        **{name: _of_arrays(function) for name, function in arrays.SPECIAL.items()},
        "log_expit": _composed(lambda ev, node, x: _apply(ev, node, "neg", _apply(ev, node, "softplus", _apply(ev, node, "neg", x))), 1, arrays=True),
    }
    return table


def _builtins() -> dict[str, Callable[[str], Apply]]:
    return {
        "abs": _elementwise("abs", arrays=True, computed=abs),
        "max": _fold("max"),
        "min": _fold("min"),
        "sum": _sum,
        "pow": lambda name: _power(name, arrays=True),
        "round": _round,
        "float": _float,
        "int": lambda _: _int,
        "bool": lambda _: _bool,
        "divmod": lambda _: _divmod,
        "len": lambda _: _len,
        "range": lambda _: _range,
        "list": lambda _: _list,
        "tuple": lambda _: _tuple,
        "dict": lambda _: _dict,
        "zip": lambda _: _zip,
        "enumerate": lambda _: _enumerate,
        "reversed": lambda _: _reversed,
        "sorted": lambda _: _sorted,
        "map": lambda _: _map,
        "all": _quantified("and"),
        "any": _quantified("or"),
    }


def _named(prefix: str, table: dict[str, Callable[[str], Apply]]) -> dict[str, Known]:
    return {name: Known(prefix + name, make(prefix + name)) for name, make in table.items()}


NAMESPACES: Final[dict[str, dict[str, Known]]] = {
    "builtins": _named("", _builtins()),
    "math": _named("math.", _math()),
    "numpy": _named("np.", _numpy()),
    "numpy.linalg": _named("np.linalg.", {name: _of_arrays(function) for name, function in arrays.LINALG.items()}),
    "numpy.lib.stride_tricks": _named("", {name: _of_arrays(function) for name, function in arrays.STRIDES.items()}),
    "scipy.special": _named("", _special()),
}


def _bare() -> dict[str, Known]:
    """The names that a one-liner may use without any import."""
    numpy = {name: known for name, known in NAMESPACES["numpy"].items() if name in _ON_LISTS or name not in arrays.FUNCTIONS}
    table = {
        **_named("", {name: make for name, make in _numpy().items() if name in numpy}),
        **NAMESPACES["scipy.special"],
        **_named("", {name: make for name, make in _math().items() if name not in NAMESPACES["numpy"]}),
        **_named("", {"log": _composed(_log, 1, 2, arrays=True)}),
    }
    for name in "sec csc cot asec acsc acot sech csch coth asech acsch acoth sigmoid relu softplus".split():
        table |= _named("", {name: _elementwise(name, arrays=True)})
    return {**table, **_named("", {"sinc": _elementwise("sinc", arrays=True)}), **NAMESPACES["builtins"]}


BARE: Final = _bare()
BARE_CONSTANTS: Final = {"pi": math.pi, "tau": math.tau, "e": math.e}


def module_member(module: str, name: str, node: ast.AST) -> Value:
    """
    Return `module.name`: a function, a number or a module.

    Raises:
        Refusal: E102, the compiler does not know it; E119, random numbers.
    """
    if module == "numpy" and name == "newaxis":
        return None
    if module in {"numpy.random", "random"}:
        return _random(f"{'np.' if module.startswith('numpy') else ''}random.{name}")
    qualified = f"{module}.{name}"
    if qualified in MODULES:
        return Module(MODULES[qualified])
    if module in NAMESPACES:
        found = NAMESPACES[module].get(name)
        if found is not None:
            return found
        constant = CONSTANTS.get(module, {}).get(name)
        if constant is not None:
            return constant
    shown = module.replace("numpy", "np", 1)
    close = suggest(name, [*NAMESPACES.get(module, ()), *CONSTANTS.get(module, ())])
    raise Refusal(
        "E102",
        f"`{shown}.{name}` has no derivative rule",
        label="not in the table of primitives",
        help_=f"did you mean `{shown}.{close}`?" if close else "`bpcompile ops` lists the primitives",
        node=node,
    )
