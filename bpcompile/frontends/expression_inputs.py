"""
The inputs of a program made of SymPy symbols: which there are, in what order, and what is wrong with them.

Inputs are real by contract. A symbol that can't be one is refused: symbols that do not commute, that are not real, or two that
only differ in what no reader sees.

>>> sorted(["x10", "x2", "a"], key=natural)
['a', 'x2', 'x10']
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import sympy

from bpcompile import dims
from bpcompile.diagnostics import CompileError, Diagnostic, Span
from bpcompile.frontends.expression_table import Table
from bpcompile.frontends.index_ranges import Indices
from bpcompile.frontends.stages import Stage
from bpcompile.ir import Param, Shape, Tree, Var, show_shape

#: A parameter: one symbol, or a list of them, nested as the user nested it.
SymbolTree = Union[sympy.Symbol, tuple["SymbolTree", ...]]


class Inputs:
    """
    The inputs of the program.

    Attributes:
        params: The parameters in order.
        vars: The variable of each symbol's node, also of symbols that only unused stages have.
        used: The variables that some output depends on.
    """

    def __init__(
        self,
        table: Table,
        indices: Indices,
        reachable: Sequence[int],
        inputs: Sequence[tuple[str, SymbolTree]],
        order: Sequence[str],
        shapes: Mapping[str, Shape],
        spans: Mapping[str, Span],
    ) -> None:
        self._table = table
        self._faults: list[Diagnostic] = []
        self._indices = indices
        used = {number for number in reachable if self._is_input(number)}
        trees = self._wanted(inputs, used)
        placed = {number for _, tree in trees for number in _numbers(tree)}
        rest = sorted(used - placed, key=lambda n: (natural(table.atoms[n].name), n))  # type: ignore[union-attr]  # a symbol
        trees += [(table.atoms[n].name, n) for n in rest]  # type: ignore[union-attr]  # a symbol
        if order:
            place = {name: i for i, name in enumerate(order)}
            trees.sort(key=lambda item: place.get(item[0], len(place)))
        self._order = order
        self._shapes = {name: dims.read_shape(sizes) for name, sizes in shapes.items()}
        self.vars: dict[int, Var] = {}
        self.params: list[Param] = []
        taken: set[str] = set()
        for name, tree in trees:
            unique = name
            while unique in taken:
                unique = f"{name}_{len([t for t in taken if t.startswith(name)]) + 1}"
            taken.add(unique)
            self.params.append(self._param(unique, tree, spans.get(name)))
        self.used = {self.vars[n] for n in used}
        for number, atom in enumerate(table.atoms):  # symbols of stages that lead nowhere
            if number not in self.vars and self._is_input(number):
                self.vars[number] = Var(name=atom.name, shape=indices.shapes.get(number, ()))  # type: ignore[union-attr]  # an input

    def _is_input(self, number: int) -> bool:
        if isinstance(self._table.atoms[number], sympy.MatrixSymbol | sympy.IndexedBase):
            return number not in self._indices.faults
        return isinstance(self._table.atoms[number], sympy.Symbol) and self._table.heads[number] is not Stage and number not in self._indices.no_values

    def _wanted(self, inputs: Sequence[tuple[str, SymbolTree]], used: set[int]) -> list[tuple[str, Any]]:
        """Return the declared inputs over node numbers, each symbol once."""
        names = {self._table.atoms[n].name for n in used}  # type: ignore[union-attr]  # symbols
        taken: set[int] = set()
        result: list[tuple[str, Any]] = []
        for name, tree in inputs:
            numbers = _map_tree(tree, self._table.add)
            flat = list(_numbers(numbers))
            # A symbol that is used nowhere and shadowed by another of its name, or an index, is a leftover; so is an array.
            array = isinstance(numbers, int) and not isinstance(self._table.atoms[numbers], sympy.Symbol)
            leftover = isinstance(numbers, int) and numbers not in used and (array or name in names or numbers in self._indices.not_inputs)
            if not leftover and not taken.intersection(flat) and len(set(flat)) == len(flat):
                taken.update(flat)
                result.append((name, numbers))
        return result

    def _param(self, name: str, tree: Any, span: Span | None) -> Param:
        shape = self._shapes.get(name, ())
        if isinstance(tree, tuple) and shape:
            self._faults.append(Diagnostic("E159", f"`{name}` is a list of symbols and can't have the shape of an array", span))
            shape = ()
        built: dict[int, Tree] = {}

        def build(node: Any, label: str) -> Tree:
            if isinstance(node, tuple):
                return tuple(build(part, f"{label}[{i}]") for i, part in enumerate(node))
            own = self._indices.shapes.get(node, shape)
            if shape and own != shape:
                message = f"`{name}` has the shape {show_shape(own)}, not {show_shape(shape)}"
                self._faults.append(Diagnostic("E159", message, span))
            built[node] = self.vars[node] = Var(name=label, shape=own)
            return self.vars[node]

        param = Param(name, build(tree, name), span=span)
        notes = [_assumption(self._table.atoms[node]) for node in _numbers(tree)]
        param.note = next((note for note in notes if note), "")
        original = self._table.atoms[tree].name if isinstance(tree, int) else name  # type: ignore[union-attr]  # a symbol
        if name != original:
            param.note = f"the second `{original}`" + (f", {param.note}" if param.note else "")
        return param

    def check_symbols(self, spans: Mapping[str, Span] | None) -> None:
        """
        Refuse symbols that can't be inputs.

        Raises:
            CompileError: E152, E153, E154, E158, E159.
        """
        seen: dict[str, int] = {}
        for number, var in self.vars.items():
            symbol: Any = self._table.atoms[number]
            if var not in self.used:
                continue
            span = (spans or {}).get(symbol.name)
            if not isinstance(symbol, sympy.Symbol):
                pass  # an array
            elif not symbol.is_commutative:
                self._faults.append(Diagnostic("E153", f"`{symbol.name}` does not commute", span, help="make it an ordinary symbol"))
            elif symbol.is_extended_real is False:
                self._faults.append(Diagnostic("E152", f"`{symbol.name}` is not real", span, help="inputs are real numbers: split it into its two parts"))
            if isinstance(symbol, sympy.Dummy):
                continue
            other = seen.setdefault(symbol.name, number)
            if other != number:
                both = " and ".join(self._describe(n) for n in (other, number))
                message = f"two different symbols are called `{symbol.name}`: {both}"
                self._faults.append(Diagnostic("E154", message, span, help="make the symbol once, with its assumptions, or give them different names"))
        self._check_names(self._shapes, "--shape")
        self._check_names(self._order, "the order of the inputs")
        if self._faults:
            raise CompileError(*self._faults)

    def _describe(self, number: int) -> str:
        if isinstance(self._table.atoms[number], sympy.Symbol):
            return _assumptions(self._table.atoms[number])
        return f"an array of shape {show_shape(self._indices.shapes.get(number, ()))}"

    def _check_names(self, names: Any, place: str) -> None:
        known = [p.name for p in self.params]
        self._faults += [unknown_name(name, known, f"no input `{name}`", f"in {place}") for name in names if name not in known]

    def give_examples(self, at: Mapping[Any, Any]) -> None:
        """
        Set the example values.

        Raises:
            CompileError: E158, E159.
        """
        by_name = {p.name: p for p in self.params}
        by_symbol = {var: number for number, var in self.vars.items()}
        single = {self._table.atoms[by_symbol[leaf]].name: leaf for p in self.params for leaf in p.leaves()}  # type: ignore[union-attr]  # symbols
        single.update({leaf.name: leaf for p in self.params for leaf in p.leaves() if leaf.name})
        values: dict[Var, Any] = {}
        for key, value in at.items():
            name = key.name if isinstance(key, sympy.Symbol) else str(key)
            number = self._table.add(key) if isinstance(key, sympy.Symbol) else None
            leaf = self.vars.get(number) if number is not None else None
            leaf = single.get(name) if leaf is None else leaf
            if leaf is not None and name not in by_name:
                values[leaf] = value
            elif name in by_name:
                self._fit(by_name[name].tree, value, name, values)
            else:
                self._faults.append(unknown_name(name, list(by_name), f"no input `{name}`", "among the example values"))
        for param in self.params:
            if all(leaf in values for leaf in param.leaves()):
                param.example = _map_values(param.tree, values)
        if self._faults:
            raise CompileError(*self._faults)

    def _fit(self, tree: Tree, value: Any, name: str, values: dict[Var, Any]) -> None:
        if isinstance(tree, Var):
            values[tree] = value
        elif not isinstance(value, list | tuple) or len(value) != len(tree):
            self._faults.append(Diagnostic("E159", f"the example value of `{name}` is not a list of {len(tree)} numbers"))
        else:
            for i, (part, item) in enumerate(zip(tree, value, strict=True)):
                self._fit(part, item, f"{name}[{i}]", values)

    def choose(self, wrt: Sequence[str] | None) -> None:
        """
        Say whose gradient is wanted.

        Raises:
            CompileError: E158.
        """
        if wrt is None:
            return
        self._check_names(wrt, "--wrt")
        if self._faults:
            raise CompileError(*self._faults)
        for param in self.params:
            param.wrt = param.name in wrt


def unknown_name(name: str, known: Sequence[str], message: str, label: str) -> Diagnostic:
    """Build the finding for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, known, 1)
    return Diagnostic("E158", f"{message} {label}", help=f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(known) if known else "")


def _numbers(tree: Any) -> list[int]:
    if isinstance(tree, int):
        return [tree]
    return [number for part in tree for number in _numbers(part)]


def _map_tree(tree: Any, function: Callable[[Any], int]) -> Any:
    return tuple(_map_tree(part, function) for part in tree) if isinstance(tree, tuple) else function(tree)


def _map_values(tree: Tree, values: Mapping[Var, Any]) -> Any:
    return values[tree] if isinstance(tree, Var) else [_map_values(part, values) for part in tree]


def _assumption(symbol: Any) -> str:
    """Name the strongest assumption that SymPy may have simplified by."""
    for word in ("zero", "positive", "negative", "nonnegative", "nonpositive", "even", "odd", "integer", "nonzero"):
        if isinstance(symbol, sympy.Symbol) and getattr(symbol, f"is_{word}"):
            return f"assumed {word}"
    return ""


def _assumptions(symbol: Any) -> str:
    given = [word if holds else f"not {word}" for word, holds in sorted(symbol._assumptions_orig.items())]  # noqa: SLF001  what the user asked for
    return f"one {' and '.join(given)}" if given else "one without assumptions"


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """
    Return the key that sorts names as people do.

    >>> sorted(["x10", "x2", "a"], key=natural)
    ['a', 'x2', 'x10']
    """
    return tuple((1, int(part), part) if part.isdecimal() and part.isascii() else (0, 0, part) for part in re.split(r"([0-9]{1,18})", name))
