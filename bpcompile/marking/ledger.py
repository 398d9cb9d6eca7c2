"""
The ledger of a run: every number that a program computes has an entry, and every entry knows what it was computed from.

An entry is an id. `record` notes how entries depend on earlier ones, as edges `(out, inp, partial)`, a block of them at a
time; `Ledger.reverse` walks the blocks backwards. Moving numbers about (slices, transposes, masks, writes) makes no edges:
the ids move with the numbers, so NumPy's own semantics decide what goes where.

Id 0 stands for every number that depends on nothing.

>>> ledger = Ledger()
>>> x = ledger.fresh(1)
>>> y = ledger.fresh(1)
>>> ledger.record(y, x, np.array([3.0]))
>>> ledger.reverse([(y, np.array([1.0]))]).sums[x]
array([3.])
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

#: More edges than this are no hand-written page.
MAX_EDGES: Final = 4_000_000


class TooLargeError(Exception):
    """The program computes more numbers than a page of hand-written code at small sizes would."""


@dataclass(frozen=True, slots=True)
class Block:
    """The entries `first` to `last` (exclusive) and the edges that lead to them."""

    first: int
    last: int
    out: Ids
    inp: Ids
    partial: Floats


@dataclass(slots=True)
class Sweep:
    """
    What a reverse sweep found.

    Attributes:
        sums: For each entry the sum of what its uses send to it.
        given: For each entry what it sent on: the sum, or the value put in its place.
    """

    sums: Any
    given: Any


class Ledger:
    """A growing list of blocks; see the module's docstring."""

    def __init__(self) -> None:
        self.count = 1
        #: While set, nothing is written down: what is computed has no entries.
        self.mute = False
        self.blocks: list[Block] = []
        self._firsts: list[int] = []
        self._edges = 0

    @property
    def full(self) -> bool:
        """Whether there is no room for more edges."""
        return self._edges > MAX_EDGES

    def fresh(self, n: int) -> Ids:
        """Return `n` new ids; a following `record` says what they depend on."""
        first = self.count
        self.count += n
        empty = np.empty(0, np.int64)
        self.blocks.append(Block(first, self.count, empty, empty, np.empty(0)))
        return np.arange(first, self.count)

    def step(self, inp: Sequence[int], partial: Sequence[float]) -> Ids:
        """Make one entry that depends on `inp`; what `fresh` and `record` do together, for a single number."""
        first = self.count
        self.count += 1
        self._edges += len(inp)
        self.blocks.append(Block(first, self.count, np.full(len(inp), first), np.array(inp, np.int64), np.array(partial, np.float64)))
        return np.array(first)

    def record(self, out: Ids, inp: Ids, partial: Floats) -> None:
        """Note that the entries of the newest block depend on earlier ones."""
        block = self.blocks[-1]
        keep = (inp != 0) & (partial != 0)
        if not keep.all():
            out, inp, partial = out[keep], inp[keep], partial[keep]
        self._edges += out.size
        if self._edges > MAX_EDGES:
            raise TooLargeError
        if block.out.size:
            out, inp, partial = np.concatenate([block.out, out]), np.concatenate([block.inp, inp]), np.concatenate([block.partial, partial])
        self.blocks[-1] = Block(block.first, block.last, out, inp, partial)

    def reverse(
        self,
        seeds: Iterable[tuple[Ids, Any]],
        *,
        given: Iterable[tuple[Ids, Any]] = (),
        blocks: tuple[int, int] | None = None,
        columns: int = 0,
        magnitude: bool = False,
    ) -> Sweep:
        """
        Send `seeds` backwards.

        Args:
            seeds: Pairs of ids and what enters there.
            given: Pairs of ids and what they send on instead of what they receive.
            blocks: The range of blocks to walk; all of them by default.
            columns: How many independent seeds are swept at once; each seed value has this many columns. 0 for one, without the axis.
            magnitude: Add magnitudes, for a bound of the rounding errors.
        """
        shape: tuple[int, ...] = (self.count, columns) if columns else (self.count,)
        sums = np.zeros(shape)
        for ids, value in seeds:
            np.add.at(sums, ids.ravel(), np.reshape(value, (ids.size, *shape[1:])))
        fixed = np.zeros(self.count, bool)
        values = np.zeros(shape)
        for ids, value in given:
            flat = ids.ravel()
            fixed[flat] = True
            values[flat] = np.reshape(value, (flat.size, *shape[1:]))
        fixed[0] = False
        begin, end = blocks or (0, len(self.blocks))
        with np.errstate(all="ignore"):
            for block in reversed(self.blocks[begin:end]):
                if not block.out.size:
                    continue
                sent = sums[block.first : block.last]
                held = fixed[block.first : block.last]
                if held.any():
                    sent = np.where(held[:, None] if columns else held, values[block.first : block.last], sent)
                if not sent.any():
                    continue
                partial = np.abs(block.partial) if magnitude else block.partial
                flow = (partial[:, None] if columns else partial) * sent[block.out - block.first]
                np.add.at(sums, block.inp, flow)
        sums[0] = 0.0
        sent_on = np.where(fixed[:, None] if columns else fixed, values, sums)
        return Sweep(sums, sent_on)

    def ancestors(self, ids: Iterable[Ids]) -> NDArray[np.bool_]:
        """Return, for each entry, whether one of `ids` depends on it, itself included."""
        mask = np.zeros(self.count, bool)
        for each in ids:
            mask[each.ravel()] = True
        mask[0] = False
        for block in reversed(self.blocks):
            if block.out.size and mask[block.first : block.last].any():
                mask[block.inp[mask[block.out]]] = True
        mask[0] = False
        return mask

    def descendants(self, ids: Iterable[Ids]) -> NDArray[np.bool_]:
        """Return, for each entry, whether it depends on one of `ids`, itself included."""
        mask = np.zeros(self.count, bool)
        for each in ids:
            mask[each.ravel()] = True
        mask[0] = False
        for block in self.blocks:
            if block.out.size:
                mask[block.out[mask[block.inp]]] = True
        return mask

    def block_of(self, entry: int) -> int:
        """Return the position of the block that holds an entry."""
        if len(self._firsts) != len(self.blocks):
            self._firsts = [block.first for block in self.blocks]
        return bisect.bisect_right(self._firsts, entry) - 1


def same_size(ids: Sequence[Ids]) -> bool:
    """Tell whether all have the same number of entries."""
    return len({each.size for each in ids}) <= 1
