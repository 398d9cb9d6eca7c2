"""
Linear algebra: the one contraction, and what is not a contraction (inverse, determinant, solve, factors, norms).

Matrix products, outer products, dot products and index sums are all `einsum` of two operands, with the invariant of
`contraction`. Rules of other operations emit it through `matmul`. Stacks of matrices go wherever NumPy takes them.

>>> from bpcompile.ir import Builder, Var
>>> W, X = Var(shape=("N", "D")), Var(shape=("D", "K"))
>>> with Builder() as b:
...     print(matmul(W, X).shape, b.eqns[0].prim.form("notes", b.eqns[0].params).template)
('N', 'K') {0}.dot({1})
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import mpmath
import numpy as np

from bpcompile import contraction, dims
from bpcompile.forms import Form, Prec, pattern
from bpcompile.ir import Shape, show_shape
from bpcompile.ops.array import ALL, NEVER, against, forms, getitem, is_number, lines, no_sympy, reshape, sum_, transpose, view, zeros_for
from bpcompile.ops.scalar import gt, select
from bpcompile.primitive import ZERO, Kink, Primitive, define

_NUMPY: Final = ("numpy",)
_STACK: Final = "abcdefgh"


def _call(function: str) -> Form:
    return pattern(f"{function}({{0}})", Prec.ATOM, Prec.TEST, imports=_NUMPY)


# The contraction --------------------------------------------------------------------------------------------------------


def _einsum_left(ct: Any, ans: Any, a: Any, b: Any, *, spec: str) -> Any:
    left, right, output = contraction.parse(spec)
    return contraction.multiply(ct, b, output, right, left)


def _einsum_right(ct: Any, ans: Any, a: Any, b: Any, *, spec: str) -> Any:
    left, right, output = contraction.parse(spec)
    return contraction.multiply(a, ct, left, output, right)


einsum = define(
    name="einsum",
    symbol="dot",
    sympy=no_sympy,
    impl=lambda a, b, *, spec: np.einsum(spec, a, b),
    forms={
        "math": lambda **_: NEVER,
        "numpy": lambda *, spec: contraction.form(spec),
        "notes": lambda *, spec: contraction.form(spec, "notes"),
    },
    vjp=(_einsum_left, _einsum_right),
    samples=((1.5, 2.0),),
    array_samples=(
        ((("N", "D"), ("D", "K")), {"spec": "ij,jk->ik"}),
        ((("N", "D"), ("K", "D")), {"spec": "ij,kj->ki"}),
        ((("N", "D"), ("D",)), {"spec": "ij,j->i"}),
        ((("N",), ("D",)), {"spec": "i,j->ij"}),
        ((("N",), ("N",)), {"spec": "i,i->"}),
        ((("N", "D"), ("N", "D")), {"spec": "ij,ij->"}),
        ((("N", "D"), ("N", "D")), {"spec": "ij,ij->i"}),
        ((("N", "D"), ("N",)), {"spec": "ij,i->ij"}),
        ((("N", "D", "K"), ("N", "K", "M")), {"spec": "bij,bjk->bik"}),
        ((("N", "D", "K"), ("K", "M")), {"spec": "bij,jk->bik"}),
        ((("N", "D", "K"), ("N", "D", "M")), {"spec": "bti,btj->ij"}),
        ((("N", "D", "K"), ("N", "K")), {"spec": "bij,bj->bi"}),
    ),
    shape=lambda a, b, *, spec: contraction.result_shape(a, b, spec),
    total=True,
    short="prod",
    notes="A sum of products over indices. Its derivative is a contraction again: of the cotangent with the other operand.",
)


def matmul(x: Any, y: Any, *, transpose_x: bool = False, transpose_y: bool = False) -> Any:
    """Emit the product of two (stacks of) matrices, each transposed first if asked for."""
    stack = _STACK[: max(len(x.shape), len(y.shape)) - 2]
    of_x, of_y = (stack[len(stack) - len(v.shape) + 2 :] for v in (x, y))
    return contraction.multiply(x, y, of_x + ("ji" if transpose_x else "ij"), of_y + ("kj" if transpose_y else "jk"), f"{stack}ik")


def swap(x: Any) -> Any:
    """Emit the transpose of each matrix of a stack."""
    last = len(x.shape) - 1
    return transpose(x, perm=(*range(last - 1), last, last - 1))


def kron(a: Any, b: Any) -> Any:
    """
    Emit the Kronecker product of two matrices, of shape (N*K, D*M) for shapes (N, D) and (K, M).

    Raises:
        ValueError: An operand is no matrix.
    """
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise ValueError(f"shapes {show_shape(a.shape)} and {show_shape(b.shape)} are not those of matrices")
    shape = tuple(dims.multiply(m, n) for m, n in zip(a.shape, b.shape, strict=True))
    return reshape(einsum(a, b, spec="ij,kl->ikjl"), shape=shape)


# Diagonals and triangles ------------------------------------------------------------------------------------------------


def _diagonal_shape(x: Shape, *, axis1: int, axis2: int) -> Shape:
    if max(axis1, axis2) >= len(x) or axis1 == axis2 or x[axis1] != x[axis2]:
        raise ValueError(f"an array of shape {show_shape(x)} has no square diagonal along axes {axis1} and {axis2}")
    return (*(size for i, size in enumerate(x) if i not in {axis1, axis2}), x[axis1])


def _diagonal_form(*, axis1: int, axis2: int) -> Form:
    axes = "" if (axis1, axis2) == (0, 1) else f", axis1={axis1}, axis2={axis2}"
    return view(pattern(f"np.diagonal({{0}}{axes})", Prec.ATOM, Prec.TEST, imports=_NUMPY))


def _undiagonal_value(like: Any, ct: Any, *, axis1: int, axis2: int) -> Any:
    out = zeros_for(like, ct)
    k = np.arange(out.shape[axis1])
    np.moveaxis(out, (axis1, axis2), (-2, -1))[..., k, k] = ct
    return out


def _undiagonal_form(*, axis1: int, axis2: int, shapes: Sequence[Shape] | None = None) -> Form:
    start = "{out} = np.zeros_like({0})"
    plain = shapes is not None and len(shapes[0]) == 2
    letters = ["i" if axis in {axis1, axis2} else "abcdefghjklmn"[axis] for axis in range(max(axis1, axis2) + 1)]
    spec = "ii->i" if plain else f"{''.join(letters)}...->{''.join(c for c in letters if c != 'i')}...i"
    # np.einsum of one operand is a view of its diagonal that can be written to.
    diagonal = f'np.einsum("{spec}", {{out}})[...]'
    fill = "np.fill_diagonal({out}, {1})" if plain else f"{diagonal} = {{1}}"
    return lines(start, fill, operands=(Prec.TEST,), accumulate=(f"{diagonal} += {{1}}",))


def _undiagonal_rule(ct: Any, ans: Any, like: Any, value: Any, *, axis1: int, axis2: int) -> Any:
    back = diagonal(ct, axis1=axis1, axis2=axis2)
    short = is_number(value) or len(value.shape) < len(back.shape)
    return sum_(back, axis=tuple(range(len(back.shape))), keepdims=False) if short else back


def _diag_shape(v: Shape) -> Shape:
    if len(v) != 1:
        raise ValueError(f"an array of shape {show_shape(v)} is not a vector")
    return v * 2


_SQUARES: Final = ((("N", "N"), {"axis1": 0, "axis2": 1}), (("N", "D", "D"), {"axis1": 1, "axis2": 2}), (("N", "D", "N", "K"), {"axis1": 0, "axis2": 2}))

trace = define(
    name="trace",
    sympy=no_sympy,
    impl=np.trace,
    forms=forms(_call("np.trace")),
    vjp=(lambda ct, ans, a: undiagonal(a, ct, axis1=0, axis2=1),),
    samples=((1.5,),),
    array_samples=(((("N", "N"),), {}),),
    shape=lambda a: _matrix_result(a, 2)[:0],
    total=True,
    short="tr",
)
diagonal = define(
    name="diagonal",
    sympy=no_sympy,
    impl=lambda x, *, axis1, axis2: np.diagonal(x, axis1=axis1, axis2=axis2),
    forms=forms(_diagonal_form),
    vjp=(lambda ct, ans, x, *, axis1, axis2: undiagonal(x, ct, axis1=axis1, axis2=axis2),),
    samples=((1.5,),),
    array_samples=tuple(((x,), params) for x, params in _SQUARES),
    shape=_diagonal_shape,
    passes=True,
    total=True,
    cost=0,
    short="diag",
    notes="The diagonal comes last, as in NumPy. Only square ones.",
)
undiagonal: Primitive = define(
    name="undiagonal",
    shape_only=(0,),
    sympy=no_sympy,
    impl=_undiagonal_value,
    forms=forms(_undiagonal_form),
    vjp=(ZERO, _undiagonal_rule),
    samples=((1.5, 2.0),),
    array_samples=(*(((x, _diagonal_shape(x, **params)), params) for x, params in _SQUARES), ((("N", "N"), ()), {"axis1": 0, "axis2": 1})),
    shape=lambda like, ct, **_: like,
    total=True,
    cost=0,
    notes="The vjp of `diagonal` and of `trace`: zeros off the diagonal.",
)
diag = define(
    name="diag",
    sympy=no_sympy,
    impl=np.diag,
    forms=forms(_call("np.diag")),
    vjp=(lambda ct, ans, v: diagonal(ct, axis1=0, axis2=1),),
    samples=((1.5,),),
    array_samples=(((("N",),), {}),),
    shape=_diag_shape,
    total=True,
    cost=0,
    short="diag",
    notes="The diagonal matrix of a vector.",
)


def _triangle(name: str, function: Callable[..., Any]) -> Primitive:
    def form(*, k: int) -> Form:
        return pattern(f"np.{name}({{0}}{f', {k}' if k else ''})", Prec.ATOM, Prec.TEST, imports=_NUMPY)

    return define(
        name=name,
        sympy=no_sympy,
        impl=lambda x, *, k: function(x, k),
        forms=forms(form),
        vjp=(lambda ct, ans, x, *, k: function_of[name](ct, k=k),),
        samples=((1.5,),),
        array_samples=(((("N", "D"),), {"k": 0}), ((("N", "D"),), {"k": -1}), ((("K", "N", "N"),), {"k": 1})),
        shape=lambda x, *, k: x,
        total=True,
        cost=0,
    )


function_of: Final[dict[str, Primitive]] = {}
tril = function_of["tril"] = _triangle("tril", np.tril)
triu = function_of["triu"] = _triangle("triu", np.triu)


# Values on objects: numbers of any precision ----------------------------------------------------------------------------


def _on_stacks(function: Callable[..., Any], numpy: Callable[..., Any]) -> Callable[..., Any]:
    """Return NumPy's function, with elimination in place of LAPACK for arrays of objects."""

    def value(*arrays: Any) -> Any:
        operands = [np.asarray(a) for a in arrays]
        if all(a.dtype != object for a in operands):
            return numpy(*operands)
        stack = operands[0].shape[:-2]
        parts = [function(*(a[index] if a.ndim > 1 or stack else a for a in operands)) for index in np.ndindex(*stack)]
        return np.array(parts, dtype=object).reshape(stack + np.shape(parts[0])) if stack else parts[0]

    return value


def _eliminated(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the solution of a x = b and det a by Gauss's elimination with partial pivoting, on numbers of any kind."""
    a, b = np.array(a, dtype=object), np.array(b, dtype=object)
    n = len(a)
    det: Any = 1
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(a[i, k]))
        if a[pivot, k] == 0:
            return None, 0 * a[pivot, k]
        if pivot != k:
            a[[k, pivot]], b[[k, pivot]] = a[[pivot, k]], b[[pivot, k]]
            det = -det
        det = det * a[k, k]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] = a[i, k:] - factor * a[k, k:]
            b[i] = b[i] - factor * b[k]
    for k in reversed(range(n)):
        for i in range(k + 1, n):
            b[k] = b[k] - a[k, i] * b[i]
        b[k] = b[k] / a[k, k]
    return b, det


def _solved(a: Any, b: Any) -> Any:
    x, _ = _eliminated(a, b)
    if x is None:
        raise np.linalg.LinAlgError("Singular matrix")
    return x


def _cofactors(a: Any) -> Any:
    n = len(a)
    out = np.empty((n, n), dtype=object)
    for i, j in np.ndindex(n, n):
        minor = np.delete(np.delete(a, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * _eliminated(minor, np.zeros(n - 1, dtype=object))[1]
    return out


def _factored(a: Any) -> Any:
    n = len(a)
    lower = np.full((n, n), 0 * a[0, 0] if n else 0, dtype=object)
    for j in range(n):
        rest = a[j, j] - sum(lower[j, :j] * lower[j, :j])
        if rest <= 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        lower[j, j] = rest**0.5
        for i in range(j + 1, n):
            lower[i, j] = (a[i, j] - sum(lower[i, :j] * lower[j, :j])) / lower[j, j]
    return lower


def _log_of_det(a: Any) -> Any:
    det = _eliminated(a, np.zeros(len(a), dtype=object))[1]
    return mpmath.mp.log(det) if det > 0 else mpmath.mp.nan


def _svd_cofactors(a: Any) -> Any:
    u, s, vt = np.linalg.svd(a)
    rest = np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., None, :]).prod(axis=-1)
    return (np.linalg.det(u) * np.linalg.det(vt))[..., None, None] * (u * rest[..., None, :]) @ vt


def _power_value(a: Any, *, n: int) -> Any:
    if np.asarray(a).dtype != object:
        return np.linalg.matrix_power(a, n)
    base = inv.impl(a) if n < 0 else a
    result = np.broadcast_to(np.eye(np.shape(a)[-1], dtype=int).astype(object), np.shape(a))
    for _ in range(abs(n)):
        result = result @ base
    return result


# Inverse, determinant, solve --------------------------------------------------------------------------------------------


def _matrix_result(a: Shape, rank: int | None = None) -> Shape:
    if len(a) < 2 or a[-1] != a[-2] or rank not in {None, len(a)}:
        raise ValueError(f"an array of shape {show_shape(a)} is not a square matrix")
    return a


def _scaling(ct: Any) -> Any:
    """Return one number a matrix with axes of size 1 for the matrix."""
    return ct if is_number(ct) or not ct.shape else getitem(ct, index=(*(ALL for _ in ct.shape), None, None))


def _cofactor_form(*, shapes: Sequence[Shape] | None = None) -> Form:
    plain = shapes is not None and len(shapes[0]) == 2
    singular, rest = ("{s}", "{rest}") if plain else ("{s}[..., None, :]", "{rest}[..., None, :]")
    sign = "np.linalg.det({u}) * np.linalg.det({vt})"
    return lines(
        "{u}, {s}, {vt} = np.linalg.svd({0})",
        f"{{rest}} = np.where(np.eye({{s}}.shape[-1], dtype=bool), 1.0, {singular}).prod(axis=-1)",
        f"{{out}} = {sign if plain else f'({sign})[..., None, None]'} * ({{u}} * {rest}) @ {{vt}}",
        operands=(Prec.TEST,),
        fresh=("u", "s", "vt", "rest"),
    )


def _cofactor_rule(ct: Any, ans: Any, a: Any) -> Any:
    inverse = inv(a)
    stack = len(a.shape) - 2
    # d cof = <d log det> cof - cof dA' inv'
    weight = sum_(ct * swap(inverse), axis=(stack, stack + 1), keepdims=False)
    return _scaling(weight) * ans - matmul(matmul(ans, ct, transpose_y=True), inverse, transpose_y=True)


def _solve_shape(a: Shape, b: Shape) -> Shape:
    _matrix_result(a)
    if (len(a) == 2 and len(b) == 1 and b[0] == a[0]) or (len(b) == len(a) and b[:-1] == a[:-1]):
        return b
    raise ValueError(f"shapes {show_shape(a)} and {show_shape(b)} do not agree in `solve`")


def _solve_rule(ct: Any, ans: Any, a: Any, b: Any) -> Any:
    db = solve(swap(a), ct)
    return -(contraction.multiply(db, ans, "i", "j", "ij") if len(ans.shape) == 1 else matmul(db, ans, transpose_y=True))


def _half(x: Any) -> Any:
    """Return the lower triangle, the diagonal halved."""
    return (tril(x, k=0) + tril(x, k=-1)) / 2.0


def _cholesky_rule(ct: Any, ans: Any, a: Any) -> Any:
    across = swap(ans)
    inner = _half(matmul(ans, ct, transpose_x=True))
    inner = solve(across, swap(solve(across, swap(inner))))
    return _half(inner + swap(inner))


def _power_shape(a: Shape, *, n: int) -> Shape:
    return _matrix_result(a)


def _power_form(*, n: int) -> Form:
    form = pattern(f"np.linalg.matrix_power({{0}}, {n})", Prec.ATOM, Prec.TEST, imports=_NUMPY)
    return view(form) if n == 1 else form  # NumPy returns the matrix itself


def _power_rule(ct: Any, ans: Any, a: Any, *, n: int) -> Any:
    if n == 0:
        return 0.0
    if n < 0:
        inverse = inv(a)
        inner = _power_rule(ct, ans, inverse, n=-n)
        return -matmul(matmul(inverse, inner, transpose_x=True), inverse, transpose_y=True)
    # S_n = sum of A^i ct A^j over i + j = n - 1, by doubling: S_2m = A^m S_m + S_m A^m, S_(m+1) = A S_m + ct A^m.
    base = swap(a)
    total, power = ct, base
    bits = f"{n:b}"[1:]
    for place, bit in enumerate(bits):
        last = place == len(bits) - 1
        total = matmul(power, total) + matmul(total, power)
        if bit == "1" or not last:
            power = matmul(power, power)
        if bit == "1":
            total = matmul(base, total) + matmul(ct, power)
            if not last:
                power = matmul(power, base)
    return total


def _draw_regular(rng: Any, a: tuple[int, ...], *rest: tuple[int, ...], **_: Any) -> tuple[Any, ...]:
    """Draw well-conditioned matrices: a random one with a heavy diagonal."""
    return (rng.standard_normal(a) + 3.0 * np.eye(a[-1]), *(rng.standard_normal(s) for s in rest))


def _draw_positive(rng: Any, a: tuple[int, ...]) -> tuple[Any, ...]:
    x = rng.standard_normal(a)
    return (x @ np.swapaxes(x, -1, -2) + 2.0 * np.eye(a[-1]),)


def _draw_singular(rng: Any, a: tuple[int, ...]) -> tuple[Any, ...]:
    """Draw matrices whose first two rows are equal: singular from size 2 on."""
    x = rng.standard_normal(a)
    x[..., 1:2, :] = x[..., :1, :][..., : x[..., 1:2, :].shape[-2], :]
    return (x,)


_MATRICES: Final[tuple[tuple[tuple[Shape, ...], dict[str, Any]], ...]] = (((("N", "N"),), {}), ((("D", "N", "N"),), {}))

inv = define(
    name="inv",
    sympy=no_sympy,
    impl=_on_stacks(lambda a: _solved(a, np.eye(len(a), dtype=int).astype(object)), np.linalg.inv),
    forms=forms(_call("np.linalg.inv")),
    vjp=(lambda ct, ans, a: -matmul(matmul(ans, ct, transpose_x=True), ans, transpose_y=True),),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_regular,
    shape=_matrix_result,
    domain="det a != 0",
    short="inv",
    notes="-inv(a).T @ ct @ inv(a).T. K. B. Petersen, M. S. Pedersen, The Matrix Cookbook (2012), eq. 59.",
)
det = define(
    name="det",
    sympy=no_sympy,
    impl=_on_stacks(lambda a: _eliminated(a, np.zeros(len(a), dtype=object))[1], np.linalg.det),
    forms=forms(_call("np.linalg.det")),
    vjp=(lambda ct, ans, a: cofactor(a) * _scaling(ct),),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_singular,
    shape=lambda a: _matrix_result(a)[:-2],
    total=True,
    short="det",
    notes="The gradient is the matrix of cofactors, finite for singular matrices, where det(a) * inv(a).T is not.",
)
cofactor: Primitive = define(
    name="cofactor",
    sympy=no_sympy,
    impl=_on_stacks(_cofactors, _svd_cofactors),
    forms=forms(_cofactor_form),
    vjp=(_cofactor_rule,),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_regular,
    shape=_matrix_result,
    short="cof",
    notes="cof(U S V') = det(U) det(V') U cof(S) V', and cof of a diagonal matrix multiplies the other elements. Its own derivative wants det a != 0.",
)
logdet = define(
    name="logdet",
    sympy=no_sympy,
    impl=_on_stacks(
        lambda a: mpmath.mp.log(abs(_eliminated(a, np.zeros(len(a), dtype=object))[1])),
        lambda a: np.linalg.slogdet(a)[1],
    ),
    forms=forms(pattern("np.linalg.slogdet({0})[1]", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(lambda ct, ans, a: swap(inv(a)) * _scaling(ct),),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_regular,
    shape=lambda a: _matrix_result(a)[:-2],
    domain="det a != 0",
    short="logdet",
    notes="log |det a|, without computing a determinant that may overflow; the gradient is inv(a).T. The Matrix Cookbook, eq. 57.",
)
log_det = define(
    name="log_det",
    sympy=no_sympy,
    impl=_on_stacks(_log_of_det, lambda a: np.log(np.linalg.slogdet(a)[0]) + np.linalg.slogdet(a)[1]),
    forms=forms(
        lines(
            "{sign}, {size} = np.linalg.slogdet({0})",
            "{out} = np.log({sign}) + {size}",
            operands=(Prec.TEST,),
            fresh=("sign", "size"),
        )
    ),
    vjp=(lambda ct, ans, a: swap(inv(a)) * _scaling(ct),),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_positive,
    shape=lambda a: _matrix_result(a)[:-2],
    domain="det a > 0",
    short="logdet",
    notes="log det a as written: nan where the determinant is negative, and none computed that may overflow. The gradient is inv(a).T.",
)
solve: Primitive = define(
    name="solve",
    sympy=no_sympy,
    impl=_on_stacks(_solved, np.linalg.solve),
    forms=forms(pattern("np.linalg.solve({0}, {1})", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(_solve_rule, lambda ct, ans, a, b: solve(swap(a), ct)),
    samples=((1.5, 2.0),),
    array_samples=(((("N", "N"), ("N",)), {}), ((("N", "N"), ("N", "D")), {}), ((("D", "N", "N"), ("D", "N", "K")), {})),
    draw=_draw_regular,
    shape=_solve_shape,
    domain="det a != 0",
    short="sol",
    notes="db = solve(a.T, ct), da = -outer(db, x): one more solve, no inverse.",
)
cholesky = define(
    name="cholesky",
    sympy=no_sympy,
    impl=_on_stacks(_factored, np.linalg.cholesky),
    forms=forms(_call("np.linalg.cholesky")),
    vjp=(_cholesky_rule,),
    samples=((1.5,),),
    array_samples=_MATRICES,
    draw=_draw_positive,
    shape=_matrix_result,
    domain="a is positive definite",
    short="chol",
    notes="NumPy reads the lower triangle only, so the gradient lives there. I. Murray, Differentiation of the Cholesky decomposition (2016).",
)
matrix_power = define(
    name="matrix_power",
    sympy=no_sympy,
    impl=_power_value,
    forms=forms(_power_form),
    vjp=(_power_rule,),
    samples=((1.5,),),
    array_samples=tuple((shapes, {"n": n}) for n in (-2, -1, 0, 1, 2, 3, 6, 7) for shapes in ((("N", "N"),), (("D", "N", "N"),))),
    draw=_draw_regular,
    shape=_power_shape,
    short="power",
    notes="The gradient is the sum of a.T^i ct a.T^j over i + j = n - 1, in O(log n) products.",
)


# Norms ------------------------------------------------------------------------------------------------------------------


def _norm_form(*, axis: tuple[int, ...], keepdims: bool, shapes: Sequence[Shape] | None = None) -> Form:
    whole = shapes is not None and len(axis) == len(shapes[0]) and not keepdims
    arguments = "" if whole else f", axis={axis[0] if len(axis) == 1 else axis}" + (", keepdims=True" if keepdims else "")
    if whole or len(axis) <= 2:
        return pattern(f"np.linalg.norm({{0}}{arguments})", Prec.ATOM, Prec.TEST, imports=_NUMPY)
    return Form(f"np.sqrt(np.sum({{0}} * {{0}}{arguments}))", Prec.ATOM, (Prec.TERM,), _NUMPY, atoms=(0,))


norm = define(
    name="norm",
    sympy=no_sympy,
    impl=lambda x, *, axis, keepdims: operator.pow(np.sum(x * x, axis=axis, keepdims=keepdims), 0.5),
    forms=forms(_norm_form),
    # The denominator is 1 where the norm is 0: the numerator is 0 there, and so is the subgradient that is chosen.
    vjp=(lambda ct, ans, x, *, axis, keepdims: x * against(ct / select(gt(ans, 0.0), ans, 1.0), axis, keepdims),),
    samples=((1.5,),),
    array_samples=(
        ((("N",),), {"axis": (0,), "keepdims": False}),
        ((("N", "D"),), {"axis": (0, 1), "keepdims": False}),
        ((("N", "D"),), {"axis": (1,), "keepdims": True}),
        ((("N", "D", "K"),), {"axis": (0, 2), "keepdims": False}),
        ((("N", "D", "K"),), {"axis": (0, 1, 2), "keepdims": True}),
    ),
    kinks=(Kink("x = 0", "0", "the smallest of the subgradients, and what keeps later products finite"),),
    shape=lambda x, *, axis, keepdims: tuple(1 if i in axis else size for i, size in enumerate(x) if keepdims or i not in axis),
    total=True,
    short="norm",
    notes="Euclidean (Frobenius) norm.",
)
