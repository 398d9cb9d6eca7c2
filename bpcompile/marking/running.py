"""
Run a file without executing it: an interpreter of its syntax tree at small sizes, which writes down every assignment.

Only what stands in `library` can be called. A statement that can't be followed is a `Failure` with its line; what it would
have bound is unread, and so is what depends on it; everything else goes on. Steps, sizes and depths are bounded.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpcompile.marking import library as lib
from bpcompile.marking import numbers as nb
from bpcompile.marking.ledger import Ids, Ledger, TooLargeError
from bpcompile.marking.numbers import CannotReadError, MismatchError, Tracked, Value, constant, moved, named, plain
from bpcompile.marking.plan import Plan, base_name, called, in_gradient_container, place
from bpcompile.marking.words import stems

MAX_STEPS: Final = 200_000
MAX_DEPTH: Final = 120
MAX_CALLS: Final = 30
#: A loop longer than this whose variable plays no part runs once: the steps of a training loop are all alike.
LONG_LOOP: Final = 12


@dataclass(frozen=True, eq=False, slots=True)
class Event:
    """
    One assignment that was executed.

    Attributes:
        index: Its number in the run.
        line: The line in the file.
        statement: Its syntax tree; None for a parameter.
        text: The target as written: `dx`, `grads['W1']`.
        name: What the variable is known by: `dx`, `W1`.
        container: The dictionary or object it is an item of, or an empty string.
        kind: `set`, `add` (also `-=` and the like), `item` (a part of an array), `param`, `return`, `failed`.
        value: The numbers of the whole variable afterwards; None for a failed statement.
        ids: Their ids.
        blocks: The blocks of the ledger that the statement wrote.
        function: The function it is in, or an empty string.
        frame: Number of the call.
        fault: Why the statement failed.
    """

    index: int
    line: int
    statement: ast.stmt | None
    text: str
    name: str
    container: str
    kind: str
    value: Any
    ids: Ids
    blocks: tuple[int, int]
    function: str
    frame: int
    fault: CannotReadError | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A statement that was not followed: its line, why, and whether it only reads what another left unread."""

    line: int
    message: str
    inherited: bool
    fault: CannotReadError | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """The value of a name that a statement would have bound."""

    line: int
    message: str


class DependsOnUnreadError(CannotReadError):
    """A statement reads what was not read."""


@dataclass(eq=False)
class FunctionValue:
    """A function of the program."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    bound: Value = None
    owner: ClassValue | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return getattr(self.node, "name", "<lambda>")


@dataclass(eq=False)
class ClassValue:
    """A class of the program."""

    node: ast.ClassDef
    members: dict[str, Value]
    bases: list[ClassValue]

    def find(self, name: str) -> Value | None:
        """Look a member up."""
        if name in self.members:
            return self.members[name]
        for base in self.bases:
            found = base.find(name)
            if found is not None:
                return found
        return None


@dataclass(eq=False)
class Instance:
    """An object of a class of the program."""

    kind: ClassValue | None
    members: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """A module, or something in one: `numpy`, `numpy.random.randn`."""

    path: str


class Scope:
    """The names of a call, and those around it."""

    __slots__ = ("frame", "function", "globals_", "names", "outer")

    def __init__(self, outer: Scope | None, function: str = "", frame: int = 0) -> None:
        self.names: dict[str, Value] = {}
        self.outer = outer
        self.function = function
        self.frame = frame
        self.globals_: set[str] = set()

    def find(self, name: str) -> Value:
        """Look a name up; raise KeyError."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        raise KeyError(name)

    def bind(self, name: str, value: Value) -> None:
        """Bind a name."""
        if name in self.globals_:
            scope = self
            while scope.outer is not None:
                scope = scope.outer
            scope.names[name] = value
        else:
            self.names[name] = value

    def fork(self) -> Scope:
        """Return a scope in which names can be bound without this one's noticing."""
        return Scope(self, self.function, self.frame)


class _ReturnSignal(Exception):  # noqa: N818  control flow
    def __init__(self, value: Value) -> None:
        self.value = value


class _BreakSignal(Exception):  # noqa: N818  control flow
    pass


class _ContinueSignal(Exception):  # noqa: N818  control flow
    pass


class OutOfStepsError(CannotReadError):
    """The program runs too long."""


Redraw = Callable[[Value, np.random.Generator, int], Value]

_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.MatMult: "matmul", ast.Mod: "mod",
    ast.FloorDiv: "floordiv", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "lshift", ast.RShift: "rshift",
}  # fmt: skip
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal, ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip

_MODULES: Final = ("numpy", "math", "scipy", "scipy.special", "autograd.numpy")


class Run:
    """
    One run of a file at one point.

    Args:
        plan: What is known of the file.
        seed: Seeds every random number of the run.
        sizes: The sizes that stand in place of written ones.
        redraw: Makes a generic value of an example value; None keeps what is written.
        replace: Values that certain events get instead of the author's.
        substitute: For some statements, by their id, others to run instead.
        probes: For some statements, others to try in their place: called before the statement with a function that tries one.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        seed: int = 0,
        sizes: Mapping[tuple[int, int], int] | None = None,
        redraw: Redraw | None = None,
        replace: Mapping[int, Any] | None = None,
        probes: Mapping[int, Sequence[ast.stmt | None]] | None = None,
        substitute: Mapping[int, ast.stmt] | None = None,
        past: Mapping[str, Value] | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.rng = np.random.default_rng(seed)
        self.sizes = sizes or {}
        self.redraw = redraw
        self.replace = replace or {}
        self.probes = probes or {}
        self.past = past or {}
        self.at = at or {}
        self.substitute = substitute or {}
        self.probed: dict[tuple[int, int], Any] = {}
        self.probed_at: dict[int, int] = {}
        self.events: list[Event] = []
        self.failures: list[Failure] = []
        self.leaves: list[Event] = []
        self.calls: dict[int, dict[str, Value]] = {}
        self.draw = 0
        self.module = Scope(None)
        self.steps = 0
        self._limit = MAX_STEPS
        self._frames = 0
        self._depth = 0
        self._statement: ast.stmt | None = None
        self._begin = 0
        self._silent = False

    # Statements --------------------------------------------------------------------------------------------------------

    def execute_module(self, tree: ast.Module) -> None:
        """Run a file from top to bottom."""
        with suppress(_ReturnSignal, _BreakSignal, _ContinueSignal):
            self.block(tree.body, self.module)

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Run statements; what can't be followed is noted and passed over."""
        for statement in body:
            try:
                self.statement(statement, scope)
            except (_ReturnSignal, _BreakSignal, _ContinueSignal):
                raise
            except OutOfStepsError as fault:
                if scope is not self.module or self.ledger.full:
                    raise
                # What ran too long once is not tried again, and the rest of the file gets its turn.
                statement.too_deep = True  # type: ignore[attr-defined]
                self._limit = self.steps + MAX_STEPS // 4
                self._fail(statement, fault, scope)
            except TooLargeError:
                raise OutOfStepsError("a computation this large") from None
            except RecursionError:
                self._fail(statement, CannotReadError("code nested this deep"), scope)
            except MemoryError:
                self._fail(statement, CannotReadError("an array of this size"), scope)
            except CannotReadError as fault:
                self._fail(statement, fault, scope)

    def _fail(self, statement: ast.stmt, fault: CannotReadError, scope: Scope) -> None:
        if isinstance(statement, ast.Raise):
            raise fault
        if isinstance(statement, ast.Return):
            self.failures.append(Failure(statement.lineno, str(fault), isinstance(fault, DependsOnUnreadError), fault))
            raise _ReturnSignal(Unread(statement.lineno, str(fault)))
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Call):
            return
        inherited = isinstance(fault, DependsOnUnreadError)
        if not self._silent:
            self.failures.append(Failure(statement.lineno, str(fault), inherited, fault))
        targets = list(_bound_by(statement))
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign) and len(targets) == 1:
            index = len(self.events)
            if index in self.replace:
                self._begin = len(self.ledger.blocks)
                self._statement = statement
                try:
                    self.assign(targets[0], constant(self.replace[index]), scope, "failed")
                except CannotReadError:
                    pass
                else:
                    return
            self._note(statement, targets[0], "failed", None, np.empty(0, np.int64), scope, fault)
        for target in targets:
            if isinstance(target, ast.Name):
                if isinstance(statement, ast.AugAssign) and not isinstance(scope.names.get(target.id), Unread | None):
                    continue  # the variable keeps what it had
                scope.bind(target.id, Unread(statement.lineno, str(fault)))

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._limit:
            raise OutOfStepsError("a program that runs this long")

    def statement(self, statement: ast.stmt, scope: Scope) -> None:
        """Run one statement."""
        self._step()
        if getattr(statement, "too_deep", False):
            raise CannotReadError("code nested this deep")
        statement = self.substitute.get(id(statement), statement)
        probes = self.probes.get(id(statement))
        if probes and not self._silent:
            self.probed_at[len(self.events)] = id(statement)
            self._probe(statement, probes, scope)
        self._statement = statement
        self._begin = len(self.ledger.blocks)
        handler = self._HANDLERS.get(type(statement))
        if handler is None:
            raise CannotReadError(f"`{type(statement).__name__.lower()}`")
        handler(self, statement, scope)

    def _probe(self, statement: ast.stmt, others: Sequence[ast.stmt | None], scope: Scope) -> None:
        """Try other statements here, on copies of what they would change; None is not tried."""
        index = len(self.events)
        events, failures, silent = self.events, self.failures, self._silent
        self.ledger.mute = True
        for number, other in enumerate(others):
            if other is None:
                continue
            fork = scope.fork()
            self.events, self.failures, self._silent = [], [], True
            try:
                for base in _changed_by(other):
                    fork.names[base] = _copied(scope.find(base))
                for node in ast.walk(other):
                    if isinstance(node, ast.Name) and node.id.startswith("past·") and node.id in self.past:
                        fork.names[node.id] = self.past[node.id]
                self.statement(other, fork)
                self.probed[index, number] = self.events[-1].value if self.events else None
            except (CannotReadError, _ReturnSignal, _BreakSignal, _ContinueSignal, KeyError, TooLargeError):
                self.probed[index, number] = None
            finally:
                self.events, self.failures, self._silent = events, failures, silent
        self.ledger.mute = False

    def _note(
        self,
        statement: ast.stmt | None,
        target: ast.expr | str,
        kind: str,
        value: Any,
        ids: Ids,
        scope: Scope,
        fault: CannotReadError | None = None,
        key: str | None = None,
    ) -> Event:
        text = target if isinstance(target, str) else ast.unparse(target)
        name = text if isinstance(target, str) else base_name(target)
        container = ""
        if isinstance(target, ast.Subscript) and key is None and isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            key = target.slice.value
        if isinstance(target, ast.Subscript) and key is not None:
            container = ast.unparse(target.value)
            name, text = key, f"{container}[{key!r}]"
        event = Event(
            len(self.events),
            statement.lineno if statement is not None else 0,
            statement,
            text,
            name,
            container,
            kind,
            value,
            ids,
            (self._begin, len(self.ledger.blocks)),
            scope.function,
            scope.frame,
            fault,
        )
        self.events.append(event)
        self._begin = len(self.ledger.blocks)
        return event

    # Binding -----------------------------------------------------------------------------------------------------------

    def assign(self, target: ast.expr, value: Value, scope: Scope, kind: str = "set") -> None:
        """Bind a target, and write down that it was."""
        if isinstance(value, Unread):
            raise DependsOnUnreadError(value.message, line=value.line)
        index = len(self.events)
        if index in self.replace and nb.is_number(value):
            value = constant(np.array(self.replace[index]))
        if isinstance(target, ast.Name):
            value = self._named(value, target.id)
            scope.bind(target.id, value)
            self._note_value(target, kind, value, scope)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, scope, kind)
        elif isinstance(target, ast.Attribute):
            base = self.value(target.value, scope)
            if not isinstance(base, Instance):
                raise CannotReadError("an attribute of what is no object of the file")
            value = self._named(value, target.attr)
            base.members[target.attr] = value
            self._note_value(target, kind, value, scope)
        elif isinstance(target, ast.Subscript):
            base = self.value(target.value, scope)
            key = self.index(target.slice, scope)
            self._set_item(target, base, key, value, scope, kind)
        else:
            raise CannotReadError("this target")

    def _set_item(self, target: ast.Subscript, base: Value, key: Value, value: Value, scope: Scope, kind: str) -> None:
        if isinstance(base, dict):
            value = self._named(value, base_name(target))
            try:
                base[key] = value
            except TypeError as fault:
                raise CannotReadError("this key") from fault
            found = numbers_of(value)
            if found is not None:
                self._note(self._statement, target, kind, *found, scope, key=key if isinstance(key, str) else None)
        elif isinstance(base, list):
            value = self._named(value, "")
            position = lib.as_int(key) if not isinstance(key, slice) else None
            if position is None or not -len(base) <= position < len(base):
                raise CannotReadError("a place outside the list")
            base[position] = value
            self._note_value(target, kind, value, scope)
        elif isinstance(base, Tracked) and base.shape:
            nb.write(base, lib.index_of(key), value)
            whole = target.value
            while isinstance(whole, ast.Subscript) and not isinstance(self.value(whole.value, scope), dict | list | tuple):
                whole = whole.value
            array = self.value(whole, scope)
            self._restamp(array)
            self._note(self._statement, whole, "item" if kind == "set" else "add", np.array(plain(array)), array.ids, scope)
        elif isinstance(base, np.ndarray):
            try:
                base[lib.index_of(key)] = plain(value)
            except (ValueError, IndexError, TypeError) as fault:
                raise CannotReadError(str(fault)[:120]) from fault
        else:
            raise CannotReadError(f"a part of {nb.describe(base)}")

    def _restamp(self, array: Tracked) -> None:
        """Give an array that was written to ids of its own: each state of it is a value of its own."""
        if array.v.flags.writeable and not self.ledger.mute:
            own = self.ledger.fresh(array.v.size)
            ids = array.ids
            self.ledger.record(own, ids.ravel(), np.ones(ids.size))
            array.i[...] = own.reshape(array.v.shape)
            array.own = array.seen = None

    def _named(self, value: Value, name: str) -> Value:
        if isinstance(value, Tracked):
            return named(self.ledger, value)
        if isinstance(value, float | np.floating) or (type(value) is int and self.plan.gradient_like(name) and name not in self.plan.size_names):
            return named(self.ledger, constant(value))
        return value

    def _note_value(self, target: ast.expr | str, kind: str, value: Value, scope: Scope) -> Event | None:
        found = numbers_of(value)
        if found is None:
            return None
        return self._note(self._statement, target, kind, *found, scope)

    def _unpack(self, targets: Sequence[ast.expr], value: Value, scope: Scope) -> None:
        items = lib.elements(self, value)
        stars = [k for k, each in enumerate(targets) if isinstance(each, ast.Starred)]
        if stars:
            k = stars[0]
            after = len(targets) - k - 1
            if len(items) < len(targets) - 1:
                raise CannotReadError("too few values to unpack")
            items = [*items[:k], items[k : len(items) - after], *items[len(items) - after :]]
        if len(items) != len(targets):
            raise MismatchError(f"{len(items)} values for {len(targets)} names", len(items), len(targets), fixed=True)
        for target, item in zip(targets, items, strict=True):
            self.assign(target, item, scope)

    def _assign_statement(self, statement: ast.Assign, scope: Scope) -> None:
        value = self.value(statement.value, scope)
        if self.redraw is not None and place(statement) in self.plan.inputs:
            names = {base_name(each) for target in statement.targets for each in ast.walk(target)}
            given = isinstance(statement.value, ast.Call) and called(statement.value) in {"array", "asarray"} and _zeros_and_ones(value)
            if given and not any(self.plan.has_gradient(name) for name in names):
                pass  # a mask, or labels one-hot: other numbers would be none
            elif not names & self.plan.index_names or not _whole_numbers(value):
                flips = all(self.plan.has_gradient(name) for name in names if name)
                value = self._leaf(self.redraw(value, self.rng, self.draw if flips else self.draw % 3), base_name(statement.targets[0]))
            begin = len(self.events)
            for target in statement.targets:
                self.assign(target, value, scope)
            self.leaves += self.events[begin:]
            return
        if isinstance(statement.value, ast.List | ast.ListComp) and isinstance(value, list):
            # A new list of old numbers, `dw = [x[0], x[1]]`, is a value of its own.
            value = [named(self.ledger, each) if isinstance(each, Tracked) else each for each in value]
        if self.redraw is not None and place(statement) in self.plan.buffers:
            value = self._like_twin(value, base_name(statement.targets[0]), scope)
        for target in statement.targets:
            self.assign(target, value, scope)

    def _leaf(self, value: Value, name: str) -> Value:
        if name in self.at:
            value = lib.array_of(self, self.at[name])
            if not isinstance(value, Tracked):
                value = constant(value)
        if isinstance(value, list):
            return [self._leaf(each, "") for each in value]
        return named(self.ledger, value) if isinstance(value, Tracked) and not name else value

    def _like_twin(self, value: Value, name: str, scope: Scope) -> Value:
        """An upstream gradient or a buffer made with literal sizes has the shape of its variable, whose sizes were replaced."""
        for stem in stems(name):
            try:
                twin = scope.find(stem)
            except KeyError:
                continue
            shape = np.shape(plain(twin)) if isinstance(twin, Tracked) else None
            if shape and isinstance(value, Tracked) and value.shape != shape and len(value.shape) == len(shape):
                if not value.v.any() or np.unique(value.v).size == 1:
                    return constant(np.full(shape, value.v.ravel()[0] if value.v.size else 0.0))
                return constant(self.rng.standard_normal(shape))
        return value

    def _annotated(self, statement: ast.AnnAssign, scope: Scope) -> None:
        if statement.value is not None:
            self.assign(statement.target, self.value(statement.value, scope), scope)

    def _augmented(self, statement: ast.AugAssign, scope: Scope) -> None:
        operator = _OPERATORS[type(statement.op)]
        target = statement.target
        value = self.value(statement.value, scope)
        if isinstance(target, ast.Subscript):
            base, key = self.value(target.value, scope), self.index(target.slice, scope)
            old = self._get_item(base, key)
            if isinstance(base, dict | list) and isinstance(old, Tracked) and old.shape:
                self._in_place(old, operator, value)
                self._restamp(old)
                self._note(statement, target, "add", np.array(old.v), old.ids, scope)
                return
            self._set_item(target, base, key, lib.arithmetic(self, operator, old, value), scope, "add")
            return
        old = self.value(target, scope)
        if isinstance(old, Tracked) and old.shape:
            self._in_place(old, operator, value)
            self._restamp(old)
            self._note(statement, target, "add", np.array(old.v), old.ids, scope)
            return
        if isinstance(old, list) and isinstance(value, list):
            old.extend(value)
            return
        if isinstance(old, np.ndarray) and not lib.is_float(value):
            old[...] = plain(lib.arithmetic(self, operator, old, value))
            return
        self.assign(target, lib.arithmetic(self, operator, old, value), scope, "add")

    def _in_place(self, old: Tracked, operator: str, value: Value) -> None:
        index = len(self.events)
        result = lib.arithmetic(self, operator, old, value)
        if result.shape != old.shape:
            raise CannotReadError(f"a result of shape {result.shape} does not go into an array of shape {old.shape}", into=old.shape, got=result.shape)
        nb.write(old, ..., constant(np.array(self.replace[index])) if index in self.replace else result)

    def _expression(self, statement: ast.Expr, scope: Scope) -> None:
        node = statement.value
        if isinstance(node, ast.Constant):
            return
        before = len(self.events)
        self.value(node, scope)
        # A call that writes into an array: `np.add.at(dW, i, d)`, `np.clip(d, -5, 5, out=d)`.
        if isinstance(node, ast.Call) and len(self.events) == before:
            written = next((each.value for each in node.keywords if each.arg == "out"), None)
            name = ast.unparse(node.func)
            if name.endswith(".at") and node.args:
                written = node.args[0]
            elif name.endswith(".fill") and isinstance(node.func, ast.Attribute):
                written = node.func.value
            if written is not None:
                array = self.value(written, scope)
                if isinstance(array, Tracked):
                    self._restamp(array)
                    self._note(statement, written, "add", np.array(array.v), array.ids, scope)
            elif name.endswith((".append", ".insert")) and isinstance(node.func, ast.Attribute) and node.args:
                found = numbers_of(self.value(node.args[-1], scope))
                if found is not None and not isinstance(node.args[-1], ast.Name):
                    self._note(statement, node.func.value, "set", *found, scope)

    def _for(self, statement: ast.For, scope: Scope) -> None:
        items = self.value(statement.iter, scope)
        once = isinstance(items, range) and len(items) > LONG_LOOP and not _matters(statement)
        if isinstance(items, range) and len(items) > lib.MAX_LENGTH and not once:
            raise CannotReadError("a loop this long")
        try:
            for item in items[:1] if once else lib.elements(self, items):
                self._statement = statement
                self.assign(statement.target, item, scope)
                try:
                    self.block(statement.body, scope)
                except _ContinueSignal:
                    continue
            self.block(statement.orelse, scope)
        except _BreakSignal:
            pass

    def _while(self, statement: ast.While, scope: Scope) -> None:
        rounds = 0
        try:
            while lib.truth(self.value(statement.test, scope)):
                rounds += 1
                if isinstance(statement.test, ast.Constant) and rounds > 1:
                    break
                try:
                    self.block(statement.body, scope)
                except _ContinueSignal:
                    continue
        except _BreakSignal:
            pass

    def _if(self, statement: ast.If, scope: Scope) -> None:
        try:
            test = self.value(statement.test, scope)
        except CannotReadError:
            if _is_main(statement.test):
                self.block(statement.body, scope)
                return
            raise
        self.block(statement.body if lib.truth(test) else statement.orelse, scope)

    def _return(self, statement: ast.Return, scope: Scope) -> None:
        value = self.value(statement.value, scope) if statement.value is not None else None
        if statement.value is not None:
            self._note_returned(statement.value, value, scope, "return")
        raise _ReturnSignal(value)

    def _note_returned(self, node: ast.expr, value: Value, scope: Scope, name: str) -> None:
        """A gradient may be computed in the return statement itself."""
        if isinstance(node, ast.Tuple | ast.List) and isinstance(value, tuple | list) and len(node.elts) == len(value):
            for k, (each, own) in enumerate(zip(node.elts, value, strict=True)):
                self._note_returned(each, own, scope, f"return[{k}]")
        elif isinstance(node, ast.Dict) and isinstance(value, dict):
            for key, each in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    self._note_returned(each, value.get(key.value), scope, key.value)
        elif not isinstance(node, ast.Name | ast.Subscript | ast.Attribute | ast.Constant):
            found = numbers_of(value)
            if found is not None:
                self._note(self._statement, name, "return", *found, scope)

    def _define(self, statement: ast.FunctionDef, scope: Scope) -> None:
        if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(statement)):
            raise CannotReadError("a generator")
        scope.bind(statement.name, FunctionValue(statement, scope))

    def _class(self, statement: ast.ClassDef, scope: Scope) -> None:
        inner = Scope(scope, "")
        bases = []
        for base in statement.bases:
            try:
                found = self.value(base, scope)
            except CannotReadError:
                continue
            if isinstance(found, ClassValue):
                bases.append(found)
        kind = ClassValue(statement, {}, bases)
        self.block(statement.body, inner)
        for name, value in inner.names.items():
            kind.members[name] = FunctionValue(value.node, scope, owner=kind) if isinstance(value, FunctionValue) else value
        scope.bind(statement.name, kind)

    def _import(self, statement: ast.Import, scope: Scope) -> None:
        for alias in statement.names:
            path = alias.name if alias.name != "autograd.numpy" else "numpy"
            top = path.partition(".")[0]
            known = path in {"numpy", "math", "scipy", "scipy.special", "numpy.random", "numpy.linalg"}
            value: Value = Library(path if alias.asname else top) if known else Unread(statement.lineno, f"the module `{path}` is not read")
            scope.bind(alias.asname or top, value)

    def _import_from(self, statement: ast.ImportFrom, scope: Scope) -> None:
        module = statement.module or ""
        for alias in statement.names:
            if alias.name == "*" and module in {"math", "numpy"}:
                table = lib.MATH if module == "math" else lib.NUMPY
                for name in (*table, *lib.CONSTANTS):
                    if "." not in name and name not in lib.PYTHON:
                        scope.bind(name, self._library(f"{module}.{name}"))
                continue
            known = module in {"numpy", "math", "scipy", "scipy.special", "numpy.random", "numpy.linalg"}
            path = f"{module}.{alias.name}"
            value: Value = self._library(path) if known else Unread(statement.lineno, f"`{path}` is not read")
            scope.bind(alias.asname or alias.name, value)

    def _assert(self, statement: ast.Assert, scope: Scope) -> None:
        node = statement.test
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            left, right = self.value(node.left, scope), self.value(node.comparators[0], scope)
            if type(left) is int and type(right) is int and left != right:
                raise MismatchError("an assertion fails", left, right)
            if isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
                for a, b in zip(left, right, strict=True):
                    if type(a) is int and type(b) is int and a != b:
                        raise MismatchError("an assertion fails", a, b)

    def _raise(self, statement: ast.Raise, scope: Scope) -> None:
        sizes: list[int] = []
        for value in scope.names.values():
            for each in value if isinstance(value, tuple) else (value,):
                if type(each) is int and each not in sizes:
                    sizes.append(each)
        if len(sizes) >= 2:
            raise MismatchError("an exception that is raised", sizes[0], sizes[1])
        raise CannotReadError("an exception that is raised")

    def _delete(self, statement: ast.Delete, scope: Scope) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Name):
                scope.names.pop(target.id, None)

    def _try(self, statement: ast.Try, scope: Scope) -> None:
        self.block(statement.body, scope)
        self.block(statement.orelse, scope)
        self.block(statement.finalbody, scope)

    def _with(self, statement: ast.With, scope: Scope) -> None:
        names = [ast.unparse(item.context_expr.func) for item in statement.items if isinstance(item.context_expr, ast.Call)]
        if len(names) != len(statement.items) or not all(name.endswith("errstate") for name in names):
            raise CannotReadError("`with`")
        self.block(statement.body, scope)

    def _global(self, statement: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        if isinstance(statement, ast.Global):
            scope.globals_ |= set(statement.names)

    def _pass(self, statement: ast.stmt, scope: Scope) -> None:
        pass

    def _break(self, statement: ast.stmt, scope: Scope) -> None:
        raise _BreakSignal

    def _continue(self, statement: ast.stmt, scope: Scope) -> None:
        raise _ContinueSignal

    _HANDLERS: Final[dict[type[ast.stmt], Callable[..., None]]] = {
        ast.Assign: _assign_statement, ast.AnnAssign: _annotated, ast.AugAssign: _augmented, ast.Expr: _expression, ast.For: _for,
        ast.While: _while, ast.If: _if, ast.Return: _return, ast.FunctionDef: _define, ast.ClassDef: _class, ast.Import: _import,
        ast.ImportFrom: _import_from, ast.Assert: _assert, ast.Raise: _raise, ast.Delete: _delete, ast.Try: _try, ast.With: _with,
        ast.Global: _global, ast.Nonlocal: _global, ast.Pass: _pass, ast.Break: _break, ast.Continue: _continue,
    }  # fmt: skip

    # Expressions -------------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr, scope: Scope) -> Value:
        """Return the value of an expression."""
        self._step()
        handler = self._EXPRESSIONS.get(type(node))
        if handler is None:
            raise CannotReadError(f"`{type(node).__name__.lower()}`")
        value = handler(self, node, scope)
        if isinstance(value, Unread):
            raise DependsOnUnreadError(value.message, line=value.line)
        return value

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        value = node.value
        if type(value) is int:
            size = self.sizes.get(place(node))
            if size is not None:
                return size
            if value.bit_length() > lib.MAX_BITS:
                raise CannotReadError("a number this large")
            return value
        if isinstance(value, bool | float | str | type(None)) or value is Ellipsis:
            return value
        raise CannotReadError("a literal of this kind")

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        try:
            return scope.find(node.id)
        except KeyError:
            pass
        if node.id in lib.PYTHON:
            return Library(f"builtins.{node.id}")
        if node.id in {"ValueError", "TypeError", "Exception", "NotImplementedError", "AssertionError", "RuntimeError", "IndexError", "KeyError"}:
            return Library(f"builtins.{node.id}")
        if self.plan.bare and (node.id in lib.NUMPY or node.id in lib.CONSTANTS):
            return self._library(f"numpy.{node.id}")
        if node.id == "__name__":
            return "__main__"
        raise CannotReadError(f"`{node.id}` is not defined")

    def _tuple(self, node: ast.Tuple, scope: Scope) -> Value:
        return tuple(self._items(node.elts, scope))

    def _list(self, node: ast.List, scope: Scope) -> Value:
        return list(self._items(node.elts, scope))

    def _items(self, nodes: Sequence[ast.expr], scope: Scope) -> Iterator[Value]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from lib.elements(self, self.value(node.value, scope))
            else:
                yield self.value(node, scope)

    def _dict(self, node: ast.Dict, scope: Scope) -> Value:
        result: dict[Any, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            own = self.value(value, scope)
            if key is None:
                result.update(own if isinstance(own, dict) else {})
                continue
            name = self.value(key, scope)
            if isinstance(name, Tracked | np.ndarray | list | dict):
                raise CannotReadError("this key")
            result[name] = own
        return result

    def _binary(self, node: ast.BinOp, scope: Scope) -> Value:
        # A long sum leans to the left: walked, not recursed into.
        chain: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        value = self.value(left, scope)
        for each in reversed(chain):
            value = lib.arithmetic(self, _OPERATORS[type(each.op)], value, self.value(each.right, scope))
        return value

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return not lib.truth(value)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.Invert):
            number = plain(value)
            if isinstance(number, np.ndarray) and number.dtype.kind in "bi":
                return ~number
            if isinstance(number, int):
                return ~number
            raise CannotReadError("`~` of this")
        if isinstance(value, Tracked):
            return nb.apply(self.ledger, "neg", value)
        if nb.is_number(value):
            return -value if not isinstance(value, np.ndarray) or value.dtype.kind != "b" else constant(-1.0 * value)
        raise CannotReadError("`-` of this")

    def _bool(self, node: ast.BoolOp, scope: Scope) -> Value:
        value: Value = None
        for each in node.values:
            value = self.value(each, scope)
            if lib.truth(value) is not isinstance(node.op, ast.And):
                return value
        return value

    def _compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.value(node.left, scope)
        result: Any = True
        for operator, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each, scope)
            outcome = _compared(self, operator, left, right)
            result = outcome if result is True else np.logical_and(result, outcome)
            if isinstance(outcome, bool) and not outcome:
                return False
            left = right
        return result

    def _choice(self, node: ast.IfExp, scope: Scope) -> Value:
        return self.value(node.body if lib.truth(self.value(node.test, scope)) else node.orelse, scope)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return FunctionValue(node, scope)

    def _text(self, node: ast.JoinedStr, scope: Scope) -> Value:
        parts: list[str] = []
        for each in node.values:
            if isinstance(each, ast.Constant):
                parts.append(str(each.value))
            elif isinstance(each, ast.FormattedValue):
                value = plain(self.value(each.value, scope))
                parts.append(str(value) if isinstance(value, int | str) and not isinstance(value, bool) else "")
        return "".join(parts)[: lib.MAX_LENGTH]

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, scope: Scope) -> Value:
        result = [self.value(node.elt, inner) for inner in self._generate(node.generators, scope)]
        if isinstance(node, ast.SetComp):
            return lib.PYTHON["set"](self, (result,), {})
        return result

    def _dict_comprehension(self, node: ast.DictComp, scope: Scope) -> Value:
        result = {}
        for inner in self._generate(node.generators, scope):
            key = self.value(node.key, inner)
            if isinstance(key, Tracked | np.ndarray | list | dict):
                raise CannotReadError("this key")
            result[key] = self.value(node.value, inner)
        return result

    def _generate(self, generators: Sequence[ast.comprehension], scope: Scope) -> Iterator[Scope]:
        if not generators:
            yield scope
            return
        first = generators[0]
        silent = self._silent
        for item in lib.elements(self, self.value(first.iter, scope)):
            self._step()
            inner = scope.fork()
            events = self.events
            self.events = []
            try:
                self._silent = True
                self.assign(first.target, item, inner)
            finally:
                self.events, self._silent = events, silent
            if all(lib.truth(self.value(test, inner)) for test in first.ifs):
                yield from self._generate(generators[1:], inner)

    def index(self, node: ast.expr, scope: Scope) -> Value:
        """Return the value of what stands between brackets."""
        if isinstance(node, ast.Slice):
            parts = [None if each is None else lib.as_int(self.value(each, scope)) for each in (node.lower, node.upper, node.step)]
            return slice(*parts)
        if isinstance(node, ast.Tuple):
            return tuple(self.index(each, scope) for each in node.elts)
        return self.value(node, scope)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        return self._get_item(self.value(node.value, scope), self.index(node.slice, scope))

    def _get_item(self, base: Value, key: Value) -> Value:
        if isinstance(base, dict):
            if isinstance(key, Tracked | np.ndarray | list | dict | slice) or key not in base:
                raise CannotReadError("a key that the dictionary does not have", key=key)
            return base[key]
        if isinstance(base, Tracked):
            if not base.shape:
                raise CannotReadError("a part of a number", scalar=True)
            index = lib.index_of(key)
            return moved(base, lambda a: a[index])
        if isinstance(base, np.ndarray):
            try:
                result = base[lib.index_of(key)]
            except (IndexError, ValueError, TypeError) as fault:
                raise nb.failed(fault) from fault
            return result if isinstance(result, np.ndarray) else result.item()
        if isinstance(base, list | tuple | str | range):
            if isinstance(key, slice):
                return base[lib.index_of(key)]
            position = lib.as_int(key)
            if not -len(base) <= position < len(base):
                raise CannotReadError("a place outside the list")
            return base[position]
        if isinstance(base, float | int):
            raise CannotReadError("a part of a number", scalar=True)
        raise CannotReadError(f"a part of {nb.describe(base)}")

    def _library(self, path: str) -> Value:
        module, _, name = path.rpartition(".")
        if name in lib.CONSTANTS and module in {"numpy", "math"}:
            return lib.CONSTANTS[name]
        return Library(path)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        base = self.value(node.value, scope)
        name = node.attr
        if name.startswith("__") and name.endswith("__"):
            raise CannotReadError(f"the attribute `{name}`")
        if isinstance(base, Library):
            return self._library(f"{base.path}.{name}")
        if isinstance(base, Instance):
            if name in base.members:
                return base.members[name]
            found = base.kind.find(name) if base.kind is not None else None
            if isinstance(found, FunctionValue):
                static = any(ast.unparse(each) == "staticmethod" for each in getattr(found.node, "decorator_list", []))
                return found if static else FunctionValue(found.node, found.scope, base, found.owner)
            if found is not None:
                return found
            raise CannotReadError(f"an attribute `{name}` that is not set", attribute=name, instance=base)
        if isinstance(base, ClassValue):
            found = base.find(name)
            if found is not None:
                return found
        if isinstance(base, lib.DType):
            return base.kind if name == "kind" else name
        if isinstance(base, Tracked | np.ndarray | float | int):
            try:
                return lib.attribute(base, name)
            except KeyError:
                raise CannotReadError(f"`.{name}` of an array") from None
        raise CannotReadError(f"`.{name}` of {nb.describe(base)}")

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        function = node.func
        args: list[Value] = []
        receiver: Value = None
        name = ""
        target: Value = None
        if isinstance(function, ast.Attribute):
            receiver = self.value(function.value, scope)
            name = function.attr
            if isinstance(receiver, Library | Instance | ClassValue):
                target = self._attribute(function, scope)
        else:
            if isinstance(function, ast.Name) and function.id == "print":
                return None
            target = self.value(function, scope)
        for each in node.args:
            if isinstance(each, ast.Starred):
                args += lib.elements(self, self.value(each.value, scope))
            else:
                args.append(self.value(each, scope))
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            own = self.value(keyword.value, scope)
            if keyword.arg is None:
                kwargs.update({key: value for key, value in own.items() if isinstance(key, str)} if isinstance(own, dict) else {})
            else:
                kwargs[keyword.arg] = own
        if target is not None:
            return self.call(target, args, kwargs)
        try:
            if isinstance(receiver, Tracked | np.ndarray | float | int):
                return lib.method(self, receiver, name, args, kwargs)
            return lib.method_of_container(self, receiver, name, args, kwargs)
        except (IndexError, KeyError, TypeError) as fault:
            raise CannotReadError(f"this call of `.{name}`") from fault

    def call(self, function: Value, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        """Call a function of the program or of the library."""
        if isinstance(function, Library):
            table, name = _table(function.path)
            entry = table.get(name)
            if entry is None:
                raise CannotReadError(f"`{function.path.removeprefix('builtins.')}` is not read")
            try:
                return entry(self, args, kwargs)
            except (IndexError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as fault:
                raise CannotReadError(f"this call of `{name}`") from fault
        if isinstance(function, ClassValue):
            instance = Instance(function)
            constructor = function.find("__init__")
            if isinstance(constructor, FunctionValue):
                self.call(FunctionValue(constructor.node, constructor.scope, instance), args, kwargs)
            return instance
        if isinstance(function, Instance):
            method = function.kind.find("__call__") if function.kind is not None else None
            if isinstance(method, FunctionValue):
                return self.call(FunctionValue(method.node, method.scope, function), args, kwargs)
        if isinstance(function, FunctionValue):
            return self._call_function(function, args, kwargs)
        raise CannotReadError(f"a call of {nb.describe(function)}")

    def _call_function(self, function: FunctionValue, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        if self._depth >= MAX_CALLS:
            raise CannotReadError("calls nested this deep")
        self._frames += 1
        scope = Scope(function.scope, function.name, self._frames)
        statement, begin = self._statement, self._begin
        self._depth += 1
        try:
            self._bind_arguments(function, args, kwargs, scope)
            if isinstance(function.node, ast.Lambda):
                return self.value(function.node.body, scope)
            self.block(function.node.body, scope)
        except _ReturnSignal as signal:
            return signal.value
        finally:
            self._depth -= 1
            self._statement, self._begin = statement, begin
        return None

    def _bind_arguments(self, function: FunctionValue, args: Sequence[Value], kwargs: Mapping[str, Value], scope: Scope) -> None:
        node = function.node
        given = [function.bound, *args] if function.bound is not None else list(args)
        spec = node.args
        names = [each.arg for each in (*spec.posonlyargs, *spec.args)]
        values: dict[str, Value] = dict(zip(names, given, strict=False))
        rest = given[len(names) :]
        extra: dict[str, Value] = {}
        for key, value in kwargs.items():
            if key in names or key in {each.arg for each in spec.kwonlyargs}:
                values[key] = value
            else:
                extra[key] = value
        defaults = dict(zip(names[len(names) - len(spec.defaults) :], spec.defaults, strict=True))
        defaults |= {each.arg: default for each, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default is not None}
        for name, default in defaults.items():
            if name not in values:
                values[name] = self.value(default, function.scope)
        missing = [name for name in (*names, *(each.arg for each in spec.kwonlyargs)) if name not in values]
        if missing:
            raise CannotReadError(f"a call without the argument `{missing[0]}`")
        if (rest and spec.vararg is None) or (extra and spec.kwarg is None):
            raise CannotReadError("a call with too many arguments")
        if spec.vararg is not None:
            values[spec.vararg.arg] = tuple(rest)
        if spec.kwarg is not None:
            values[spec.kwarg.arg] = extra
        self._statement = None
        if isinstance(node, ast.FunctionDef) and not self._silent:
            self.calls.setdefault(node.lineno, dict(values))
        for name, value in values.items():
            if isinstance(value, Tracked):
                value = named(self.ledger, value)  # noqa: PLW2901  the same value under the parameter's name
                self._note(None, name, "param", np.array(value.v), value.ids, scope)
            scope.names[name] = value

    _EXPRESSIONS: Final[dict[type[ast.expr], Callable[..., Value]]] = {
        ast.Constant: _constant, ast.Name: _name, ast.Tuple: _tuple, ast.List: _list, ast.Dict: _dict, ast.BinOp: _binary, ast.UnaryOp: _unary,
        ast.BoolOp: _bool, ast.Compare: _compare, ast.IfExp: _choice, ast.Lambda: _lambda, ast.JoinedStr: _text, ast.ListComp: _comprehension,
        ast.GeneratorExp: _comprehension, ast.SetComp: _comprehension, ast.DictComp: _dict_comprehension, ast.Subscript: _subscript,
        ast.Attribute: _attribute, ast.Call: _call,
    }  # fmt: skip


def _table(path: str) -> tuple[Mapping[str, lib.Function], str]:
    for prefix, table in (
        ("builtins.", lib.PYTHON), ("numpy.", lib.NUMPY), ("math.", lib.MATH), ("scipy.special.", lib.SPECIAL), ("scipy.", {}),
    ):  # fmt: skip
        if path.startswith(prefix):
            return table, path[len(prefix) :]
    return {}, path


def _compared(run: Run, operator: ast.cmpop, left: Value, right: Value) -> Any:
    if isinstance(operator, ast.Is | ast.IsNot):
        same = left is right or (isinstance(left, bool | int | str) and left == right)
        return same is isinstance(operator, ast.Is)
    if isinstance(operator, ast.In | ast.NotIn):
        if isinstance(right, dict | set | str) and isinstance(left, str | int | float | tuple | bool):
            return (left in right) is isinstance(operator, ast.In)
        if isinstance(right, list | tuple | range) and not isinstance(left, Tracked | np.ndarray):
            return any(not isinstance(each, Tracked | np.ndarray) and each == left for each in right) is isinstance(operator, ast.In)
        raise CannotReadError("this `in`")
    a, b = plain(left), plain(right)
    numeric = nb.is_number(a) and nb.is_number(b)
    if not numeric:
        if isinstance(a, list | tuple) and isinstance(b, list | tuple) and isinstance(operator, ast.Eq | ast.NotEq):
            if any(isinstance(each, Tracked | np.ndarray) for each in (*a, *b)):
                raise CannotReadError("this comparison")
            return (tuple(a) == tuple(b)) is isinstance(operator, ast.Eq)
        if isinstance(operator, ast.Eq | ast.NotEq) and (isinstance(a, str) or isinstance(b, str) or a is None or b is None):
            return (a == b if type(a) is type(b) else False) is isinstance(operator, ast.Eq)
        raise CannotReadError("this comparison")
    nb.shape_together(np.shape(a), np.shape(b))
    try:
        result = _COMPARISONS[type(operator)](a, b)
    except (TypeError, OverflowError) as fault:
        raise CannotReadError("this comparison") from fault
    return result if isinstance(result, np.ndarray) and result.shape else bool(result)


def numbers_of(value: Value) -> tuple[Any, Ids] | None:
    """Return the numbers of a value and their ids, of a list of numbers too; None for anything else."""
    if isinstance(value, Tracked):
        return np.array(value.v), value.ids
    if isinstance(value, list | tuple) and value and len(value) <= lib.MAX_LENGTH:
        parts = [numbers_of(each) if not isinstance(each, bool | str) else None for each in value]
        plain_numbers = [isinstance(each, int | float) and not isinstance(each, bool) for each in value]
        found = [
            part if part is not None else (np.array(float(each)), np.zeros((), np.int64)) if number else None
            for part, each, number in zip(parts, value, plain_numbers, strict=True)
        ]
        if any(each is None for each in found) or all(plain_numbers):
            return None
        values = [each[0] for each in found if each is not None]
        if len({each.shape for each in values}) == 1:
            return np.stack(values), np.stack([each[1] for each in found if each is not None])
    return None


def _whole_numbers(value: Value) -> bool:
    return isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype.kind in "biu")


def _zeros_and_ones(value: Value) -> bool:
    array = np.asarray(plain(value)) if isinstance(value, Tracked | np.ndarray) else np.empty(0)
    return bool(array.size) and bool(np.all((array == 0) | (array == 1)))


def _bound_by(statement: ast.stmt) -> Iterator[ast.expr]:
    """The targets of a statement, those of its parts included."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _flat(target)
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        yield statement.target
    elif isinstance(statement, ast.For):
        yield from _flat(statement.target)
        for each in (*statement.body, *statement.orelse):
            yield from _bound_by(each)
    elif isinstance(statement, ast.If | ast.While):
        for each in (*statement.body, *statement.orelse):
            yield from _bound_by(each)
    elif isinstance(statement, ast.With | ast.Try):
        for each in statement.body:
            yield from _bound_by(each)
    elif isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        yield ast.Name(statement.name, ast.Store())


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _flat(each)
    else:
        yield target


def _changed_by(statement: ast.stmt) -> Iterator[str]:
    """The names whose values a statement changes in place."""
    if isinstance(statement, ast.Assign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            node: ast.expr = target
            if isinstance(node, ast.Name) and isinstance(statement, ast.Assign):
                continue
            while isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            if isinstance(node, ast.Name):
                yield node.id
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and statement.value.args:
        node = statement.value.args[0]
        while isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        if isinstance(node, ast.Name):
            yield node.id


def _copied(value: Value) -> Value:
    """Copy what a probe may write to; aliases outside it are not followed."""
    if isinstance(value, Tracked):
        return Tracked(np.array(value.v), np.array(value.ids))
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list):
        return [_copied(each) for each in value]
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, Instance):
        return Instance(value.kind, {key: _copied(each) for key, each in value.members.items()})
    return value


def _matters(statement: ast.For) -> bool:
    """Tell whether the variable of a loop is used for more than printing now and then."""
    names = {each.id for each in ast.walk(statement.target) if isinstance(each, ast.Name)}

    def uses(node: ast.AST) -> bool:
        return any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(node))

    for each in statement.body:
        if isinstance(each, ast.If) and uses(each.test) and any(isinstance(op, ast.BinOp) and isinstance(op.op, ast.Mod) for op in ast.walk(each.test)):
            continue
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call) and ast.unparse(each.value.func) == "print":
            continue
        if uses(each):
            return True
    return False


def _is_main(test: ast.expr) -> bool:
    return "__name__" in ast.unparse(test)


def mark_depth(tree: ast.Module) -> None:
    """Note on each statement whether it is nested too deep to be followed; without recursion."""
    for statement in _statements(tree):
        stack: list[tuple[ast.AST, int]] = [(statement, 0)]
        deepest = 0
        while stack:
            node, depth = stack.pop()
            deepest = max(deepest, depth)
            for name, child in ast.iter_fields(node):
                for each in child if isinstance(child, list) else (child,):
                    if isinstance(each, ast.AST) and not isinstance(each, ast.stmt):
                        # The left side of an operator is walked, not recursed into.
                        along = isinstance(node, ast.BinOp) and name == "left" and isinstance(each, ast.BinOp)
                        stack.append((each, depth + (not along)))
        statement.too_deep = deepest > MAX_DEPTH  # type: ignore[attr-defined]


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.stmt):
            yield node
        stack += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt | ast.ExceptHandler)]


def is_gradient_item(target: ast.expr) -> bool:
    """Tell whether a target is an item of a dictionary of gradients."""
    return in_gradient_container(target)


def finite(value: Any) -> bool:
    """Tell whether all numbers are finite."""
    return bool(np.all(np.isfinite(value))) and not (isinstance(value, float) and math.isnan(value))
