"""
Read forward code statement by statement into equations: an abstract interpreter over the syntax tree.

Numbers that are known while reading are computed as Python computes them; whatever depends on an input becomes equations in
a `Builder`. Loops over known ranges are unrolled, functions inlined, `if` on values becomes `select` with guards. A statement
that can't be read becomes a diagnostic, its targets are poisoned, and reading goes on.

Invariants: nothing of the user's is executed; work is bounded by `MAX_STEPS`; recursion follows the nesting of the text
and of calls, never the length of a sum or of a program.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from bpcompile import dims
from bpcompile.diagnostics import Diagnostic, Source, Span
from bpcompile.frontends import arrays, static_values
from bpcompile.frontends.known_functions import BARE, BARE_CONSTANTS, MODULES, NAMESPACES, is_known, module_member, suggest
from bpcompile.frontends.source_text import Spans
from bpcompile.frontends.values import (
    MAX_ELEMENTS,
    MISSING,
    POISON,
    Function,
    Input,
    Knowledge,
    Known,
    ListValue,
    Module,
    OneShot,
    Partial,
    Poison,
    Poisoned,
    Refusal,
    Restart,
    Scope,
    Size,
    SizeRange,
    Value,
    describe,
)
from bpcompile.ir import Builder, Dim, Eqn, Guard, Lit, Shape, Var, show_shape
from bpcompile.primitive import REGISTRY

#: Statements and rounds of loops that reading may take.
MAX_STEPS: Final = 1_000_000
#: What the test of a `while` is made of where its names alone decide it.
_PLAIN_TEST: Final = (
    ast.Name,
    ast.Constant,
    ast.Compare,
    ast.cmpop,
    ast.BinOp,
    ast.operator,
    ast.UnaryOp,
    ast.unaryop,
    ast.BoolOp,
    ast.boolop,
    ast.expr_context,
)
#: Calls inside calls; a recursion without a known end stops here.
MAX_CALLS: Final = 300
MAX_ERRORS: Final = 100
#: What an inlined call counts for: scopes and arguments cost more than a statement.
CALL_STEPS: Final = 10

_NUMBERS: Final = frozenset({int, float, bool})
_ACCUMULATING: Final = {0: (ast.Add, ast.Sub), 1: (ast.Mult,)}


class Evaluator:
    """
    Reads one file in one of three roles.

    Args:
        source: The text.
        role: `script`: names bound to numbers are inputs. `library`: they are constants. `expression`: free names are inputs.
        known: What earlier readings found out of inputs.
        wrt: Names whose gradient is wanted, so that they are inputs in any case.
        shapes: Shapes of inputs by name.
        at: Example values by name; they replace those in the text.
    """

    def __init__(
        self,
        source: Source,
        role: str,
        *,
        known: Knowledge | None = None,
        wrt: frozenset[str] = frozenset(),
        shapes: Mapping[str, Shape] | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> None:
        self.role = role
        self.known = known or Knowledge()
        self.wrt = wrt
        self.shapes = shapes or {}
        self.at = at or {}
        self.spans = Spans(source)
        self.builder = Builder()
        self.facts = arrays.Facts()
        self.inputs: dict[str, Input] = {}
        self.input_spans: dict[str, Span] = {}
        self.module = Scope(None, "module")
        self.scope = self.module
        #: The branches on values around the statement being read.
        self.path: tuple[int, ...] = ()
        self.loops = 0
        #: The scopes of the calls in progress, and what the loops in progress go through: they hold arrays as names do.
        self.callers: list[Scope] = []
        self.iterating: list[tuple[str, Value]] = []
        #: Random numbers are being read, of which a script makes inputs.
        self.drawing = False
        #: What the last statement of a module is, where it is an expression.
        self.closing: Value = None
        self.last: tuple[str, Value, Span] | None = None
        self.diagnostics: list[Diagnostic] = []
        self.notes: list[Diagnostic] = []
        self.returns: ast.Return | None = None
        self._reported: set[tuple[str, int, int]] = set()
        self._unknown: set[str] = set()
        self._defining: dict[Var, Eqn] = {}
        self._quiet = role == "library"
        self._steps = 0
        self._branches = 0
        self._calls = 0
        self._body: list[ast.stmt] = []
        self._first_steps: dict[str, ast.stmt] | None = None

    # Statements.

    def run(self, body: list[ast.stmt]) -> None:
        """Read the statements of a module."""
        self._body = body
        self._block(body)

    def finish_library(self) -> None:
        """Say that what is read from now on is the program: its errors are reported at once."""
        self._quiet = False

    def _block(self, body: list[ast.stmt]) -> str | None:
        """Read statements; return `return`, `break` or `continue` where one ends the block."""
        for statement in body:
            self._steps += 1
            if self._steps > MAX_STEPS:
                self.charge(0, statement)
            try:
                handler = _STATEMENTS.get(type(statement))
                if handler is None:
                    self._unsupported_statement(statement)
                    continue
                signal = handler(self, statement)
            except Refusal as refusal:
                if refusal.code == "E119" and self._calls and self.role == "script" and not self.drawing:
                    raise  # the statement of the script that calls may draw an example
                self._refuse(refusal, statement)
            except Poisoned:
                self._poison(statement, POISON)
            else:
                if signal is not None:
                    return signal
                continue
            if self.scope.role == "function" and _may_return(statement):
                self.scope.returned = POISON
                return "return"
        return None

    def _refuse(self, refusal: Refusal, statement: ast.stmt) -> None:
        diagnostic = self.diagnose(refusal, statement)
        if refusal.fatal:
            self._report(diagnostic)
            raise refusal
        if self._quiet:
            self._poison(statement, Poison((diagnostic,)))
        else:
            self._report(diagnostic)
            self._poison(statement, POISON)

    def depends(self, value: Value) -> bool:
        """Say whether a value is, or holds, something that depends on an input."""
        return depends(value, self.facts.constants)

    def diagnose(self, refusal: Refusal, node: ast.AST) -> Diagnostic:
        """Turn a refusal into a diagnostic at its own node, or at `node`."""
        place: Any = refusal.node if refusal.node is not None and hasattr(refusal.node, "lineno") else node
        return Diagnostic(refusal.code, refusal.message, self.spans.of(place), refusal.label, refusal.help)

    def _report(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.code, span.line, span.column) if span else (diagnostic.code, 0, 0)
        # An unrolled loop or a function called twice finds the same fault again.
        if key not in self._reported and len(self.diagnostics) < MAX_ERRORS:
            self._reported.add(key)
            self.diagnostics.append(diagnostic)

    def _poison(self, statement: ast.stmt, poison: Poison) -> None:
        for name in assigned_names([statement]):
            self._bind(name, poison)
        changed = ""
        if isinstance(statement, ast.Assign | ast.AugAssign):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            changed = _root_name(target) if isinstance(target, ast.Subscript) else ""
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and isinstance(statement.value.func, ast.Attribute):
            changed = _root_name(statement.value.func.value)
        held = self.scope.env.get(changed) if changed else None
        if isinstance(held, ListValue | dict) or (isinstance(held, Var) and held.shape):
            self._bind(changed, poison)

    def _bind(self, name: str, value: Value) -> None:
        scope = self.scope
        while scope.role == "comprehension" and scope.parent is not None:  # only a walrus gets here
            scope = scope.parent
        log = scope.log
        if log is not None and name not in log:
            log[name] = scope.env.get(name, MISSING)
        scope.env[name] = value

    def charge(self, steps: int, node: ast.AST) -> None:
        """
        Count work.

        Raises:
            Refusal: E107, more than `MAX_STEPS` in all.
        """
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise Refusal("E107", f"reading this takes more than {MAX_STEPS:,} steps", node=node, help_="the loop is unrolled; make it shorter", fatal=True)

    def _unsupported_statement(self, node: ast.stmt) -> None:
        what, help_ = _UNSUPPORTED_STATEMENTS.get(type(node).__name__, (f"`{type(node).__name__.lower()}`", ""))
        refusal = Refusal("E104", f"{what} is not supported in a forward pass", help_=help_)
        line: Any = _FirstLine(node, self.spans.source)
        diagnostic = Diagnostic(refusal.code, refusal.message, self.spans.of(line), "", refusal.help)
        if self._quiet:
            self._poison(node, Poison((diagnostic,)))
        else:
            self._report(diagnostic)
            self._poison(node, POISON)

    def _expr_statement(self, node: ast.Expr) -> str | None:
        value = node.value
        if isinstance(value, ast.Constant) or _is_print(value):
            return None
        result = self.eval(value)
        if self.scope is self.module and node is self._body[-1]:
            self.closing = result
            if self.depends(result):
                self.last = ("", result, self.spans.of(value))
        return None

    def _assign(self, node: ast.Assign) -> str | None:
        scope = self.scope
        if scope is self.module and self.role == "script" and not self.loops and not self.path and self._is_data(node.value):
            for target in node.targets:
                self._assign_data(target, node.value, node)
            return None
        try:
            value = self.eval(node.value)
        except Refusal as refusal:
            if refusal.code != "E119" or self.drawing or scope is not self.module or self.role != "script" or self.loops or self.path:
                raise
            value = self._drawn(node.value, refusal)
            for target in node.targets:
                self._bind_drawn(target, value, node)
            return None
        if len(node.targets) > 1:
            self.iterating.append(("the right side", (value,)))
        try:
            for target in node.targets:
                if type(target) is not ast.Name:
                    self._assign_to(target, value, node.value)
                elif type(value) is Var and value.shape and self._is_wanted(target.id, value):
                    self._new_array(target.id, value, node)
                else:
                    self.store(target.id, value, node.value)
        finally:
            if len(node.targets) > 1:
                self.iterating.pop()
        return None

    def forget(self, name: str, refusal: Refusal, node: ast.AST) -> None:
        """Make a name unusable: its value has changed behind its back."""
        self._bind(name, Poison((self.diagnose(refusal, node),)))

    # Arrays that a script draws or fills: they are inputs.

    def _is_wanted(self, name: str, value: Var) -> bool:
        """Whether a constant array of a script is asked for as an input."""
        return (
            self.scope is self.module and self.role == "script" and (name in self.wrt or name in self.at) and value in self.facts.constants and not self.loops
        )

    def _drawn(self, node: ast.expr, refusal: Refusal) -> Value:
        """Read random numbers for their shapes; the equations on the way are dropped."""
        builder = self.builder
        start = len(builder.eqns)
        self.drawing = True
        try:
            value = self.eval(node)
        except Refusal as other:
            raise refusal from other
        finally:
            self.drawing = False
            new = builder.eqns[start:]
            del builder.eqns[start:]
            if len(self._defining) > start:
                self._defining = {}
        made = {eqn.out for eqn in new}
        numbers: dict[str, None] = {}
        owners = {one.var: one for one in self.all_inputs()}
        for eqn in new:
            if eqn.prim.result == "bool":
                raise refusal  # a mask in the middle of the program, not an example of an input
            for arg in eqn.args:
                if isinstance(arg, Var) and arg not in made and arg not in self.facts.drawn and arg not in self.facts.constants:
                    owner = owners.get(arg)
                    if owner is None or owner.shape or owner.root in self.wrt or not isinstance(owner.example, int | float):
                        raise refusal
                    numbers[owner.root] = None
        if numbers and (type(value) is not Var or not value.shape):
            raise refusal
        if numbers:
            raise Restart(tuple(numbers), "scales")
        return value

    def _bind_drawn(self, target: ast.expr, value: Value, node: ast.Assign) -> None:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(value, tuple | list) and len(target.elts) == len(value):
            for element, item in zip(target.elts, value, strict=True):
                self._bind_drawn(element, item, node)
        elif isinstance(target, ast.Name) and type(value) is Var and self._is_random(value):
            self._new_array(target.id, value, node)
        elif isinstance(target, ast.Name):
            self.store(target.id, self._split_drawn(target.id, value, node), node.value)
        elif isinstance(target, ast.Subscript) and type(value) is Var:
            container = self.raw(target.value)
            if not isinstance(container, dict | ListValue):
                raise Refusal("E119", "random numbers are written into an array", node=node.value, help_="make it an input of the program")
            self._store_element(target, self._split_drawn(_root_name(target), {str(self.eval(target.slice)): value}, node).popitem()[1])
        else:
            raise Refusal("E119", "random numbers in the middle of a program", node=node.value, help_="give them a name of their own")

    def _is_random(self, value: Var) -> bool:
        return value in self.facts.drawn or value not in self.facts.constants

    def _split_drawn(self, name: str, value: Value, node: ast.Assign) -> Any:
        """Return a list or dictionary of random arrays with an input for each."""
        if isinstance(value, dict):
            return {
                key: self._split_drawn(str(key) if str(key).isidentifier() and str(key) not in self.inputs else f"{name}_{key}", item, node)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            items = [self._split_drawn(f"{name}{i}", item, node) for i, item in enumerate(value)]
            return tuple(items) if isinstance(value, tuple) else ListValue(items, self.path)
        if type(value) is not Var or not self._is_random(value):
            return value
        free = name
        while free in self.inputs or free in self.module.env:
            free += "_"
        self._new_array(free, value, node)
        return self.module.env.pop(free)

    def _new_array(self, name: str, value: Var, node: ast.Assign) -> None:
        """Make an input of a name that stands for an example of an array."""
        if name in self.inputs and self.inputs[name].states() != {"open"}:
            raise Refusal("E119", f"`{name}` gets random numbers after it was used", node=node.value, help_="make it an input under another name")
        whole = self.facts.is_integral(value) or name in self.known.integers
        shape = tuple(self.shapes.get(name, value.shape))
        example = self.at.get(name)
        if example is None and whole:
            example = _whole_example(shape, self.facts.drawn.get(value) or (0, 2))
        self.input_spans[name] = self.spans.of(node.value)
        self.inputs[name] = self.module.env[name] = Input(name, name, example, shape, dtype="int" if whole else "float", array=bool(shape))
        self.facts.active = True

    def _ann_assign(self, node: ast.AnnAssign) -> str | None:
        if node.value is not None:
            plain = ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
            return self._assign(plain)
        return None

    def store(self, name: str, value: Value, node: ast.expr | ast.stmt) -> None:
        """Bind a name to a value and let the value carry the name."""
        if type(value) is Var:
            if value.name is None:
                value.name = name
                value.stage = True
        elif type(value) is OneShot:
            # It would be computed where it is used, with what its names mean there.
            raise Refusal("E104", "a generator under a name is not supported", node=node, help_="make it a list: [...] or list(...)")
        elif type(value) not in _NUMBERS:
            self._name_elements(name, value)
        scope = self.scope
        if scope.log is None and scope.role != "comprehension":
            scope.env[name] = value
        else:
            self._bind(name, value)
        if scope is self.module and type(value) not in _NUMBERS and self.depends(value):
            self.last = (name, value, self.spans.of(node))

    def _name_elements(self, name: str, value: Value) -> None:
        seen: set[int] = set()  # a list may stand in several places, or in itself
        stack = [(name, value)]
        while stack:
            path, container = stack.pop()
            if not isinstance(container, ListValue | tuple | dict) or id(container) in seen:
                continue
            seen.add(id(container))
            if isinstance(container, ListValue):
                if container.named:
                    continue
                container.named = True
            for key, item in container.items() if isinstance(container, dict) else enumerate(container):
                if type(item) is Var:
                    if item.name is None:
                        item.name = f"{path}[{key!r}]"
                        item.stage = True
                elif type(item) not in _NUMBERS:
                    stack.append((f"{path}[{key!r}]", item))

    def _assign_to(self, target: ast.expr, value: Value, node: ast.expr, *, loop: bool = False) -> None:
        if isinstance(target, ast.Name):
            if loop:
                self._bind(target.id, value)
            else:
                self.store(target.id, value, node)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value, node, loop=loop)
        elif isinstance(target, ast.Subscript):
            self._store_element(target, value)
        elif isinstance(target, ast.Attribute):
            raise Refusal("E104", "attributes are not supported", node=target, help_="use a plain name")
        else:
            raise Refusal("E104", "this target of an assignment is not supported", node=target)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, node: ast.expr, *, loop: bool) -> None:
        starred = [i for i, element in enumerate(target.elts) if isinstance(element, ast.Starred)]
        if isinstance(value, Input) and not starred and not value.shape:
            value.make_list(len(target.elts))
        items = list(self.items(value, node))
        count = len(target.elts)
        if starred:
            at, rest = starred[0], len(items) - count + 1
            if rest < 0:
                raise Refusal("E108", f"{len(items)} values for at least {count - 1} names", node=target)
            items = [*items[:at], ListValue(items[at : at + rest], self.path), *items[at + rest :]]
        if len(items) != count:
            raise Refusal("E108", f"{len(items)} values for {count} names", node=target)
        self.iterating.append(("the right side", items))
        try:
            for element, item in zip(target.elts, items, strict=True):
                self._assign_to(element.value if isinstance(element, ast.Starred) else element, item, node, loop=loop)
        finally:
            self.iterating.pop()

    def _store_element(self, target: ast.Subscript, value: Value) -> None:
        container = self.raw(target.value)
        name = _base_name(target.value)
        if isinstance(container, Var) and container.shape:
            arrays.assign(self, target, value, target)
            return
        if isinstance(container, dict):
            key = self._key(target.slice)
            self._check_mutable(container, target)
            if type(value) is Var and value.name is None and name:
                value.name, value.stage = f"{name}[{key!r}]", True
            container[key] = value
            return
        if isinstance(container, Input):
            if container.shape:
                raise arrays.input_changes(container.root, target)
            raise Refusal("E113", f"an element of the input `{container.root}` is changed", node=target, help_="give the new value a name of its own")
        if not isinstance(container, ListValue):
            raise Refusal("E116", f"an element of {describe(container)} can't be assigned to", node=target)
        self._check_mutable(container, target)
        if isinstance(target.slice, ast.Slice):
            raise Refusal("E104", "assignment to a slice is not supported", node=target, help_="assign to the elements one by one")
        index = self._index(target.slice, len(container), target)
        if type(value) is Var and value.name is None and name:
            value.name, value.stage = f"{name}[{index}]", True
        container[index] = value
        if name and self.scope is self.module and self.depends(value):
            self.last = (name, container, self.spans.of(target))

    def _check_mutable(self, container: Value, node: ast.AST) -> None:
        if not isinstance(container, ListValue):
            if self.path:
                raise Refusal("E118", "a dictionary changes under a condition on values", node=node, help_="choose the element: a if condition else b")
            return
        if container.frozen:
            raise Refusal("E113", f"the list `{container.frozen}` is an input, and the caller's list would change", node=node, help_="copy it first: list(...)")
        if container.born[: len(self.path)] != self.path:
            raise Refusal("E118", "a list changes under a condition on values", node=node, help_="choose the element: a if condition else b")

    def raw(self, node: ast.expr) -> Value:
        """Return what an expression stands for as the owner of an element: an array as it was last written to."""
        if isinstance(node, ast.Name):
            return self._name(node, settle=False)
        if isinstance(node, ast.Subscript):
            owner = self.raw(node.value)
            if isinstance(owner, ListValue | tuple) and not isinstance(node.slice, ast.Slice):
                return self._read(owner[self._index(node.slice, len(owner), node)], node)
            if isinstance(owner, dict):
                key = self._key(node.slice)
                if key in owner:
                    return self._read(owner[key], node)
        return self.eval(node)

    def store_in(self, place: ast.Subscript, owner: ListValue | dict[Any, Value], value: Var) -> None:
        """Put a changed array where the old one stands in a list or dictionary."""
        self._check_mutable(owner, place)
        key = self._key(place.slice) if isinstance(owner, dict) else self._index(place.slice, len(owner), place)
        owner[key] = value
        name = _base_name(place.value)
        if name and value.name is None:
            value.name, value.stage = f"{name}[{key!r}]", True
        if name and self.scope is self.module and self.depends(value):
            self.last = (name, owner, self.spans.of(place))

    def _aug_assign(self, node: ast.AugAssign) -> str | None:
        target = node.target
        if isinstance(target, ast.Name):
            old = self._name(ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target))
            if isinstance(old, ListValue) and isinstance(node.op, ast.Add):
                self._check_mutable(old, node)
                old.extend(self.items(self.eval(node.value), node.value))
                old.named = False
                self._name_elements(target.id, old)
                return None
            right = self.eval(node.value)
            if isinstance(old, Var | Input) and old.shape:
                self._change_array(node, target, old, right)
                return None
            self.store(target.id, self.arithmetic(node.op, old, right, node), node)
            return None
        if isinstance(target, ast.Subscript):
            container = self.raw(target.value)
            if isinstance(container, Var | Input) and container.shape and (isinstance(container, Var) or container.array):
                arrays.augment(self, target, node.op, lambda: self.eval(node.value), node)
                return None
            old = self._subscript(ast.copy_location(ast.Subscript(value=target.value, slice=target.slice, ctx=ast.Load()), target))
            if isinstance(old, Var | Input) and old.shape and isinstance(container, ListValue | dict):
                change = self._in_place(node, self.eval(node.value))
                arrays.replace(self, target, self.raw(target), change, (), node)
                return None
            self._store_element(target, self.arithmetic(node.op, old, self.eval(node.value), node))
            return None
        raise Refusal("E104", "attributes are not supported", node=target, help_="use a plain name")

    def _change_array(self, node: ast.AugAssign, target: ast.Name, old: Value, right: Value) -> None:
        """Carry out `x += ...` of an array: a new value takes its place where nothing else sees the old one."""
        if isinstance(old, Input):
            old = old.scalar()
        try:
            arrays.replace(self, target, old, self._in_place(node, right), (), node)
        except Refusal as refusal:
            if refusal.code == "E113":
                refusal.help = f"write `{target.id} = {target.id} {_SIGNS.get(type(node.op), '+')} ...`, which makes a new one"
            raise

    def _in_place(self, node: ast.AugAssign, right: Value) -> Callable[[Var], Var]:
        def change(old: Var) -> Var:
            result = self.arithmetic(node.op, old, right, node)
            if self.facts.is_integral(old) and not self.facts.is_integral(result):
                raise Refusal("E116", "an array of whole numbers is changed in place by a float", node=node, help_="write it without the sign: `x = x + ...`")
            if result.shape != old.shape:
                message = f"an array can't grow in place: {arrays.where_from(self, old)}, the result {show_shape(result.shape)}"
                raise Refusal("E112", message, node=node)
            return result  # type: ignore[no-any-return]  # arithmetic on an array gives one

        return change

    def _delete(self, node: ast.Delete) -> str | None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                raise Refusal("E104", "`del` of an element is not supported", node=target)
            self._name(ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target))
            self._bind(target.id, Partial(f"`{target.id}` is deleted before it is used", ""))
        return None

    def _import(self, node: ast.Import) -> str | None:
        for alias in node.names:
            root = alias.name.split(".")[0]
            if alias.asname:
                self._bind(alias.asname, Module(MODULES[alias.name]) if alias.name in MODULES else Module(alias.name, known=False))
            else:
                self._bind(root, Module(MODULES[root]) if root in MODULES else Module(root, known=False))
        return None

    def _import_from(self, node: ast.ImportFrom) -> str | None:
        module = node.module or "." * node.level
        known = MODULES.get(module) if not node.level else None
        for alias in node.names:
            name = alias.asname or alias.name
            if known is None:
                qualified = MODULES.get(f"{module}.{alias.name}")
                self._bind(name, Module(qualified) if qualified else Module(f"{module}.{alias.name}", known=False))
            elif alias.name == "*":
                for member in NAMESPACES.get(known, {}):
                    self.scope.env[member] = NAMESPACES[known][member]
                from_module = {"math": ("pi", "e", "tau", "inf"), "numpy": ("pi", "e", "inf")}.get(known, ())
                for member in from_module:
                    self.scope.env[member] = module_member(known, member, node)
            else:
                try:
                    self._bind(name, module_member(known, alias.name, node))
                except Refusal as refusal:
                    # Importing is no fault: using what is imported is.
                    self._bind(name, Poison((self.diagnose(refusal, node),)))
        return None

    def _function(self, node: ast.FunctionDef) -> str | None:
        if node.decorator_list:
            raise Refusal(
                "E104", "decorators are not supported", node=node.decorator_list[0], help_="remove it: a decorator may change what the function computes"
            )
        self._bind(node.name, self._make_function(node.name, node))
        return None

    def _make_function(self, name: str, node: ast.FunctionDef | ast.Lambda) -> Function:
        arguments = node.args
        if arguments.vararg or arguments.kwarg:
            refused = arguments.vararg or arguments.kwarg
            raise Refusal("E104", "parameters with a star are not supported", node=refused, help_="name the parameters one by one")
        defaults: dict[str, Value] = {}
        positional = [*arguments.posonlyargs, *arguments.args]
        for parameter, default in zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True):
            defaults[parameter.arg] = self.eval(default)
        for parameter, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if keyword_default is not None:
                defaults[parameter.arg] = self.eval(keyword_default)
        names = frozenset(assigned_names(node.body)) if isinstance(node, ast.FunctionDef) else frozenset()
        return Function(name, node, self.scope, defaults, names)

    def _return(self, node: ast.Return) -> str | None:
        if self.scope.role != "function":
            raise Refusal("E104", "`return` outside a function", node=node)
        self.scope.returned = self.eval(node.value) if node.value is not None else None
        self.returns = node
        return "return"

    def _pass(self, node: ast.stmt) -> str | None:
        del node
        return None

    def _break(self, node: ast.stmt) -> str | None:
        if not self.loops:
            raise Refusal("E104", "`break` outside a loop", node=node)
        return "break"

    def _continue(self, node: ast.stmt) -> str | None:
        if not self.loops:
            raise Refusal("E104", "`continue` outside a loop", node=node)
        return "continue"

    def _for(self, node: ast.For) -> str | None:
        items = self.items(self.eval(node.iter), node.iter)
        self.loops += 1
        self.iterating.append(("the loop", items))
        try:
            for item in items:
                self._assign_to(node.target, item, node.iter, loop=True)
                signal = self._block(node.body)
                if signal == "break":
                    return None
                if signal == "return":
                    return signal
        finally:
            self.iterating.pop()
            self.loops -= 1
        return self._block(node.orelse)

    def _while(self, node: ast.While) -> str | None:
        endless = isinstance(node.test, ast.Constant) and node.test.value and not any(isinstance(inner, ast.Break | ast.Return) for inner in ast.walk(node))
        if endless:
            raise Refusal("E107", "this loop never ends", node=node.test, help_="write `for _ in range(10)`", fatal=True)
        self.loops += 1
        before: list[Value] | None = None
        # A test with calls or elements may change without its names.
        names = [inner.id for inner in ast.walk(node.test) if isinstance(inner, ast.Name)]
        simple = all(isinstance(inner, _PLAIN_TEST) for inner in ast.walk(node.test))
        try:
            while self.static_condition(self.eval(node.test), node.test, "the number of rounds"):
                self.charge(1, node.test)
                now = [self.scope.env.get(name) for name in names]
                stuck = simple and before is not None and all(map(_unchanged, before, now))
                if stuck and not any(isinstance(inner, ast.Break | ast.Return) for inner in ast.walk(node)):
                    raise Refusal("E107", "this loop never ends: what it tests does not change", node=node.test, fatal=True)
                before = now
                signal = self._block(node.body)
                if signal == "break":
                    return None
                if signal == "return":
                    return signal
        finally:
            self.loops -= 1
        return self._block(node.orelse)

    def _if(self, node: ast.If) -> str | None:
        if _is_main_guard(node.test):
            return None
        condition = self.condition(self.eval(node.test), node.test)
        if isinstance(condition, bool):
            return self._block(node.body if condition else node.orelse)
        scope = self.scope
        taken = self._branch(condition, node.body, node, taken=True)
        other = self._branch(condition, node.orelse, node, taken=False)
        self.builder.span = self.spans.of(node.test)
        if taken.signal and other.signal:
            scope.returned = self.merge(condition, taken.returned, other.returned, node, "the returned value")
            return "return"
        if taken.signal or other.signal:
            ended, going, when = (taken, other, True) if taken.signal else (other, taken, False)
            scope.pending.append((condition, when, snapshot(ended.returned), self.builder.guard))
            for name, value in going.values.items():
                self._bind(name, value)
            self.builder.guard = (*self.builder.guard, (condition, not when))
            return None
        for name in dict.fromkeys((*taken.values, *other.values)):
            before = scope.env.get(name, MISSING)
            a, b = taken.values.get(name, before), other.values.get(name, before)
            if a is MISSING or b is MISSING:
                line = node.lineno
                self._bind(
                    name,
                    Partial(f"`{name}` has a value in one branch only of the `if` in line {line}", f"assign `{name}` before the `if`, or in both branches"),
                )
                continue
            value = self.merge(condition, a, b, node, f"`{name}`")
            if isinstance(value, Partial | Poison):
                self._bind(name, value)
            else:
                self.store(name, value, node.test)
        return None

    def _branch(self, condition: Var, body: list[ast.stmt], node: ast.If, *, taken: bool) -> _Branch:
        """Read one branch of an `if` on values; the names are as before afterwards, what it did is returned."""
        scope = self.scope
        log, pending, guard, path, last = scope.log, scope.pending, self.builder.guard, self.path, self.last
        scope.log, scope.pending = {}, []
        self._branches += 1
        self.path = (*path, self._branches)
        self.builder.guard = (*guard, (condition, taken))
        try:
            signal = self._block(body)
            if signal in {"break", "continue"}:
                self._demand(condition, node.test, f"whether the loop goes on (`{signal}`)")
            if signal == "return":
                result = _Branch(signal, self._settle(scope.returned, node), {})
            elif scope.pending:
                raise Refusal(
                    "E118",
                    "a branch on values returns in some cases and goes on in others",
                    node=node.test,
                    help_="return in every case, or assign to a variable",
                )
            else:
                result = _Branch(None, None, {name: scope.env[name] for name in scope.log})
        finally:
            for name, value in scope.log.items():
                if value is MISSING:
                    scope.env.pop(name, None)
                else:
                    scope.env[name] = value
            scope.log, scope.pending, self.builder.guard, self.path, self.last = log, pending, guard, path, last
        return result

    def _settle(self, value: Value, node: ast.AST) -> Value:
        """Combine a returned value with those returned earlier under conditions."""
        guard = self.builder.guard
        for condition, when, early, before in reversed(self.scope.pending):
            self.builder.guard = before
            self.builder.span = self.spans.of(self._place(node))
            value = self.merge(condition, early, value, node, "the returned value") if when else self.merge(condition, value, early, node, "the returned value")
        self.builder.guard = guard
        return value

    def _place(self, node: ast.AST) -> Any:
        return node.test if isinstance(node, ast.If) else node

    def merge(self, condition: Var, a: Value, b: Value, node: ast.AST, what: str) -> Value:
        """Return the value that is `a` where the condition holds and `b` where not."""
        if a is b or (is_known(a) and is_known(b) and type(a) is type(b) and a == b):
            return a
        if isinstance(a, Poison | Partial):
            return a
        if isinstance(b, Poison | Partial):
            return b
        if isinstance(a, list | tuple) and isinstance(b, list | tuple) and type(a) is type(b) and len(a) == len(b):
            items = [self.merge(condition, x, y, node, what) for x, y in zip(a, b, strict=True)]
            return ListValue(items, self.path) if isinstance(a, ListValue) else tuple(items)
        if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
            return {key: self.merge(condition, a[key], b[key], node, what) for key in a}
        line = getattr(node, "lineno", 0)
        if not (_is_scalar(a) and _is_scalar(b)):
            kinds = f"{describe(a)} in one branch and {describe(b)} in the other"
            if isinstance(a, ListValue) and isinstance(b, ListValue):
                kinds = f"a list of {len(a)} elements in one branch and of {len(b)} in the other"
            return Partial(f"{what} is {kinds} of the `if` in line {line}", "let both branches give the same kind of value")
        if _is_condition(a) and _is_condition(b):
            return self._choose_condition(condition, (a, b), node)
        place: Any = self._place(node)
        x, y = self.number(a, place), self.number(b, place)
        shapes = [arrays.shape_of(one) for one in (x, y)]
        if shapes[0] != shapes[1]:
            return Partial(
                f"{what} has shape {show_shape(shapes[0])} in one branch and {show_shape(shapes[1])} in the other of the `if` in line {line}",
                "let both branches give the same shape",
            )
        out = self.emit("select", (condition, x, y), place)
        if out.shape:
            self.facts.either(out, (x, y))
        return out

    def _choose_condition(self, condition: Var, cases: tuple[Var | bool, Var | bool], node: ast.AST) -> Var | bool:
        a, b = cases
        place = self._place(node)
        when = self.logic("and", [condition, a], place)
        otherwise = self.logic("and", [self.logic("not", [condition], place), b], place)
        return self.logic("or", [when, otherwise], place)

    # Inputs of a script.

    def _is_data(self, node: ast.expr) -> bool:
        """Whether the right side is a number, or a list of numbers, as a person writes an example value."""
        kind = type(node)
        if kind is ast.Constant:
            return type(node.value) in (int, float)  # type: ignore[attr-defined]  # kind is Constant
        if kind is ast.BinOp:
            right, left = node.right, node.left  # type: ignore[attr-defined]  # kind is BinOp
            if type(left) is ast.Name or type(right) is ast.Name:  # most statements of a long program end here
                return False
            if type(node.op) not in _SIGNS:  # type: ignore[attr-defined]  # kind is BinOp
                return False
            return self._is_number_part(right) and (self._is_number_part(left) or (isinstance(left, ast.List) and self._is_data(left)))
        if isinstance(node, ast.UnaryOp):
            return isinstance(node.op, ast.USub | ast.UAdd) and self._is_data(node.operand)
        if isinstance(node, ast.List | ast.Tuple):
            return bool(node.elts) and all(self._is_data(element) for element in node.elts)
        if isinstance(node, ast.Call):
            return len(node.args) == 1 and self._is_data(node.args[0]) and self._is_conversion(node.func)
        return False

    def _is_number_part(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.scope.env.get(node.value.id, MISSING)
            name = (
                module.name if isinstance(module, Module) else MODULES.get({"np": "numpy"}.get(node.value.id, node.value.id), "") if module is MISSING else ""
            )
            return name in {"math", "numpy"} and node.attr in {"pi", "e", "tau"}
        return self._is_data(node)

    def _is_conversion(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Name):
            return function.id == "float" and "float" not in self.scope.env
        return (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id in {"np", "numpy"}
            and function.attr in {"float64", "double", "array", "asarray"}
        )

    def _assign_data(self, target: ast.expr, node: ast.expr, statement: ast.stmt) -> None:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(node, ast.Tuple | ast.List) and len(target.elts) == len(node.elts):
            for element, part in zip(target.elts, node.elts, strict=True):
                self._assign_data(element, part, statement)
            return
        array = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"array", "asarray"}
        example = _plain(self.eval(node.args[0] if array and isinstance(node, ast.Call) else node))
        if not isinstance(target, ast.Name):
            self._assign_to(target, self._constant(example), node)
            return
        self._bind_data(target.id, example, node, statement, array=array)

    def _bind_data(self, name: str, example: Any, node: ast.expr, statement: ast.stmt, *, array: bool) -> None:
        self.input_spans.setdefault(name, self.spans.of(node))
        old = self.inputs.get(name)
        taken = old is not None and old.states() != {"open"}
        if name in self.known.fixed or taken or (name not in self.wrt and name not in self.at and self._is_accumulator(name, example, statement)):
            constant = self._constant(self.at.get(name, example) if name in self.known.fixed else example)
            self.scope.env[name] = arrays.build(self, constant, node) if array else constant
            return
        example = self.at.get(name, example)
        if name in self.known.sizes and isinstance(example, int) and example > 0 and not self.changes(name):
            self.scope.env[name] = Size(name)
            return
        shape = tuple(self.shapes.get(name, ()))
        if array and name not in self.shapes:
            shape = _array_shape(example, node)
        whole = name in self.known.integers or (array and isinstance(node, ast.Call) and self._whole_dtype(node))
        self.input_spans[name] = self.spans.of(node)
        self.inputs[name] = root = Input(name, name, example, shape, dtype="int" if whole else "float", array=array or name in self.known.arrays)
        self.facts.active = self.facts.active or bool(shape)
        self.scope.env[name] = self.structure(root) if isinstance(example, list | tuple) and not shape else root

    def _whole_dtype(self, node: ast.Call) -> bool:
        return any(keyword.arg == "dtype" and arrays.dtype_of(self.eval(keyword.value)) == "int" for keyword in node.keywords)

    def structure(self, root: Input, *, frozen: str = "") -> Value:
        """Return an input of which the structure is known: nested lists of inputs, as its example is."""
        example = root.example
        root.make_list(len(example))
        items: list[Value] = []
        for item, part in zip(root.items, example, strict=True):
            item.example = part
            items.append(self.structure(item, frozen=frozen) if isinstance(part, list | tuple) else item)
        if isinstance(example, tuple):
            return tuple(items)
        return ListValue(items, self.path, frozen)

    def _constant(self, example: Any) -> Value:
        if isinstance(example, list | tuple):
            items = [self._constant(part) for part in example]
            return tuple(items) if isinstance(example, tuple) else ListValue(items, self.path)
        return example

    def changes(self, name: str) -> bool:
        """Say whether a script assigns to a name more than once."""
        if self._first_steps is None:
            self._first_steps = _first_steps(self._body)
        return name in self._first_steps

    def _is_accumulator(self, name: str, example: Any, statement: ast.stmt) -> bool:
        """
        Whether a name starts at the neutral element of what is then done to it: `s = 0` and `s += w * x`.

        Such a name is the start of a sum or a product, not an input; `x = 3; x = 2 * x` is an input.
        """
        if example not in (0, 1) or isinstance(example, list | tuple):
            return False
        if not self.changes(name) or self._first_steps is None:
            return False
        step = self._first_steps[name]
        if isinstance(step, ast.AugAssign):
            found = isinstance(step.op, _ACCUMULATING[int(example)]) and not self._is_data(step.value)
        else:
            found = isinstance(step, ast.Assign) and self._adds_to_itself(step.value, name, int(example))
        if found:
            message = f"`{name}` starts at {example} and is {'added to' if example == 0 else 'multiplied'}: taken as the start, not as an input"
            self.notes.append(Diagnostic("N101", message, self.spans.of(statement), "", f"`--wrt {name}` makes it an input", "note"))
        return found

    def _adds_to_itself(self, node: ast.expr, name: str, example: int) -> bool:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"max", "min"} and example == 0:
            return any(isinstance(argument, ast.Name) and argument.id == name for argument in node.args)
        rest: list[ast.expr] = []
        # The name may stand first in a longer sum: s = s + a + b.
        while isinstance(node, ast.BinOp) and isinstance(node.op, _ACCUMULATING[example]):
            rest.append(node.right)
            if isinstance(node.right, ast.Name) and node.right.id == name and isinstance(node.op, ast.Add | ast.Mult):
                rest[-1] = node.left
                break
            node = node.left
        else:
            if not (rest and isinstance(node, ast.Name) and node.id == name):
                return False
        return bool(rest) and not all(self._is_data(part) for part in rest) and not any(_mentions(part, name) for part in rest)

    # Expressions.

    def eval(self, node: ast.expr) -> Value:
        """Return the value of an expression."""
        handler = _EXPRESSIONS.get(type(node))
        if handler is None:
            what, help_ = _UNSUPPORTED_EXPRESSIONS.get(type(node).__name__, (f"`{type(node).__name__}`", ""))
            raise Refusal("E104", f"{what} is not supported in a forward pass", node=node, help_=help_)
        return handler(self, node)

    def _literal(self, node: ast.Constant) -> Value:
        value = node.value
        if isinstance(value, complex):
            raise Refusal("E116", "complex numbers are not supported", node=node, help_="inputs and values are real")
        if isinstance(value, bytes) or value is Ellipsis:
            raise Refusal("E116", f"`{'...' if value is Ellipsis else 'bytes'}` is not a number", node=node)
        return value

    def _name(self, node: ast.Name, *, settle: bool = True) -> Value:
        name = node.id
        scope: Scope | None = self.scope
        while scope is not None:
            value = scope.env.get(name, MISSING)
            if value is not MISSING:
                if type(value) is Var:
                    if settle and value in self.facts.written:
                        value = scope.env[name] = arrays.settled(self, value)
                    return value
                if type(value) is Input:
                    if value.var is None and value.array and value.state == "open":
                        return value.scalar()
                    return value if value.var is None else value.var
                if isinstance(value, Poison):
                    for diagnostic in value.pending:
                        self._report(diagnostic)
                    raise Poisoned
                if isinstance(value, Partial):
                    raise Refusal("E118", value.reason, node=node, help_=value.help)
                return value
            if name in scope.names:
                raise Refusal("E103", f"`{name}` is used before it is assigned", node=node)
            scope = scope.parent
        return self._free_name(node)

    def _free_name(self, node: ast.Name) -> Value:
        name = node.id
        implicit = {"np": "numpy", "numpy": "numpy", "math": "math"}.get(name)
        if implicit is not None:  # lecture notes leave the import out
            return Module(implicit)
        if self.role == "expression":
            if name in BARE_CONSTANTS and name not in self.at and name not in self.wrt and name not in self.shapes:
                if name == "e":
                    self._note_euler(node)
                return BARE_CONSTANTS[name]
            # `gamma * x`: a name of a function that is not called is a name like any other.
            if name not in NAMESPACES["builtins"]:
                return self._new_input(name, node)
        known = NAMESPACES["builtins"].get(name)
        if known is not None:
            return known
        if name in self._unknown:
            raise Poisoned
        self._unknown.add(name)
        if name in assigned_names(self._body):
            raise Refusal("E103", f"`{name}` is used before it is assigned", node=node)
        raise Refusal("E103", f"`{name}` is not defined", node=node, help_=self._undefined_help(name))

    def _undefined_help(self, name: str) -> str:
        for module, imported in (("math", "math"), ("numpy", "numpy"), ("scipy.special", "scipy.special")):
            if name in NAMESPACES[module]:
                return f"`from {imported} import {name}`"
        spelled = {
            "sigmoid": "`from scipy.special import expit`, or 1 / (1 + math.exp(-x))",
            "relu": "`max(x, 0)`",
            "softplus": "`math.log1p(math.exp(x))`",
            "xrange": "`range`",
        }
        if name in spelled:
            return f"write {spelled[name]}"
        visible: dict[str, None] = {}
        scope: Scope | None = self.scope
        while scope is not None:
            visible.update(dict.fromkeys(scope.env))
            scope = scope.parent
        close = suggest(name, visible) or suggest(name, NAMESPACES["math"]) or suggest(name, NAMESPACES["builtins"])
        return f"did you mean `{close}`?" if close else ""

    def _note_euler(self, node: ast.Name) -> None:
        if not any(note.code == "N102" for note in self.notes):
            note = Diagnostic("N102", "`e` is taken as Euler's number", self.spans.of(node), "", "`--at e=1` makes it an input", "note")
            self.notes.append(note)

    def _new_input(self, name: str, node: ast.expr) -> Value:
        if name in self.inputs:
            return self.module.env[name]
        self.input_spans[name] = self.spans.of(node)
        shape = tuple(self.shapes.get(name, ()))
        whole = name in self.known.integers
        self.inputs[name] = root = Input(name, name, self.at.get(name), shape, dtype="int" if whole else "float", array=name in self.known.arrays)
        self.facts.active = self.facts.active or bool(shape)
        value: Value = root
        if name in self.known.fixed:
            value = self._constant(root.known())
        elif isinstance(root.example, list | tuple) and not root.shape:
            value = self.structure(root, frozen=name)
        self.module.env[name] = value
        return value

    def _binary(self, node: ast.BinOp) -> Value:
        # A sum of n terms is a tree n deep on the left: walked in a loop, not by recursion.
        spine = [node]
        left = node.left
        while type(left) is ast.BinOp:
            spine.append(left)
            left = left.left
        value = self.eval(left)
        for part in reversed(spine):
            value = self.arithmetic(part.op, value, self.eval(part.right), part)
        return value

    def arithmetic(self, op: ast.operator, a: Value, b: Value, node: Any) -> Value:
        """Return `a op b`: computed when both are known, else emitted."""
        known = type(a) in _NUMBERS and type(b) in _NUMBERS
        if known and type(op) is not ast.BitXor and type(op) is not ast.MatMult:
            try:
                return static_values.arithmetic(op, a, b)
            except Refusal as refusal:
                refusal.node = refusal.node or node
                raise
        if type(a) is Size or type(b) is Size:
            size = arrays.size_arithmetic(op, a, b)
            if size is not None:
                return size
        name = _ARITHMETIC.get(type(op))
        if name is None:
            return self._other_operator(op, a, b, node)
        if isinstance(a, list | tuple | range | SizeRange) and self._is_array(b):
            a = arrays.build(self, a, getattr(node, "left", node))
        elif isinstance(b, list | tuple | range | SizeRange) and self._is_array(a):
            b = arrays.build(self, b, getattr(node, "right", node))
        if type(a) is not Var and type(a) not in _NUMBERS and not isinstance(a, Input):
            joined = self._join(op, a, b, node)
            if joined is not MISSING:
                return joined
        elif isinstance(b, ListValue | tuple) and name == "mul":
            joined = self._join(op, b, a, node)
            if joined is not MISSING:
                return joined
        x = self.number(a, getattr(node, "left", getattr(node, "target", node)))
        y = self.number(b, getattr(node, "right", getattr(node, "value", node)))
        if name == "pow":
            return self._power(x, y, node)
        return self.emit(name, (x, y), node)

    def _is_array(self, value: Value) -> bool:
        return isinstance(value, Var | Input) and bool(value.shape)

    def _is_list_index(self, node: ast.expr) -> bool:
        """Whether what stands between brackets is one position, as of an element of a list."""
        if isinstance(node, ast.Tuple | ast.Slice | ast.List) or (isinstance(node, ast.Constant) and type(node.value) is not int):
            return False
        value = self.eval(node)
        return type(value) is int or (isinstance(value, Input) and not value.shape)

    def _power(self, x: Any, y: Any, node: Any) -> Value:
        if not isinstance(y, Var) and float(y).is_integer():
            if isinstance(y, int) and y < 0 and isinstance(x, Var) and self.facts.is_integral(x):
                raise Refusal("E116", "whole numbers to a negative whole power are an error in NumPy", node=node, help_="make the exponent a float")
            return self.emit("pow", (x, y), node)
        return self.emit("powr", (x, y), node)

    def _join(self, op: ast.operator, a: Value, b: Value, node: Any) -> Value:
        """Return `list + list` or `list * count`, MISSING for anything else."""
        if isinstance(op, ast.Add) and isinstance(a, list | tuple) and isinstance(b, list | tuple) and type(a) is type(b):
            self.charge(len(a) + len(b), node)
            return (*a, *b) if isinstance(a, tuple) else ListValue([*a, *b], self.path)
        if isinstance(op, ast.Mult) and isinstance(a, list | tuple) and not isinstance(b, list | tuple):
            count = self.static_int(b, node, "the length of the list")
            self.charge(max(0, len(a) * count), node)
            items = list(a) * count
            return tuple(items) if isinstance(a, tuple) else ListValue(items, self.path)
        return MISSING

    def _other_operator(self, op: ast.operator, a: Value, b: Value, node: Any) -> Value:
        if isinstance(op, ast.BitXor):
            raise Refusal("E104", "`^` is exclusive or in Python, not a power", node=node, help_="write `**` for a power")
        if isinstance(op, ast.MatMult):
            left, right = (arrays.operand(self, one, node) for one in (a, b))
            return arrays.matmul(self, left, right, node)
        if isinstance(op, ast.FloorDiv):
            quotient = self.emit("div", (self.number(a, node), self.number(b, node)), node)
            return self.emit("floor", (quotient,), node)
        if isinstance(op, ast.BitAnd | ast.BitOr) and _is_condition(a) and _is_condition(b):
            return self.logic("and" if isinstance(op, ast.BitAnd) else "or", [a, b], node)
        raise Refusal("E104", f"`{_SIGNS.get(type(op), 'this operator')}` works on integers, not on values", node=node)

    def number(self, value: Value, node: Any) -> Var | int | float:
        """
        Return a value as an operand of arithmetic.

        Raises:
            Refusal: E116, it is no number; E110, it is too large for a float.
        """
        kind = type(value)
        if kind is Var:
            # A condition counts as 1 or 0, and carries no derivative.
            return self.emit("select", (value, 1, 0), node) if value.dtype == "bool" else value
        if kind is float or kind is int:
            if kind is int:
                if not -(1 << 1000) < value < (1 << 1000):
                    try:
                        static_values.check_representable(value)
                    except Refusal as refusal:
                        refusal.node = node
                        raise
            elif value != value:  # noqa: PLR0124  a nan
                raise Refusal("E110", "this constant is not a number (nan)", node=node)
            return value  # type: ignore[no-any-return]  # kind is a number
        if kind is Input:
            try:
                return value.scalar()  # type: ignore[no-any-return]  # kind is Input
            except Refusal as refusal:
                refusal.node = refusal.node or node
                raise
        if kind is bool:
            return int(value)
        if kind is Size:
            return self.emit("dim", (), node, size=value.dim)
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, Partial):
            raise Refusal("E118", value.reason, node=node, help_=value.help)
        help_ = ""
        if isinstance(value, ListValue | tuple):
            help_ = "arithmetic on a list goes element by element: [2 * a for a in x]"
        elif isinstance(value, Function):
            help_ = "call it"
        raise Refusal("E116", f"{describe(value)} is used as a number", node=node, help_=help_)

    def emit(self, primitive: str, operands: Sequence[Any], node: Any, **params: Any) -> Var:
        """
        Append an equation.

        Raises:
            Refusal: E112, the shapes of the operands do not agree.
        """
        try:
            return self.emit_at(primitive, operands, self.spans.of(node), **params)
        except ValueError as fault:
            wide = [one for one in operands if isinstance(one, Var) and one.shape]
            self.reconsider(*[size for one in wide for size in one.shape])
            places = " and ".join(arrays.where_from(self, one) for one in wide)
            raise Refusal("E112", f"{fault}: {places}" if places else str(fault), node=node, help_="`--shape x=N` says what shape an input has") from fault

    def emit_at(self, primitive: str, operands: Sequence[Any], span: Span | None, **params: Any) -> Var:
        """Append an equation that stands at a place of the text."""
        builder = self.builder
        builder.span = span
        out = builder.emit(REGISTRY[primitive], operands, params) if params else builder.emit(REGISTRY[primitive], operands)
        if out.shape or self.facts.active:
            self.facts.track(primitive, operands, out)
        return out

    def reconsider(self, *sizes: Dim) -> None:
        """Read again with numbers for the names of sizes, if that is what makes shapes differ: `N = 5` and `D = 5` are equal there."""
        names = tuple(dict.fromkeys(name for size in sizes for name in dims.names(size) if name in self.known.sizes))
        if names:
            raise Restart(names)

    def size(self, value: Value, node: Any, what: str, *, negative: bool = False) -> Dim:
        """
        Return a size of an axis, or a bound of a slice.

        Raises:
            Restart: An input is one, and may keep its name as that.
            Refusal: E106, it depends on values; E109, it is negative.
        """
        if isinstance(value, Input) and self._may_be_size(value):
            raise Restart((value.root,), "sizes")
        if isinstance(value, Size):
            return value.dim
        number = self.static_int(value, node, what)
        if number < 0 and not negative:
            raise Refusal("E109", f"{what} is negative", node=node)
        return number

    def _may_be_size(self, value: Input) -> bool:
        """Whether an input is a whole number of a script that may stay a name as the size of an axis."""
        if self.role != "script" or value.root != value.path or value.root in self.wrt or value.shape:
            return False
        return type(value.example) is int and value.example > 0 and not self.changes(value.root)

    def line_of(self, value: Var) -> int | None:
        """Return the line in which a value is computed, or an input is defined."""
        owner = next((one for one in self.all_inputs() if one.var is value), None)
        span = self.input_spans.get(owner.root) if owner is not None else None
        if span is None:
            eqn = self._definitions().get(value)
            span = eqn.span if eqn is not None else None
        return span.line if span is not None else None

    def eqn_of(self, value: Var) -> Eqn:
        """Return the equation that computes a value."""
        return self._definitions()[value]

    def primitive_of(self, value: Any) -> str:
        """Return the name of the operation that computes a value; empty for an input or a number."""
        eqn = self._definitions().get(value) if isinstance(value, Var) else None
        return eqn.prim.name if eqn is not None else ""

    def all_inputs(self) -> Iterator[Input]:
        """Yield every input, and every element of one."""
        stack: list[Input] = list(reversed(self.inputs.values()))
        while stack:
            one = stack.pop()
            stack.extend(reversed(one.items))
            yield one

    def _definitions(self) -> dict[Var, Eqn]:
        defining = self._defining
        if len(defining) < len(self.builder.eqns):
            defining.update((eqn.out, eqn) for eqn in self.builder.eqns[len(defining) :])
        return defining

    def roots_of(self, value: Var) -> list[Input]:
        """Return the inputs that a value is computed from."""
        return self._roots(value)

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.eval(node.operand)
        op = type(node.op)
        if op is ast.Not:
            return self.logic("not", [self.condition(value, node.operand)], node)
        if type(value) in _NUMBERS:
            if op is ast.USub:
                return -value
            return +value if op is ast.UAdd else static_values.guarded(lambda v: ~v, value)
        if op is ast.Invert:
            if _is_condition(value):
                return self.logic("not", [value], node)
            raise Refusal("E104", "`~` works on conditions, not on values", node=node)
        operand = self.number(value, node.operand)
        if not isinstance(operand, Var):
            return -operand if op is ast.USub else operand
        return self.emit("neg", (operand,), node) if op is ast.USub else operand

    def condition(self, value: Value, node: Any, *, arrays: bool = False) -> Var | bool:
        """Return a value as a condition: a bool known now, or a variable of dtype bool."""
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, Partial):
            raise Refusal("E118", value.reason, node=node, help_=value.help)
        if isinstance(value, Input) and value.state == "list" and not value.grows:
            return bool(value.items)
        if isinstance(value, Size):
            return self._size_comparison(ast.NotEq(), value, 0, node)
        if isinstance(value, Var | Input):
            variable = value if isinstance(value, Var) else value.scalar()
            if variable.shape and not arrays:
                raise Refusal("E111", "an array has no single truth value", node=node, help_="use np.where(condition, a, b)")
            return variable if variable.dtype == "bool" else self.emit("ne", (variable, 0), node)
        if isinstance(value, Function | Known | Module):
            raise Refusal("E116", f"{describe(value)} is used as a condition", node=node)
        return bool(value)

    def logic(self, primitive: str, conditions: Sequence[Var | bool], node: Any) -> Var | bool:
        """Return `and`, `or` or `not` of conditions; known ones are absorbed."""
        if primitive == "not":
            (only,) = conditions
            return (not only) if isinstance(only, bool) else self.emit("not", (only,), node)
        a, b = conditions
        absorbing = primitive == "or"
        for one, other in ((a, b), (b, a)):
            if isinstance(one, bool):
                return absorbing if one is absorbing else other
        return self.emit(primitive, (a, b), node)

    def _bool_op(self, node: ast.BoolOp) -> Value:
        conjunction = isinstance(node.op, ast.And)
        outer = self.builder.guard
        total = self.eval(node.values[0])
        with self.guards():
            for i, part in enumerate(node.values[1:]):
                if not isinstance(total, Var | Input):
                    if bool(self.condition(total, node.values[i])) is not conjunction:
                        return total
                    total = self.eval(part)
                    continue
                first = self._pure_condition(total, node.values[i])
                self.builder.guard = (*self.builder.guard, (first, conjunction))
                value = self.eval(part)
                # `x > 0 and n` gives n itself in Python; as a condition, which is what it is used as, it is the same.
                second = self._pure_condition(value, part) if isinstance(value, Var | Input) else self.condition(value, part)
                self.builder.guard, inner = outer, self.builder.guard  # the choice itself is always made
                total = self.logic("and" if conjunction else "or", [first, second], node)
                self.builder.guard = inner
        return total

    def _pure_condition(self, value: Value, node: ast.expr) -> Var:
        if isinstance(value, Var) and value.dtype == "bool" and not value.shape:
            return value
        if isinstance(value, Var | Input) and value.shape:
            raise Refusal("E111", "`and` and `or` do not work on arrays", node=node, help_="use `&` and `|`, with parentheses around the comparisons")
        raise Refusal("E104", "`and` and `or` between numbers are not supported", node=node, help_="compare: `x != 0`")

    def _compare(self, node: ast.Compare) -> Value:
        outer = self.builder.guard
        left = self.eval(node.left)
        total: Var | bool = True
        with self.guards():
            for i, (op, part) in enumerate(zip(node.ops, node.comparators, strict=True)):
                right = self.eval(part)
                place = node if len(node.ops) == 1 else ast.copy_location(ast.Compare(left=node.left, ops=[], comparators=[]), node)
                link = self.comparison(op, left, right, place)
                if isinstance(link, Var) and link.shape and len(node.ops) > 1:
                    raise Refusal("E111", "a chain of comparisons does not work on arrays", node=node, help_="write (a < x) & (x < b)")
                self.builder.guard = outer
                total = self.logic("and", [total, link], node)
                if total is False:
                    return False
                if isinstance(total, Var) and i + 1 < len(node.ops):
                    self.builder.guard = (*outer, (total, True))
                left = right
        return total

    def comparison(self, op: ast.cmpop, a: Value, b: Value, node: Any) -> Var | bool:
        """Return `a op b`: computed when both are known, else emitted."""
        if isinstance(op, ast.Is | ast.IsNot) and (a is None or b is None):
            return (a is b) is isinstance(op, ast.Is)
        if (type(a) is Size or type(b) is Size) and not isinstance(a, Var | Input) and not isinstance(b, Var | Input):
            return self._size_comparison(op, a, b, node)
        if self.facts.active:
            a, b = (arrays.build(self, x, node) if isinstance(x, ListValue | tuple | range) and self._is_array(y) else x for x, y in ((a, b), (b, a)))
        if isinstance(a, tuple) and isinstance(b, tuple) and isinstance(op, ast.Eq | ast.NotEq) and any(isinstance(item, Size) for item in (*a, *b)):
            # Shapes: equal if all of their sizes are.
            equal = len(a) == len(b) and all(self.comparison(ast.Eq(), x, y, node) is True for x, y in zip(a, b, strict=True))
            return equal is isinstance(op, ast.Eq)
        if not isinstance(a, Var | Input) and not isinstance(b, Var | Input):
            if isinstance(a, list | tuple | dict) or (isinstance(b, list | tuple | dict) and not is_known(a) and not isinstance(a, str)):
                if not (_is_static(a) and _is_static(b)):
                    raise Refusal("E116", "lists of values can't be compared", node=node)
            elif isinstance(b, list | tuple) and not _is_static(b):
                raise Refusal("E104", "`in` a list of values is not supported", node=node)
            try:
                return static_values.compare(op, a, b)
            except Refusal as refusal:
                refusal.node = refusal.node or node
                raise
        name = _COMPARISONS.get(type(op))
        if name is None:
            raise Refusal("E104", f"`{_COMPARISON_SIGNS[type(op)]}` on values is not supported", node=node, help_="use `==` or an inequality")
        x = self.number(a, getattr(node, "left", node))
        comparators = getattr(node, "comparators", None)
        y = self.number(b, comparators[0] if comparators else node)
        return self.emit(name, (x, y), node)

    def _size_comparison(self, op: ast.cmpop, a: Value, b: Value, node: Any) -> bool:
        result = arrays.size_comparison(op, a, b) if isinstance(op, tuple(_COMPARISONS)) else None
        if result is None:
            for one in (a, b):
                if isinstance(one, Size):
                    self.static_int(one, node, "this comparison")
        return bool(result)

    def _if_exp(self, node: ast.IfExp) -> Value:
        condition = self.condition(self.eval(node.test), node.test)
        if isinstance(condition, bool):
            return self.eval(node.body if condition else node.orelse)
        with self.guarded(condition, taken=True):
            a = self.eval(node.body)
        with self.guarded(condition, taken=False):
            b = self.eval(node.orelse)
        value = self.merge(condition, a, b, node, "the conditional expression")
        if isinstance(value, Partial):
            raise Refusal("E118", f"the two cases differ: {describe(a)} and {describe(b)}", node=node, help_="let both give the same kind of value")
        return value

    @contextmanager
    def guards(self) -> Iterator[None]:
        """Restore the guard of new equations at the end."""
        guard, path = self.builder.guard, self.path
        try:
            yield
        finally:
            self.builder.guard, self.path = guard, path

    @contextmanager
    def guarded(self, condition: Var, *, taken: bool) -> Iterator[None]:
        """Emit equations that are needed only where the condition is `taken`."""
        guard: Guard = self.builder.guard
        path = self.path
        if not condition.shape:  # an array is computed as a whole
            self.builder.guard = (*guard, (condition, taken))
        self._branches += 1
        self.path = (*path, self._branches)
        try:
            yield
        finally:
            self.builder.guard, self.path = guard, path

    def _list(self, node: ast.List) -> Value:
        return ListValue(self._elements(node.elts), self.path)

    def _tuple(self, node: ast.Tuple) -> Value:
        return tuple(self._elements(node.elts))

    def _elements(self, nodes: list[ast.expr]) -> list[Value]:
        items: list[Value] = []
        for element in nodes:
            if isinstance(element, ast.Starred):
                items.extend(self.items(self.eval(element.value), element))
            else:
                items.append(self.eval(element))
        return items

    def _dict(self, node: ast.Dict) -> Value:
        result: dict[Any, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                part = self.eval(value)
                if not isinstance(part, dict):
                    raise Refusal("E116", f"`**` of {describe(part)}", node=value)
                result.update(part)
            else:
                result[self._key(key)] = self.eval(value)
        return result

    def _key(self, node: ast.expr) -> Any:
        key = self.eval(node)
        if isinstance(key, Input):
            key = self.static_int(key, node, "a key")
        if not _is_static(key) or isinstance(key, list | dict):
            raise Refusal("E106", "the key of a dictionary must be known while reading", node=node)
        return key

    def _subscript(self, node: ast.Subscript) -> Value:
        container = self.raw(node.value)
        if isinstance(container, Poison):
            raise Poisoned
        if isinstance(container, SizeRange):
            container = arrays.build(self, container, node)
        if isinstance(container, dict):
            key = self._key(node.slice)
            if key not in container:
                raise Refusal("E108", f"there is no key {key!r}", node=node.slice)
            return self._read(container[key], node)
        if isinstance(container, Var | Input) and (container.shape or isinstance(container, Var)):
            return self._subscript_value(container, node)
        if isinstance(container, Input):
            return self._element(container, node)
        if not isinstance(container, list | tuple | range) or isinstance(container, OneShot):
            raise Refusal("E116", f"{describe(container)} has no elements", node=node)
        if isinstance(node.slice, ast.Slice):
            bounds = self._slice(node.slice)
            part = container[bounds]
            self.charge(len(part), node)
            return ListValue(part, self.path) if isinstance(container, list) else part
        return self._read(container[self._index(node.slice, len(container), node)], node)

    def _read(self, value: Value, node: ast.AST) -> Value:
        """Return an element, unless it is one that can't be used."""
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, Partial):
            raise Refusal("E118", value.reason, node=node, help_=value.help)
        return _resolved(value) if type(value) is Input else value

    def _subscript_value(self, container: Var | Input, node: ast.Subscript) -> Value:
        """Return a part of an array; an input whose shape is stated in numbers may also turn out to be a list."""
        if container.shape:
            if isinstance(container, Input):
                if not container.array and container.state == "open" and self._is_list_index(node.slice):
                    container.split_up()
                    return self._element(container, node)
                container = container.scalar()
            return arrays.subscript(self, container, node)
        name = getattr(container, "name", None)
        raise Refusal("E116", f"{f'`{name}`' if name else 'this'} is a number and has no elements", node=node)

    def _element(self, container: Input, node: ast.Subscript) -> Value:
        """Return an element of a parameter, which thereby is known to be a list."""
        if container.example is not None and container.state == "open":
            raise Refusal("E116", f"`{container.path}` is a number and has no elements", node=node)
        if isinstance(node.slice, ast.Tuple) and container.state == "open":
            raise arrays.unknown_shape(container, "an index with several axes", node)
        container.make_list(None)
        if isinstance(node.slice, ast.Slice):
            bounds = self._slice(node.slice)
            if container.grows and (bounds.stop is None or bounds.stop < 0 or (bounds.start or 0) < 0 or (bounds.step or 1) < 0):
                raise self._unknown_length(container, node)
            if container.grows:
                self._grow(container, bounds.stop, node)
            return ListValue(map(_resolved, container.items[bounds]), self.path)
        index = self.static_int(self.eval(node.slice), node.slice, "an index")
        if container.grows:
            if index < 0:
                raise self._unknown_length(container, node)
            self._grow(container, index + 1, node)
        if not -len(container.items) <= index < len(container.items):
            raise Refusal("E108", f"index {index} of a list of length {len(container.items)}", node=node)
        return _resolved(container.items[index])

    def _grow(self, container: Input, length: int, node: ast.AST) -> None:
        if length > MAX_ELEMENTS:
            raise Refusal("E107", f"index {length - 1} of the input `{container.path}` is too large", node=node)
        container.grow(length)

    def _unknown_length(self, container: Input, node: ast.AST) -> Refusal:
        name = container.path
        return Refusal(
            "E106",
            f"the length of `{name}` is not known",
            node=node,
            help_=f"`--shape {container.root}=3` says it, or a default value `{container.root}=(0.0, 0.0, 0.0)`",
        )

    def _slice(self, node: ast.Slice) -> slice:
        bounds = [None if part is None else self.static_int(self.eval(part), part, "a bound of a slice") for part in (node.lower, node.upper, node.step)]
        if bounds[2] == 0:
            raise Refusal("E108", "the step of a slice is zero", node=node)
        return slice(*bounds)

    def _index(self, node: ast.expr, length: int, whole: ast.AST) -> int:
        if isinstance(node, ast.Tuple):
            raise Refusal(
                "E111",
                "an index with several axes is for arrays, and arrays with axes are not supported yet",
                node=whole,
                help_="for nested lists write w[0][1]",
            )
        index = self.static_int(self.eval(node), node, "an index")
        if not -length <= index < length:
            raise Refusal("E108", f"index {index} of a list of length {length}", node=whole)
        return index

    def static_int(self, value: Value, node: Any, what: str) -> int:
        """
        Return an integer that must be known while reading.

        Raises:
            Restart: It can be, when some inputs are taken as known numbers.
            Refusal: E106, it depends on an input; E116, it is no integer.
        """
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, Input):
            if value.shape or value.state == "list":
                raise Refusal("E116", f"{what} is {describe(value)}", node=node)
            if value.example is None or value.root in self.wrt:
                raise self._not_known(what, [value], node)
            value = value.known()
        elif isinstance(value, Var):
            self._demand(value, node, what)
        elif isinstance(value, Size):
            self.reconsider(value.dim)
            raise Refusal(
                "E106",
                f"{what} depends on the size `{value}`, which only run time knows",
                node=node,
                help_="`--shape x=5,3` with numbers makes sizes known",
            )
        if isinstance(value, bool):
            return int(value)
        if not isinstance(value, int):
            kind = f"{value!r}" if isinstance(value, float) else describe(value)
            raise Refusal("E116", f"{what} must be an integer, not {kind}", node=node, help_="int(...) or `//` gives one" if isinstance(value, float) else "")
        return value

    def static_condition(self, value: Value, node: Any, what: str) -> bool:
        """Return a condition that must be known while reading, as `static_int` does."""
        condition = self.condition(value, node)
        if isinstance(condition, bool):
            return condition
        self._demand(condition, node, what)
        return False

    def _demand(self, var: Var, node: Any, what: str) -> None:
        """Ask for a variable to be known: read again with its inputs as numbers, or refuse."""
        roots = self._roots(var)
        if roots and all(type(root.example) is int and root.root not in self.wrt for root in roots):
            raise Restart(tuple(dict.fromkeys(root.root for root in roots)))
        raise self._not_known(what, roots, node)

    def _not_known(self, what: str, roots: list[Input], node: Any) -> Refusal:
        names = list(dict.fromkeys(root.root for root in roots))
        without = [root.path for root in roots if root.example is None]
        helps = (
            f"`--at {without[0]}=3` or a default value makes it a known number"
            if without and all(not root.shape for root in roots)
            else "only integers that are known before the program runs can decide this"
        )
        message = f"{what} depends on the value of {' and '.join(f'`{name}`' for name in names[:3])}" if names else f"{what} is not known while reading"
        return Refusal("E106", message, node=node, help_=helps)

    def _roots(self, var: Var) -> list[Input]:
        """Return the inputs that a variable is computed from."""
        defining = self._definitions()
        owners = {one.var: one for one in self.all_inputs() if one.var is not None}
        seen: set[Var] = set()
        found: list[Input] = []
        pending = [var]
        while pending:
            current = pending.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in owners:
                found.append(owners[current])
            elif current in defining:
                pending.extend(arg for arg in reversed(defining[current].args) if not isinstance(arg, Lit))
        return found

    def sequence(self, value: Value, node: Any) -> Sequence[Value]:
        """
        Return the elements of a list, tuple, range, dictionary or list input.

        Raises:
            Refusal: E116, it has none; E106, its length is not known.
        """
        if isinstance(value, OneShot):
            return value.take()
        if isinstance(value, ListValue | tuple | range):
            return value
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, dict):
            return list(value)
        if isinstance(value, Input) and not value.shape:
            if value.state == "open" and value.example is None:
                value.make_list(None)
            if value.state == "list":
                if value.grows:
                    raise self._unknown_length(value, node)
                return list(map(_resolved, value.items))
        if isinstance(value, Input) and value.shape and value.state == "open" and not value.array:
            value.split_up()
            return list(value.items)
        if isinstance(value, Var | Input) and value.shape:
            return arrays.rows(self, arrays.variable(self, value, node), node)
        if isinstance(value, SizeRange):
            self.static_int(Size(value.size), node, "the number of rounds")
        if isinstance(value, Partial):
            raise Refusal("E118", value.reason, node=node, help_=value.help)
        raise Refusal("E116", f"{describe(value)} has no elements to go through", node=node)

    def items(self, value: Value, node: Any) -> Sequence[Value]:
        """Return the elements of a sequence, counted as work; a copy, so that the loop does not see later changes."""
        sequence = self.sequence(value, node)
        try:
            length = len(sequence)
        except OverflowError:
            length = MAX_STEPS + 1
        self.charge(length, node)
        return list(sequence) if isinstance(sequence, list) else sequence

    def _attribute(self, node: ast.Attribute) -> Value:
        value = self.eval(node.value)
        if isinstance(value, Module):
            if not value.known:
                self._foreign(value, node)
            return module_member(value.name, node.attr, node)
        if isinstance(value, Var | Input):
            return arrays.attribute(self, value, node)
        raise Refusal("E104", f"`.{node.attr}` of {describe(value)} is not supported", node=node)

    def _foreign(self, module: Module, node: ast.AST) -> None:
        if module.name.split(".")[0] in {"random", "secrets"}:
            raise Refusal("E119", f"`{module.name}` gives another number on every run", node=node, help_="make it an input of the program")
        raise Refusal("E105", f"`{module.name}` is a module that the compiler does not know", node=node, help_="it knows math, numpy and scipy.special")

    def _call(self, node: ast.Call) -> Value:
        function = self._callee(node)
        if isinstance(function, Poison):
            raise Poisoned
        if type(function) is _Method:
            return function.apply(self, node)
        args: list[Value] = []
        for argument in node.args:
            if type(argument) is ast.Starred:
                args.extend(self.items(self.eval(argument.value), argument))
            else:
                args.append(self.eval(argument))
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Refusal("E104", "`**` in a call is not supported", node=keyword.value, help_="write the arguments one by one")
            keywords[keyword.arg] = self.eval(keyword.value)
        return self.call(function, node, args, keywords)

    def _callee(self, node: ast.Call) -> Value:
        function = node.func
        if type(function) is ast.Name:
            if self.role == "expression" and not self._is_defined(function.id):
                return self._bare_function(function)
            if _is_print(node):
                raise Refusal("E104", "the result of `print` is used", node=node)
            return self._name_called(function)
        if isinstance(function, ast.Attribute):
            owner = self.eval(function.value)
            if isinstance(owner, ListValue | dict | tuple):
                return _Method(owner, function.attr, _base_name(function.value))
            if isinstance(owner, Module):
                if not owner.known:
                    self._foreign(owner, function)
                return module_member(owner.name, function.attr, function)
            if isinstance(owner, Var | Input):
                return arrays.Method(owner, function.attr, function.value)
            if isinstance(owner, Known) and owner.name == "np.add" and function.attr == "at":
                return Known("np.add.at", lambda ev, call, args, keywords: arrays.add_at(arrays.Call(ev, call, "np.add.at", args, keywords)))
            return self._attribute(ast.copy_location(ast.Attribute(value=function.value, attr=function.attr, ctx=ast.Load()), function))
        return self.eval(function)

    def _is_defined(self, name: str) -> bool:
        scope: Scope | None = self.scope
        while scope is not None:
            if name in scope.env:
                return True
            scope = scope.parent
        return False

    def _name_called(self, node: ast.Name) -> Value:
        try:
            return self._name(node)
        except Refusal as refusal:
            if refusal.code == "E103" and refusal.message.endswith("is not defined"):
                raise Refusal(
                    "E102",
                    f"`{node.id}` is not a function that the compiler knows",
                    label="not in the table of primitives",
                    help_=refusal.help or "`bpcompile ops` lists the primitives",
                    node=node,
                ) from refusal
            raise

    def _bare_function(self, node: ast.Name) -> Value:
        found = BARE.get(node.id)
        if found is not None:
            return found
        if node.id in {"np", "numpy", "math"}:
            return Module({"math": "math"}.get(node.id, "numpy"))
        close = suggest(node.id, BARE)
        help_ = f"did you mean `{close}`?" if close else f"for a product write `{node.id} * (...)`; `bpcompile ops` lists the functions"
        raise Refusal("E102", f"`{node.id}` is not a function that the compiler knows", label="not in the table of primitives", help_=help_, node=node)

    def call(self, function: Value, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Return the value of a call; a function of the user's is inlined."""
        if type(function) is Known:
            try:
                return function.apply(self, node, args, keywords)
            except Refusal as refusal:
                refusal.node = refusal.node or node
                raise
        if type(function) is Function:
            return self._inline(function, node, args, keywords)
        if type(function) is arrays.Method:
            try:
                return function.apply(self, node, args, keywords)
            except Refusal as refusal:
                refusal.node = refusal.node or node
                raise
        if isinstance(function, Module):
            if not function.known:
                self._foreign(function, node.func)
            raise Refusal("E116", f"{describe(function)} is not a function", node=node.func)
        if isinstance(function, Var | Input) or is_known(function):
            raise Refusal("E116", "a number is called like a function", node=node, help_="write `*` for a product")
        raise Refusal("E116", f"{describe(function)} is called like a function", node=node)

    def _inline(self, function: Function, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        definition = function.node
        values = self._bind_arguments(function, node, args, keywords)
        if self._calls >= MAX_CALLS:
            raise Refusal(
                "E107",
                f"calls of `{function.name}` go more than {MAX_CALLS} deep",
                node=node,
                help_="a recursion must end for numbers that are known while reading; use a loop",
                fatal=True,
            )
        self.charge(CALL_STEPS, node)
        outer, guard, loops = self.scope, self.builder.guard, self.loops
        self.scope = scope = Scope(function.scope, "function", function.names)
        scope.env.update(values)
        self.loops = 0
        self._calls += 1
        self.callers.append(outer)
        try:
            if isinstance(definition, ast.Lambda):
                return self.eval(definition.body)
            self._block(definition.body)
            result = self._settle(scope.returned, node)
        finally:
            self.callers.pop()
            self._calls -= 1
            self.scope, self.builder.guard, self.loops = outer, guard, loops
        if isinstance(result, Poison):
            raise Poisoned
        if isinstance(result, Partial):
            raise Refusal("E118", result.reason, node=node, help_=result.help)
        return result

    def _bind_arguments(self, function: Function, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> dict[str, Value]:
        arguments = function.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        name = function.name
        if len(args) > len(positional):
            raise Refusal("E109", f"`{name}` takes {len(positional)} argument{'' if len(positional) == 1 else 's'}, not {len(args)}", node=node)
        values = {parameter.arg: value for parameter, value in zip(positional, args, strict=False)}
        by_name = {parameter.arg for parameter in (*arguments.args, *arguments.kwonlyargs)}
        for key, value in keywords.items():
            if key not in by_name:
                close = suggest(key, sorted(by_name))
                raise Refusal("E109", f"`{name}` has no parameter `{key}`", node=node, help_=f"did you mean `{close}`?" if close else "")
            if key in values:
                raise Refusal("E109", f"`{name}` gets `{key}` twice", node=node)
            values[key] = value
        for parameter in (*positional, *arguments.kwonlyargs):
            if parameter.arg not in values:
                if parameter.arg not in function.defaults:
                    raise Refusal("E109", f"`{name}` needs the argument `{parameter.arg}`", node=node)
                values[parameter.arg] = function.defaults[parameter.arg]
        return values

    def run_function(self, function: Function, values: dict[str, Value], node: ast.AST) -> tuple[Value, Scope]:
        """Read the body of the function that is the program; return what it returns, and its names."""
        outer = self.scope
        self.scope = scope = Scope(function.scope, "function", function.names)
        scope.env.update(values)
        try:
            if isinstance(function.node, ast.Lambda):
                return self.eval(function.node.body), scope
            self._block(function.node.body)
            return self._settle(scope.returned, node), scope
        finally:
            self.scope = outer

    def _lambda(self, node: ast.Lambda) -> Value:
        return self._make_function("lambda", node)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Value:
        items: list[Value] = []
        self._generate(node.generators, 0, lambda: items.append(self.eval(node.elt)))
        return OneShot(items, self.path) if isinstance(node, ast.GeneratorExp) else ListValue(items, self.path)

    def _dict_comprehension(self, node: ast.DictComp) -> Value:
        result: dict[Any, Value] = {}

        def add() -> None:
            key = self._key(node.key)
            result[key] = self.eval(node.value)

        self._generate(node.generators, 0, add)
        return result

    def _generate(self, generators: list[ast.comprehension], depth: int, add: Callable[[], None]) -> None:
        if depth == len(generators):
            add()
            return
        generator = generators[depth]
        if generator.is_async:
            raise Refusal("E104", "`async` is not supported in a forward pass", node=generator.iter)
        items = self.items(self.eval(generator.iter), generator.iter)
        outer = self.scope
        self.scope = scope = Scope(outer, "comprehension")
        try:
            for item in items:
                self._bind_loop(scope, generator.target, item)
                if all(self.static_condition(self.eval(test), test, "whether an element is in the list") for test in generator.ifs):
                    self._generate(generators, depth + 1, add)
        finally:
            self.scope = outer

    def _bind_loop(self, scope: Scope, target: ast.expr, item: Value) -> None:
        """Bind the target of a comprehension in its own scope."""
        if isinstance(target, ast.Name):
            scope.env[target.id] = item
        elif isinstance(target, ast.Tuple | ast.List) and not any(isinstance(element, ast.Starred) for element in target.elts):
            if isinstance(item, Input) and not item.shape:
                item.make_list(len(target.elts))
            parts = self.items(item, target)
            if len(parts) != len(target.elts):
                raise Refusal("E108", f"{len(parts)} values for {len(target.elts)} names", node=target)
            for element, part in zip(target.elts, parts, strict=True):
                self._bind_loop(scope, element, part)
        else:
            raise Refusal("E104", "this target of a comprehension is not supported", node=target)

    def _walrus(self, node: ast.NamedExpr) -> Value:
        value = self.eval(node.value)
        self.store(node.target.id, value, node.value)
        return value


class _Branch:
    """What a branch on values did: how it ended, what it returned, the values it gave to names."""

    __slots__ = ("returned", "signal", "values")

    def __init__(self, signal: str | None, returned: Value, values: dict[str, Value]) -> None:
        self.signal = signal
        self.returned = returned
        self.values = values


class _FirstLine:
    """The first line of a compound statement: what is underlined where the whole statement is refused."""

    def __init__(self, node: ast.stmt, source: Source) -> None:
        self.lineno = self.end_lineno = node.lineno
        self.col_offset = node.col_offset
        text = source.line(node.lineno).rstrip()
        self.end_col_offset = max(node.col_offset + 1, len(text.encode("utf-8", "surrogatepass")))


class _Method:
    """A method of a list or dictionary, looked up and about to be called."""

    _LISTS: ClassVar[frozenset[str]] = frozenset({"append", "extend", "pop", "insert", "copy", "reverse", "index", "count", "clear"})

    def __init__(self, owner: Value, name: str, base: str) -> None:
        self.owner = owner
        self.name = name
        self.base = base

    def apply(self, ev: Evaluator, node: ast.Call) -> Value:
        """Return the value of the call."""
        if node.keywords:
            raise Refusal("E109", f"`.{self.name}` takes no argument by name here", node=node)
        args = [ev.eval(argument) for argument in node.args]
        owner = self.owner
        if isinstance(owner, dict):
            return self._of_dict(ev, node, owner, args)
        if isinstance(owner, ListValue):
            return self._of_list(ev, node, owner, args)
        raise self._unknown(node)

    def _unknown(self, node: ast.Call) -> Refusal:
        close = suggest(self.name, sorted(self._LISTS))
        return Refusal("E104", f"`.{self.name}` of {describe(self.owner)} is not supported", node=node.func, help_=f"did you mean `.{close}`?" if close else "")

    def _of_dict(self, ev: Evaluator, node: ast.Call, owner: dict[Any, Value], args: list[Value]) -> Value:
        if self.name in {"items", "values", "keys"} and not args:
            return ListValue({"items": owner.items, "values": owner.values, "keys": owner.keys}[self.name](), ev.path)
        if self.name == "get" and args and _is_static(args[0]) and not isinstance(args[0], list | dict):
            return owner.get(args[0], args[1] if len(args) > 1 else None)
        raise self._unknown(node)

    def _of_list(self, ev: Evaluator, node: ast.Call, owner: ListValue, args: list[Value]) -> Value:
        name, count = self.name, len(args)
        if name == "copy" and not count:
            return ListValue(owner, ev.path)
        if (name, count) in {("append", 1), ("extend", 1), ("insert", 2), ("reverse", 0), ("clear", 0), ("pop", 0), ("pop", 1)}:
            ev._check_mutable(owner, node)  # noqa: SLF001  one module, one rule for what may change
            return self._change(ev, node, owner, args)
        raise self._unknown(node)

    def _change(self, ev: Evaluator, node: ast.Call, owner: ListValue, args: list[Value]) -> Value:
        if self.name == "pop":
            if not owner:
                raise Refusal("E108", "`.pop` from an empty list", node=node)
            index = ev.static_int(args[0], node.args[0], "an index") if args else -1
            if not -len(owner) <= index < len(owner):
                raise Refusal("E108", f"index {index} of a list of length {len(owner)}", node=node)
            return owner.pop(index)
        if self.name == "append":
            value = args[0]
            if type(value) is Var and value.name is None and self.base:
                value.name, value.stage = f"{self.base}[{len(owner)}]", True
            owner.append(value)
            if self.base and ev.scope is ev.module and ev.depends(value):
                ev.last = (self.base, owner, ev.spans.of(node))
        elif self.name == "extend":
            owner.extend(ev.items(args[0], node.args[0]))
            owner.named = False
            if self.base:
                ev._name_elements(self.base, owner)  # noqa: SLF001  one module
        elif self.name == "insert":
            owner.insert(ev.static_int(args[0], node.args[0], "an index"), args[1])
        elif self.name == "reverse":
            owner.reverse()
        else:
            owner.clear()
        return None


_BINDS_NOTHING: Final = frozenset({ast.Constant, ast.Lambda, *ast.operator.__subclasses__(), *ast.unaryop.__subclasses__(), ast.Load})
_PLAIN_NODES: Final = frozenset(
    {ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.BinOp, ast.UnaryOp, ast.Call, ast.Attribute, ast.IfExp, ast.Tuple, ast.List},
)


def assigned_names(body: Sequence[ast.AST] | ast.expr) -> dict[str, None]:
    """Return the names that statements bind in their own scope, in order; not those inside functions and comprehensions."""
    found: dict[str, None] = {}
    stack: list[ast.AST] = list(reversed(body)) if isinstance(body, Sequence) else [body]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is not ast.Load:  # type: ignore[attr-defined]  # a Name
                found[node.id] = None  # type: ignore[attr-defined]  # a Name
            continue
        if kind in _BINDS_NOTHING:
            continue
        if kind in _PLAIN_NODES:
            # Most of any program. Fields stand in their order in `__dict__`; reading it is several times faster than `iter_child_nodes`.
            for value in reversed(node.__dict__.values()):
                if isinstance(value, ast.AST):
                    stack.append(value)
                elif type(value) is list:
                    stack.extend(reversed(value))
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = None
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = None
            continue
        if isinstance(node, ast.ExceptHandler) and node.name:
            found[node.name] = None
        if isinstance(node, ast.Lambda | ast.Constant):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            found.update((inner.target.id, None) for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def depends(value: Value, constants: Container[Var] = ()) -> bool:
    """Say whether a value is, or holds, something that depends on an input."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Var | Input):
            if one not in constants:
                return True
        elif isinstance(one, list | tuple | dict) and id(one) not in seen:
            seen.add(id(one))
            stack.extend(one.values() if isinstance(one, dict) else one)
    return False


def _resolved(item: Input) -> Var | Input:
    """Return the variable of an input that has one."""
    return item if item.var is None else item.var


def _unchanged(before: Value, now: Value) -> bool:
    return before is now or (is_known(before) and is_known(now) and bool(before == now))


def snapshot(value: Value) -> Value:
    """Return a copy of a structure, so that later changes of its lists do not reach it."""
    if isinstance(value, ListValue):
        return ListValue([snapshot(item) for item in value], value.born)
    if isinstance(value, tuple):
        return tuple(snapshot(item) for item in value)
    return {key: snapshot(item) for key, item in value.items()} if isinstance(value, dict) else value


def _may_return(statement: ast.stmt) -> bool:
    """Whether a statement that could not be read may have ended the function."""
    if isinstance(statement, ast.If | ast.For | ast.While):
        return any(isinstance(inner, ast.Return) for inner in ast.walk(statement))
    return isinstance(statement, ast.Return)


def _whole_example(shape: Shape, bounds: tuple[int, int]) -> Any:
    """Return whole numbers in a range for an input without an example; None where its shape is not known."""
    low, high = bounds
    if not all(isinstance(size, int) for size in shape):
        return None
    sizes = [int(size) for size in shape]
    count = math.prod(sizes)
    values: list[Any] = [low + (7 * i + 3) % (high - low) for i in range(min(count, MAX_ELEMENTS))]
    if count > MAX_ELEMENTS:
        return None
    for size in reversed(sizes[1:]):
        values = [values[i : i + size] for i in range(0, len(values), size)] if size else []
    return values if sizes else values[0]


def _is_scalar(value: Value) -> bool:
    return type(value) in _NUMBERS or isinstance(value, Var | Size) or (isinstance(value, Input) and value.state != "list")


def _is_condition(value: Value) -> bool:
    return isinstance(value, bool) or (isinstance(value, Var) and value.dtype == "bool")


def _is_static(value: Value) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_static(item) for item in value)
    if isinstance(value, dict):
        return all(_is_static(item) for item in value.values())
    return type(value) in _NUMBERS or value is None or isinstance(value, str | range)


def _is_print(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "display"}


def _is_main_guard(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "__name__"


def _base_name(node: ast.expr) -> str:
    """Return the name of a container as elements show it: `h`, or `h[0]` for a list in a list."""
    suffix = ""
    while isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        suffix = f"[{node.slice.value!r}]{suffix}"
        node = node.value
    return node.id + suffix if isinstance(node, ast.Name) else ""


def _root_name(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(node))


def _first_steps(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Return, for each name, the statement that first changes it after its first assignment; function bodies apart."""
    seen: set[str] = set()
    steps: dict[str, ast.stmt] = {}
    stack: list[ast.stmt] = list(reversed(body))
    while stack:
        node = stack.pop()
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.For | ast.While | ast.If):
            stack.extend(reversed([*node.body, *node.orelse]))
        for target in targets:
            for name in assigned_names(target):
                if name in seen:
                    steps.setdefault(name, node)
                seen.add(name)
    return steps


def _plain(value: Value) -> Any:
    """Return nested `ListValue`s of numbers as plain lists."""
    if isinstance(value, ListValue):
        return [_plain(item) for item in value]
    return tuple(_plain(item) for item in value) if isinstance(value, tuple) else value


def _array_shape(example: Any, node: ast.AST) -> Shape:
    shape: list[int] = []
    level = [example]
    while level and all(isinstance(part, list | tuple) for part in level):
        sizes = {len(part) for part in level}
        if len(sizes) > 1:
            raise Refusal("E108", "the rows of this array differ in length", node=node)
        shape.append(len(level[0]))
        level = [item for part in level for item in part]
    if any(isinstance(part, list | tuple) for part in level):
        raise Refusal("E108", "this array mixes numbers and lists", node=node)
    return tuple(shape)


_SIGNS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
_ARITHMETIC: Final[dict[type[ast.operator], str]] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.Mod: "mod"}
_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
_COMPARISON_SIGNS: Final[dict[type[ast.cmpop], str]] = {ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}
_UNSUPPORTED_STATEMENTS: Final = {
    "ClassDef": ("a class", "write functions of numbers and lists"),
    "Try": ("`try`", "a forward pass has no exceptions: write the condition as an `if`"),
    "TryStar": ("`try`", "a forward pass has no exceptions: write the condition as an `if`"),
    "With": ("`with`", "remove it; only arithmetic is compiled"),
    "AsyncFunctionDef": ("`async`", "write a plain function"),
    "AsyncFor": ("`async`", "write a plain loop"),
    "AsyncWith": ("`async`", "remove it; only arithmetic is compiled"),
    "Global": ("`global`", "pass the value as a parameter and return it"),
    "Nonlocal": ("`nonlocal`", "pass the value as a parameter and return it"),
    "Raise": ("`raise`", "a forward pass has no exceptions"),
    "Match": ("`match`", "write `if` and `elif`"),
}
_UNSUPPORTED_EXPRESSIONS: Final = {
    "Yield": ("`yield`", "return a list"),
    "YieldFrom": ("`yield`", "return a list"),
    "Await": ("`await`", "write a plain function"),
    "JoinedStr": ("a formatted string", "only numbers are compiled; printing is ignored"),
    "Set": ("a set", "write a list: a set has no order"),
    "SetComp": ("a set", "write a list: a set has no order"),
    "Starred": ("a star here", ""),
    "Slice": ("a slice here", ""),
}

_STATEMENTS: Final[dict[type[ast.stmt], Callable[[Evaluator, Any], str | None]]] = {
    ast.Assign: Evaluator._assign,  # noqa: SLF001  the table of this module's own methods, here and below
    ast.AnnAssign: Evaluator._ann_assign,  # noqa: SLF001
    ast.AugAssign: Evaluator._aug_assign,  # noqa: SLF001
    ast.Expr: Evaluator._expr_statement,  # noqa: SLF001
    ast.For: Evaluator._for,  # noqa: SLF001
    ast.While: Evaluator._while,  # noqa: SLF001
    ast.If: Evaluator._if,  # noqa: SLF001
    ast.Return: Evaluator._return,  # noqa: SLF001
    ast.FunctionDef: Evaluator._function,  # noqa: SLF001
    ast.Import: Evaluator._import,  # noqa: SLF001
    ast.ImportFrom: Evaluator._import_from,  # noqa: SLF001
    ast.Delete: Evaluator._delete,  # noqa: SLF001
    ast.Assert: Evaluator._pass,  # noqa: SLF001
    ast.Pass: Evaluator._pass,  # noqa: SLF001
    ast.Break: Evaluator._break,  # noqa: SLF001
    ast.Continue: Evaluator._continue,  # noqa: SLF001
}

_EXPRESSIONS: Final[dict[type[ast.expr], Callable[[Evaluator, Any], Value]]] = {
    ast.Constant: Evaluator._literal,  # noqa: SLF001
    ast.Name: Evaluator._name,  # noqa: SLF001
    ast.BinOp: Evaluator._binary,  # noqa: SLF001
    ast.UnaryOp: Evaluator._unary,  # noqa: SLF001
    ast.BoolOp: Evaluator._bool_op,  # noqa: SLF001
    ast.Compare: Evaluator._compare,  # noqa: SLF001
    ast.IfExp: Evaluator._if_exp,  # noqa: SLF001
    ast.Call: Evaluator._call,  # noqa: SLF001
    ast.Attribute: Evaluator._attribute,  # noqa: SLF001
    ast.Subscript: Evaluator._subscript,  # noqa: SLF001
    ast.List: Evaluator._list,  # noqa: SLF001
    ast.Tuple: Evaluator._tuple,  # noqa: SLF001
    ast.Dict: Evaluator._dict,  # noqa: SLF001
    ast.Lambda: Evaluator._lambda,  # noqa: SLF001
    ast.ListComp: Evaluator._comprehension,  # noqa: SLF001
    ast.GeneratorExp: Evaluator._comprehension,  # noqa: SLF001
    ast.DictComp: Evaluator._dict_comprehension,  # noqa: SLF001
    ast.NamedExpr: Evaluator._walrus,  # noqa: SLF001
}
