"""
Which arrays to mark at: small, of pairwise different sizes, as the code demands.

Every size is first given a number of its own. Where the program then finds that two must agree, they are made equal, and it
is run again: the numbers tell which sizes are meant.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

_POOL: Final = (4, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)


class Sizes:
    """Sizes by key, joined where they must agree."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}
        self._value: dict[Hashable, int] = {}
        self._forced: set[Hashable] = set()
        self._next = 0

    def add(self, key: Hashable, wanted: int | None = None) -> None:
        """Give a key a size of its own."""
        if key in self._above:
            return
        self._above[key] = key
        if wanted is None:
            wanted = _POOL[self._next % len(_POOL)]
            self._next += 1
        self._value[key] = wanted

    def _root(self, key: Hashable) -> Hashable:
        while self._above[key] != key:
            key = self._above[key]
        return key

    def __getitem__(self, key: Hashable) -> int:
        return self._value[self._root(key)]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._above

    def names(self) -> Iterable[Hashable]:
        """Return all keys."""
        return self._above.keys()

    def force(self, key: Hashable, size: int) -> None:
        """Fix a size."""
        root = self._root(key)
        self._value[root] = size
        self._forced.add(root)

    def join(self, first: Hashable, second: Hashable) -> None:
        """Make two sizes equal."""
        a, b = self._root(first), self._root(second)
        if a != b:
            if b in self._forced:
                a, b = b, a
            self._above[b] = a

    def agree(self, first: int, second: int, *, fixed: bool = False) -> bool:
        """
        Make the sizes that are `first` and those that are `second` equal; tell whether anything changed.

        A number that no size has, or one that is `fixed`, is given by the program: the other one is then set to it.
        """
        if first == second:
            return False
        ones = [root for root in self._roots() if self._value[root] == first and root not in self._forced]
        others = [root for root in self._roots() if self._value[root] == second and root not in self._forced and not fixed]
        if ones and others:
            self.join(ones[0], others[0])
            return True
        if ones and second > 0:
            self.force(ones[0], second)
            return True
        if others and first > 0:
            self.force(others[0], first)
            return True
        return False

    def enlarge(self, size: int, least: int) -> bool:
        """Make the sizes that are `size` at least `least`; tell whether there was one."""
        for root in self._roots():
            if self._value[root] == size and root not in self._forced:
                taken = {self._value[each] for each in self._roots()}
                self._value[root] = next(n for n in range(least, least + 100) if n not in taken)
                return True
        return False

    def _roots(self) -> list[Hashable]:
        return [key for key, above in self._above.items() if key == above]

    def copy(self) -> Sizes:
        """Return an independent copy."""
        twin = Sizes()
        twin._above, twin._value = dict(self._above), dict(self._value)
        twin._forced, twin._next = set(self._forced), self._next
        return twin
