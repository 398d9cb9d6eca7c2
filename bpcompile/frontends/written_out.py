"""
Sums over the entries of matrices that SymPy has written out, as sums again.

`(w.T*w)[0]` of three rows is `w[0, 0]**2 + w[1, 0]**2 + w[2, 0]**2` to SymPy. Terms that differ in nothing but a position that runs
over a whole axis become one `Sum`, and with it one operation on arrays.

>>> w = sympy.MatrixSymbol("w", 3, 1)
>>> table = Table()
>>> root = gathered(table, table.add((w.T * w)[0]))
>>> table.heads[root].__name__, len(table.args[root])
('Sum', 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sympy
from sympy.matrices.expressions.matexpr import MatrixElement

from bpcompile.frontends.expression_table import Index, Table

#: Sums of more terms are left as they are.
_LIMIT: Final = 5000
_NAMES: Final = "ijklmnpqrstuvwxyz"


def gathered(table: Table, node: int) -> int:
    """Return a sum with terms that run over the entries of a matrix as a `Sum`; the node itself where there are none."""
    terms = table.args[node]
    if table.heads[node] is not sympy.Add or len(terms) > _LIMIT:
        return node
    names: dict[Any, int] = {}
    shapes = [_Shape(table, term, names) for term in terms]
    groups: dict[Any, list[int]] = {}
    for at, shape in enumerate(shapes):
        if shape.positions:
            groups.setdefault(shape.key, []).append(at)
    result: dict[int, int] = dict(enumerate(terms))
    for places in groups.values():
        whole = _rolled(table, [shapes[at] for at in places]) if len(places) > 1 else None
        if whole is not None:
            result[places[0]] = whole
            for at in places[1:]:
                del result[at]
    if len(result) == len(terms):
        return node
    kept = list(result.values())
    return kept[0] if len(kept) == 1 else table.node(sympy.Add, kept)


class _Shape:
    """
    A term with the positions in it taken out.

    Attributes:
        key: What is left; equal for terms that differ in positions only.
        positions: The positions, in the order in which they stand in the term.
        sizes: The sizes of the axes that they stand at.
    """

    def __init__(self, table: Table, root: int, names: dict[Any, int]) -> None:
        self.table = table
        self.names = names
        self.root = root
        self.positions: list[int] = []
        self.sizes: list[Any] = []
        self.elements = [n for n in table.reachable([root]) if is_entry(table, n)]
        self.key = self._key() if self.elements else None

    def _key(self) -> Any:
        table = self.table
        inner = dict.fromkeys(self.elements, ())
        above = _above(table, self.root, set(self.elements))
        keys: dict[int, tuple[str, int]] = {}
        for number in sorted({*above, *inner}):
            if number in inner:
                base, *places = table.args[number]
                key: tuple[Any, ...] = ("entry", base, *(None if self._is_number(part) else part for part in places))
            else:
                key = (table.heads[number], *(keys.get(part, part) for part in table.args[number]))
            keys[number] = "key", self.names.setdefault(key, len(self.names))
        for number in _in_order(table, self.root, above, set(self.elements)):
            base, *places = table.args[number]
            for part, size in zip(places, table.args[base], strict=True):
                position: Any = table.atoms[part]
                if self._is_number(part):
                    self.positions.append(int(position))
                    self.sizes.append(table.atoms[size])
        return keys[self.root]

    def _is_number(self, part: int) -> bool:
        return isinstance(self.table.atoms[part], sympy.Integer)

    def with_index(self, slots: Sequence[int], values: Sequence[int]) -> int:
        """Return the term with other nodes at some of its positions."""
        table = self.table
        above = _above(table, self.root, set(self.elements))
        at = dict(zip(slots, values, strict=True))
        slot = 0
        made: dict[int, int] = {}
        for number in _in_order(table, self.root, above, set(self.elements)):
            base, *places = table.args[number]
            parts = []
            for part in places:
                parts.append(at.get(slot, part) if self._is_number(part) else part)
                slot += self._is_number(part)
            made[number] = table.node(MatrixElement, (base, *parts))
        for number in above:
            made[number] = table.node(table.heads[number], [made.get(part, part) for part in table.args[number]])
        return made[self.root]


def is_entry(table: Table, number: int) -> bool:
    """Whether a node is an entry of a matrix of fixed size, at a position of which some part is a number."""
    if table.heads[number] is not MatrixElement or table.heads[table.args[number][0]] is not sympy.MatrixSymbol:
        return False
    base, *places = table.args[number]
    sized = all(isinstance(table.atoms[part], sympy.Integer) for part in table.args[base])
    return sized and any(isinstance(table.atoms[part], sympy.Integer) for part in places)


def _above(table: Table, root: int, elements: set[int]) -> list[int]:
    """Return the nodes between a term and the entries in it, arguments first."""
    contain = set(elements)
    found = []
    for number in table.reachable([root]):
        if number not in elements and table.atoms[number] is None and any(part in contain for part in table.args[number]):
            contain.add(number)
            found.append(number)
    return found


def _in_order(table: Table, root: int, above: Sequence[int], elements: set[int]) -> list[int]:
    """Return the entries in the order in which they stand in a term, each once."""
    seen: dict[int, None] = {}
    inside = {*above, *elements}
    stack, visited = [root], set()
    while stack:
        number = stack.pop()
        if number in elements:
            seen.setdefault(number)
        elif number in inside and number not in visited:
            visited.add(number)
            stack.extend(reversed(table.args[number]))
    return list(seen)


def _rolled(table: Table, shapes: Sequence[_Shape]) -> int | None:
    """Return terms of one shape as one `Sum`, None where they are not all the terms of one."""
    columns = list(zip(*(shape.positions for shape in shapes), strict=True)) if len({len(s.positions) for s in shapes}) == 1 else []
    varying = [slot for slot, column in enumerate(columns) if len(set(column)) > 1]
    if not varying:
        return None
    first = varying[0]
    order = sorted(range(len(shapes)), key=lambda at: columns[first][at])
    run = [[columns[slot][at] for at in order] for slot in varying]
    if all(column == list(range(column[0], column[0] + len(column))) for column in run):
        starts = dict(zip(varying, (column[0] for column in run), strict=True))
        if not any(start == 0 and shapes[0].sizes[slot] == len(shapes) for slot, start in starts.items()):
            return None
        return _sum_over(table, shapes[order[0]], starts, len(shapes))
    parts: dict[int, list[_Shape]] = {}
    for shape in shapes:
        parts.setdefault(shape.positions[first], []).append(shape)
    if len(parts) == len(shapes):
        return None
    inner = [_rolled(table, part) if len(part) > 1 else None for _, part in sorted(parts.items())]
    found = [node for node in inner if node is not None]
    if len(found) < len(inner):
        return None
    outer = [_Shape(table, node, shapes[0].names) for node in found]
    return _rolled(table, outer) if len({shape.key for shape in outer}) == 1 else None


def _sum_over(table: Table, shape: _Shape, starts: dict[int, int], count: int) -> int:
    taken = {table.atoms[n] for n in table.reachable([shape.root])}
    index = next(i for name in [*_NAMES, *(f"i{k}" for k in range(count + len(taken)))] if (i := Index(name, 0, count)) not in taken)
    number = table.leaf(index)
    values = [number if start == 0 else table.node(sympy.Add, (table.leaf(sympy.Integer(start)), number)) for start in starts.values()]
    return table.node(sympy.Sum, (shape.with_index(list(starts), values), number))
