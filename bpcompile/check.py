"""
The certificate: what was checked about an emitted text, and with what result.

1. *Gates*: each distinct rule of the table is compared with `sympy.diff` (`gates`).
2. *The whole function*: the emitted text is run at 50 digits and compared, value and gradients, with SymPy's derivative of the
   flattened function, or, for functions too large for that, with forward mode (`oracle`).
3. *Edge points*: zeros, ties and large values, where guards are at work, in double precision against the program itself.
4. *Cost*: operations counted off the text (`cost`).

What could not be checked is listed as unchecked, with the reason; it is never called passed. Points are the same on every run.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import itertools
import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, Literal

import numpy as np
from mpmath import mp

from bpcompile import gates as gate_proofs
from bpcompile.array_oracle import ArrayTape, choose_sizes, index_bounds, instantiate, work_of, works_on_axes
from bpcompile.cost import Cost, count
from bpcompile.emit import Emitted
from bpcompile.exact import DIGITS, WORKING_DIGITS, TooLarge
from bpcompile.execution import Execution, NotRunnable, Outcome, UnknownFunction
from bpcompile.forms import Form
from bpcompile.gates import Gate
from bpcompile.interpret import evaluate
from bpcompile.ir import Lit, Program, Tree, Var
from bpcompile.oracle import Layout, SympyReference, Tape, Unsupported
from bpcompile.primitive import Primitive

Level = Literal["full", "fast", "off"]

#: Generic points compared, the least that counts as checked, and how many are tried to find them.
_POINTS: Final = 5
_LEAST: Final = 3
_CANDIDATES: Final = 160
#: Points tried beyond those to see both sides of every condition.
_EXPLORED: Final = 80
_FAST_POINTS: Final = 2
#: Agreement that is called agreement: to double precision, for constants are doubles; the achieved error is reported.
_RELATIVE: Final = "1e-13"
_FAST_RELATIVE: Final = 1e-8
#: What is left of a derivative that cancels to nothing, layer by layer, is rounding.
_VANISHED: Final = 1e-100
#: Work (equations times points) that exploring and edge points may take.
_WORK: Final = 200_000
#: Multiplications that one run at 50 digits, and one in double precision, of a program with axes may take.
_HIGH_WORK: Final = 500_000
_DOUBLE_WORK: Final = 100_000_000
#: Branches never taken that are named.
_LISTED: Final = 4

#: Errors that say that the text is broken, whatever the point.
_BROKEN: Final = (NameError, AttributeError, TypeError, SyntaxError, LookupError, AssertionError)
_SPECIAL: Final = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-8, -1e-8, 40.0, -40.0, 800.0, -800.0, -720.0)


@dataclass(frozen=True, slots=True)
class Whole:
    """
    The verdict on the whole function.

    Attributes:
        status: `passed`, `failed` or `unchecked`.
        compared: What the text was compared with.
        points: At how many generic points.
        error: The largest relative difference found there.
        float_error: The largest relative error of the text in double precision at these points; None if not run.
        edges: At how many edge points the text agrees with the program.
        detail: Why it failed or is unchecked.
        sizes: Of programs with axes: the sizes that names stood for, and at how many others the text was compared.
    """

    status: Literal["passed", "failed", "unchecked"]
    compared: str = ""
    points: int = 0
    error: float = 0.0
    float_error: float | None = None
    edges: int = 0
    detail: str = ""
    sizes: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    The verdicts of all layers.

    Attributes:
        ok: Nothing failed. What is merely unchecked is listed in `unchecked`.
        gates: One verdict a distinct primitive, in order of appearance.
        whole: The verdict on the whole function.
        unchecked: What could not be checked, and why.
        kinks: Where the example point sits on a kink, and the derivative chosen there.
        cost: Operations of the text; None where they were not counted.
    """

    ok: bool
    gates: tuple[Gate, ...]
    whole: Whole
    unchecked: tuple[str, ...] = ()
    kinks: tuple[str, ...] = ()
    cost: Cost | None = None

    def lines(self) -> list[str]:
        """Return short ASCII lines for the header of the emitted file; the same for the same input, on every run."""
        lines: list[str] = []
        by_status = {status: [g.name for g in self.gates if g.status == status] for status in ("proved", "numeric", "unchecked", "failed")}
        words = {"proved": "proved with SymPy", "numeric": f"equal to the derivative at {DIGITS} digits", "unchecked": "not checked", "failed": "WRONG"}
        parts = [f"{len(names)} {words[status]}" for status, names in by_status.items() if names]
        if parts:
            lines.append("derivative rules: " + ", ".join(parts))
        whole = self.whole
        if whole.status == "passed":
            lines.append(f"value and gradient equal {whole.compared}: {whole.points} points, relative error {_below(whole.error)}")
            if whole.float_error is not None:
                lines.append(f"in double precision: relative error {_below(whole.float_error)} at these points")
            if whole.sizes:
                lines.append(f"sizes: {whole.sizes}")
            if whole.edges:
                lines.append(f"zeros, ties and large values: {whole.edges} points agree with the program")
        elif whole.status == "failed":
            lines.append(f"WRONG: {whole.detail}")
        lines += [f"not checked: {reason}" for reason in self.unchecked]
        lines += [f"kink: {kink}" for kink in self.kinks]
        if self.cost is not None:
            lines.append(f"operations: {self.cost}")
        return [_ascii(line) for line in lines]

    def summary(self) -> str:
        """Return one line."""
        whole = self.whole
        if not self.ok:
            wrong = [g for g in self.gates if g.status == "failed"]
            return _ascii("failed: " + (whole.detail if whole.status == "failed" else f"{wrong[0].name}: {wrong[0].detail}"))
        text = f"checked against {whole.compared} at {whole.points} points" if whole.status == "passed" else "not checked"
        if self.unchecked:
            text += f"; not checked: {'; '.join(self.unchecked)}" if whole.status == "passed" else f": {'; '.join(self.unchecked)}"
        return _ascii(text)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def certify(
    primal: Program,
    emitted: Emitted,
    *,
    level: Level = "full",
    gradient: Program | None = None,
    progress: Callable[[str], None] | None = None,
) -> Certificate:
    """
    Check an emitted text.

    Args:
        primal: The program as read by the front end, before any pass.
        emitted: The text and how to call it.
        level: `full`: at 50 digits; `fast`: forward mode in double precision, for very long programs; `off`: nothing.
        gradient: The program with adjoints that the text was printed from, for the edge points.
        progress: Called with a short text at the start of each layer.

    Returns:
        The certificate; a text that doesn't run is a failed one, not an exception.
    """
    if level == "off":
        return Certificate(ok=True, gates=(), whole=Whole("unchecked"), unchecked=("everything: checks are off",))
    with _paused_collection():
        return _certify(primal, emitted, level, gradient, progress or (lambda _: None))


@contextlib.contextmanager
def _paused_collection() -> Iterator[None]:
    """Pause the collection of cycles: over a large syntax tree it would run again and again and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _certify(primal: Program, emitted: Emitted, level: Level, gradient: Program | None, report: Callable[[str], None]) -> Certificate:
    try:
        tree = ast.parse(emitted.text)
        cost = count(emitted, tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Certificate(ok=False, gates=(), whole=Whole("failed", detail=f"the emitted text is not Python: {error}"))
    with mp.workdps(WORKING_DIGITS):
        report("checking derivative rules")
        gates = gate_proofs.prove(primal, _small_sizes(primal))
        check = _Check(primal, emitted, tree, gradient, report, high=level == "full")
        whole = check.run()
        kinks = _kinks(primal)
    unchecked = [f"rule of {g.name}: {g.detail}" for g in gates if g.status == "unchecked"]
    unchecked += check.unchecked
    ok = whole.status != "failed" and all(g.status != "failed" for g in gates)
    return Certificate(ok=ok, gates=gates, whole=whole, unchecked=tuple(dict.fromkeys(unchecked)), kinks=kinks, cost=cost)


def _small_sizes(primal: Program) -> dict[str, int] | None:
    try:
        return choose_sizes(primal)
    except Unsupported:
        return None


class _Failed(Exception):  # noqa: N818  ends the check with a verdict
    """A check failed: the detail is the message."""


class _Unchecked(Exception):  # noqa: N818  ends the check with a verdict
    """The whole function can't be checked: the reason is the message."""


@dataclass(slots=True)
class _Point:
    """An input point in double precision, with the numbers at 50 digits that stand for the same doubles."""

    numbers: list[Any]
    upstream: list[Any]
    direction: list[Any]
    high: list[Any] = field(default_factory=list)
    high_upstream: list[Any] = field(default_factory=list)
    high_direction: list[Any] = field(default_factory=list)
    ordinary: bool = True


class _Elements:
    """Forward mode along every element of every input: gradients element by element."""

    def __init__(self, tape: ArrayTape) -> None:
        self.wanted = tape.wanted
        self.evaluate = tape.gradients


class _Check:
    """The whole-function check of one text."""

    def __init__(self, primal: Program, emitted: Emitted, tree: ast.Module, gradient: Program | None, report: Callable[[str], None], *, high: bool) -> None:
        self.primal = primal
        self.emitted = emitted
        self.tree = tree
        self.gradient = gradient
        self.report = report
        self.high = high
        self.layout = Layout(primal)
        self.unchecked: list[str] = []
        self.compared = ""
        self.error = 0.0
        self.float_error: float | None = None
        self.points = 0
        self.edges = 0
        self.sides: dict[int, tuple[bool, bool]] = {}
        self.size = max(1, len(primal.eqns))
        self.reference: SympyReference | _Elements | None = None
        self._tapes: dict[bool, Tape | ArrayTape] = {}
        self.cost_of_point = 0
        #: Whether sizes are tried that a program may not be meant for.
        self.strange = False
        #: In how many other sizes the text was compared in double precision.
        self.other_sizes = 0
        #: Of programs with axes: the numbers that stand for the names of sizes.
        self.sizes: dict[str, int] | None = None

    def run(self) -> Whole:
        """Return the verdict."""
        try:
            self._run()
        except _Failed as failure:
            return Whole("failed", self.compared, self.points, self.error, self.float_error, self.edges, str(failure))
        except _Unchecked as reason:
            self.unchecked.append(str(reason))
            return Whole("unchecked", self.compared, self.points, self.error, self.float_error, self.edges, str(reason))
        return Whole("passed", self.compared, self.points, self.error, self.float_error, self.edges, sizes=self._show_sizes())

    def _show_sizes(self) -> str:
        if not self.sizes:
            return ""
        text = ", ".join(f"{name} = {size}" for name, size in self.sizes.items())
        return text + (f"; {self.other_sizes} more in double precision, 1 among them" if self.other_sizes else "")

    def _run(self) -> None:
        try:
            self.execution = Execution(self.emitted, tree=self.tree, record=self.high)
        except NotRunnable as error:
            raise _Failed(str(error)) from error
        self._map_inputs()
        if works_on_axes(self.primal):
            self._choose_sizes()
        elements = sum(math.prod(s) for s in self.layout.output_shapes)
        if elements > 4096 and self.sizes is None:
            msg = f"{elements} output elements are too many"
            raise _Unchecked(msg)
        try:
            self._choose_reference()
        except Unsupported as reason:
            raise _Unchecked(str(reason)) from reason
        self.report("comparing values and gradients")
        self._compare_points()
        if self.sizes is not None:
            self._compare_other_sizes()
        if self.high:
            self._compare_doubles()
            self.report("comparing edge points")
            self._compare_edges()
            self._list_branches()

    def _choose_sizes(self) -> None:
        """Give the names of sizes small numbers; where sizes that are fixed are large, double precision must do."""
        try:
            self.sizes = next(filter(self._runs_at, (choose_sizes(self.primal, least=least) for least in (0, 6, 30, 200))), None)
        except Unsupported as reason:
            raise _Unchecked(str(reason)) from reason
        if self.sizes is None:
            msg = "a position lies outside its axis at all sizes tried"
            raise _Unchecked(msg)
        self.layout = Layout(self.primal, sizes=self.sizes)
        self.size = work_of(self.primal, self.sizes)
        if self.high and self.size * 10 > _HIGH_WORK:
            self.high = False
            self.unchecked.append("values at 50 digits: the sizes are too large")
        if self.size > _DOUBLE_WORK:
            msg = f"about {self.size:.0e} multiplications are too many"
            raise _Unchecked(msg)

    def _runs_at(self, sizes: dict[str, int]) -> bool:
        """Whether all positions that the program names lie inside their axes."""
        if work_of(self.primal, sizes) > _DOUBLE_WORK:
            return True  # found to be too large afterwards
        layout = Layout(self.primal, sizes=sizes)
        numbers, _ = next(_candidates(self.primal, layout, False, index_bounds(self.primal, sizes)))
        try:
            ArrayTape(self.primal, sizes, high=False).outputs(numbers)
        except IndexError:
            return False
        return True

    # -- inputs

    def _map_inputs(self) -> None:
        """Find the variable of each leaf of each parameter of the text, by identity or by place."""
        index = {v: i for i, v in enumerate(self.layout.inputs)}
        by_name = {p.name: list(p.leaves()) for p in self.primal.params}
        self._place: dict[Var, int] = {}
        for param, _ in itertools.chain(self.emitted.params, self.emitted.gradients):
            for own, var in zip(by_name.get(param.name, []), param.leaves(), strict=False):
                self._place[var] = index[var] if var in index else index[own]
        for param, _ in itertools.chain(self.emitted.params, self.emitted.gradients):
            for var in param.leaves():
                if var not in self._place:
                    msg = f"`{param.name}` is no input of the program"
                    raise _Failed(msg)
        wanted = [p.name for p in self.primal.params if p.wrt and p.seed is None and any(v.dtype == "float" for v in p.leaves())]
        returned = [p.name for p, _ in self.emitted.gradients]
        missing = [name for name in wanted if name not in returned]
        if missing:
            msg = f"the gradient of `{missing[0]}` is missing"
            raise _Failed(msg)

    def _arguments(self, numbers: Sequence[Any]) -> list[Any]:
        return [_shaped(param.tree, numbers, self._place) for param, _ in self.emitted.params]

    def _gradient_places(self) -> list[int]:
        return [self._place[v] for param, _ in self.emitted.gradients for v in param.leaves()]

    def _gradient_names(self) -> list[str]:
        return [name if isinstance(param.tree, Var) else f"{name} ({v.name})" for param, name in self.emitted.gradients for v in param.leaves()]

    # -- the other side of the comparison

    def _choose_reference(self) -> None:
        if self.high and self.sizes is not None:
            tape = self._tape(high=True)
            assert isinstance(tape, ArrayTape)  # as the sizes say
            elements = sum(math.prod(self.layout.concrete(v.shape)) for v in tape.wanted)
            self.cost_of_point = self.size * (elements + 10)
            if self.cost_of_point <= _HIGH_WORK:
                self.reference = _Elements(tape)
            else:
                self.cost_of_point = self.size * 11
        elif self.high:
            self.report("differentiating with SymPy")
            try:
                self.reference = SympyReference(self.primal)
            except Unsupported:
                self.reference = None
        if isinstance(self.reference, SympyReference):
            self.compared = f"SymPy's derivative at {DIGITS} digits"
            return
        self.compared = f"forward mode at {DIGITS} digits" if self.high else "forward mode in double precision"
        if self.sizes is not None and self.reference is not None:
            self.compared += ", element by element"
        self._tape(high=self.high)

    def _tape(self, *, high: bool) -> Tape | ArrayTape:
        if high not in self._tapes:
            self._tapes[high] = Tape(self.primal, high=high) if self.sizes is None else ArrayTape(self.primal, self.sizes, high=high)
        return self._tapes[high]

    # -- generic points

    def _compare_points(self) -> None:
        # In double precision the comparison itself sorts points out.
        filter_tape: Tape | ArrayTape | None = None
        if self.high:
            filter_tape = Tape(self.primal, high=False, derivatives=False) if self.sizes is None else self._tape(high=False)
        wanted = _POINTS if self.high else _FAST_POINTS
        least = _LEAST if self.high else _FAST_POINTS
        if self.sizes is not None and self.cost_of_point > _HIGH_WORK // 3:
            wanted = least
        explored = 0
        budget = max(2 * _POINTS, min(_EXPLORED, _WORK // self.size))
        self.generic: list[tuple[_Point, Outcome]] = []
        bounds = index_bounds(self.primal, self.layout.sizes)
        tried = _candidates(self.primal, self.layout, self.high, bounds)
        for attempt, (numbers, ordinary) in enumerate(tried):
            enough = self.points >= wanted
            if (enough and (self._covered() or explored >= budget or not self.high)) or attempt >= _CANDIDATES + _EXPLORED:
                break
            if filter_tape is not None and not _all_finite(filter_tape.outputs(numbers)):
                continue
            point = self._point(numbers, attempt)
            if not self.high:
                self.points += self._compare_fast(point)
                continue
            point.ordinary = ordinary
            explored += enough
            if enough and self.sizes is not None and not self._may_add_side(point):
                continue
            self._compare_high(point, ordinary=ordinary, extra=enough)
        if self.points < least:
            msg = f"only {self.points} points where value and derivative are finite" if self.points else "no point where value and derivative are finite"
            raise _Unchecked(msg)
        if self.high and self.emitted.layout == "function":
            self._compare_default_upstream()

    def _covered(self) -> bool:
        if not self.execution.sites:
            return True
        return all(self.sides.get(site, (False, False)) == (True, True) for site in range(len(self.execution.sites)))

    def _point(self, numbers: list[Any], seed: int, *, high: bool | None = None) -> _Point:
        source = random.Random(7000 + seed)  # noqa: S311  reproducible points, not secrets
        script = self.emitted.layout == "script"
        upstream = [_like(shape, lambda: 1.0 if script else _generic(source, 1.0, "mixed")) for shape in self.layout.output_shapes]
        places = set(self._gradient_places())
        direction = [
            _like(np.shape(n), lambda: _generic(source, 1.0, "mixed")) if i in places else _like(np.shape(n), lambda: 0.0) for i, n in enumerate(numbers)
        ]
        point = _Point(numbers, upstream, direction)
        for value in (*numbers, *upstream):
            if isinstance(value, np.ndarray):
                value.flags.writeable = False  # emitted code changes neither its inputs nor upstream gradients
        if self.high if high is None else high:
            point.high, point.high_upstream, point.high_direction = ([_to_high(v) for v in part] for part in (numbers, upstream, direction))
        return point

    def _execute(self, point: _Point, *, high: bool) -> Outcome:
        """Run the text; what makes it broken at any point is a failure."""
        numbers, upstream = (point.high, point.high_upstream) if high else (point.numbers, point.upstream)
        try:
            return self._guarded_run(self._arguments(numbers), upstream, high=high)
        except UnknownFunction as unknown:
            msg = f"`{unknown}` has no counterpart at {DIGITS} digits"
            raise _Unchecked(msg) from unknown
        except NotRunnable as error:
            raise _Failed(str(error)) from error
        except RecursionError as error:
            msg = "the emitted text is nested too deeply to be run"
            raise _Unchecked(msg) from error
        except _BROKEN as error:
            msg = f"the emitted text does not run: {type(error).__name__}: {error}"
            raise _Failed(msg) from error

    def _guarded_run(self, arguments: list[Any], upstream: Sequence[Any] | None, *, high: bool) -> Outcome:
        # Overflow and invalid operations are part of what is compared: they are values here, not warnings.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.execution.run(arguments, upstream, high=high)

    def _compare_high(self, point: _Point, *, ordinary: bool, extra: bool) -> None:
        try:
            outcome = self._execute(point, high=True)
        except TooLarge:
            return
        except (ArithmeticError, ValueError) as error:
            if self._expected(point) is None:
                return
            msg = f"the emitted text raises {type(error).__name__}: {error}, at {self._where(point)}"
            raise _Failed(msg) from error
        if extra and not self._adds_side(outcome):
            return
        expected = self._expected(point)
        if expected is None:
            return
        values, gradients, along = expected
        mismatch = self._mismatch(point, outcome, values, gradients, along)
        if mismatch is not None and outcome.infinite and not ordinary:
            return  # a guard against overflow cut a value off that is too small for a double: compared in double precision, not here
        if mismatch is not None and not _all_finite(outcome.gradients) and self._program_not_finite(point):
            # 0 * inf in the program itself: the text says nan, which is not silently wrong, but it isn't checked either.
            self.unchecked.append(f"a gradient is not finite at {self._where(point)}, where the derivative is")
            return
        if mismatch is not None and not self._confirm(point, outcome, mismatch):
            return
        self._see(outcome.sides)
        if not extra:
            self.points += 1
            self.generic.append((point, outcome))

    def _see(self, sides: dict[int, tuple[bool, bool]]) -> None:
        for site, (no, yes) in sides.items():
            before = self.sides.get(site, (False, False))
            self.sides[site] = (before[0] or no, before[1] or yes)

    def _may_add_side(self, point: _Point) -> bool:
        """Whether a run in double precision, which is cheap, takes a side that was not seen."""
        try:
            return self._adds_side(self._execute(point, high=False))
        except (ArithmeticError, ValueError):
            return True

    def _adds_side(self, outcome: Outcome) -> bool:
        for site, (no, yes) in outcome.sides.items():
            before = self.sides.get(site, (False, False))
            if (no and not before[0]) or (yes and not before[1]):
                return True
        return False

    def _expected(self, point: _Point, *, forward: bool = False) -> tuple[list[Any], list[Any] | None, Any] | None:
        """Return values and gradients (or the derivative along the direction), or None where they are not finite."""
        if self.reference is not None and not forward:
            values, gradients = self.reference.evaluate(point.high, point.high_upstream)
            by_place = {self.layout.inputs.index(v): g for v, g in zip(self.reference.wanted, gradients, strict=True)}
            ordered = [by_place.get(i, _to_high(0.0)) for i in self._gradient_places()]
            return (values, ordered, None) if _all_finite(values) and _all_finite(ordered) else None
        values, along = self._tape(high=True).evaluate(point.high, point.high_direction, point.high_upstream)
        return (values, None, along) if _all_finite(values) and _all_finite([along]) else None

    def _mismatch(self, point: _Point, outcome: Outcome, values: list[Any], gradients: list[Any] | None, along: Any) -> str | None:
        """Return what differs, or None; notes the largest relative error of what agrees."""
        scale = 1 + max((abs(e) for part in (point.high, point.high_upstream, values) for v in part for e in _flat(v)), default=mp.mpf(0))
        for name, got, plain, want in zip(self.emitted.outputs, outcome.values, outcome.plain, values, strict=True):
            for candidate in (got, plain):
                difference = self._difference(candidate, want, scale)
                if difference:
                    return f"value `{name}`: {difference}"
        places, names = self._gradient_places(), self._gradient_names()
        for place, name, got in zip(places, names, outcome.gradients, strict=True):
            if np.shape(got) != np.shape(point.high[place]):
                return f"gradient `{name}` has shape {np.shape(got)}, its input {np.shape(point.high[place])}"
        if gradients is not None:
            for name, got, want in zip(names, outcome.gradients, gradients, strict=True):
                difference = self._difference(got, want, scale)
                if difference:
                    return f"gradient `{name}`: {difference}"
            return None
        terms = [
            g * v for place, got in zip(places, outcome.gradients, strict=True) for g, v in zip(_flat(got), _flat(point.high_direction[place]), strict=True)
        ]
        if not _all_finite(terms):
            return "a gradient is not finite"
        total = mp.fsum(terms)
        magnitude = mp.fsum(map(abs, terms))
        allowed = mp.mpf(_RELATIVE) * max(magnitude, abs(along)) + mp.mpf(10) ** -40 * scale
        if abs(total - along) > allowed:
            return f"the gradients give {mp.nstr(total, 12)} along a direction, not {mp.nstr(along, 12)}"
        self._note_error(abs(total - along), max(magnitude, abs(along)), scale)
        return None

    def _difference(self, got: Any, want: Any, scale: Any) -> str:
        if np.shape(got) != np.shape(want):
            return f"shape {np.shape(got)}, not {np.shape(want)}"
        for g, w in zip(_flat(got), _flat(want), strict=True):
            if not mp.isfinite(g) or abs(g - w) > mp.mpf(_RELATIVE) * abs(w) + mp.mpf(10) ** -40 * scale:
                return f"{mp.nstr(g, 12)}, not {mp.nstr(w, 12)}"
            self._note_error(abs(g - w), abs(w), scale)
        return ""

    def _note_error(self, difference: Any, want: Any, scale: Any) -> None:
        if want > mp.mpf(10) ** -30 * scale:
            self.error = max(self.error, float(difference / want))

    def _confirm(self, point: _Point, outcome: Outcome, mismatch: str) -> bool:
        """
        Decide about a mismatch: a failure, unless rounded constants cancel or SymPy stands alone against forward mode.

        Returns:
            Whether the point counts after all.
        """
        where = f", at {self._where(point)}"
        if self._only_rounding(point, outcome):
            return True
        if self.reference is None or (self.primal.reference is not None and mismatch.startswith("value")):
            # What a SymPy input is worth at a point is not in doubt, only its derivative may be.
            raise _Failed(mismatch + where)
        try:
            expected = self._expected(point, forward=True)
        except Unsupported as error:
            raise _Failed(mismatch + where) from error
        if expected is None:
            return False  # numbers too large even for 50 digits, hidden by a step or a maximum: no point to compare at
        if self._mismatch(point, outcome, *expected) is not None:
            raise _Failed(mismatch + where)
        msg = f"SymPy's derivative and forward mode disagree; the text agrees with forward mode{where}"
        raise _Unchecked(msg)

    def _only_rounding(self, point: _Point, outcome: Outcome) -> bool:
        """Whether the text differs from the reference by no more than rounding its inputs to 17 digits would explain."""
        try:
            moved = _Point([], [], [], [_nudged(v) for v in point.high], point.high_upstream, point.high_direction)
            here, there = self._expected(point), self._expected(moved)
        except Unsupported:
            return False
        if here is None or there is None:
            return False

        def close(got: Any, want: Any, other: Any) -> bool:
            return np.shape(got) == np.shape(want) and all(
                abs(g - w) <= 1000 * abs(w - o) and abs(g - w) <= mp.mpf("1e-6") * abs(w) for g, w, o in zip(_flat(got), _flat(want), _flat(other), strict=True)
            )

        if here[1] is None or there[1] is None:
            return False
        got = [*outcome.values, *outcome.plain, *outcome.gradients]
        want = [*here[0], *here[0], *here[1]]
        other = [*there[0], *there[0], *there[1]]
        return all(close(g, w, o) for g, w, o in zip(got, want, other, strict=True))

    def _compare_default_upstream(self) -> None:
        """Without upstream gradients the text must take 1."""
        point, _ = self.generic[0]
        ones = _Point(point.numbers, [_like(s, lambda: 1.0) for s in self.layout.output_shapes], point.direction, point.high, [], point.high_direction)
        ones.high_upstream = [_to_high(v) for v in ones.upstream]
        try:
            outcome = self._guarded_run(self._arguments(point.high), None, high=True)
        except (*_BROKEN, NotRunnable, ArithmeticError, ValueError) as error:
            msg = f"without upstream gradients the emitted text raises {type(error).__name__}: {error}"
            raise _Failed(msg) from error
        expected = self._expected(ones)
        if expected is None:
            return
        mismatch = self._mismatch(ones, outcome, *expected)
        if mismatch is not None and not self._only_rounding(ones, outcome):
            msg = f"{mismatch}, without upstream gradients, at {self._where(point)}"
            raise _Failed(msg)

    def _where(self, point: _Point) -> str:
        """Name a point, its first inputs at least."""
        shown = [f"{var.name or 'input'} = {_show(value)}" for var, value in zip(self.layout.inputs, point.numbers, strict=True)]
        return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")

    # -- double precision

    def _compare_fast(self, point: _Point) -> bool:
        """Compare with forward mode in double precision; return whether the point counts."""
        tape = self._tape(high=False)
        values, along = tape.evaluate(point.numbers, point.direction, point.upstream)
        if not _all_finite(values) or not math.isfinite(along):
            return False
        try:
            outcome = self._execute(point, high=False)
        except OverflowError:
            return False
        except (ArithmeticError, ValueError) as error:
            msg = f"the emitted text raises {type(error).__name__}: {error}, at {self._where(point)}"
            raise _Failed(msg) from error
        total, magnitude = self._along(outcome, point)
        if self.strange and not math.isfinite(total):
            return False  # the variance of one element, say: nan is honest
        names = [*[f"value `{name}`" for name in (*self.emitted.outputs, *self.emitted.outputs)], "the gradients along a direction"]
        got = [*outcome.values, *outcome.plain, total]
        want = [*values, *values, along]
        floor = 0.0 if self.sizes is None else 1e-6 * max([1.0, *(float(np.max(np.abs(v))) for v in (*point.numbers, *point.upstream, *values) if np.size(v))])
        sizes = [*(np.abs(v) + floor for v in values), *(np.abs(v) + floor for v in values), max(magnitude, abs(along)) + floor]
        wrong = self._wrong_doubles(got, want, sizes, None)
        if wrong is not None:
            # Conditioning: what moving the inputs by some last digits does to the result, rounding inside may do as well.
            moved_values, moved_along = tape.evaluate([_nudged_double(v) for v in point.numbers], point.direction, point.upstream)
            wrong = self._wrong_doubles(got, want, sizes, [*moved_values, *moved_values, moved_along])
        if wrong is not None:
            msg = f"{names[wrong]}: {_show(got[wrong])}, not {_show(want[wrong])}, at {self._where(point)}"
            raise _Failed(msg)
        return True

    def _along(self, outcome: Outcome, point: _Point) -> tuple[float, float]:
        """Return the derivative along the direction that the gradients give, and the sum of the sizes of its terms."""
        terms: list[float] = []
        for place, name, got in zip(self._gradient_places(), self._gradient_names(), outcome.gradients, strict=True):
            if np.shape(got) != np.shape(point.numbers[place]):
                msg = f"gradient `{name}` has shape {np.shape(got)}, its input {np.shape(point.numbers[place])}"
                raise _Failed(msg)
            terms += [float(g) * float(v) for g, v in zip(_flat(got), _flat(point.direction[place]), strict=True)]
        return (math.fsum(terms), math.fsum(map(abs, terms))) if _all_finite(terms) else (math.nan, 0.0)

    def _wrong_doubles(self, got: list[Any], want: list[Any], sizes: list[Any], moved: list[Any] | None) -> int | None:
        """Return the place of the first result that differs by more than rounding explains."""
        for k, (result, expected, size) in enumerate(zip(got, want, sizes, strict=True)):
            if np.shape(result) != np.shape(expected):
                return k
            spread = np.abs(np.asarray(expected) - moved[k]) if moved is not None else 0.0
            difference = np.abs(np.asarray(result) - expected)
            if not np.all(difference <= _FAST_RELATIVE * np.asarray(size) + 1e3 * spread + _VANISHED):
                return k
            if np.size(size) and np.all(np.asarray(size) > 0):
                self.error = max(self.error, float(np.max(difference / size)))
        return None

    def _compare_doubles(self) -> None:
        """Run the text as a user does, at the points that were compared; what it loses in double precision is reported."""
        worst = 0.0
        for point, exact_outcome in self.generic:
            try:
                outcome = self._execute(point, high=False)
            except (ArithmeticError, ValueError) as error:
                if self._program_raises(point):
                    self.unchecked.append(f"double precision: {type(error).__name__} at {self._where(point)}")
                    continue
                msg = f"in double precision the emitted text raises {type(error).__name__}: {error}, at {self._where(point)}"
                raise _Failed(msg) from error
            wanted = [e for part in (exact_outcome.values, exact_outcome.gradients) for v in part for e in _flat(v)]
            got = [e for part in (outcome.values, outcome.gradients) for v in part for e in _flat(v)]
            for g, w in zip(got, wanted, strict=True):
                if not math.isfinite(g):
                    self.unchecked.append(f"double precision: a result is not finite at {self._where(point)}")
                elif self.sizes is not None:
                    continue
                elif abs(w) > 1e-30:
                    worst = max(worst, float(abs(mp.mpf(float(g)) - w) / abs(w)))
            if self.sizes is not None:
                worst = max(worst, self._compare_arrays(point, outcome, exact_outcome))
        self.float_error = worst

    def _compare_arrays(self, point: _Point, outcome: Outcome, exact_outcome: Outcome) -> float:
        """Return the largest error of an array in double precision, relative to its largest element; fail beyond what rounding explains."""
        moved: list[Any] | None = None
        worst = 0.0
        parts = [*zip(outcome.values, exact_outcome.values, strict=True), *zip(outcome.gradients, exact_outcome.gradients, strict=True)]
        names = [*(f"value `{n}`" for n in self.emitted.outputs), *(f"gradient `{n}`" for n in self._gradient_names())]
        for k, (got, want) in enumerate(parts):
            size = max((abs(w) for w in _flat(want)), default=mp.mpf(0))
            distance = max((abs(mp.mpf(float(g)) - w) for g, w in zip(_flat(got), _flat(want), strict=True) if math.isfinite(g)), default=mp.mpf(0))
            if size > 1e-30:
                worst = max(worst, float(distance / size))
            if not point.ordinary or distance <= _FAST_RELATIVE * size + mp.mpf("1e-300"):
                continue  # what large numbers lose is reported
            if moved is None:
                again = self._execute(_Point([], [], [], [_frozen(_nudged(v)) for v in point.high], point.high_upstream), high=True)
                moved = [*again.values, *again.gradients]
            spread = max((abs(m - w) for m, w in zip(_flat(moved[k]), _flat(want), strict=True)), default=mp.mpf(0))
            scale = max((abs(mp.mpf(float(e))) for v in (*point.numbers, *point.upstream) for e in _flat(v)), default=mp.mpf(1))
            if distance > 10**6 * spread + mp.mpf("1e-12") * scale:
                msg = f"in double precision {names[k]} is off by {mp.nstr(distance, 3)} at {self._where(point)}"
                raise _Failed(msg)
        return worst

    def _program_raises(self, point: _Point) -> bool:
        if self.gradient is None or self.sizes is not None:
            return False
        try:
            self._program_results(point)
        except (ArithmeticError, ValueError):
            return True
        return False

    def _program_not_finite(self, point: _Point) -> bool:
        if self.gradient is None or any(v.shape for v in self.layout.inputs):
            return False
        try:
            return not _all_finite(self._program_results(point))
        except (ArithmeticError, ValueError, TypeError):
            return True

    def _compare_other_sizes(self) -> None:
        """Compare in double precision where names of sizes are larger, and where one of them is 1."""
        assert self.sizes is not None  # callers have checked
        before = self.layout, self._tapes, self.error, self.sizes
        for least, ones in [(5, ""), *((2, name) for name in self.sizes)]:
            self.strange = bool(ones)
            try:
                self.sizes = choose_sizes(self.primal, least=least, ones=ones)
                work = work_of(self.primal, self.sizes)
                if self.sizes == before[3] or work > _DOUBLE_WORK:
                    continue
                self.layout, self._tapes = Layout(self.primal, sizes=self.sizes), {}
                self._tape(high=False)
                if not self._runs_at(self.sizes):
                    continue
            except Unsupported:
                continue  # there are no such sizes
            tried = _candidates(self.primal, self.layout, False, index_bounds(self.primal, self.sizes))
            for attempt, (numbers, _) in enumerate(itertools.islice(tried, 12)):
                if self._compare_fast(self._point(numbers, attempt, high=False)):
                    self.other_sizes += 1
                    break
        self.layout, self._tapes, self.error, self.sizes = before
        self.strange = False

    # -- edge points

    def _compare_edges(self) -> None:
        """Where guards and kinks are, the text must do what the program does: same values, nan for nan, error for error."""
        if self.gradient is None:
            return
        if self.sizes is not None:
            self._compare_array_edges()
            return
        unit = Layout(self.primal, unit=True)
        if any(isinstance(d, int) and d != 1 for v in unit.inputs for d in v.shape):
            self.unchecked.append("edge points of arrays of fixed size")
            return
        points = list(_edge_numbers(self.primal, self.layout.inputs, max(12, min(200, _WORK // self.size))))
        for k, drawn in enumerate(points):
            numbers = [n if v.dtype == "float" else float(int(n)) for n, v in zip(drawn, unit.inputs, strict=True)]
            source = random.Random(9000 + k)  # noqa: S311  reproducible points, not secrets
            script = self.emitted.layout == "script"
            upstream = [1.0 if script else _generic(source, 1.0, "mixed") for _ in self.primal.outputs]
            point = _Point(numbers, upstream, [])
            try:
                want = self._program_results(point)
            except (ArithmeticError, ValueError):
                want = None
            except TypeError:
                continue  # a complex number met a comparison: not a point of the real domain
            if want is not None and any(isinstance(w, complex) for w in want):
                continue
            self._compare_edge(point, unit, want)

    def _compare_edge(self, point: _Point, unit: Layout, want: list[float] | None) -> None:
        numpy = self.emitted.target == "numpy"
        numbers = [np.full(unit.concrete(v.shape), n) if v.shape else np.float64(n) if numpy else n for v, n in zip(unit.inputs, point.numbers, strict=True)]
        numbers = [n if v.dtype == "float" else np.asarray(n, dtype=v.dtype) for v, n in zip(unit.inputs, numbers, strict=True)]
        upstream = [np.full(s, u) if s else np.float64(u) if numpy else u for s, u in zip(unit.output_shapes, point.upstream, strict=True)]
        try:
            outcome = self._execute(_Point(numbers, upstream, []), high=False)
        except (ArithmeticError, ValueError) as error:
            if want is None:
                self._see(self.execution.sides)
                self.edges += 1
                return
            msg = f"the emitted text raises {type(error).__name__}: {error}, at {self._where(point)}; the program doesn't"
            raise _Failed(msg) from error
        self._see(outcome.sides)
        if want is None:
            # The text may skip what the program computes in a branch that is not taken, and NumPy never raises.
            return
        names = [*self.emitted.outputs, *self.emitted.outputs, *self._gradient_names()]
        got = [float(e) for part in (outcome.values, outcome.plain, outcome.gradients) for v in part for e in _flat(v)]
        outputs = len(self.emitted.outputs)
        wanted = [*want[:outputs], *want]
        scale = max((abs(w) for w in (*want, *point.numbers, *point.upstream) if math.isfinite(w)), default=1.0)
        scipy = "scipy" in self.emitted.text
        if scipy and not _all_finite(wanted):
            return  # at poles of its functions SciPy has signs of its own
        for name, g, w in zip(names, got, wanted, strict=True):
            if not _same_double(g, w, scale, 1e-8 if scipy else 1e-12):
                msg = f"`{name}` is {g!r}, the program gives {w!r}, at {self._where(point)}"
                raise _Failed(msg)
        self.edges += 1

    def _compare_array_edges(self) -> None:
        """The same for arrays: all elements special, or drawn from few numbers, so that there are ties."""
        program = self.gradient
        assert program is not None and self.sizes is not None  # callers have checked  # noqa: PT018
        concrete = program.with_eqns(instantiate(program, self.sizes))
        bounds = index_bounds(self.primal, self.sizes)
        source = random.Random(9_001)  # noqa: S311  reproducible points, not secrets
        kinds: list[Callable[[], float]] = [partial(float, s) for s in _SPECIAL if abs(s) <= 40 and s != 0.5]
        kinds += [partial(source.choice, few) for few in ((0.0, 1.0), (-1.0, 0.0, 1.0), (0.5, 2.0), (-40.0, 1.0, 40.0), (-800.0, 0.0, 800.0))] * 2
        for draw in kinds[: max(4, _WORK // self.size)]:
            numbers = [
                _positions(source, v, self.layout.concrete(v.shape), bounds.get(v)) if v.dtype != "float" else _like(self.layout.concrete(v.shape), draw)
                for v in self.layout.inputs
            ]
            upstream = [_like(s, lambda: 1.0 if self.emitted.layout == "script" else _generic(source, 1.0, "mixed")) for s in self.layout.output_shapes]
            point = _Point([_frozen(n) for n in numbers], [_frozen(u) for u in upstream], [])
            try:
                want = self._array_results(concrete, point)
                moved = self._array_results(concrete, _Point([_nudged_double(n) for n in numbers], upstream, []))
            except (ArithmeticError, ValueError):
                continue  # a singular matrix: NumPy raises in the text as well
            self._compare_array_edge(point, want, moved)

    def _compare_array_edge(self, point: _Point, want: list[Any], moved: list[Any]) -> None:
        try:
            outcome = self._execute(point, high=False)
        except (ArithmeticError, ValueError) as error:
            msg = f"the emitted text raises {type(error).__name__}: {error}, at {self._where(point)}; the program doesn't"
            raise _Failed(msg) from error
        self._see(outcome.sides)
        names = [*self.emitted.outputs, *self.emitted.outputs, *self._gradient_names()]
        got = [*outcome.values, *outcome.plain, *outcome.gradients]
        outputs = len(self.emitted.outputs)
        # The text adds in another order than the program: how far that moves a result, a last digit of the inputs shows.
        scale = max((abs(float(e)) for v in (*point.numbers, *point.upstream) for e in _flat(v)), default=1.0)
        for name, result, *others in zip(names, got, [*want[:outputs], *want], [*moved[:outputs], *moved], strict=True):
            g = np.asarray(result, dtype=float)
            w, again = (np.broadcast_to(np.asarray(x, dtype=float), g.shape) for x in others)
            known = np.isfinite(w) & np.isfinite(again)
            with np.errstate(all="ignore"):  # infinities
                spread = np.max(np.abs(again - w), where=known, initial=0.0)
                allowed = 1e-6 * np.max(np.abs(w), where=known, initial=0.0) + 1e4 * spread + 1e-13 * scale
                wrong = (np.isfinite(g) != np.isfinite(w)) | (np.isfinite(g) & np.isfinite(w) & ~(np.abs(g - w) <= allowed))
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                msg = f"`{name}` holds {float(g[at])!r}, the program gives {float(w[at])!r}, at {self._where(point)}"
                raise _Failed(msg)
        self.edges += 1

    def _array_results(self, program: Program, point: _Point) -> list[Any]:
        """Evaluate a program with adjoints at concrete sizes: outputs, then gradients in the order of the text."""
        numbers = dict(zip(self.layout.inputs, point.numbers, strict=True))
        by_name = {p.name: list(p.leaves()) for p in self.primal.params}
        seeds = {o.name: u for o, u in zip(self.primal.outputs, point.upstream, strict=True)}
        inputs: dict[Var, Any] = {}
        for param in program.params:
            if param.seed is not None:
                inputs.update(dict.fromkeys(param.leaves(), seeds[param.seed]))
                continue
            for own, var in zip(by_name[param.name], param.leaves(), strict=True):
                inputs[var] = numbers[own]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means of nothing
            env = evaluate(program, inputs, meaning=_numpy_meaning)

        def read(atom: Var | Lit) -> Any:
            return atom.value if isinstance(atom, Lit) else env[atom]

        by_place = {self._place.get(v, -1): atom for v, atom in program.gradients.items()}
        return [read(o.atom) for o in program.outputs] + [read(by_place.get(i, Lit(0.0))) for i in self._gradient_places()]

    def _program_results(self, point: _Point) -> list[float]:
        """Evaluate the program with adjoints at scalar inputs: outputs, then gradients in the order of the text."""
        program = self.gradient
        assert program is not None  # callers have checked
        numbers = dict(zip(self.layout.inputs, [float(np.ravel(n)[0]) for n in point.numbers], strict=True))
        inputs: dict[Var, Any] = {}
        by_name = {p.name: list(p.leaves()) for p in self.primal.params}
        seeds = {o.name: u for o, u in zip(self.primal.outputs, [float(np.ravel(u)[0]) for u in point.upstream], strict=True)}
        for param in program.params:
            if param.seed is not None:
                inputs.update(dict.fromkeys(param.leaves(), seeds[param.seed]))
                continue
            for own, var in zip(by_name[param.name], param.leaves(), strict=True):
                inputs[var] = numbers[own]
        if self.emitted.target == "numpy":
            # NumPy's functions differ from those of `math` in the last digit, and overflow without raising.
            with np.errstate(all="ignore"):
                env = evaluate(program, {v: np.float64(n) for v, n in inputs.items()}, meaning=_numpy_meaning)
        else:
            env = evaluate(program, inputs)

        def read(atom: Var | Lit) -> float:
            value = atom.value if isinstance(atom, Lit) else env.get(atom, 0.0)
            return value if isinstance(value, complex) else float(value)  # type: ignore[return-value]  # complex is sorted out by the caller

        by_place = {self._place.get(v, self.layout.inputs.index(v) if v in numbers else -1): atom for v, atom in program.gradients.items()}
        return [read(o.atom) for o in program.outputs] + [read(by_place.get(i, Lit(0.0))) for i in self._gradient_places()]

    def _list_branches(self) -> None:
        """List the conditions that were seen on one side only: what the other side does is not checked."""
        # A text may test the same condition at several places; each place counts.
        seen: dict[str, tuple[bool, bool]] = {}
        for site, condition in enumerate(self.execution.sites):
            no, yes = self.sides.get(site, (False, False))
            before = seen.get(condition.text, (True, True))
            seen[condition.text] = (before[0] and no, before[1] and yes)
        never = [f"`{_short(text)}` {side}" for text, sides in seen.items() for side, taken in zip(("false", "true"), sides, strict=True) if not taken]
        if never:
            more = f" and {len(never) - _LISTED} more" if len(never) > _LISTED else ""
            self.unchecked.append(f"branch never taken: {', '.join(never[:_LISTED])}{more}")


@lru_cache(maxsize=1024)
def _numpy_meaning(primitive: Primitive) -> Callable[..., Any]:
    """Return what a primitive computes on NumPy scalars: its own NumPy form, evaluated; structural operations keep their scalar meaning."""
    form = primitive.forms["numpy"]
    if primitive.shape is not None or not isinstance(form, Form) or not form.template:
        return primitive.impl
    names = [f"x{i}" for i in range(primitive.arity)]
    text = form.template.replace("{}", ", ".join(names), 1) if "{}" in form.template else form.template.format(*names)
    space: dict[str, Any] = {"np": np, "math": math}
    if "scipy.special" in form.imports:
        from scipy import special  # noqa: PLC0415  not a dependency; a text that needs it has it

        space["special"] = special
    function = eval(f"lambda {', '.join(names)}: {text}", space)  # noqa: S307  a form of the table

    def call(*args: Any) -> Any:
        result = function(*[np.float64(a) if isinstance(a, int | float) and not isinstance(a, bool) else a for a in args])
        return result[()] if isinstance(result, np.ndarray) else result

    return call


# -- points


def _candidates(primal: Program, layout: Layout, high: bool, bounds: Mapping[Var, int]) -> Iterator[tuple[list[Any], bool]]:  # noqa: FBT001  internal
    """Yield input points, and whether they are of ordinary size; the same on every run. Whole numbers lie within `bounds`."""
    examples = _examples(primal, layout)
    ordinary: list[tuple[str, float]] = [
        ("mixed", 1.0),
        ("positive", 1.0),
        ("mixed", 2.0),
        ("negative", 1.0),
        ("mixed", 0.5),
        ("positive", 0.5),
        ("near", 0.25),
        ("positive", 3.0),
    ]
    far: list[tuple[str, float]] = [
        ("mixed", 10.0),
        ("mixed", 0.05),
        ("positive", 10.0),
        ("mixed", 100.0),
        ("negative", 10.0),
        ("mixed", 1000.0),
        ("near", 0.01),
    ]
    if not high and examples is not None:
        ordinary = [("near", 0.1), ("near", 0.01), *ordinary]
    source = random.Random(20_240_229)  # noqa: S311  reproducible points, not secrets
    for number in itertools.count():
        kinds = ordinary if number % 2 == 0 or number < 2 else far
        for mode, scale in kinds:
            numbers: list[Any] = []
            for i, var in enumerate(layout.inputs):
                if var.dtype != "float":
                    numbers.append(_positions(source, var, layout.concrete(var.shape), bounds.get(var)))
                    continue
                centre = examples[i] if mode == "near" and examples is not None else None
                draw = partial(_generic, source, scale, "mixed" if mode == "near" else mode) if centre is None else partial(_near, source, scale, centre)
                drawn = _like(layout.concrete(var.shape), draw)
                if mode == "positive" and len(var.shape) > 1 and var.shape[-1] == var.shape[-2]:
                    drawn = drawn + len(drawn[-1]) * scale * np.eye(drawn.shape[-1])  # regular, and positive definite where that is asked for
                numbers.append(drawn)
            yield numbers, kinds is ordinary


def _positions(source: random.Random, var: Var, shape: tuple[int, ...], bound: int | None) -> Any:
    """Draw truth values, or whole numbers: positions in an axis, counted from the end at times, some twice."""
    low, high = (-2, 3) if bound is None else (-1, max(1, bound))
    draw = (lambda: source.random() < 0.5) if var.dtype == "bool" else (lambda: source.randrange(low, high) if bound != 0 else 0)
    drawn = _like(shape, draw)
    return drawn.astype(var.dtype) if isinstance(drawn, np.ndarray) else np.asarray(drawn, dtype=var.dtype)


def _near(source: random.Random, spread: float, centre: float) -> float:
    """Draw a number beside a given one."""
    return _dyadic(centre * (1 + spread * (source.random() - 0.5)))


def _generic(source: random.Random, scale: float, mode: str) -> float:
    """Draw a number of about the given size with few binary digits, so that it is the same double everywhere."""
    size = source.randrange(300, 1700) / 1024 * scale
    sign = {"positive": 1, "negative": -1}.get(mode) or (1 if source.random() < 0.5 else -1)
    return sign * size


def _dyadic(value: float) -> float:
    return round(value * 4096) / 4096 if abs(value) < 1e9 else value


def _examples(primal: Program, layout: Layout) -> list[float | None] | None:
    """Return the scalar example value of each input, None where there is none."""
    found: dict[Var, float] = {}
    for param in primal.params:
        stack: list[tuple[Tree, Any]] = [(param.tree, param.example)]
        while stack:
            tree, value = stack.pop()
            if isinstance(tree, Var):
                if isinstance(value, int | float | np.floating) and not isinstance(value, bool) and math.isfinite(value):
                    found[tree] = float(value)
            elif isinstance(value, list | tuple | np.ndarray) and len(value) == len(tree):
                stack.extend(zip(tree, value, strict=True))
    return [found.get(v) for v in layout.inputs] if found else None


def _edge_numbers(primal: Program, inputs: Sequence[Var], limit: int) -> Iterator[list[float]]:
    """Yield points on and beyond the edges: every input special, one input special, two inputs tied."""
    source = random.Random(424_242)  # noqa: S311  reproducible points, not secrets
    constants = sorted({float(a.value) for e in primal.eqns if e.prim.result == "bool" for a in e.args if isinstance(a, Lit) and math.isfinite(a.value)})[:4]
    special = [*_SPECIAL, *[c for c in constants if c not in _SPECIAL]]
    n = len(inputs)

    def generic() -> list[float]:
        return [_generic(source, 1.0, "mixed") for _ in range(n)]

    def points() -> Iterator[list[float]]:
        for s in special:
            yield [s] * n
        if n > 1:
            for s, i in itertools.product(special, range(min(n, 8))):
                point = generic()
                point[i] = s
                yield point
            for i, j in itertools.permutations(range(min(n, 3)), 2):
                for s, t in itertools.product((0.0, 1.0), (0.5, -0.5, 2.0, -2.0, 40.0)):
                    point = generic()
                    point[i], point[j] = s, t
                    yield point
            for i, j in itertools.combinations(range(min(n, 5)), 2):
                point = generic()
                point[j] = point[i]
                yield point
                point = generic()
                point[j] = -point[i]
                yield point
        for s in (2.0, 3.0, -2.0):
            yield [s] * n

    return itertools.islice(points(), limit)


# -- numbers


def _like(shape: tuple[int, ...], draw: Callable[[], float]) -> Any:
    if not shape:
        return draw()
    array = np.empty(shape)
    for index in np.ndindex(*shape):
        array[index] = draw()
    return array


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


def _to_high(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iub":
            return value
        array = np.empty(value.shape, dtype=object)
        for index in np.ndindex(*value.shape):
            array[index] = mp.mpf(float(value[index]))
        return _frozen(array)
    return mp.mpf(value)


def _nudged(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value
    if isinstance(value, np.ndarray):
        # Not all alike: a difference of neighbours must move.
        pattern = (np.arange(value.size) * 7 % 11 - 5).reshape(value.shape)
        return value * (1 + mp.mpf("1e-17") * pattern)
    return value * (1 + mp.mpf("3e-17"))


def _nudged_double(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value
    return value * (1 + 2.0**-50)


def _shaped(tree: Tree, numbers: Sequence[Any], place: dict[Var, int]) -> Any:
    """Put numbers into the form of a parameter: nested lists for lists."""
    if isinstance(tree, Var):
        return numbers[place[tree]]
    return [_shaped(part, numbers, place) for part in tree]


def _flat(value: Any) -> list[Any]:
    return list(value.ravel()) if isinstance(value, np.ndarray) else [value]


def _all_finite(values: Sequence[Any]) -> bool:
    for value in values:
        for element in _flat(value):
            if not (math.isfinite(element) if isinstance(element, int | float) else mp.isfinite(element)):
                return False
    return True


def _same_double(a: float, b: float, scale: float, relative: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    # NumPy's functions and those of `math` differ in the last digit, which cancellation may bring forward.
    return abs(a - b) <= relative * max(abs(a), abs(b)) or (abs(a - b) <= 1e-6 * max(abs(a), abs(b)) and abs(a - b) <= 1e-13 * scale)


def _show(value: Any) -> str:
    return f"{value:.6g}" if not isinstance(value, np.ndarray) else f"array of shape {value.shape}"


def _below(error: float) -> str:
    """Return a power of ten above an error: the last digits are not the same on every machine."""
    if error == 0:
        return f"below 1e-{DIGITS}"
    return f"below 1e{max(-DIGITS, math.floor(math.log10(error)) + 1)}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii").replace("\n", " ").replace("\r", " ")


# -- kinks


def _kinks(primal: Program) -> tuple[str, ...]:
    """Say where the example point sits on a kink."""
    layout = Layout(primal)
    examples = _examples(primal, layout)
    if examples is None or any(e is None for e in examples) or any(v.shape for v in layout.inputs):
        return ()
    try:
        tape = Tape(primal, high=False, derivatives=False)
    except Unsupported:
        return ()
    values = tape.values([e for e in examples if e is not None])
    found: dict[str, None] = {}
    for eqn, args in zip(primal.eqns, tape.arguments(), strict=True):
        test = _ON_KINK.get(eqn.prim.name)
        if test is None:
            continue
        operands = [values[a] for a in args]
        try:
            hit = test(*operands)
        except (TypeError, ValueError, OverflowError):
            continue
        if hit:
            line = f"line {eqn.span.line}: " if eqn.span is not None else ""
            chosen = "; ".join(f"at {k.at} the derivative is taken as {k.value}" for k in eqn.prim.kinks[:1])
            what = f"{line}the example point sits on a kink of `{eqn.prim.name}`"
            found[what + (f" ({chosen})" if chosen else "")] = None
    return tuple(found)


def _is_whole(x: float) -> bool:
    return x == math.floor(x)


_ON_KINK: Final[dict[str, Callable[..., bool]]] = {
    "max": lambda x, y: x == y,
    "min": lambda x, y: x == y,
    "abs": lambda x: x == 0,
    "relu": lambda x: x == 0,
    "sign": lambda x: x == 0,
    "sqrt": lambda x: x == 0,
    "cbrt": lambda x: x == 0,
    "hypot": lambda x, y: x == 0 and y == 0,
    "atan2": lambda y, x: x == 0 and y == 0,
    "clip": lambda x, low, high: x in (low, high),
    "floor": _is_whole,
    "ceil": _is_whole,
    "trunc": lambda x: _is_whole(x) and x != 0,
    "round": lambda x: _is_whole(x + 0.5),
    "mod": lambda x, y: _is_whole(x / y),
    "fmod": lambda x, y: _is_whole(x / y),
    "heaviside": lambda x, _: x == 0,
    "lt": lambda x, y: x == y,
    "le": lambda x, y: x == y,
    "gt": lambda x, y: x == y,
    "ge": lambda x, y: x == y,
}
