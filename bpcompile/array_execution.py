"""
NumPy's functions on arrays of numbers at 50 digits, for running emitted text.

NumPy itself moves, joins, adds and multiplies objects of any kind; what it hands to LAPACK is computed here by elimination. Sizes,
positions and truth values stay what they are.

>>> LINALG["det"](np.array([[mp.mpf(2), mp.mpf(1)], [mp.mpf(4), mp.mpf(3)]]))
mpf('2.0')
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import mpmath
import numpy as np
from mpmath import mp

from bpcompile import exact


def as_numbers(value: Any) -> Any:
    """Return an array of objects, or of integers or truth values where it was one."""
    if isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "iub":
        return np.asarray(value)
    array = np.asarray(value, dtype=object)
    if array.size and all(isinstance(e, bool | np.bool_) for e in array.flat):
        return array.astype(bool)
    return array


def as_floats(value: Any) -> Any:
    """Return a copy as an array of objects, truth values and integers turned into numbers at 50 digits."""
    array = np.array(value, dtype=object)
    element: Any
    for index in np.ndindex(*array.shape):
        element = array[index]
        if not isinstance(element, mpmath.mpf):
            array[index] = mp.mpf(element if isinstance(element, float) else int(element))
    return array


def whole(index: Any) -> Any:
    """Return an index with whole numbers in place of numbers at 50 digits that are whole."""
    if isinstance(index, tuple):
        return tuple(map(whole, index))
    if isinstance(index, mpmath.mpf):
        return int(index) if index == int(index) else index
    if isinstance(index, np.ndarray) and index.dtype == object:
        return as_numbers(index) if any(isinstance(e, bool) for e in index.flat) else index.astype(int)
    return index


def kind_of(dtype: Any) -> str:
    """Return the kind of a dtype as it is written in a text: `float` there is a function at 50 digits."""
    try:
        return str(np.dtype(dtype).kind)
    except TypeError:
        return "f"


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy's that takes arrays of objects as they are."""

    def call(*args: Any, **keywords: Any) -> Any:
        keywords.pop("dtype", None)
        return function(*[as_numbers(a) if isinstance(a, mpmath.mpf | list) and i == 0 else a for i, a in enumerate(args)], **keywords)

    return call


def _many(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy's that takes a list of arrays."""
    return lambda arrays, **keywords: function([as_numbers(a) for a in arrays], **keywords)


def _eye(n: int, *_: Any, dtype: Any = float, **__: Any) -> Any:
    return np.eye(n, dtype=bool) if kind_of(dtype) == "b" else as_floats(np.eye(n, dtype=int))


# -- matrices


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply a function of matrices to each of a stack."""

    def apply(*arrays: Any) -> Any:
        operands = [np.asarray(a, dtype=object) for a in arrays]
        stack = operands[0].shape[:-2]
        if not stack:
            return function(*operands)
        parts = [function(*(a[i] for a in operands)) for i in np.ndindex(*stack)]
        out = np.empty(stack + np.shape(parts[0]), dtype=object)
        for i, part in zip(np.ndindex(*stack), parts, strict=True):
            out[i] = part
        return out

    return apply


def _matrix(a: Any) -> Any:
    return mp.matrix(a.tolist()) if a.size else mp.matrix(*a.shape)


def _array(m: Any, shape: tuple[int, ...]) -> Any:
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        out[index] = m[index if len(shape) == 2 else index[0]]
    return out


def _inv(a: Any) -> Any:
    try:
        return _array(mp.inverse(_matrix(a)), a.shape)
    except ZeroDivisionError as error:
        raise np.linalg.LinAlgError("Singular matrix") from error


def _det(a: Any) -> Any:
    return +mp.det(_matrix(a)) if a.size else mp.mpf(1)


def _solve(a: Any, b: Any) -> Any:
    return _inv(a) @ b


def _slogdet(a: Any) -> Any:
    det = _each(_det)(a)
    sign = np.frompyfunc(mp.sign, 1, 1)(det)
    with_log = np.frompyfunc(lambda d: mp.log(abs(d)) if d else -mp.inf, 1, 1)
    return sign, with_log(det)


def _cholesky(a: Any) -> Any:
    n = len(a)
    lower = np.full((n, n), mp.mpf(0), dtype=object)
    for j in range(n):
        rest = a[j, j] - mp.fsum(x * x for x in lower[j, :j])
        if rest <= 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        lower[j, j] = mp.sqrt(rest)
        for i in range(j + 1, n):
            lower[i, j] = (a[i, j] - mp.fsum(x * y for x, y in zip(lower[i, :j], lower[j, :j], strict=True))) / lower[j, j]
    return lower


def _svd(a: Any) -> Any:
    a = np.asarray(a, dtype=object)
    stack = a.shape[:-2]
    parts = [mp.svd_r(_matrix(a[i]), full_matrices=True) for i in np.ndindex(*stack)] if stack else [mp.svd_r(_matrix(a), full_matrices=True)]
    n = a.shape[-1]
    u, s, v = (
        np.array([_array(part[k], (n,) if k == 1 else (n, n)) for part in parts], dtype=object).reshape(stack + ((n,) if k == 1 else (n, n))) for k in range(3)
    )
    return u, s, v


def _matrix_power(a: Any, n: int) -> Any:
    n = int(n)
    base = _each(_inv)(a) if n < 0 else a
    result = np.broadcast_to(_eye(a.shape[-1]), a.shape)
    for _ in range(abs(n)):
        result = result @ base
    return result


def _norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: FBT001, FBT002  NumPy's signature
    squares = np.sum(np.asarray(x * x, dtype=object), axis=axis, keepdims=keepdims)
    root = np.frompyfunc(exact.FUNCTIONS["sqrt"], 1, 1)
    return root(squares)


def _add_at(target: Any, place: Any, values: Any) -> None:
    values = np.asarray(values, dtype=object)
    np.add.at(target, whole(place), values if values.ndim else values[()])


class _Add:
    """`np.add`, which is called and has a method."""

    at = staticmethod(_add_at)

    def __call__(self, x: Any, y: Any) -> Any:
        return x + y


ARRAYS: Final[dict[str, Any]] = {
    **{
        name: _plain(getattr(np, name))
        for name in (
            "swapaxes", "transpose", "moveaxis", "squeeze", "outer", "dot", "matmul", "tensordot", "inner", "cumsum", "cumprod", "trace", "diag", "diagonal",
            "tril", "triu", "repeat", "tile", "flip", "roll", "prod", "max", "min", "mean", "all", "any", "copy", "atleast_2d", "ix_", "unravel_index",
            "argmax", "argmin", "nonzero", "flatnonzero", "argsort", "searchsorted", "take", "take_along_axis", "logical_xor", "equal", "not_equal",
            "greater_equal", "less_equal", "fill_diagonal", "diag_indices", "array_equal", "shares_memory", "count_nonzero",
        )
    },
    "einsum": np.einsum,
    "pad": lambda x, widths: as_floats(np.pad(np.asarray(x, dtype=object), widths)),
    "arange": lambda *args, **_: np.arange(*args),
    "eye": _eye,
    "concatenate": _many(np.concatenate),
    "stack": _many(np.stack),
    "hstack": _many(np.hstack),
    "vstack": _many(np.vstack),
    "add": _Add(),
    "intp": np.intp,
    "int64": np.int64,
    "bool_": np.bool_,
    "float32": np.float32,
    "result_type": lambda *_: np.dtype(float),
}  # fmt: skip
LINALG: Final[dict[str, Any]] = {
    "inv": _each(_inv),
    "det": _each(_det),
    "solve": _each(_solve),
    "slogdet": _slogdet,
    "cholesky": _each(_cholesky),
    "svd": _svd,
    "matrix_power": _matrix_power,
    "norm": _norm,
}
STRIDE_TRICKS: Final[dict[str, Any]] = {
    "sliding_window_view": lambda x, shape, axis=None: np.lib.stride_tricks.sliding_window_view(np.asarray(x, dtype=object), shape, axis=axis),
}
