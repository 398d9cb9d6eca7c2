"""
Random NumPy forward functions over everything that the array front end reads.

A program grows statement by statement, and every statement is run under NumPy at two assignments of sizes side by side: what works in
both works for the names of sizes, not by chance. Statements that raise, or whose values are not of moderate size, are left out.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NAMES = ("N", "D", "K")


@dataclass
class Value:
    """A value of the program: its name, and the arrays it is at the two assignments of sizes."""

    name: str
    arrays: tuple[Any, Any]

    @property
    def rank(self) -> int:
        return int(np.ndim(self.arrays[0]))

    @property
    def dims(self) -> list[tuple[int, int]]:
        return list(zip(*map(np.shape, self.arrays), strict=True))


@dataclass
class Sample:
    """
    A program and arguments for it.

    Attributes:
        text: The source of `f`, without imports.
        arguments: For each of the two assignments of sizes, the arguments in order.
        floats: The names of the parameters that carry a gradient.
    """

    text: str
    arguments: list[list[Any]]
    floats: list[str]
    names: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"{self.text}\nshapes: {[[np.shape(a) for a in part] for part in self.arguments]}"


UNARY = (
    "np.sin({a})", "np.cos({a})", "np.tanh({a})", "np.exp(0.5 * {a})", "np.sqrt({a} * {a} + 0.5)", "np.log({a} ** 2 + 1.0)", "np.abs({a})",
    "np.maximum({a}, 0)", "np.maximum(0.1, {a})", "np.square({a})", "-{a}", "{a} ** 3", "1 / (1 + np.exp(-{a}))", "np.where({a} > 0.2, {a}, 0.5 * {a})",
    "np.clip({a}, -0.7, 0.8)", "{a}.clip(-0.6, 0.9)", "np.arctan({a})", "np.log1p({a} * {a})", "np.expm1({a})", "np.power({a}, 2)", "2 - 3 * {a}", "{a} / 2",
    "np.minimum({a}, 0.3) + {a}", "np.where({a} > 0, np.sqrt(np.abs({a})), 0.0)", "np.reciprocal({a} * {a} + 1.0)", "np.log(1 + np.exp({a}))",
    "{a}.copy()", "np.negative({a}) + 1", "np.cbrt({a} ** 2 + 1)", "np.hypot({a}, 1.0)", "np.sign({a}) * {a}", "{a} * ({a} > 0)", "(1 - {a}) * {a}",
)  # fmt: skip
BINARY = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / ({b} * {b} + 1.0)", "np.maximum({a}, {b})", "np.minimum({a}, {b})", "np.where({a} > {b}, {a}, {b} * 2)",
    "np.hypot({a}, {b} + 3.0)", "np.arctan2({a}, {b} + 3.0)", "np.logaddexp({a}, {b})", "np.add({a}, {b})", "np.multiply({a}, {b})", "{a} * {b} + {a}",
    "np.where({b} < 0.1, {a}, {a} * {b})", "np.subtract({a}, 2 * {b})", "{a} * 0.5 - {b} ** 2",
)  # fmt: skip
EXPANDED = (
    "{a}[:, None] * {b}",
    "{a}[:, None] + {b}[None, :]",
    "{a}[..., None] - {b}",
    "np.expand_dims({a}, 1) * {b}",
    "{a}[None] * {b}",
    "{b} + {a}[:, np.newaxis]",
)
PRODUCTS = (
    "{a} @ {b}", "{a} @ {b}.T", "{a}.T @ {b}", "{a}.dot({b})", "np.dot({a}, {b})", "np.matmul({a}, {b})", "np.outer({a}, {b})", "np.inner({a}, {b})",
    "np.einsum('ij,jk->ik', {a}, {b})", "np.einsum('ij,ij->i', {a}, {b})", "np.einsum('ij,ij->', {a}, {b})", "np.einsum('i,ij->j', {a}, {b})",
    "np.einsum('ij,j->i', {a}, {b})", "np.einsum('i,j->ji', {a}, {b})", "np.einsum('ij,kj->ki', {a}, {b})", "np.einsum('bij,bjk->bik', {a}, {b})",
    "np.einsum('bij,jk->ikb', {a}, {b})", "np.einsum('i,i', {a}, {b})", "np.einsum('...i,i->...', {a}, {b})",
    "np.einsum('ij,ik,jk->i', {a}, {b}, {a}.T @ {b})",
    "np.tensordot({a}, {b}, axes=1)", "np.tensordot({a}, {b}, axes=([0], [0]))", "np.tensordot({a}, {b}, axes=([1], [1]))", "np.tensordot({a}, {b}, axes=0)",
    "np.vdot({a}, {b})", "np.kron({a}, {b})", "np.einsum('bij,bkj->bik', {a}, {b})", "np.einsum('i,j,ij->ij', {a}.sum(axis=1), {b}.sum(axis=0), {a} @ {b})",
)  # fmt: skip
ONE_OPERAND = (
    "np.einsum('ij->ji', {a})",
    "np.einsum('ij->j', {a})",
    "np.einsum('ijk->ki', {a})",
    "np.einsum('ii->i', {a} @ {a}.T)",
    "np.einsum('ii', {a} @ {a}.T)",
)
REDUCED = ("sum", "mean", "max", "min", "prod", "var", "std")
MOVED = (
    "{a}.T", "np.transpose({a})", "np.swapaxes({a}, 0, 1)", "{a}.swapaxes(0, -1)", "{a}.reshape(-1)", "{a}.ravel()", "{a}.flatten()", "np.ravel({a})",
    "{a}.reshape({a}.shape[0] * {a}.shape[1], -1)", "{a}.reshape({a}.shape[1], {a}.shape[0])", "np.reshape({a}, (-1, {a}.shape[0]))",
    "np.moveaxis({a}, 0, -1)",
    "{a}[::-1]", "np.flip({a}, 0)", "np.flip({a}, axis=-1)", "np.roll({a}, 1, axis=0)", "np.diff({a}, axis=0)", "np.diff({a})", "{a}[None]", "{a}[..., None]",
    "np.broadcast_to({a}, (2,) + {a}.shape)", "np.repeat({a}, 2, axis=0)", "np.tile({a}, 2)", "np.atleast_2d({a})", "np.squeeze({a})", "{a}.transpose(1, 0)",
    "{a}.transpose(1, 2, 0)", "np.expand_dims({a}, 0)", "np.fliplr({a})", "np.rot90({a})", "np.squeeze({a}[None], axis=0)", "{a}.reshape(1, -1)",
    "np.tile({a}, (2, 1))", "np.repeat({a}, 3, axis=-1)", "np.flip({a})", "np.roll({a}, -2, axis=1)",
)  # fmt: skip
PARTS = (
    "{a}[1:]", "{a}[:-1]", "{a}[::2]", "{a}[-1]", "{a}[0]", "{a}[..., 0]", "{a}[:, -1]", "{a}[:, 1:]", "{a}[:, ::-1]", "{a}[1:-1]", "{a}[::-2]", "{a}[-2:]",
    "{a}[0, 1]", "{a}[:2]", "{a}[:, 0:1]", "{a}[..., 1:, :]", "{a}[-1:, :]", "{a}[1::2]", "{a}[:, None, :1]", "{a}[0:2, ..., -1]", "{a}[:-1] * {a}[1:]",
    "{a}[[0, 1, 0]]", "{a}[:, [1, 0]]", "{a}[i]", "{a}[i] * {a}[i]", "np.take({a}, i, axis=0)", "{a}[:, i]", "{a}[np.arange({a}.shape[0]), 0]",
    "{a}[np.arange(len(i)), i]", "{a}[i, None]", "{a}[i][:, None]", "{a}[-i]", "{a}[i % 2]", "{a}[i, 1:]",
)  # fmt: skip
JOINED = (
    "np.concatenate([{a}, {b}])", "np.concatenate([{a}, {b}], axis=1)", "np.concatenate(({a}, {b}, {a}), axis=-1)", "np.stack([{a}, {b}])",
    "np.stack([{a}, {b}], axis=1)",
    "np.stack([{a}, {b}], axis=-1)", "np.hstack([{a}, {b}])", "np.vstack([{a}, {b}])", "np.append({a}, {b})", "np.column_stack([{a}, {b}])",
    "np.split(np.concatenate([{a}, {a}]), 2)[1] + {b}", "np.array([{a}, {b}])",
)  # fmt: skip
PADDED = ("np.pad({a}, 1)", "np.pad({a}, ((1, 0), (0, 2)))", "np.pad({a}, (2, 1))", "np.pad({a}, ((0, 1),))", "np.pad({a}, [(0, 0), (1, 1)])")
WINDOWS = (
    "np.lib.stride_tricks.sliding_window_view({a}, 2, axis=0)", "np.lib.stride_tricks.sliding_window_view({a}, (2, 2)).sum(axis=(2, 3))",
    "np.lib.stride_tricks.sliding_window_view({a}, 3)", "np.lib.stride_tricks.sliding_window_view({a}, 2, axis=-1)[..., ::-1] ** 2",
    "np.lib.stride_tricks.sliding_window_view({a}, (2, 1))[::2].max(axis=(-1, -2))",
)  # fmt: skip
SQUARE = (
    "np.linalg.inv({s})", "np.linalg.det({s}) / 10", "np.linalg.slogdet({s})[1]", "np.linalg.solve({s}, {b})", "np.linalg.cholesky({s})",
    "np.trace({s})", "np.diagonal({s})",
    "np.tril({s})", "np.triu({s}, 1)", "np.diag({s})", "np.diag(np.diag({s}))", "np.linalg.matrix_power({s} / 4, 3)", "np.linalg.inv({s}) @ {b}",
    "np.linalg.solve({s}, {b}[:, None])", "{s}.trace()", "np.linalg.matrix_power({s}, -1)",
)  # fmt: skip
RUNNING = (
    "np.cumsum({a})", "np.cumsum({a}, axis=0)", "{a}.cumsum(axis=-1)", "np.cumprod({a}, axis=0)", "np.cumprod({a})", "{a}.cumprod(axis=-1)",
    "np.linalg.norm({a})", "np.linalg.norm({a}, axis=-1)", "np.linalg.norm({a}, axis=0, keepdims=True)", "np.sqrt(np.sum({a} ** 2))",
    "np.exp({a}) / np.exp({a}).sum(axis=-1, keepdims=True)", "np.exp({a} - {a}.max(axis=-1, keepdims=True))", "{a} - {a}.mean(axis=0)",
    "np.log(np.sum(np.exp({a}), axis=-1))", "np.average({a}, axis=0)", "np.ptp({a}, axis=-1)",
)  # fmt: skip
WRITES = (
    "{o} = np.zeros_like({a})\n{o}[0] = {a}[-1] * 2\n{o}[1:] += {a}[:-1]",
    "{o} = np.zeros({a}.shape)\n{o}[:, 0] = {a}[:, 1]\n{o}[:, 1:] = np.sin({a}[:, 1:])",
    "{o} = {a}.copy()\n{o}[::2] *= 3.0\n{o}[-1] = 0.5",
    "{o} = {a} * 2\n{o}[{a} > 0.3] = 0.1",
    "{o} = {a} * 1.5\n{o}[{a} < 0] *= 0.2",
    "{o} = np.zeros_like({a})\nnp.add.at({o}, i, {a}[i])",
    "{o} = np.zeros({a}.shape[1:])\nfor t in range(2):\n    {o} = {o} * 0.5 + np.tanh({a}[t])",
    "{o} = np.zeros((3, 2))\nfor t in range(3):\n    {o}[t] = {a}.sum() * (t + 1)\n    {o}[t, 1] -= {a}.mean()",
    "{o} = np.ones_like({a})\n{o}[...] = {a} ** 2\n{o} += {a}",
    "{o} = np.empty_like({a})\n{o}[:] = {a} * {b}",
    "{o} = [{a} * k for k in range(1, 3)]\n{o} = {o}[0] + {o}[1] ** 2",
    "{o} = 0.0\nfor row in ({a}, {b}):\n    {o} = {o} + np.sum(row * row)",
    "{o} = np.zeros_like({a})\n{o}[1:] = {a}[1:] - {a}[:-1]\n{o}[:-1] -= {a}[1:]",
    "{o} = np.where(m, {a}, 0.0)",
    "{o} = {a} * 1.0\n{o}[m] = -0.5",
    "{o} = {a} * 1.0\n{o} /= 2.0\n{o} -= {b}",
    "{o} = np.full({a}.shape, 0.25)\n{o}[0] = {b}",
    "{o} = np.eye({a}.shape[0]) * 0.5 + {a}",
    "{o} = np.linspace(0.0, 1.0, 3) * {a}",
    "{o} = {a} + np.arange({a}.shape[-1])",
    "{o} = np.zeros((2,) + {a}.shape)\n{o}[0] = {a}\n{o}[1, ..., 0] = {b}",
    "{o} = np.zeros_like({a})\n{o}[i] = {b}\n{o} = {o} + {a}",
    "{o} = {a} * 1.0\n{o}[..., -1:] = {b}",
    "{o} = {a} * 1.0\n{o}.T[0] = {b}",
    "{o} = {a}.T.copy()\n{o}[0, :] += {b}",
)
KINDS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (5, UNARY), (6, BINARY), (2, EXPANDED), (6, PRODUCTS), (1, ONE_OPERAND), (4, MOVED), (5, PARTS), (2, JOINED), (1, PADDED), (1, WINDOWS), (2,
    SQUARE), (3, RUNNING),
    (4, WRITES),
)  # fmt: skip


class Grower:
    """Grows one program."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.generator = np.random.default_rng(source.randrange(2**32))
        pools = [self._sizes(), self._sizes()]
        self.sizes = [dict(zip(NAMES, pool, strict=True)) for pool in pools]
        self.named = source.random() < 0.6
        if not self.named:
            self.sizes[1] = self.sizes[0]
        self.lines: list[str] = []
        self.values: list[Value] = []
        self.spaces: list[dict[str, Any]] = [{"np": np}, {"np": np}]
        self.parameters: list[str] = []
        self.floats: list[str] = []
        self._inputs()

    def _sizes(self) -> list[int]:
        sizes = self.source.sample((2, 3, 4, 5), len(NAMES))
        if self.source.random() < 0.15:
            sizes[self.source.randrange(len(sizes))] = 1
        if self.source.random() < 0.05:
            sizes[self.source.randrange(len(sizes))] = 0
        return sizes

    def _inputs(self) -> None:
        for k in range(self.source.choice((1, 2, 2, 3))):
            rank = self.source.choice((0, 1, 1, 2, 2, 2, 3))
            dims = [self.source.choice(NAMES) for _ in range(rank)]
            if rank == 2 and self.source.random() < 0.5:
                dims = self.source.sample(NAMES, 2)
            if rank and self.source.random() < 0.08:
                dims[self.source.randrange(rank)] = "1"
            arrays = [self._numbers([int(sizes.get(d, 1)) for d in dims]) for sizes in self.sizes]
            if not self.named:
                arrays[1] = arrays[0]
            name = "xwvu"[k]
            self._parameter(name, dims, arrays, "")
            self.floats.append(name)
            self.values.append(Value(name, (arrays[0], arrays[1])))
        uses = self.source.random()
        if uses < 0.3:
            dim = self.source.choice(NAMES)
            arrays = [np.asarray(self.generator.integers(-2, 2, sizes[dim])) for sizes in self.sizes]
            self._parameter("i", [dim], arrays if self.named else [arrays[0]] * 2, "Int")
        if uses > 0.7 and self.values[0].rank:
            dims = [self._word(d) for d in self.values[0].dims]
            arrays = [self.generator.random(np.shape(a)) < 0.5 for a in self.values[0].arrays]
            self._parameter("m", dims, arrays if self.named else [arrays[0]] * 2, "Bool")

    def _word(self, pair: tuple[int, int]) -> str:
        return next((n for n in NAMES if (self.sizes[0][n], self.sizes[1][n]) == pair), str(pair[0]))

    def _numbers(self, shape: list[int]) -> Any:
        """Numbers of moderate size, none near 0; not of few digits, whose means hit the constants of programs."""
        drawn = self.generator.uniform(0.2, 1.6, shape) * self.generator.choice([-1, 1], shape)
        return np.asarray(drawn, dtype=float)

    def _parameter(self, name: str, dims: list[str], arrays: list[Any], kind: str) -> None:
        words = " ".join(d if self.named or d == "1" else str(self.sizes[0].get(d, d)) for d in dims)
        if not dims:
            annotation = ""
        elif kind:
            annotation = f': {kind}[np.ndarray, "{words}"]'
        else:
            annotation = f': "{words}"' if self.source.random() < 0.6 else f': Float[np.ndarray, "{words}"]'
        self.parameters.append(f"{name}{annotation}")
        for space, array in zip(self.spaces, arrays, strict=True):
            space[name] = array

    def grow(self, statements: int) -> Sample | None:
        tries = 0
        names = list(self.spaces[0])[1:]
        arguments = [[space[n] for n in names] for space in self.spaces]
        while len(self.lines) < statements and tries < 12 * statements:
            tries += 1
            self._try(self._statement())
        if not self.lines:
            return None
        outputs = [self.values[-1].name]
        if self.source.random() < 0.15 and len(self.values) > len(self.floats) + 1:
            outputs.append(self.source.choice(self.values[len(self.floats) : -1]).name)
        ending = self._ending(outputs)
        body = "\n".join("    " + line for text in [*self.lines, ending] for line in text.split("\n"))
        return Sample(f"def f({', '.join(self.parameters)}):\n{body}\n", arguments, self.floats, names)

    def _ending(self, outputs: list[str]) -> str:
        if len(outputs) == 1 and self.source.random() < 0.5:
            return f"return np.sum({outputs[0]} * {outputs[0]})" if self.source.random() < 0.5 else f"return {outputs[0]}.sum()"
        return f"return {', '.join(outputs)}"

    def _pick(self) -> Value:
        recent = self.values[-4:] if self.source.random() < 0.7 else self.values
        return self.source.choice(recent)

    def _array(self) -> Value | None:
        """Pick a value with axes: without, NumPy's functions of arrays refuse most of them, and so does the compiler."""
        known = [v for v in self.values if v.rank]
        return self.source.choice(known[-4:]) if known else None

    def _statement(self) -> tuple[str, str]:
        name = f"t{len(self.values)}"
        if self.source.random() < 0.15:
            return name, f"{name} = {self._reduction()}"
        weights, kinds = zip(*KINDS, strict=True)
        kind = self.source.choices(kinds, weights)[0]
        pattern = self.source.choice(kind)
        a, b = self._pick(), self._pick()
        if kind not in (UNARY, BINARY):
            a = self._array() or a
        if kind in (PRODUCTS, JOINED):
            b = self._array() or b
        if kind is SQUARE:
            s = f"s{len(self.values)}"
            first = f"{s} = {a.name} @ {a.name}.T + 2.0 * np.eye({a.name}.shape[0])\n"
            return name, first + f"{name} = " + pattern.format(s=s, b=b.name)
        text = pattern.format(a=a.name, b=b.name, o=name)
        return name, text if kind is WRITES else f"{name} = {text}"

    def _reduction(self) -> str:
        a = self._array() or self._pick()
        function = self.source.choice(REDUCED)
        arguments = []
        if a.rank and self.source.random() < 0.8:
            axis: Any = self.source.randrange(-a.rank, a.rank)
            if a.rank > 1 and self.source.random() < 0.25:
                axis = tuple(self.source.sample(range(a.rank), 2))
            arguments.append(f"axis={axis}")
        if self.source.random() < 0.3:
            arguments.append("keepdims=True")
        if function in {"var", "std"} and self.source.random() < 0.5:
            arguments.append("ddof=1")
        extra = " + 0.1" if function == "std" else ""
        operand = f"{a.name} + 0.01 * {a.name} ** 2" if self.source.random() < 0.1 else a.name
        if self.source.random() < 0.5:
            return f"np.{function}({', '.join([operand, *arguments])}){extra}"
        return f"{a.name}.{function}({', '.join(arguments)}){extra}"

    def _try(self, statement: tuple[str, str]) -> None:
        name, text = statement
        results = []
        for space in self.spaces if self.named else self.spaces[:1]:
            trial = dict(space)
            try:
                with warnings.catch_warnings(), np.errstate(all="raise"):
                    warnings.simplefilter("error")
                    exec(text, trial)
            except Exception:  # noqa: BLE001  whatever NumPy raises
                return
            value = trial[name]
            if not isinstance(value, np.ndarray | np.floating | float) or np.size(value) > 150 or np.ndim(value) > 4:
                return
            if np.size(value) and not (np.all(np.isfinite(value)) and np.max(np.abs(value)) < 1e3):
                return
            results.append((trial, value))
        if np.asarray(results[0][1]).dtype != float or np.ndim(results[0][1]) != np.ndim(results[-1][1]):
            return
        self.spaces = [results[0][0], results[-1][0]]
        self.lines.append(text)
        self.values.append(Value(name, (results[0][1], results[-1][1])))


def sample(source: random.Random, statements: int) -> Sample:
    """Return a random program."""
    while True:
        found = Grower(source).grow(statements)
        if found is not None:
            return found


def samples(seed: int, count: int) -> Iterator[Sample]:
    """Yield random programs, the same ones every time."""
    source = random.Random(seed)
    for _ in range(count):
        yield sample(source, source.randrange(1, 9))
