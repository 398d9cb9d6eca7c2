"""
Contractions: sums of products over indices, as one notation for matrix products, outer products, dot products and their gradients.

A contraction of two operands is written like the argument of `np.einsum`: `"ij,jk->ik"`. In programs it keeps an invariant that
makes its derivative a contraction again, with the operands permuted: each index stands in at least two of left operand,
right operand and result, and no more than once in each. `contract` brings any einsum into that shape; `form` chooses the text that
a person would write for one.

>>> form("ij,jk->ik").template, form("ik,jk->ij").template, form("ij,ik->jk", "notes").template
('{0} @ {1}', '{0} @ {1}.T', '{0}.T.dot({1})')
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final

from bpcompile import dims
from bpcompile.forms import Form, Prec
from bpcompile.ir import Dim, Operand, Shape, Var, show_shape
from bpcompile.primitive import REGISTRY

#: What a size known only at run time counts for when an order of contraction is chosen.
_TYPICAL: Final = 64
#: Up to so many operands every order is tried.
_EXHAUSTIVE: Final = 5


def parse(spec: str) -> tuple[str, str, str]:
    """
    Split the specification of a contraction of two operands.

    Raises:
        ValueError: It is not of the form `"ij,jk->ik"`, or an index stands twice in one operand, or in one place only.
    """
    inputs, arrow, output = spec.partition("->")
    parts = inputs.split(",")
    if not arrow or len(parts) != 2:
        raise ValueError(f"`{spec}` is no contraction of two operands")
    left, right = parts
    for text in (left, right, output):
        if len(set(text)) < len(text):
            raise ValueError(f"`{spec}`: an index stands twice in `{text}`")
    for letter in spec:
        if letter in string.ascii_letters and (letter in left) + (letter in right) + (letter in output) < 2:
            raise ValueError(f"`{spec}`: the index `{letter}` stands in one place only")
    return left, right, output


def result_shape(left: Shape, right: Shape, spec: str) -> Shape:
    """
    Return the shape of a contraction.

    Raises:
        ValueError: The sizes of an index differ, or an operand has another number of axes than the specification says.
    """
    a, b, output = parse(spec)
    sizes: dict[str, Dim] = {}
    for shape, letters in ((left, a), (right, b)):
        if len(shape) != len(letters):
            raise ValueError(f"`{spec}`: the shape {show_shape(shape)} has {len(shape)} axes, `{letters}` has {len(letters)}")
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"shapes {show_shape(left)} and {show_shape(right)} do not agree in `{spec}`: {sizes[letter]} is not {size}")
    return tuple(sizes[letter] for letter in output)


# -- the text ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Side:
    """One operand as it stands in a text: which one, and what is written behind it."""

    operand: int
    before: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        return f"{self.before}{{{self.operand}}}{self.after}"

    def loosest(self, plain: Prec) -> Prec:
        """Return what the operand may be without parentheses, if it may be `plain` where nothing is written around it."""
        return Prec.TEST if self.before else Prec.ATOM if self.after else plain


@cache
def form(spec: str, style: str = "code") -> Form:
    """
    Return how a contraction of two operands is written.

    Args:
        spec: As for `np.einsum`, with the invariant of this module.
        style: `code`, or `notes` for lecture style: `W.T.dot(dD)`.
    """
    left, right, output = parse(spec)
    return (
        _outer(left, right, output)
        or _elementwise(left, right, output)
        or _matmul(left, right, output, dot=style == "notes")
        or _summed_product(left, right, output)
        or _tensordot(left, right, output)
        or Form(f'np.einsum("{spec}", {{0}}, {{1}})', Prec.ATOM, (Prec.TEST,), ("numpy",))
    )


def _binary(left: _Side, operator: str, right: _Side) -> Form:
    operands = [Prec.ATOM, Prec.ATOM]
    operands[left.operand] = left.loosest(Prec.TERM)
    operands[right.operand] = right.loosest(Prec.FACTOR)
    imports = ("numpy",) if left.before or right.before else ()
    return Form(f"{left.text} {operator} {right.text}", Prec.TERM, (operands[0], operands[1]), imports)


def _outer(left: str, right: str, output: str) -> Form | None:
    if len(left) != 1 or len(right) != 1 or left == right or len(output) != 2:
        return None
    order = "{0}, {1}" if output == left + right else "{1}, {0}"
    return Form(f"np.outer({order})", Prec.ATOM, (Prec.TEST,), ("numpy",))


def _elementwise(left: str, right: str, output: str) -> Form | None:
    """Write a product that nothing is summed in: `a[:, None] * b`."""
    if set(left + right) != set(output):
        return None
    return _binary(_aligned(0, left, output), "*", _aligned(1, right, output))


def _aligned(operand: int, letters: str, output: str) -> _Side:
    """Return the operand with its axes where broadcasting puts those of the output."""
    order = "".join(letter for letter in output if letter in letters)
    before = after = ""
    if order != letters:
        before, after = _transposed(letters, order)
    places = [":" if letter in letters else "None" for letter in output]
    while places and places[0] == "None":
        del places[0]
    while places and places[-1] == ":":
        del places[-1]
    if "None" in places:
        after += f"[{', '.join(places)}]"
    return _Side(operand, before, after)


def _transposed(letters: str, order: str) -> tuple[str, str]:
    """Return what stands before and behind an operand whose axes `letters` are put in another order."""
    if order == letters:
        return "", ""
    if len(letters) == 2:
        return "", ".T"
    if order == letters[:-2] + letters[-1] + letters[-2]:
        return "np.swapaxes(", ", -1, -2)"
    return "", f".transpose({', '.join(str(letters.index(letter)) for letter in order)})"


def _matmul(left: str, right: str, output: str, *, dot: bool) -> Form | None:
    """Write a matrix product, with operands swapped or transposed where that makes it one."""
    letters = (left, right)
    if len(contracted := [letter for letter in left if letter in right and letter not in output]) != 1:
        return None
    c = contracted[0]
    for i, j in ((0, 1), (1, 0)):
        for first, x in _matrices(i, letters[i]):
            for second, y in _matrices(j, letters[j]):
                if (len(x) == 1 or x[-1] == c) and y[-2:][:1] == c and output == _product(x, y):
                    if dot and len(x) <= 2 and len(y) <= 2:
                        operands = [Prec.ATOM, Prec.ATOM]
                        operands[j] = second.loosest(Prec.TEST)
                        return Form(f"{first.text}.dot({second.text})", Prec.ATOM, (operands[0], operands[1]))
                    return _binary(first, "@", second)
    return None


def _matrices(operand: int, letters: str) -> Iterator[tuple[_Side, str]]:
    """Yield an operand as it is, then with its last two axes swapped; with their indices."""
    yield _Side(operand), letters
    if len(letters) >= 2:
        order = letters[:-2] + letters[-1] + letters[-2]
        yield _Side(operand, *_transposed(letters, order)), order


def _product(x: str, y: str) -> str | None:
    """Return the indices of `x @ y`, or None where the stacks of matrices do not line up."""
    stack, other = x[:-2], y[:-2]
    if len(stack) < len(other):
        stack, other = other, stack
    if not stack.endswith(other) or (len(x) == 1 and len(y) == 1):
        return "" if x == y and len(x) == 1 else None
    return stack + x[-2:-1] + (y[-1] if len(y) > 1 else "")


def _summed_product(left: str, right: str, output: str) -> Form | None:
    """Write a sum over a product of operands with the same indices: `(a * b).sum(axis=1)`."""
    if set(left) != set(right) or len(left) < 2:
        return None
    axes = [axis for axis, letter in enumerate(left) if letter not in output]
    if output != "".join(letter for letter in left if letter in output):
        return None
    other = _Side(1, *_transposed(right, left))
    axis = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
    arguments = "" if not output else f"axis={axis}"
    imports = ("numpy",) if other.before else ()
    if not output:
        return Form(f"np.sum({{0}} * {other.text})", Prec.ATOM, (Prec.TERM, other.loosest(Prec.FACTOR)), ("numpy",))
    return Form(f"({{0}} * {other.text}).sum({arguments})", Prec.ATOM, (Prec.TERM, other.loosest(Prec.FACTOR)), imports)


def _tensordot(left: str, right: str, output: str) -> Form | None:
    """Write a sum over several axes of arrays that share no other axis; unlike `np.einsum` it is a product of matrices underneath."""
    summed = [letter for letter in left if letter in right and letter not in output]
    if any(letter in right and letter in output for letter in left):
        return None
    free = ["".join(letter for letter in letters if letter in output) for letters in (left, right)]
    for i, j in ((0, 1), (1, 0)):
        if output == free[i] + free[j]:
            letters = (left, right)
            axes = tuple(tuple(letters[k].index(letter) for letter in summed) for k in (i, j))
            return Form(f"np.tensordot({{{i}}}, {{{j}}}, axes={axes if len(summed) > 1 else _pair(axes)})", Prec.ATOM, (Prec.TEST,), ("numpy",))
    return None


def _pair(axes: tuple[tuple[int, ...], ...]) -> str:
    return f"({axes[0][0]}, {axes[1][0]})"


# -- emission ---------------------------------------------------------------------------------------------------------------


def multiply(left: Operand, right: Operand, left_indices: str, right_indices: str, output: str) -> Operand:
    """
    Emit the contraction of two operands; a plain product where nothing but broadcasting is needed.

    Args:
        left: A variable, or a number (which has no indices).
        right: The other factor.
        left_indices: One letter an axis.
        right_indices: One letter an axis.
        output: The letters of the result; with the others they have the invariant of this module.
    """
    for indices, other in ((left_indices, right_indices), (right_indices, left_indices)):
        if other == output and other.endswith(indices):
            return left * right
    if not left_indices:
        return left * transpose(right, right_indices, output)
    if not right_indices:
        return transpose(left, left_indices, output) * right
    result: Operand = REGISTRY["einsum"](left, right, spec=f"{left_indices},{right_indices}->{output}")
    return result


def transpose(operand: Operand, indices: str, output: str) -> Operand:
    """Emit the operand with its axes in the order of `output`."""
    if indices == output or not isinstance(operand, Var):
        return operand
    result: Operand = REGISTRY["transpose"](operand, perm=tuple(indices.index(letter) for letter in output))
    return result


def contract(operands: Sequence[Operand], inputs: Sequence[str], output: str) -> Operand:
    """
    Emit the equations of a general einsum, two operands at a time in a cheap order.

    An axis of size 1 goes with any other size of its index, as in NumPy.

    Args:
        operands: Variables or numbers.
        inputs: The indices of each, one letter an axis; a letter that stands twice takes the diagonal.
        output: The indices of the result; every other index is summed over.

    Returns:
        The result, of the shape that `output` says.

    Raises:
        ValueError: Sizes or numbers of axes do not agree, an index of the result is in no operand or twice in the result.
    """
    sizes = _sizes(operands, inputs)
    if len(set(output)) < len(output):
        raise ValueError(f"an index stands twice in the result `{output}`")
    for letter in output:
        if letter not in sizes:
            raise ValueError(f"the index `{letter}` of the result is in no operand")
    terms = [_without_ones(x, letters, sizes) for x, letters in zip(operands, inputs, strict=True)]
    terms = [_without_repeats(x, letters, output, [t for k, (_, t) in enumerate(terms) if k != i]) for i, (x, letters) in enumerate(terms)]
    terms = [_summed(x, letters, output, [t for k, (_, t) in enumerate(terms) if k != i]) for i, (x, letters) in enumerate(terms)]
    for i, j in _order([letters for _, letters in terms], output, {k: _weight(v) for k, v in sizes.items()}):
        (x, a), (y, b) = terms[i], terms[j]
        rest = [t for k, t in enumerate(terms) if k not in {i, j}]
        indices = _between(a, b, output, [letters for _, letters in rest])
        merged = (multiply(x, y, a, b, indices), indices)
        # The product takes the place of the earlier factor, so that later products keep the user's order.
        terms = [merged if k == i else t for k, t in enumerate(terms) if k != j]
    value, indices = terms[0]
    return transpose(value, indices, output)


def _sizes(operands: Sequence[Operand], inputs: Sequence[str]) -> dict[str, Dim]:
    sizes: dict[str, Dim] = {}
    if len(operands) != len(inputs) or not operands:
        raise ValueError(f"{len(operands)} operands for {len(inputs)} groups of indices")
    for operand, letters in zip(operands, inputs, strict=True):
        shape = operand.shape if isinstance(operand, Var) else ()
        if len(shape) != len(letters):
            raise ValueError(f"an operand of shape {show_shape(shape)} has {len(shape)} axes, its indices `{letters}` are {len(letters)}")
        for letter, size in zip(letters, shape, strict=True):
            known = sizes.get(letter, 1)
            if known == 1:
                sizes[letter] = size
            elif size not in {1, known}:
                raise ValueError(f"the index `{letter}` has size {known} and size {size}")
    return sizes


def _without_ones(x: Operand, letters: str, sizes: dict[str, Dim]) -> tuple[Operand, str]:
    """Drop the axes of size 1 whose index is longer elsewhere: the operand does not depend on it."""
    if not isinstance(x, Var):
        return x, letters
    drop = [size == 1 and sizes[letter] != 1 for letter, size in zip(letters, x.shape, strict=True)]
    if not any(drop):
        return x, letters
    index = tuple(0 if d else ("slice", None, None, None) for d in drop)
    return REGISTRY["getitem"](x, index=index), "".join(letter for letter, d in zip(letters, drop, strict=True) if not d)


def _without_repeats(x: Operand, letters: str, output: str, others: Sequence[str]) -> tuple[Operand, str]:
    while len(set(letters)) < len(letters):
        letter = next(c for c in letters if letters.count(c) > 1)
        first = letters.index(letter)
        second = letters.index(letter, first + 1)
        if len(letters) == 2 and letter not in output and not any(letter in t for t in others):
            return REGISTRY["trace"](x), ""
        x = REGISTRY["diagonal"](x, axis1=first, axis2=second)
        letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
    return x, letters


def _summed(x: Operand, letters: str, output: str, others: Sequence[str]) -> tuple[Operand, str]:
    """Sum over the indices that nothing else has."""
    axes = tuple(axis for axis, letter in enumerate(letters) if letter not in output and not any(letter in t for t in others))
    if not axes:
        return x, letters
    return REGISTRY["sum"](x, axis=axes, keepdims=False), "".join(letter for axis, letter in enumerate(letters) if axis not in axes)


def _between(a: str, b: str, output: str, rest: Sequence[str]) -> str:
    """Return the indices of a product of two operands: as the result wants them if it is the last, else as a stack of matrices."""
    needed = set(output).union(*rest) if rest else set(output)
    letters = [letter for letter in dict.fromkeys(a + b) if letter in needed]
    if not rest:
        return "".join(letter for letter in output if letter in letters)
    return "".join(sorted(letters, key=lambda letter: (letter not in a or letter not in b, letter not in a)))


def _weight(size: Dim) -> int:
    names = dims.names(size)
    value = dims.substitute(size, dict.fromkeys(names, _TYPICAL)) if names else size
    return max(1, value) if isinstance(value, int) else _TYPICAL


def _order(terms: list[str], output: str, weights: dict[str, int]) -> list[tuple[int, int]]:
    """Return which two operands to multiply, step by step; the product of a pair stands at the place of the first."""
    if len(terms) > _EXHAUSTIVE:
        return _greedy(terms, output, weights)
    best: tuple[int, list[tuple[int, int]]] | None = None
    stack: list[tuple[int, list[str], list[tuple[int, int]]]] = [(0, terms, [])]
    while stack:
        cost, at, steps = stack.pop()
        if best is not None and cost >= best[0]:
            continue
        if len(at) == 1:
            best = cost, steps
            continue
        # Pushed last to first, so that of equal costs the order from left to right is found first.
        for i, j in reversed(list(combinations(range(len(at)), 2))):
            stack.append((cost + _work(at[i], at[j], weights), _merged(at, i, j, output), [*steps, (i, j)]))
    assert best is not None
    return best[1]


def _greedy(terms: list[str], output: str, weights: dict[str, int]) -> list[tuple[int, int]]:
    steps: list[tuple[int, int]] = []
    while len(terms) > 1:
        pairs = list(combinations(range(len(terms)), 2))
        # Neighbours first where there are many: all pairs of hundreds of factors would cost more than they save.
        pairs = pairs if len(terms) <= 4 * _EXHAUSTIVE else [(i, i + 1) for i in range(len(terms) - 1)]
        _, i, j = min((_work(terms[first], terms[second], weights), first, second) for first, second in pairs)
        terms = _merged(terms, i, j, output)
        steps.append((i, j))
    return steps


def _merged(terms: list[str], i: int, j: int, output: str) -> list[str]:
    rest = [t for k, t in enumerate(terms) if k not in {i, j}]
    merged = _between(terms[i], terms[j], output, rest)
    return [merged if k == i else t for k, t in enumerate(terms) if k != j]


def _work(a: str, b: str, weights: dict[str, int]) -> int:
    """Return how many products of numbers a product of two operands takes."""
    work = 1
    for letter in dict.fromkeys(a + b):
        work *= weights[letter]
    return work
