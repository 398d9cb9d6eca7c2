"""
What of a file is run and marked together: a script, a `forward`/`backward` pair, a function that returns loss and gradients.

A case knows how to start its code at a point: which arguments a function gets, of which shapes (from annotations, docstrings,
and by trying what the code demands), and what comes out. `find_cases` lists the cases of a file.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpcompile.marking import library as lib
from bpcompile.marking import numbers as nb
from bpcompile.marking.ledger import Ids, TooLargeError
from bpcompile.marking.numbers import CannotReadError, MismatchError, Tracked, Value, constant
from bpcompile.marking.plan import Plan, base_name, in_gradient_container
from bpcompile.marking.running import ClassValue, Event, Failure, FunctionValue, Instance, Run, Unread, numbers_of
from bpcompile.marking.sizes import Sizes
from bpcompile.marking.words import stems

#: Most combinations of ranks that are tried for the arguments of a function.
MAX_TRIALS: Final = 160

_HYPER: Final[dict[str, Any]] = {
    "mode": "train", "stride": 1, "pad": 1, "padding": 1, "pool_height": 2, "pool_width": 2, "pool_size": 2, "p": 0.6, "eps": 1e-5, "epsilon": 1e-5,
    "momentum": 0.9, "dropout": 0.6, "keep_prob": 0.6, "reg": 0.3, "lambda": 0.3, "alpha": 0.3, "learning_rate": 0.1, "lr": 0.1, "seed": 0,
}  # fmt: skip
_NUMBERS: Final = frozenset("eps reg lr learning_rate alpha momentum p keep_prob dropout dropout_ratio lam lambda_ temperature c k".split())
_CACHES: Final = re.compile(r"cache|ctx|context|memo|saved|mem\b|state$|tape|intermediate|stash")


@dataclass(frozen=True, slots=True)
class Spec:
    """What a parameter gets: `array` of a rank, `labels`, `default`, or a `constant`."""

    kind: str
    rank: int = 0
    value: Any = None
    bound: int = 3


@dataclass(eq=False)
class Outcome:
    """
    One run of a case at one point.

    Attributes:
        run: The run.
        outputs: The outputs, as pairs of event-like name, ids and upstream gradient; empty if not known beforehand.
        returned: What the code returns beside the outputs: names (or None), values.
        results: The values that may be the outputs, where the outputs are not known.
        start: The event from which on the backward pass runs, if known.
    """

    run: Run
    outputs: list[tuple[str, Ids, Any]] = field(default_factory=list)
    returned: list[tuple[str | None, Any, Ids]] = field(default_factory=list)
    start: int | None = None
    wanted: list[str] | None = None


@dataclass(eq=False)
class Case:
    """A part of a file that is marked by itself."""

    title: str
    plan: Plan
    tree: ast.Module
    sizes: Sizes = field(default_factory=Sizes)
    specs: dict[str, Spec] = field(default_factory=dict)
    at: dict[str, Any] = field(default_factory=dict)

    def begin(self, run: Run) -> Outcome:
        """Run the case."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Find sizes at which the case runs."""
        self._add_literals()
        failures = self._settle()
        if failures or self._empty():
            # Sizes may depend on each other in a way that trying does not find: as they are written, they fit.
            found = self.sizes
            self.sizes = Sizes()
            self._add_literals(written=True)
            if len(self._settle()) > len(failures) or (len(failures) and self._empty()):
                self.sizes = found

    def _empty(self) -> bool:
        """Tell whether some array has come out empty, as where a window is larger than what it slides over."""
        return any(event.value is not None and event.value.size == 0 for event in self.execute(1).run.events)

    def _add_literals(self, *, written: bool = False) -> None:
        for table in (self.plan.sizes, self.plan.bounds):
            for key, size in table.items():
                self.sizes.add(key)
                if written or size in self.plan.fixed:
                    self.sizes.force(key, size)

    def execute(self, seed: int, draw: int = 0, **options: Any) -> Outcome:
        """Run the case at a point; `draw` says how the numbers are drawn."""
        places = {key: self.sizes[key] for key in (*self.plan.sizes, *self.plan.bounds)}
        run = Run(self.plan, seed=seed, sizes=places, at=self.at, redraw=redraw, **options)
        run.draw = draw
        try:
            return self.begin(run)
        except (CannotReadError, TooLargeError, RecursionError) as fault:
            run.failures.append(
                Failure(0, str(fault) or "a computation this large", inherited=False, fault=fault if isinstance(fault, CannotReadError) else None)
            )
            return Outcome(run)

    def _settle(self) -> list[Failure]:
        """Make sizes agree until nothing more is learned; return what still fails."""
        failures: list[Failure] = []
        for _ in range(24):
            outcome = self.execute(1)
            failures = [each for each in outcome.run.failures if not each.inherited]
            if not any(self._learn(each, outcome) for each in failures[:3]):
                break
        return failures

    def _learn(self, failure: Failure, outcome: Outcome) -> bool:
        fault = failure.fault
        if isinstance(fault, MismatchError):
            event = next((each for each in outcome.run.events if each.kind == "failed" and each.fault is fault), None)
            if event is not None and self.plan.gradient_like(event.name):
                return False  # the author's own mistake, for all we know
            return self.sizes.agree(fault.first, fault.second, fixed=fault.fixed)
        if fault is not None and "outside" in fault.facts:
            return self._bound(int(fault.facts["outside"]), int(fault.facts["size"]))
        return False

    def _bound(self, index: int, size: int) -> bool:
        """An index is outside its axis: the labels are drawn below another size than that of the axis."""
        for key in self.plan.bounds:
            if self.sizes[key] > index and self.sizes[key] != size and self.sizes.agree(self.sizes[key], size):
                return True
        return index >= 0 and self.sizes.enlarge(size, index + 1)


class Script(Case):
    """The statements of a file."""

    def begin(self, run: Run) -> Outcome:
        """Run the file."""
        run.execute_module(self.tree)
        return Outcome(run)


class FunctionCase(Case):
    """A function, or a method, that returns an output and gradients."""

    def __init__(self, plan: Plan, tree: ast.Module, node: ast.FunctionDef, owner: ast.ClassDef | None) -> None:
        super().__init__(f"{owner.name}.{node.name}" if owner else node.name, plan, tree)
        self.node = node
        self.owner = owner
        self.entry = [node]

    def prepare(self) -> None:
        """Find shapes of the arguments at which the function runs."""
        hints = _Hints(self.plan, self.entry, self.owner)
        self._hints = hints
        shown = self._shown(hints)
        if shown is not None:
            self._forward_fails = False
            self.specs, self.sizes = shown
            best_failures = self._settle_all()
            if not self._forward_fails and not best_failures:
                return
        self.specs = dict(hints.guess)
        best: tuple[int, dict[str, Spec], Sizes] | None = None
        for tried, specs in enumerate(itertools.islice(hints.combinations(), MAX_TRIALS)):
            self.specs = dict(specs)
            self.sizes = Sizes()
            self._add_literals()
            self._add_sizes()
            failures = self._settle_all()
            score = len(failures) + 100 * self._forward_fails
            if best is None or score < best[0]:
                best = (score, dict(self.specs), self.sizes.copy())
            if score == 0 or (score < 100 and tried > 25):
                break
            if tried == 0 and self._multiply():
                return
        assert best is not None
        _, self.specs, self.sizes = best

    _forward_fails = False

    def _shown(self, hints: _Hints) -> tuple[dict[str, Spec], Sizes] | None:
        """The shapes that a demonstration in the file calls the function with."""
        calls = demonstrated(self.plan, self.tree)
        wanted = [(self.node, "")]
        constructor = next((each for each in self._methods() if each.name == "__init__"), None)
        if constructor is not None:
            wanted.append((constructor, "__init__."))
        if self.node.lineno not in calls:
            return None
        specs, sizes = dict(hints.guess), Sizes()
        self.sizes = sizes
        self._add_literals()
        for node, prefix in wanted:
            for name, value in calls.get(node.lineno, {}).items():
                if name != "self":
                    _spec_of(prefix + name, value, specs, sizes)
        for name, spec in specs.items():
            if spec.kind == "array":
                for axis in range(spec.rank):
                    sizes.add((name, axis))
        return specs, sizes

    def _add_sizes(self) -> None:
        seen = 0
        for name, spec in self.specs.items():
            if spec.kind in {"array", "labels"}:
                wanted: tuple[int | None, ...] = (None,) * spec.rank
                if spec.rank == 4:
                    wanted = (2, 3, 6, 7) if not seen else (5, 8, 4, 2)
                    seen += 1
                for axis in range(spec.rank):
                    self.sizes.add((name, axis), wanted[axis])
            elif spec.kind == "size":
                self.sizes.add((name, "size"))
        for name, length in self._hints.lengths.items():
            if (name, 0) in self.sizes:
                self.sizes.force((name, 0), length)
        for first, second in self._hints.equal:
            if first in self.sizes and second in self.sizes:
                self.sizes.join(first, second)

    def _settle_all(self) -> list[Failure]:
        failures: list[Failure] = []
        for _ in range(24):
            outcome = self.execute(1)
            failures = [each for each in outcome.run.failures if not each.inherited]
            self._forward_fails = outcome.start is None and not outcome.outputs and not outcome.returned
            if not any(self._learn(each, outcome) for each in failures[:2]):
                break
        return failures

    def _multiply(self) -> bool:
        """
        Try sizes of which one is a multiple of another one, where the code takes parts of an axis as the gates of an LSTM do.

        Slices such as `a[:, 3*H:]` say how many parts there are.
        """
        counts = {
            each.value + more
            for node in ast.walk(self.node)
            if isinstance(node, ast.Slice)
            for bound in (node.lower, node.upper)
            if isinstance(bound, ast.BinOp) and isinstance(bound.op, ast.Mult)
            for each in (bound.left, bound.right)
            if isinstance(each, ast.Constant) and isinstance(each.value, int) and 1 < each.value < 9
            for more in (0, 1)
        }
        keys = [key for key in self.sizes.names() if isinstance(key, tuple) and isinstance(key[0], str)]
        for count in sorted(counts, reverse=True)[:2]:
            for one, other in itertools.permutations(keys[:12], 2):
                self.sizes = Sizes()
                self._add_literals()
                self._add_sizes()
                self.sizes.force(one, count * self.sizes[other])
                if not self._settle_all() and not self._forward_fails:
                    return True
        return False

    def _learn(self, failure: Failure, outcome: Outcome) -> bool:
        fault = failure.fault
        if fault is None:
            return False
        index = fault.facts.get("index")
        if isinstance(index, Tracked):
            sources = outcome.run.ledger.ancestors([index.ids])
            for name, spec in self.specs.items():
                ids = self._leaf_ids.get(name)
                if spec.kind == "array" and ids is not None and sources[ids.ravel()].any():
                    self.specs[name] = Spec("labels", spec.rank if spec.rank <= 2 else 1)
                    self._add_sizes()
                    return True
            return False
        if "attribute" in fault.facts:
            return self._learn_attribute(str(fault.facts["attribute"]))
        return super()._learn(failure, outcome)

    def _learn_attribute(self, name: str) -> bool:
        key = f"self.{name}"
        if key in self.specs or name in {each.name for each in self._methods()}:
            return False
        self.specs[key] = self._hints.guess_for(key, name)
        self._add_sizes()
        return True

    def _methods(self) -> Iterator[ast.FunctionDef]:
        if self.owner is not None:
            yield from (each for each in self.owner.body if isinstance(each, ast.FunctionDef))

    # Running

    def begin(self, run: Run) -> Outcome:
        """Call the function."""
        self._leaf_ids: dict[str, Ids] = {}
        prelude(run, self.tree)
        function, instance = self._function(run, self.node)
        args = self._arguments(run, self.node)
        before = len(run.events)
        result = run.call(function, args, {})
        outcome = Outcome(run)
        outcome.start = before
        outcome.returned = list(flatten(result))
        self._finish(outcome, instance)
        return outcome

    def _finish(self, outcome: Outcome, instance: Instance | None) -> None:
        if isinstance(instance, Instance):
            for name, value in instance.members.items():
                for key, array, ids in flatten(value, name):
                    outcome.returned.append((key, array, ids))

    def _function(self, run: Run, node: ast.FunctionDef) -> tuple[Value, Instance | None]:
        if self.owner is None:
            return run.module.find(node.name), None
        kind = run.module.find(self.owner.name)
        if not isinstance(kind, ClassValue):
            raise CannotReadError(f"`{self.owner.name}` is not read")
        instance = Instance(kind)
        constructor = kind.find("__init__")
        if isinstance(constructor, FunctionValue) and isinstance(constructor.node, ast.FunctionDef):
            run.call(FunctionValue(constructor.node, constructor.scope, instance), self._arguments(run, constructor.node, "__init__."), {})
        for name, spec in self.specs.items():
            if name.startswith("self."):
                instance.members[name[5:]] = self._make(run, name, spec)
        method = kind.find(node.name)
        assert isinstance(method, FunctionValue)
        return FunctionValue(method.node, method.scope, instance), instance

    def _arguments(self, run: Run, node: ast.FunctionDef, prefix: str = "") -> list[Value]:
        arguments = node.args.args[1:] if self.owner is not None and node.args.args[:1] and node.args.args[0].arg == "self" else node.args.args
        values = []
        for each in arguments:
            name = prefix + each.arg
            spec = self.specs.get(name)
            if spec is None or spec.kind == "default":
                break
            values.append(self._make(run, name, spec))
        return values

    def _make(self, run: Run, name: str, spec: Spec) -> Value:
        draw = run.draw
        if spec.kind == "dict":
            return {key: self._make(run, f"{name}[{key!r}]", self.specs[f"{name}[{key!r}]"]) for key in spec.value}
        if spec.kind == "size":
            return self.sizes[name, "size"]
        if spec.kind == "constant":
            return spec.value
        if spec.kind == "given":
            return np.array(spec.value)
        if spec.kind == "sequence":
            return spec.value(self._make(run, f"{name}[{k}]", self.specs[f"{name}[{k}]"]) for k in range(spec.rank))
        shape = tuple(self.sizes[name, axis] for axis in range(spec.rank))
        if name in self.at:
            value = lib.array_of(run, self.at[name])
            if spec.kind == "labels":
                return value
            value = constant(nb.plain(value))
        elif spec.kind == "labels":
            labels = run.rng.integers(0, spec.bound, shape)
            if labels.size > 2:
                labels.ravel()[:2] = labels.ravel()[-1]  # one label twice: a repeated index
                labels.ravel()[1] = (int(labels.ravel()[-1]) + 1) % spec.bound
            return labels if spec.rank else int(labels)
        elif spec.kind == "mask":
            return run.rng.random(shape) < 0.6
        else:
            word = leaf_word(name)
            free = spec.rank > 0 or self.plan.has_gradient(word) or self.plan.gradient_like(word)
            value = constant(generic(run.rng, shape, draw if free else 2))
        value = nb.named(run.ledger, value)
        self._leaf_ids[name] = value.ids
        run._begin = len(run.ledger.blocks) - 1  # noqa: SLF001  the run is ours
        run._statement = None  # noqa: SLF001  the run is ours
        scope = run.module
        event = run._note(None, leaf_word(name), "param", np.array(value.v), value.ids, scope)  # noqa: SLF001  the run is ours
        run.leaves.append(event)
        return value


class Pair(FunctionCase):
    """A forward function and its backward function."""

    def __init__(self, plan: Plan, tree: ast.Module, forward: ast.FunctionDef, backward: ast.FunctionDef, owner: ast.ClassDef | None) -> None:
        super().__init__(plan, tree, forward, owner)
        self.title = f"{owner.name}.{backward.name}" if owner else backward.name
        self.backward = backward
        self.entry = [forward, backward]

    def begin(self, run: Run) -> Outcome:
        """Call forward, then backward with a generic upstream gradient."""
        self._leaf_ids = {}
        prelude(run, self.tree)
        function, instance = self._function(run, self.node)
        args = self._arguments(run, self.node)
        before = len(run.events)
        result = run.call(function, args, {})
        outcome = Outcome(run)
        if isinstance(result, Unread):
            return outcome
        backward = self._method(instance) if instance is not None else run.module.find(self.backward.name)
        given = [each.arg for each in self.backward.args.args if each.arg != "self"]
        frame = {each.name: each for each in run.events[before:] if each.function == self.node.name}
        known = {arg.arg: value for arg, value in zip([a for a in self.node.args.args if a.arg != "self"], args, strict=False)}
        results = list(result) if isinstance(result, tuple) else [result]
        upstream_names = [name for name in given if not _CACHES.search(name) and name not in known]
        cache_names = [name for name in given if _CACHES.search(name) and name not in known]
        defaults = len(self.backward.args.defaults)
        numeric = [each for each in results if isinstance(each, Tracked)]
        outs = numeric[: max(1, len(upstream_names))]
        if len(results) > len(given) - len(known) and not upstream_names:
            outs = numeric[:1]
        outcome.start = len(run.events)
        values: list[Value] = []
        taken = iter(outs)
        rest = [each for each in results if not any(each is out for out in outs)]
        if not cache_names and rest and len(upstream_names) > len(outs):
            cache_names = upstream_names[len(outs) :]
        elif not cache_names and rest and upstream_names and len(given) - defaults >= 2 and len(upstream_names) >= 2:
            cache_names = [upstream_names[-1]]
            outs = numeric[: len(upstream_names) - 1]
            taken = iter(outs)
            rest = [each for each in results if not any(each is out for out in outs)]
        for name in given:
            if name in cache_names:
                value = rest[0] if len(rest) == 1 or len(cache_names) > 1 else (tuple(rest) if rest else None)
                if len(cache_names) > 1 and rest:
                    value = rest.pop(0)
                values.append(value)
            elif name in known:
                values.append(known[name])
            elif name in upstream_names:
                out = next(taken, None)
                if out is None:
                    local = self._local(frame, name)
                    if local is None:
                        break
                    values.append(local)
                    continue
                seed = nb.named(run.ledger, constant(generic(run.rng, out.shape, 0)))
                outcome.outputs.append((name, out.ids, np.array(seed.v)))
                values.append(seed)
        if not outcome.outputs:
            outcome.outputs = [("", out.ids, np.ones(out.shape)) for out in outs]
        returned = run.call(backward, values, {})
        outcome.returned = list(flatten(returned))
        self._finish(outcome, instance)
        return outcome

    def _local(self, frame: dict[str, Event], name: str) -> Value | None:
        event = frame.get(name)
        if event is None or event.value is None:
            return None
        return Tracked(np.array(event.value), np.array(event.ids))

    def _method(self, instance: Instance) -> Value:
        found = instance.kind.find(self.backward.name) if instance.kind is not None else None
        assert isinstance(found, FunctionValue)
        return FunctionValue(found.node, found.scope, instance)


def leaf_word(name: str) -> str:
    """Return what an input such as `self.params['W1']` is known by."""
    if name.endswith("']"):
        return name.split("'")[-2]
    return name.partition("[")[0].rpartition(".")[2]


def _spec_of(name: str, value: Value, specs: dict[str, Spec], sizes: Sizes) -> None:
    """Note what a demonstration passes for a parameter."""
    if isinstance(value, Tracked | float):
        shape = np.shape(nb.plain(value))
        specs[name] = Spec("array", len(shape))
        for axis, size in enumerate(shape):
            sizes.add((name, axis), size)
            sizes.force((name, axis), size)
    elif isinstance(value, np.ndarray):
        specs[name] = Spec("given", value=value)
    elif isinstance(value, bool | int | str) or value is None:
        specs[name] = Spec("constant", value=value)
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        specs[name] = Spec("dict", value=tuple(value))
        for key, each in value.items():
            _spec_of(f"{name}[{key!r}]", each, specs, sizes)
    elif isinstance(value, list | tuple):
        specs[name] = Spec("sequence", rank=len(value), value=type(value))
        for k, each in enumerate(value):
            _spec_of(f"{name}[{k}]", each, specs, sizes)


def demonstrated(plan: Plan, tree: ast.Module) -> dict[int, dict[str, Value]]:
    """What the functions of a file are called with at its end."""
    if plan.calls is None:
        plan.calls = {}
        if any(
            isinstance(node, ast.Call) for statement in tree.body if not isinstance(statement, ast.FunctionDef | ast.ClassDef) for node in ast.walk(statement)
        ):
            script = Script("", plan, tree)
            script.prepare()
            plan.calls = script.execute(1).run.calls
    return plan.calls


def prelude(run: Run, tree: ast.Module) -> None:
    """Run what defines things: imports, functions, classes, constants."""
    body = [
        each
        for each in tree.body
        if isinstance(each, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)
        or (isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant | ast.Lambda | ast.UnaryOp | ast.Attribute))
    ]
    redraw_, run.redraw = run.redraw, None
    run.block(body, run.module)
    run.redraw = redraw_
    run.events.clear()
    run.failures = [each for each in run.failures if each.line == 0]


def flatten(value: Value, name: str | None = None) -> Iterator[tuple[str | None, Any, Ids]]:
    """Yield the arrays in what a function returns, with the names that dictionaries give them."""
    found = numbers_of(value)
    if found is not None and not (isinstance(value, tuple) and len({np.shape(nb.plain(each)) for each in value}) >= 1):
        yield name, *found
    elif isinstance(value, tuple | list):
        for each in value:
            yield from flatten(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(key, str):
                yield from flatten(each, key)
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield name, np.array(float(value)), np.zeros((), np.int64)
    elif value is None:
        yield name, None, np.empty(0, np.int64)


def generic(rng: np.random.Generator, shape: tuple[int, ...], draw: int) -> Any:
    """Draw generic numbers: of both signs, positive, or between 0 and 1."""
    if draw % 3 == 1:
        return rng.uniform(0.3, 1.6, shape)
    if draw % 3 == 2:
        return rng.uniform(0.1, 0.9, shape)
    magnitude = rng.uniform(0.3, 1.7, shape)
    return magnitude * np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def redraw(value: Value, rng: np.random.Generator, draw: int) -> Value:
    """Make a generic value like an example value."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple):
        return type(value)(redraw(each, rng, draw) for each in value)
    written = np.asarray(nb.plain(value), dtype=float)
    if np.unique(written).size > 2:
        near = written * rng.uniform(0.6, 1.4, written.shape)
        return constant(near if draw % 3 != 0 or np.any(np.abs(written) > 30) else np.where(written == 0, generic(rng, written.shape, draw), near))
    magnitude = np.abs(written)
    scaled = magnitude * rng.uniform(0.6, 1.4, written.shape)
    small = rng.uniform(0.1, 0.5, written.shape)
    size = np.where(magnitude >= 0.05, scaled, np.where(magnitude > 0, small, rng.uniform(0.3, 1.3, written.shape)))
    drawn = np.where(rng.random(written.shape) < 0.5, -1.0, 1.0)
    sign = np.sign(written) if draw < 3 else drawn
    if draw % 3 == 0:
        return constant(size * np.where((sign == 0) | (written.size > 1), drawn, sign))
    return constant(size if draw % 3 == 1 else np.minimum(size, 0.9))


# Hints -----------------------------------------------------------------------------------------------------------------


class _Hints:
    """What the text of a function says about the shapes of its parameters."""

    def __init__(self, plan: Plan, functions: Sequence[ast.FunctionDef], owner: ast.ClassDef | None) -> None:
        self.plan = plan
        self.functions = list(functions)
        self.owner = owner
        self.guess: dict[str, Spec] = {}
        self.sure: set[str] = set()
        self.equal: list[tuple[Hashable, Hashable]] = []
        self.lengths: dict[str, int] = {}
        self.numpy = any(
            isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in {"np", "numpy"}
            for each in ast.walk(ast.Module(body=[owner] if owner else list(functions), type_ignores=[]))
        ) or any(isinstance(each, ast.Attribute) and each.attr in {"shape", "dot", "T", "sum"} for function in functions for each in ast.walk(function))
        forward = functions[0]
        self._read(forward, "")
        if owner is not None:
            constructor = next((each for each in owner.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
            if constructor is not None:
                self._read(constructor, "__init__.")

    def combinations(self) -> Iterator[dict[str, Spec]]:
        """Yield guesses, likeliest first."""
        free = [name for name, spec in self.guess.items() if spec.kind == "array" and name not in self.sure]
        yield self.guess
        options = {name: [rank for rank in ((2, 1, 0, 3, 4) if self.numpy else (0, 1, 2)) if rank != self.guess[name].rank] for name in free}
        for many in range(1, min(3, len(free)) + 1):
            for names in itertools.combinations(free, many):
                for ranks in itertools.product(*(options[name] for name in names)):
                    yield self.guess | {name: Spec("array", rank) for name, rank in zip(names, ranks, strict=True)}

    def _read(self, node: ast.FunctionDef, prefix: str) -> None:
        arguments = [each for each in node.args.args if each.arg != "self"]
        defaults: dict[str, ast.expr] = {}
        if node.args.defaults:
            defaults = dict(zip([each.arg for each in node.args.args[-len(node.args.defaults) :]], node.args.defaults, strict=True))
        shapes = _docstring_shapes(ast.get_docstring(node) or "")
        letters: dict[str, tuple[str, int]] = {}
        for argument in arguments:
            name = prefix + argument.arg
            default = defaults.get(argument.arg)
            if default is not None and not self._upstream(node, argument.arg):
                spec = _default_spec(default, node, argument.arg)
                if spec is not None:
                    self.guess[name] = spec
                    continue
            keys = _keys_of(self.functions, argument.arg)
            if keys:
                self._dictionary(name, keys)
                continue
            annotated = _annotated_shape(argument.annotation)
            shape = annotated if annotated is not None else shapes.get(argument.arg)
            if shape is not None:
                self.guess[name] = Spec("array", len(shape))
                self.sure.add(name)
                for axis, letter in enumerate(shape):
                    if letter in letters:
                        self.equal.append((letters[letter], (name, axis)))
                    elif not letter.isdigit():
                        letters[letter] = (name, axis)
                continue
            if prefix and argument.arg in self.plan.size_names:
                self.guess[name] = Spec("size")
                continue
            self.guess[name] = self.guess_for(name, argument.arg)

    def _upstream(self, node: ast.FunctionDef, name: str) -> bool:
        """A parameter such as `df=1.0` is an upstream gradient, to be generic."""
        return any(isinstance(each, ast.Name) and each.id in stems(name) and isinstance(each.ctx, ast.Store) for each in ast.walk(node))

    def _dictionary(self, name: str, keys: dict[str, ast.expr | None]) -> None:
        present = []
        for key, default in keys.items():
            own = f"{name}[{key!r}]"
            if default is not None and not (isinstance(default, ast.Constant) and default.value is None):
                continue
            if key in _HYPER or (default is not None):
                if default is None:
                    self.guess[own] = Spec("constant", value=_HYPER[key])
                    present.append(key)
                continue
            self.guess[own] = self.guess_for(own, key)
            present.append(key)
        self.guess = {name: Spec("dict", value=tuple(present)), **self.guess}

    def guess_for(self, name: str, word: str) -> Spec:
        """Guess from how a name is used, then from what such names usually are."""
        if name.startswith("self."):
            keys = _keys_of([self.owner] if self.owner is not None else [], word)
            if keys:
                self._dictionary(name, keys)
                return self.guess[name]
        length = _length_from_use(self.functions, word)
        if length is not None:
            self.lengths[name] = length
            self.sure.add(name)
            return Spec("array", 1)
        rank = _rank_from_use(self.functions, word)
        if rank is not None:
            self.sure.add(name)
            return Spec("array", rank)
        if not self.numpy:
            return Spec("array", 0)
        if re.match(r"(b|beta|gamma|bias|b_?\w{0,3}|g)\d*$", word):
            return Spec("array", 1)
        if word == "mode":
            return Spec("constant", value="train")
        if word in _NUMBERS:
            return Spec("array", 0)
        if word in {"stride", "pad", "pool_h", "pool_w", "pool_size"}:
            return Spec("constant", value=_HYPER.get(word, 2))
        return Spec("array", 2)


def _default_spec(default: ast.expr, node: ast.FunctionDef, name: str) -> Spec | None:
    if isinstance(default, ast.Constant):
        value = default.value
        if type(value) is float:
            return Spec("array", 0) if value == 0.0 else Spec("default")
        if value is None:
            # Given only if the code tells it from None.
            guarded = any(isinstance(each, ast.Compare) and isinstance(each.left, ast.Name) and each.left.id == name for each in ast.walk(node))
            return None if guarded else Spec("constant", value=None)
    return Spec("default")


def _keys_of(functions: Sequence[ast.AST], name: str) -> dict[str, ast.expr | None]:
    """The string keys that a dictionary is asked for, with defaults."""
    found: dict[str, ast.expr | None] = {}
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and base_name(node.value) == name and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                found[node.slice.value] = None
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"get", "setdefault"}
                and base_name(node.func.value) == name
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                found.setdefault(node.args[0].value, node.args[1] if len(node.args) > 1 else ast.Constant(None))
    return found


def _length_from_use(functions: Sequence[ast.AST], name: str) -> int | None:
    """The length of a list that is only ever asked for single elements: `w[0]`, `w[1]`."""
    found: list[int] = []
    for node in (each for function in functions[:1] for each in ast.walk(function)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name:
            if not isinstance(node.slice, ast.Constant) or type(node.slice.value) is not int or node.slice.value < 0:
                return None
            found.append(node.slice.value)
    nodes = [node for function in functions[:1] for node in ast.walk(function)]
    kept = {id(each) for node in nodes if isinstance(node, ast.Tuple) for each in node.elts}  # put into a cache
    uses = sum(isinstance(node, ast.Name) and node.id == name and id(node) not in kept for node in nodes)
    return max(found) + 1 if found and len(found) == uses and max(found) < 64 else None


def _rank_from_use(functions: Sequence[ast.FunctionDef], name: str) -> int | None:
    least = -1
    for function in functions[:1]:
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                value, many = node.value, len(node.targets[0].elts)
                if any(isinstance(each, ast.Starred) for each in node.targets[0].elts):
                    continue
                if isinstance(value, ast.Attribute) and value.attr == "shape" and base_name(value.value) == name and not isinstance(value.value, ast.Subscript):
                    return many
                if isinstance(value, ast.Name) and value.id == name:
                    return 1
            if isinstance(node, ast.Subscript):
                inner = node.value
                if isinstance(inner, ast.Attribute) and inner.attr == "shape" and base_name(inner.value) == name and isinstance(node.slice, ast.Constant):
                    k = node.slice.value
                    if isinstance(k, int):
                        least = max(least, k + 1 if k >= 0 else -k)
                elif isinstance(inner, ast.Name) and inner.id == name and isinstance(node.slice, ast.Tuple):
                    axes = [each for each in node.slice.elts if not (isinstance(each, ast.Attribute) and each.attr == "newaxis") and not _is_none(each)]
                    if not any(isinstance(each, ast.Constant) and each.value is Ellipsis for each in axes):
                        least = max(least, len(axes))
    return least if least > 1 else None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


_SHAPE: Final = re.compile(r"(?P<name>\b\w+)\s*(?::|--|-|\()[^()\n]*?(?:\n[^()\n:]*?)?\(\s*(?P<shape>[A-Za-z0-9_ ,.*]*)\)")


def _docstring_shapes(text: str) -> dict[str, tuple[str, ...]]:
    """Read `x: input of shape (N, D)` from a docstring."""
    found: dict[str, tuple[str, ...]] = {}
    for match in _SHAPE.finditer(text):
        parts = [part.strip() for part in match["shape"].split(",") if part.strip() and part.strip() != "..."]
        if parts and all(re.fullmatch(r"\w+", part) for part in parts) and match["name"] not in found and len(parts) <= 5:
            if not re.search(r"shape|size|\barray\b|dim|:\s*\(|matrix|vector", match[0]):
                continue
            found[match["name"]] = tuple(parts)
    return found


def _annotated_shape(annotation: ast.expr | None) -> tuple[str, ...] | None:
    """Read `Float[np.ndarray, "N D"]`."""
    if isinstance(annotation, ast.Name) and annotation.id == "float":
        return ()
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        last = annotation.slice.elts[-1]
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            return tuple(last.value.split())
    return None


# Finding the cases -----------------------------------------------------------------------------------------------------

_PAIRED: Final = (
    ("backward", "forward"), ("bwd", "fwd"), ("bprop", "fprop"), ("back", "forward"), ("bw", "fw"), ("backprop", "forward"), ("backward_pass", "forward_pass"),
)  # fmt: skip


def find_cases(plan: Plan, tree: ast.Module) -> list[Case]:
    """Return what is to be marked in a file, in the order of the file."""
    cases: list[tuple[int, Case]] = []
    used: set[ast.FunctionDef] = set()
    for owner, functions in _function_groups(tree):
        by_name = {each.name: each for each in functions}
        for function in functions:
            for forward in _forward_names(function.name):
                other = by_name.get(forward)
                if other is not None and other is not function and function not in used and _takes_upstream(function, other):
                    cases.append((function.lineno, Pair(plan, tree, other, function, owner)))
                    used |= {function, other}
                    break
    called = {base_name(each.func) for each in ast.walk(tree) if isinstance(each, ast.Call)}
    for owner, functions in _function_groups(tree):
        cases += [
            (function.lineno, FunctionCase(plan, tree, function, owner))
            for function in functions
            if function not in used and function.name != "__init__" and _computes_gradients(function) and not _only_helps(function, called, used)
        ]
    covered = {function.name for function in used} | {case.node.name for _, case in cases if isinstance(case, FunctionCase)}
    if _script_computes_gradients(tree, covered):
        cases.append((10**9, Script("", plan, tree)))
    if not cases:
        cases.append((10**9, Script("", plan, tree)))
    return [case for _, case in sorted(cases, key=lambda pair: pair[0])]


def _takes_upstream(backward: ast.FunctionDef, forward: ast.FunctionDef) -> bool:
    """A backward function by itself needs an upstream gradient, or none at all."""
    known = {each.arg for each in forward.args.args}
    given = [each.arg for each in backward.args.args if each.arg != "self" and each.arg not in known]
    rest = [name for name in given if not _CACHES.search(name)]
    return not rest or any(stems(name) or name in {"error", "err", "upstream"} for name in rest)


def _function_groups(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | None, list[ast.FunctionDef]]]:
    yield None, [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            yield statement, [each for each in statement.body if isinstance(each, ast.FunctionDef)]


def _forward_names(backward: str) -> list[str]:
    found = []
    for word, other in _PAIRED:
        if re.search(rf"(?:^|_){word}(?:_|$)", backward):
            found.append(re.sub(rf"(^|_){word}(?=_|$)", rf"\1{other}", backward))
            bare = re.sub(rf"_?{word}_?", "_", backward).strip("_")
            if bare:
                found.append(bare)
    if backward.endswith("Backward"):
        found.append(backward[:-8] + "Forward")
    return found


def _gradient_targets(statements: Sequence[ast.AST]) -> Iterator[tuple[ast.expr, str]]:
    for node in statements:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = [each for target in node.targets for each in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])]
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        for target in targets:
            yield target, base_name(target)


def _computes_gradients(function: ast.FunctionDef) -> bool:
    nodes = list(ast.walk(function))
    local = {each.id for each in nodes if isinstance(each, ast.Name)} | {each.arg for each in nodes if isinstance(each, ast.arg)}
    local |= {each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    local |= {each.attr for each in nodes if isinstance(each, ast.Attribute)}
    return any(in_gradient_container(target) or any(stem in local for stem in stems(name)) for target, name in _gradient_targets(nodes))


def _only_helps(function: ast.FunctionDef, called: set[str], used: set[ast.FunctionDef]) -> bool:
    """A function that can't be marked alone: it takes what a forward pass has kept, or gradients of what it does not compute."""
    known = {each.arg for each in function.args.args} | {
        each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    for each in function.args.args:
        if _CACHES.search(each.arg):
            return True
        if function.name in called and stems(each.arg) and "back" in function.name and not any(stem in known for stem in stems(each.arg)):
            return True
    return function.name in called and bool(used) and any(each.arg.startswith("d") and len(each.arg) > 1 for each in function.args.args)


def _script_computes_gradients(tree: ast.Module, covered: set[str]) -> bool:
    """Tell whether statements outside functions do more than to call what is marked anyway."""
    statements: list[ast.AST] = []
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        statements.append(node)
        stack += list(ast.iter_child_nodes(node))
    names = {each.id for each in statements if isinstance(each, ast.Name)}
    names |= {each.attr for each in statements if isinstance(each, ast.Attribute)}
    results: set[str] = set()
    own = False
    for node in sorted((each for each in statements if isinstance(each, ast.Assign | ast.AugAssign)), key=lambda each: each.lineno):
        value = node.value
        called_ = base_name(value.func) if isinstance(value, ast.Call) else ""
        targets = list(_gradient_targets([node]))
        if called_ in covered:
            results |= {base_name(target) for target, _ in targets}
            continue
        if isinstance(value, ast.Subscript | ast.Name) and base_name(value) in results | {name for _, name in targets}:
            continue
        made = isinstance(value, ast.Call) and isinstance(node, ast.Assign) and called_ in {"randn", "ones", "ones_like", "rand", "normal", "random"}
        if any(in_gradient_container(target) or any(stem in names for stem in stems(name)) for target, name in targets) and not (made and covered):
            own = True
    uses = any(isinstance(each, ast.Call) and isinstance(each.func, ast.Name | ast.Attribute) for each in statements)
    return own or (not covered and uses and any(isinstance(each, ast.Assign) for each in statements))
