"""
What a name can stand for while forward code is read, and the exceptions that steer the reading.

A value is a `Var` (depends on an input, or is an array), a plain Python number, bool, string or None (known now), a `Size` known at
run time, a `ListValue`, tuple, dict or range of values, an `Input` not yet decided upon, a function, a module, or `POISON` after an error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bpcompile import dims
from bpcompile.diagnostics import Diagnostic
from bpcompile.ir import Dim, Shape, Tree, Var

if TYPE_CHECKING:
    from bpcompile.frontends.evaluation import Evaluator

Value = Any

#: An element of an input that is never seen before is created on demand up to this index.
MAX_ELEMENTS: Final = 100_000
#: The name of an element is no longer than this: `h[1][1]...` of a list in itself has no end.
MAX_PATH: Final = 1_000


class Refusal(Exception):  # noqa: N818  not an error of the program: it becomes a diagnostic
    """
    Something the compiler can't read; becomes a diagnostic at `node`, or at the nearest node that catches it.

    Args:
        fatal: Nothing after it is worth reading (a limit is reached).
    """

    def __init__(self, code: str, message: str, *, label: str = "", help_: str = "", node: ast.AST | None = None, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.label = label
        self.help = help_
        self.node = node
        self.fatal = fatal


class Poisoned(Exception):  # noqa: N818  control flow
    """A value was used whose own error is known already."""


class Restart(Exception):  # noqa: N818  control flow
    """
    Something about inputs turned out that must be known from the start: read again with that.

    Args:
        names: The inputs.
        what: A field of `Knowledge`.
    """

    def __init__(self, names: tuple[str, ...], what: str = "fixed") -> None:
        super().__init__(", ".join(names))
        self.names = names
        self.what = what


@dataclass(frozen=True, slots=True)
class Knowledge:
    """
    What earlier readings found out of inputs, by name.

    Attributes:
        fixed: They must be numbers known while reading (`n` in `range(n // 2)`).
        scales: They are fixed because they scale random examples.
        sizes: They are sizes of axes, and may stay names.
        integers: They are positions in arrays: whole numbers without a derivative.
        arrays: They are arrays as a whole, not lists of scalars.
    """

    fixed: frozenset[str] = frozenset()
    scales: frozenset[str] = frozenset()
    sizes: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset()
    arrays: frozenset[str] = frozenset()

    def after(self, restart: Restart) -> Knowledge:
        """Return what is known now."""
        names = frozenset(restart.names)
        more = {restart.what: getattr(self, restart.what) | names}
        if restart.what in {"fixed", "scales"}:
            more["fixed"] = self.fixed | names
        more["sizes"] = more.get("sizes", self.sizes) - more.get("fixed", self.fixed)
        return replace(self, **more)


class Poison:
    """The value of a name whose definition has an error; `pending` are diagnostics not shown before the name is used."""

    __slots__ = ("pending",)

    def __init__(self, pending: tuple[Diagnostic, ...] = ()) -> None:
        self.pending = pending


POISON: Final = Poison()


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The value of a name that only one branch of an `if` on values assigns, or that the two branches give different kinds."""

    reason: str
    help: str


class ListValue(list[Value]):
    """
    A list of the user's program.

    Attributes:
        born: The branches on values it was created in; it must not change deeper inside.
        frozen: Name of the parameter whose elements these are: the caller's list must not change.
        named: Its elements have been given names.
    """

    __slots__ = ("born", "frozen", "named")

    def __init__(self, items: Any = (), born: tuple[int, ...] = (), frozen: str = "") -> None:
        super().__init__(items)
        self.born = born
        self.frozen = frozen
        self.named = False


class OneShot(ListValue):
    """What a generator expression, `zip`, `map` and the like give: it can be gone through once, and then is empty."""

    __slots__ = ()

    def take(self) -> list[Value]:
        """Return the elements and leave none."""
        items = list(self)
        self.clear()
        return items


class Input:
    """
    An input, or an element of one, until its use decides what it is: a value, a list, or a number known now.

    Attributes:
        path: Its name: `w`, `w[0]`.
        root: The name that the user knows: `w`.
        example: Its example value, None when there is none.
        shape: Its shape where that is stated.
        dtype: `float`, or `int` or `bool` for what carries no derivative.
        array: Its shape is that of an array as a whole; it can't turn out to be a list of scalars.
        state: `open`, `value`, `list` or `static`.
        grows: A list whose length is known only from the indices used.
        stated: For a list, the shape that was stated before it became one.
    """

    __slots__ = ("array", "dtype", "example", "grows", "items", "path", "root", "shape", "state", "stated", "var")

    def __init__(self, path: str, root: str, example: Any = None, shape: Shape = (), *, dtype: str = "float", array: bool = False) -> None:
        self.path = path
        self.root = root
        self.example = example
        self.shape = shape
        self.dtype = dtype
        self.array = array or len(shape) > 1 or not all(isinstance(size, int) for size in shape)
        self.state = "open"
        self.stated: Shape = ()
        self.grows = False
        self.items: list[Input] = []
        self.var: Var | None = None

    def scalar(self) -> Var:
        """Return its variable; from now on it is a value."""
        if self.var is None:
            if self.state == "static":
                raise Restart((self.root,))
            if self.state == "list" and self.stated:
                raise Restart((self.root,), "arrays")
            if self.state == "list":
                raise Refusal("E116", f"`{self.path}` is used as a list and as a number", help_="use its elements")
            self.state = "value"
            self.var = Var(name=self.path, shape=self.shape, dtype=self.dtype)
        return self.var

    def known(self) -> Any:
        """Return its example as a number known now; from now on it is no input."""
        if self.state == "value":
            raise Restart((self.root,))
        self.state = "static"
        return self.example

    def split_up(self) -> None:
        """Decide that what was stated as a shape of numbers is the length of a list, and of lists in it."""
        sizes, self.shape = self.shape, ()
        self.stated = sizes
        self.make_list(int(sizes[0]))
        for item in self.items:
            item.shape = sizes[1:]

    def make_list(self, length: int | None) -> None:
        """Decide that it is a list, of that length or growing with use."""
        if self.state == "list":
            if length is None or (not self.grows and length == len(self.items)):
                return
            if not self.grows:
                raise Refusal("E108", f"`{self.path}` has {len(self.items)} elements, not {length}")
            if length < len(self.items):
                raise Refusal("E108", f"`{self.path}` has at least {len(self.items)} elements, not {length}")
            self.grows = False
        elif self.state == "value":
            raise Refusal("E116", f"`{self.path}` is used as a number and as a list", help_="use its elements")
        else:
            self.state = "list"
            self.grows = length is None
        self.grow(length or 0)

    def grow(self, length: int) -> None:
        """Make sure that it has at least `length` elements."""
        for i in range(len(self.items), length):
            self.items.append(Input(f"{self.path}[{i}]", self.root))

    def tree(self) -> Tree:
        """Return its variable, or those of its elements."""
        if self.state == "list":
            self._even_out()
            return tuple(item.tree() for item in self.items)
        return self.scalar()

    def _even_out(self) -> None:
        """Give rows of which the length is known only from the indices used the same length: `W[1][2]` makes a matrix."""
        lengths = [len(item.items) for item in self.items if item.state == "list" and item.grows]
        if self.grows and lengths:
            for item in self.items:
                if item.state == "open" or item.grows:
                    item.make_list(None)
                    item.grow(max(lengths))

    def states(self) -> set[str]:
        """Return the states of all its scalar elements; only to be asked for membership."""
        if self.state != "list":
            return {self.state}
        return set().union(*(item.states() for item in self.items))


@dataclass(frozen=True, slots=True)
class Size:
    """A size of an axis that only run time knows, or arithmetic of such: `N`, `2*N + 1`."""

    dim: Dim

    @staticmethod
    def of(dim: Dim) -> Size | int:
        """Return a size as a value: an int when it is known."""
        return dim if isinstance(dim, int) else Size(dim)

    def __str__(self) -> str:
        return dims.show(self.dim)


@dataclass(frozen=True, slots=True)
class SizeRange:
    """`range(N)` of a size that only run time knows: good as an index, not for a loop."""

    size: Dim


class Scope:
    """
    The names of a module, a function call or a comprehension.

    Attributes:
        log: Inside a branch on values, what each name was before it; MISSING if nothing.
        pending: Returns taken under conditions: (condition, taken when, value, guard of the choice).
        names: For a function, the names it assigns.
    """

    __slots__ = ("env", "log", "names", "parent", "pending", "returned", "role")

    def __init__(self, parent: Scope | None, role: str, names: frozenset[str] = frozenset()) -> None:
        self.env: dict[str, Value] = {}
        self.parent = parent
        self.role = role
        self.names = names
        self.log: dict[str, Value] | None = None
        self.pending: list[tuple[Var, bool, Value, Any]] = []
        self.returned: Value = None


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the user's, inlined where it is called."""

    name: str
    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    defaults: dict[str, Value] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Module:
    """A module: one that the compiler knows functions of, or a foreign one, refused when used."""

    name: str
    known: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A function that the compiler knows; `apply` gives the value of a call."""

    name: str
    apply: Callable[[Evaluator, ast.Call, list[Value], dict[str, Value]], Value]


MISSING: Final = object()


def describe(value: Value) -> str:
    """Say what kind of thing a value is."""
    if isinstance(value, Var | Input):
        shape = value.shape
        return "an array" if shape else "a value"
    if isinstance(value, Function | Known):
        return f"function `{value.name}`"
    if isinstance(value, Module):
        return f"module `{value.name}`"
    if isinstance(value, Size):
        return f"the size `{value}`"
    if isinstance(value, SizeRange):
        return "a range"
    if value is None:
        return "`None`"
    if isinstance(value, str | bytes):
        return "a string"
    if isinstance(value, complex):
        return "a complex number"
    return {ListValue: "a list", OneShot: "a generator", tuple: "a tuple", dict: "a dictionary", range: "a range", bool: "a bool"}.get(type(value), "a number")
