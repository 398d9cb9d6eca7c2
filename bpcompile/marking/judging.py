"""
Judge a case: what each backward line should have computed, given what the author's own earlier lines computed.

The ledger of a run holds both halves. From the outputs it gives the gradient of every forward variable: with the author's
values put in place of the true ones wherever the author has a gradient of that variable (`given`), it gives what the next
line should be. A line that has no forward variable of its own is judged by repair: the backward pass is linear in each of its
values, so one asks which single value can be replaced so that every later gradient comes right.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpcompile.marking import mistakes
from bpcompile.marking.cases import Case, Outcome, Pair, Script
from bpcompile.marking.ledger import Ids, Ledger, Sweep
from bpcompile.marking.mistakes import Attempt, Found
from bpcompile.marking.numbers import constant
from bpcompile.marking.plan import Plan
from bpcompile.marking.running import Event, Failure, finite
from bpcompile.marking.words import is_container, stems

#: Relative to the sum of the magnitudes that a gradient is added up from.
TOLERANCE: Final = 1e-8
#: Differences below this are called an eps term, where nothing explains them better.
SMALL: Final = 2e-3
POINTS: Final = 3
#: Most edits of a line that are tried, its turns in a loop counted.
MOST_PROBES: Final = 2400
#: Most programs that are run to explain one wrong gradient.
MOST_RUNS: Final = 40


@dataclass(eq=False)
class Mark:
    """The judgement of one line."""

    line: int
    variable: str
    status: str
    diagnosis: str | None = None
    expected: str | None = None
    inherits: int | None = None
    found: Found | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class GradientMark:
    """The judgement of the final gradient of one input."""

    name: str
    of: str
    ok: bool
    shape: tuple[int, ...] | None
    error: float | None
    diagnosis: str | None = None
    line: int = 0


@dataclass(eq=False)
class Judgement:
    """Everything that is said of a case."""

    title: str
    marks: list[Mark] = field(default_factory=list)
    gradients: list[GradientMark] = field(default_factory=list)
    unread: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    output: str = ""
    judged: bool = True


class Point:
    """What is derived from one run."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.run = outcome.run
        self.ledger: Ledger = outcome.run.ledger
        self.events = outcome.run.events
        self.outputs: list[tuple[str, Ids, Any]] = outcome.outputs
        self.by_stem: dict[str, list[Event]] | None = None
        self.chain_lengths: dict[tuple[int, str], int] | None = None
        self.sources: dict[int, Any] = {}
        self.truth: Sweep
        self.bound: Sweep
        self.author: Sweep

    def derive(self) -> None:
        """Sweep from the outputs."""
        seeds = [(ids, seed) for _, ids, seed in self.outputs]
        self.truth = self.ledger.reverse(seeds)
        self.bound = self.ledger.reverse([(ids, np.abs(seed)) for ids, seed in seeds], magnitude=True)

    def tolerance(self, ids: Ids) -> Any:
        """Return how far a right value may be off, element by element."""
        bound = self.bound.sums[ids]
        top = float(np.max(bound, initial=0.0))
        return TOLERANCE * bound + 1e-10 * top + 1e-300


def close(value: Any, expected: Any, tolerance: Any) -> bool:
    """Tell whether two arrays have one shape and equal numbers."""
    if value is None or np.shape(value) != np.shape(expected):
        return False
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(value - expected) <= tolerance))


class Judge:
    """
    Judges one case.

    Args:
        case: The case, with sizes at which it runs.
        names: Gradients that the user names: gradient to variable.
        seed: Seeds the points.
    """

    def __init__(self, case: Case, names: Mapping[str, str], seed: int) -> None:
        self.case = case
        self.plan: Plan = case.plan
        self.names = names
        self.seed = seed
        self.replace: list[dict[int, Any]] = []

    # Points ------------------------------------------------------------------------------------------------------------

    def judge(self) -> list[Judgement]:
        """Judge the case at points of every course that the program takes."""
        groups: dict[tuple[Any, ...], list[tuple[int, int, Outcome]]] = defaultdict(list)
        tries = [(self.seed * 1000 + 11 + k, draw) for k, draw in enumerate((0, 3, 0, 3, 0, 3, 0, 3, 1, 1, 2, 2))]
        runs = 0
        for seed, draw in tries:
            if draw in {1, 2} and any(len(group) >= POINTS for group in groups.values()):
                break
            outcome = self.case.execute(seed, draw)
            runs += 1
            if not _usable(outcome):
                continue
            signature = tuple((event.line, event.text, event.kind) for event in outcome.run.events)
            groups[signature].append((seed, draw, outcome))
            if runs >= POINTS and len(groups) == 1 and len(groups[signature]) >= POINTS and outcome.run.steps > 20_000:
                break
            if runs >= 4 and len(groups) == 1 and len(groups[signature]) >= POINTS and not _branches(self.case.tree):
                break
        if not groups:
            outcome = self.case.execute(self.seed * 1000 + 11, 0)
            groups[()].append((self.seed * 1000 + 11, 0, outcome))
        largest = sorted(groups.values(), key=len, reverse=True)[:4]
        return [self._judge_group(group[:POINTS]) for group in largest]

    def _judge_group(self, group: list[tuple[int, int, Outcome]]) -> Judgement:
        self.starts = [(seed, draw) for seed, draw, _ in group]
        outcomes = [outcome for _, _, outcome in group]
        replaced: list[dict[int, Any]] = [{} for _ in group]
        judgement = Judgement(self.case.title)
        for _ in range(12):
            self.points = [Point(outcome) for outcome in outcomes]
            judgement.unread = list(self.points[0].run.failures)
            if not self._find_outputs():
                judgement.judged = False
                return judgement
            for point in self.points:
                point.derive()
            self._classify()
            self._pair()
            needed = self._failed_value(replaced)
            if needed is None:
                break
            outcomes = [self.case.execute(seed, draw, replace=own) for (seed, draw), own in zip(self.starts, replaced, strict=True)]
        self.replaced = replaced
        self._judge_states(judgement)
        return judgement

    def _unusable(self, event: Event) -> bool:
        """Tell whether a gradient failed, or has a shape with which what reads it can't be judged."""
        if event.kind == "failed" and event.value is None:
            return True
        twin = self.points[0].events[self.twin[event.index]]
        if event.value is None or event.value.shape == twin.ids.shape or event.kind not in {"set", "failed"}:
            return False
        failed = any(each.kind == "failed" and each.value is None for each in self.points[0].events[event.index :])
        return failed or bool(self.readers[event.index] - set(self.chain_of[event.index]))

    def _failed_value(self, replaced: list[dict[int, Any]]) -> int | None:
        """
        Give the first failed gradient line the value it should have had, so that later lines can be judged.

        Returns the event, or None if there is none left.
        """
        first = self.points[0]
        for event in first.events:
            if event.index in self.twin and event.index not in replaced[0] and self._unusable(event):
                self._sweep_author()
                for point, own in zip(self.points, replaced, strict=True):
                    own[event.index] = self._expected(point, event.index)
                return event.index
        return None

    # Outputs -----------------------------------------------------------------------------------------------------------

    def _find_outputs(self) -> bool:
        first = self.points[0]
        if first.outputs:
            self.output_names = [self._name_of(first, ids) for _, ids, _ in first.outputs]
            return all(point.outputs for point in self.points)
        best: tuple[tuple[Any, ...], list[int]] | None = None
        for candidate in self._candidates():
            rank = (*self._score(candidate), max(candidate))
            if best is None or rank > best[0]:
                best = (rank, candidate)
        if best is None:
            return False
        for point in self.points:
            point.outputs = [(point.events[k].name, point.events[k].ids, self._seed_for(point, k)) for k in best[1]]
        self.output_names = [first.events[k].name for k in best[1]]
        return True

    def _name_of(self, point: Point, ids: Ids) -> str:
        names = [event.name for event in point.events if event.ids.shape == ids.shape and np.array_equal(event.ids, ids)]
        return names[-1] if names else "out"

    def _candidates(self) -> list[list[int]]:
        """Events that may be the output of the forward pass: what only gradients read, or nothing."""
        first = self.points[0]
        events = first.events
        owners = _owners(first)
        claimed = _claims(first)
        forwardish = [event for event in events if event.value is not None and event.ids.any() and not self._gradient_name(event)]
        last = {(event.frame, event.text): event.index for event in forwardish if event.kind != "param"}
        depends = first.ledger.descendants([leaf.ids for leaf in first.run.leaves]) if first.run.leaves else None
        read_by: dict[int, set[int]] = defaultdict(set)
        names = {event.index: event for event in forwardish}
        for event in forwardish:
            for source in _reads(first, event, owners, claimed):
                if source != event.index:
                    read_by[source].add(event.index)
        found = []
        leaves = {leaf.index for leaf in first.run.leaves}
        for index in last.values():
            event = events[index]
            if index in leaves:
                continue
            if depends is not None and not depends[event.ids.ravel()].any():
                continue
            seed = self._seed_event(events, index)
            seeded = seed is not None and (seed.kind == "param" or _drawn(seed))
            others = {k for k in read_by[index] if names[k].text != event.text}
            if not others or seeded:
                found.append([index])
        if isinstance(self.case, Script):
            seeded_all = [k for (k,) in found if self._seed_event(events, k) is not None]
            if len(seeded_all) > 1:
                found.append(seeded_all)
        elif first.outcome.returned:
            # The first thing returned that is no gradient.
            for _, value, ids in first.outcome.returned:
                if value is None or not ids.any():
                    continue
                hits = [event.index for event in events if event.ids.shape == ids.shape and np.array_equal(event.ids, ids)]
                if hits and not self._gradient_name(events[hits[-1]]):
                    return [[hits[-1]]]
                if hits:
                    break
        return found[-12:] if len(found) > 12 else found

    def _gradient_name(self, event: Event) -> bool:
        if event.text in self.names or event.name in self.names:
            return True
        if event.container and is_container(event.container):
            return True
        known = self._known_names
        return any(stem in known for stem in stems(event.name))

    @property
    def _known_names(self) -> set[str]:
        first = self.points[0]
        cached = getattr(first, "known", None)
        if cached is None:
            cached = {event.name for event in first.events}
            first.known = cached  # type: ignore[attr-defined]
        return cached

    def _seed_event(self, events: Sequence[Event], index: int) -> Event | None:
        """The upstream gradient of an output: a gradient of its name that depends on nothing."""
        output = events[index]
        chains = self._chain_lengths()
        for event in self._gradients_of(output.name):
            if event.kind != "param" and chains[event.frame, event.text] > 1:
                continue  # written in several steps: computed, not given
            if event.index == index or event.value is None or event.value.shape != output.value.shape:
                continue
            if event.kind == "param" and event.frame not in {output.frame, 0}:
                continue
            if self._independent(event) and not self._feeds(event, output):
                return event
        return None

    def _feeds(self, event: Event, output: Event) -> bool:
        """Tell whether an output depends on a value: then that is none of its gradients, whatever it is called."""
        first = self.points[0]
        mask = first.sources.get(output.index)
        if mask is None:
            mask = first.sources[output.index] = first.ledger.ancestors([output.ids])
        return bool(mask[event.ids.ravel()].any())

    def _chain_lengths(self) -> dict[tuple[int, str], int]:
        first = self.points[0]
        if first.chain_lengths is None:
            first.chain_lengths = Counter((event.frame, event.text) for event in first.events)
        return first.chain_lengths

    def _gradients_of(self, name: str) -> list[Event]:
        """The events that are the gradient of a variable by their name."""
        first = self.points[0]
        if first.by_stem is None:
            found: dict[str, list[Event]] = defaultdict(list)
            for event in first.events:
                for stem in dict.fromkeys([*stems(event.name), *([self.names[event.name]] if event.name in self.names else [])]):
                    found[stem].append(event)
            first.by_stem = found
        return first.by_stem.get(name, [])

    def _independent(self, event: Event) -> bool:
        ledger = self.points[0].ledger
        ids = event.ids.ravel()
        if not ids.size:
            return False
        leaves = np.concatenate([leaf.ids.ravel() for leaf in self.points[0].run.leaves if leaf.name != event.name] or [np.empty(0, np.int64)])
        stack = [int(ids[0])]
        seen: set[int] = set()
        others = set(leaves.tolist())
        while stack and len(seen) < 64:
            entry = stack.pop()
            if entry in seen or entry == 0:
                continue
            seen.add(entry)
            if entry in others:
                return False
            block = ledger.blocks[ledger.block_of(entry)]
            sources = block.inp[block.out == entry]
            if sources.size > 1:
                return False
            stack += [int(each) for each in sources]
        return len(seen) < 64

    def _seed_for(self, point: Point, index: int) -> Any:
        event = self._seed_event(self.points[0].events, index)
        if event is not None:
            return point.events[event.index].value
        return np.ones(point.events[index].value.shape)

    def _score(self, candidate: list[int]) -> tuple[Any, ...]:
        """How many gradients come out right if these are the outputs."""
        point = self.points[0]
        seeds = [(point.events[k].ids, self._seed_for(point, k)) for k in candidate]
        sums = point.ledger.reverse(seeds).sums
        by_name: dict[str, list[Event]] = defaultdict(list)
        for event in point.events:
            if event.value is not None and sums[event.ids].any():
                by_name[event.name].append(event)
        right = paired = 0
        for event in point.events:
            if event.value is None or not np.any(event.value):
                continue
            names = [event.name] if event.container and is_container(event.container) else stems(event.name)
            names += [self.names[each] for each in (event.text, event.name) if each in self.names]
            twins = [twin for name in names for twin in by_name.get(name, ())]
            paired += bool(twins)
            right += any(
                twin.ids.shape == event.value.shape and np.allclose(sums[twin.ids], event.value, rtol=1e-6, atol=1e-12)
                for twin in twins
                if twin.index != event.index
            )
        scalar = all(point.events[k].value.size == 1 or self._seed_event(point.events, k) is not None for k in candidate)
        return (right, paired, scalar)

    # Who is who --------------------------------------------------------------------------------------------------------

    def _classify(self) -> None:
        first = self.points[0]
        mask = first.ledger.ancestors([ids for _, ids, _ in first.outputs])
        events = first.events
        # An input that the output does not depend on, at this point or at all, has the gradient 0.
        leaves = {leaf.index for leaf in first.run.leaves if not self._gradient_name(leaf)}
        self.forward = [event.index for event in events if event.value is not None and (event.index in leaves or mask[event.ids.ravel()].any())]
        forward = set(self.forward)
        start = first.outcome.start if isinstance(self.case, Pair) and first.outcome.start is not None else 0
        self.owners = _owners(first)
        claimed = _claims(first)
        self.reads = [_reads(first, event, self.owners, claimed) for event in events]
        outside = [event for event in events if event.index not in forward and event.kind != "param" and event.index >= start]
        by_name: dict[str, list[int]] = defaultdict(list)
        for index in self.forward:
            name = events[index].name
            by_name[name].append(index)
            if len(name) > 1 and name.endswith("s") and ("[" in events[index].text):
                by_name[name[:-1]].append(index)
        self.by_name = by_name
        self.outside = [event.index for event in outside]

    def _twins_by_name(self, event: Event) -> list[int]:
        for key in (event.text, event.name):
            if key in self.names:
                return self.by_name.get(self.names[key], [])
        if event.text.endswith("]") and not event.container:
            return []  # an element of a list: its number says which it is, its name does not
        if event.container and is_container(event.container):
            found = self.by_name.get(event.name, [])
            if found:
                return found
        for stem in stems(event.name):
            found = self.by_name.get(stem, [])
            if found:
                return found
        if event.kind == "return" and event.name.startswith("return["):
            return []
        return []

    def _pair(self) -> None:
        """Find for each state of a backward variable the forward variable it is the gradient of."""
        first = self.points[0]
        events = first.events
        outside = set(self.outside)
        readers: dict[int, set[int]] = defaultdict(set)
        for index in self.outside:
            for source in self.reads[index]:
                if source in outside:
                    readers[source].add(index)
        chains: dict[tuple[int, str], list[int]] = defaultdict(list)
        for index in self.outside:
            chains[events[index].frame, events[index].text].append(index)
        self.chain_of: dict[int, list[int]] = {}
        self.checkpoints: list[int] = []
        self.kind: dict[int, str] = {}
        for chain in chains.values():
            for position, index in enumerate(chain):
                self.chain_of[index] = chain
                own = set(chain)
                last = position == len(chain) - 1
                others = readers[index] - own
                restarted = not last and events[chain[position + 1]].kind == "set" and index not in self.reads[chain[position + 1]]
                if last or others or restarted:
                    self.checkpoints.append(index)
        self.checkpoints.sort()
        self.readers = readers
        self.twin: dict[int, int] = {}
        self.named_twin: set[int] = set()
        table = self._value_table()
        for index in self.checkpoints:
            event = events[index]
            candidates = self._twins_by_name(event)
            fitting = [k for k in candidates if event.value is not None and self._true_at(k, index)]
            if fitting:
                self.twin[index] = fitting[-1]
                self.named_twin.add(index)
            elif candidates:
                self.named_twin.add(index)
                self.twin[index] = -1  # decided below, where its fellows are known
            elif event.value is not None:
                matches = [k for k in self._matching(table, event) if self._true_at(k, index)]
                if matches:
                    self.twin[index] = matches[-1]
        self._assign_versions()

    def _true_at(self, forward: int, index: int) -> bool:
        """Tell whether a value is the true gradient of a forward variable, at every point."""
        for point in self.points:
            ids = point.events[forward].ids
            value = point.events[index].value
            if value is None or value.shape != ids.shape or not close(value, point.truth.sums[ids], point.tolerance(ids)):
                return False
        return True

    def _value_table(self) -> dict[tuple[int, ...], tuple[Any, list[int]]]:
        point = self.points[0]
        rng = np.random.default_rng(5)
        self._weights: dict[tuple[int, ...], Any] = {}
        rows: dict[tuple[int, ...], list[tuple[float, int]]] = defaultdict(list)
        for index in self.forward:
            ids = point.events[index].ids
            weights = self._weights.setdefault(ids.shape, rng.standard_normal(ids.shape))
            rows[ids.shape].append((float(np.sum(weights * point.truth.sums[ids])), index))
        return {shape: (np.array([key for key, _ in sorted(row)]), [index for _, index in sorted(row)]) for shape, row in rows.items()}

    def _matching(self, table: dict[tuple[int, ...], tuple[Any, list[int]]], event: Event) -> list[int]:
        shape = event.value.shape
        if shape not in table or not np.any(event.value):
            return []
        keys, indices = table[shape]
        key = float(np.sum(self._weights[shape] * event.value))
        if not np.isfinite(key):
            return []
        width = 1e-6 * (abs(key) + float(np.max(np.abs(event.value))))
        low, high = np.searchsorted(keys, key - width), np.searchsorted(keys, key + width)
        return indices[low:high][:24]

    def _assign_versions(self) -> None:
        """A gradient that is not right: which version of its variable it belongs to."""
        events = self.points[0].events
        undecided = [index for index in self.checkpoints if self.twin.get(index) == -1]
        for index in undecided:
            candidates = self._twins_by_name(events[index])
            fellows = [k for k in self.checkpoints if self._twins_by_name(events[k]) == candidates]
            free = [k for k in candidates if k not in {self.twin.get(each) for each in fellows}]
            same = [k for k in free if events[index].value is None or events[k].ids.shape == events[index].value.shape]
            pool = self._distinct(same or free or candidates)
            position = fellows.index(index)
            waiting = [k for k in fellows if self.twin.get(k) == -1]
            if len(pool) == len(waiting):
                self.twin[index] = pool[::-1][waiting.index(index)]
            elif len(self._distinct(candidates)) == len(fellows):
                self.twin[index] = self._distinct(candidates)[::-1][position]
            else:
                self.twin[index] = self._nearest(pool, index)

    def _distinct(self, versions: list[int]) -> list[int]:
        """Versions whose gradients differ: passing a value on to a function makes none."""
        point = self.points[0]
        found: list[int] = []
        for k in versions:
            ids = point.events[k].ids
            same = any(
                point.events[j].ids.shape == ids.shape and np.allclose(point.truth.sums[point.events[j].ids], point.truth.sums[ids], rtol=1e-9, atol=0)
                for j in found
            )
            if not same:
                found.append(k)
        return found

    def _nearest(self, pool: list[int], index: int) -> int:
        point = self.points[0]
        value = point.events[index].value

        def distance(k: int) -> float:
            expected = point.truth.sums[point.events[k].ids]
            if value is None or expected.shape != value.shape:
                return np.inf
            scale = float(np.linalg.norm(expected)) + 1e-300
            return min(float(np.linalg.norm(value - c * expected)) for c in (1.0, -1.0)) / scale

        return min(pool, key=lambda k: (distance(k), k))

    # Sweeps ------------------------------------------------------------------------------------------------------------

    def _given(self, point: Point, among: Iterable[int] | None = None) -> list[tuple[Ids, Any]]:
        """The author's gradients, to be put in the place of the true ones."""
        pairs = []
        for index in self.checkpoints if among is None else sorted(among):
            twin = self.twin.get(index)
            if twin is None:
                continue
            event, forward = point.events[index], point.events[twin]
            if event.value is not None and event.value.shape == forward.ids.shape and finite(event.value):
                pairs.append((forward.ids, event.value))
        return pairs

    def _sweep_author(self) -> None:
        for point in self.points:
            seeds = [(ids, seed) for _, ids, seed in point.outputs]
            point.author = point.ledger.reverse(seeds, given=self._given(point))

    def _expected(self, point: Point, index: int) -> Any:
        return point.author.sums[point.events[self.twin[index]].ids]

    def _closure(self, index: int, through: frozenset[int] = frozenset()) -> set[int]:
        """Checkpoints that a line reads, through lines that are no checkpoints, or that are looked through."""
        found: set[int] = set()
        stack, seen = [index], {index}
        while stack:
            for source in self.reads[stack.pop()]:
                if source in seen:
                    continue
                seen.add(source)
                if source in self.twin and source not in through:
                    found.add(source)
                else:
                    stack.append(source)
        return found

    def _temporaries(self, index: int) -> list[int]:
        """The line itself, its earlier states, and lines before it that are no checkpoints."""
        outside = set(self.outside)
        found, stack = {index}, [index]
        while stack:
            for source in self.reads[stack.pop()]:
                if source not in found and source in outside and source not in self.twin:
                    found.add(source)
                    stack.append(source)
        for other in self.chain_of.get(index, ()):
            if other < index and other not in self.twin and other >= min(found):
                found.add(other)
        # An overwritten contribution is what the line should have kept.
        return sorted(found)

    # Judging -----------------------------------------------------------------------------------------------------------

    def _judge_states(self, judgement: Judgement) -> None:
        self._sweep_author()
        self.true: set[int] = set()
        self.local: dict[int, bool] = {}
        self.wanted: dict[int, list[Any]] = {}
        self.wanted_all: dict[int, list[Any]] = {}
        for index in self.checkpoints:
            twin = self.twin.get(index)
            if twin is None:
                continue
            if self._true_at(twin, index) and index not in self.replaced[0]:
                self.true.add(index)
                self.local[index] = True
                continue
            events = self.points[0].events
            # What a function returns is given to its caller's variable: that is no reason for it to be right.
            handed_on = any(
                k > index and events[k].frame != events[index].frame and events[self.twin[k]].name == events[twin].name
                for k in self.checkpoints
                if k in self.twin
            )
            expected = self._wanted_by(index) if handed_on else [self._expected(point, index) for point in self.points]
            self.local[index] = index not in self.replaced[0] and all(
                close(point.events[index].value, own, self._loose(point, index, own)) for point, own in zip(self.points, expected, strict=True)
            )
            self.wanted[index] = expected
        wrong = [index for index in self.checkpoints if self.local.get(index) is False]
        for index in wrong[:24]:
            self._judge_closely(index)
        self._look_through([index for index in wrong if not self.local[index]])
        wrong = [index for index in wrong if not self.local[index] and self._matters(index)]
        self.faults: dict[int, Found] = {}
        self._explain([index for index in wrong if not self._is_handed_on(index, wrong)])
        self._report(judgement)

    def _is_handed_on(self, index: int, wrong: list[int]) -> bool:
        """Tell whether a wrong gradient is one that a function returned, under the caller's name."""
        events = self.points[0].events
        for other in wrong:
            if other >= index:
                break
            value, own = events[other].value, events[index].value
            if value is not None and own is not None and events[other].frame != events[index].frame and value.shape == own.shape and np.array_equal(value, own):
                return True
        return False

    def _look_through(self, wrong: list[int]) -> None:
        """
        Take back the guess that a variable is a gradient, where what reads it is right without it.

        `dmean = dxc.sum(axis=0); dx = dxc - dmean / N` keeps the gradient of the mean with the other sign.
        """
        for index in wrong[:24][::-1]:
            finals = self._finals(index)
            if not finals or index in self.replaced[0]:
                continue
            right = [final for final in finals if final in self.true or self._right_through(final, index)]
            if not right or any(self.local.get(final) and final not in self.true for final in finals):
                continue
            del self.twin[index]
            self.named_twin.discard(index)
            self.local[index] = True
            for final in finals:
                if final in right:
                    self.local[final] = True
                elif final not in self.replaced[0]:
                    self.wanted[final] = self._wanted_by(final)
                    self.wanted_all.pop(final, None)

    def _right_through(self, final: int, index: int) -> bool:
        """Tell whether a line is right if one of its sources is no gradient but a step on the way."""
        if final in self.replaced[0]:
            return False
        closure = self._closure(final, frozenset({index}))
        for point in self.points:
            seeds = [(ids, seed) for _, ids, seed in point.outputs]
            expected = point.ledger.reverse(seeds, given=self._given(point, closure)).sums[point.events[self.twin[final]].ids]
            if not close(point.events[final].value, expected, self._loose(point, final, expected)):
                return False
        return True

    def _matters(self, index: int) -> bool:
        """Tell whether a wrong gradient is one: an intermediate whose every use is right is none."""
        if index in self.replaced[0]:
            return True  # it fails: what it should have been stands in its place
        readers = self.readers[index] - set(self.chain_of[index])
        if not readers:
            chain = self.chain_of[index]
            after = [k for k in chain if k > index]
            if after:  # overwritten: what follows is judged by itself
                return False
            return index in self.named_twin
        finals = self._finals(index)
        return not finals or any(final not in self.true for final in finals)

    def _finals(self, index: int) -> set[int]:
        seen, stack, finals = {index}, [index], set()
        while stack:
            own = stack.pop()
            readers = self.readers[own] - {own}
            if own != index and own in self.twin:
                finals.add(own)
                continue
            for reader in readers:
                if reader not in seen:
                    seen.add(reader)
                    stack.append(reader)
        return finals

    def _loose(self, point: Point, index: int, expected: Any) -> Any:
        """The tolerance for a value that may lie on wrong ones, which may be larger than the true ones."""
        ids = point.events[self.twin[index]].ids
        base = point.tolerance(ids)
        value = point.events[index].value
        top = max(float(np.max(np.abs(expected), initial=0.0)), float(np.max(np.abs(value), initial=0.0)) if value is not None else 0.0)
        return base + TOLERANCE * top

    def _judge_closely(self, index: int) -> None:
        """Judge a line by the gradients that it really reads."""
        found = self._wanted_by(index)
        if index not in self.replaced[0] and all(
            close(point.events[index].value, own, self._loose(point, index, own)) for point, own in zip(self.points, found, strict=True)
        ):
            self.local[index] = True
        else:
            self.wanted_all[index] = self.wanted[index]
            self.wanted[index] = found

    # Explaining --------------------------------------------------------------------------------------------------------

    def _explain(self, wrong: list[int]) -> None:
        """Find for each wrong gradient the line at fault, and the mistake."""
        first = self.points[0]
        remaining = list(wrong)
        events = first.events
        regions = {index: self._temporaries(index) for index in wrong}
        self.region = regions
        candidates = sorted({k for region in regions.values() for k in region if events[k].statement is not None})
        if not candidates:
            return
        attempts = self._attempts(candidates)
        values = self._probe(0, {id(events[k].statement): [each.statement for each in own] for k, own in attempts.items()})
        while remaining:
            index = remaining[0]
            together = [k for k in remaining if set(regions[k]) & set(regions[index])]
            chosen = self._again(index) or self._choose(index, together, attempts, values)
            if chosen is None and index in self.wanted_all:
                # The value may be meant to go by gradients that the wrong line doesn't read.
                mine, self.wanted[index] = self.wanted[index], self.wanted_all[index]
                chosen = self._choose(index, [index], attempts, values)
                if chosen is None:
                    self.wanted[index] = mine
            if chosen is None:
                chosen = self._choose_by_running(index, attempts, values)
            if chosen is None:
                chosen = self._choose_through(index, attempts, values)
            if chosen is None:
                where = self._shared_step(index) or self._unexplained(index, together)
                self.faults.setdefault(where, self._by_numbers(index) or Found("unknown", None, {}))
                fixed = [k for k in (*together, *self._finals(index)) if k == index or where in self.region.get(k, ())]
            else:
                where, found, fixed = chosen
                self.faults.setdefault(where, self._shape_only(where) or found)
            remaining = [k for k in remaining if k not in fixed]

    def _shared_step(self, index: int) -> int | None:
        """The longest of several steps on the way to more than one wrong gradient."""
        events = self.points[0].events
        finals = [final for final in self._finals(index) if final not in self.true]
        if len(finals) < 2 or any(self.local.get(final) for final in finals):
            return None
        steps = [k for k in self.region[index] if (events[k].statement is not None and k not in self.twin) or k == index]
        for final in finals:
            self.region[final] = [*self.region.get(final, []), *steps]
        return max(steps, key=lambda k: _length(events[k]))

    def _again(self, index: int) -> tuple[int, Found, list[int]] | None:
        """The fault that another turn of a loop had."""
        events = self.points[0].events
        for fault, found in self.faults.items():
            if found.diagnosis != "unknown" and events[fault].statement is events[index].statement and index != fault:
                return index, found, [index]
        return None

    def _attempts(self, candidates: list[int]) -> dict[int, list[Attempt]]:
        """Other forms of each line; the runs of a line in a loop share theirs."""
        events = self.points[0].events
        of_statement: dict[int, list[Attempt]] = {}
        result: dict[int, list[Attempt]] = {}
        budget = 6000
        for index in sorted(candidates, reverse=True):
            statement = events[index].statement
            assert statement is not None
            if id(statement) not in of_statement:
                turns = sum(event.statement is statement for event in events)
                own = mistakes.attempts(statement, self._facts(index))[: max(0, min(budget, MOST_PROBES // turns))]
                of_statement[id(statement)] = own
                budget -= len(own)
            result[index] = of_statement[id(statement)]
        return result

    def _facts(self, index: int) -> mistakes.Facts:
        """What is known around a line: names in scope, which of them are gradients, sizes, relations."""
        first = self.points[0]
        events = first.events
        event = events[index]
        gradients: dict[str, tuple[int, ...]] = {}
        values: dict[str, tuple[int, ...]] = {}
        outside = set(self.outside)
        past: list[str] = []
        latest: dict[str, int] = {}
        for other in events[:index]:
            if other.value is None or other.frame not in {event.frame, 0} or not _simple(other.text):
                continue
            if (other.index in outside and not self._is_copy(other)) or (other.kind == "param" and self._gradient_name(other)):
                gradients[other.text] = other.value.shape
            else:
                values[other.text] = other.value.shape
            latest[other.text] = other.index
        forward = set(self.forward)
        for name, k in latest.items():
            versions = [j for j in self.by_name.get(events[k].name, ()) if events[j].text == name]
            if versions and k not in forward:
                past.append(name)
        wanted = self.wanted.get(index)
        parents: dict[str, set[str]] = defaultdict(set)
        for k in self.forward:
            if events[k].frame not in {event.frame, 0} and events[k].text not in values:
                continue
            stack, met = list(self.reads[k]), set()
            while stack:
                source = stack.pop()
                if source not in forward or source in met:
                    continue
                met.add(source)
                if events[source].kind in {"param", "return"} and len(met) < 40:
                    stack += self.reads[source]
                parents[events[k].text].add(events[source].text)
        before = [events[k].text for k in self.chain_of.get(index, ()) if k < index]
        twin = self.twin.get(index)
        if twin is None:
            twin = next((self.twin[k] for k in self.chain_of.get(index, ()) if k >= index and k in self.twin), None)
        return mistakes.Facts(
            variable="" if twin is None else events[twin].text,
            uses=self._uses(index, twin),
            gradients=gradients,
            values=values,
            past=past,
            parents={name: frozenset(each) for name, each in parents.items()},
            expected_shape=None if wanted is None else wanted[0].shape,
            sizes=sorted(self.plan.size_names),
            unset=not before,
        )

    def _is_copy(self, event: Event) -> bool:
        """Tell whether a variable of the backward pass holds a forward value, unpacked from a cache."""
        events = self.points[0].events
        versions = [events[k].value for k in self.by_name.get(event.name, ())]
        return any(np.shape(each) == np.shape(event.value) and np.array_equal(each, event.value) for each in versions)

    def _uses(self, index: int, twin: int | None) -> list[mistakes.Use]:
        """The forward statements that use a variable, with the author's gradients of their results."""
        if twin is None:
            return []
        events = self.points[0].events
        gradient_of = {self.twin[k]: events[k].text for k in self.checkpoints if k in self.twin and k < index}
        for name, ids, _ in self.points[0].outputs:
            for k in self.forward:
                if events[k].ids.shape == ids.shape and np.array_equal(events[k].ids, ids):
                    seed = self._seed_event(events, k)
                    gradient_of.setdefault(k, seed.text if seed is not None else name or "1.0")
                    if seed is None and not name.isidentifier():
                        gradient_of[k] = "1.0"
        if isinstance(self.case, Script):
            known = {event.text for event in events}
            gradient_of = {k: text if text in known and text != events[k].text else "1.0" for k, text in gradient_of.items()}
        found = []
        for k in self.forward:
            statement = events[k].statement
            if k != twin and twin in self.reads[k] and statement is not None and k in gradient_of:
                found.append(mistakes.Use(statement, gradient_of[k]))
        return found

    def _probe(self, number: int, tried: Mapping[int, Sequence[ast.stmt | None]]) -> dict[tuple[int, int], Any]:
        """The values that other forms of some statements give at one point."""
        seed, draw = self.starts[number]
        run = self.case.execute(seed, draw, replace=self.replaced[number], probes=tried, past=self._past(self.points[number])).run
        # A statement that calls functions has their events before its own.
        own = {
            start: next((k for k in range(start, len(run.events)) if id(run.events[k].statement) == statement), start)
            for start, statement in run.probed_at.items()
        }
        return {(own[start], k): value for (start, k), value in run.probed.items()}

    def _past(self, point: Point) -> dict[str, Any]:
        """Forward values of names, under which a line may ask for what a variable was before it was updated."""
        past = {}
        for name, versions in self.by_name.items():
            event = point.events[versions[-1]]
            past[f"past·{name}"] = constant(np.array(event.value))
        return past

    def _choose(
        self, index: int, together: list[int], attempts: dict[int, list[Attempt]], values: dict[tuple[int, int], Any]
    ) -> tuple[int, Found, list[int]] | None:
        """
        The attempt that puts most of the wrong gradients right.

        Args:
            index: A wrong gradient.
            together: The wrong gradients that may have the same cause.
            attempts: What may be tried in each line.
            values: What it gives at the first point; what fits there is tried at the others.
        """
        events = self.points[0].events
        rows = self._influence(together, self.region[index] if len(together) == 1 else sorted({k for each in together for k in self.region[each]}))
        likely = [
            (candidate, number)
            for candidate in self.region[index]
            for number in range(len(attempts.get(candidate, ())))
            if index in self._fixes(candidate, number, together, [values], rows)
        ]
        if not likely:
            return None
        tried: dict[int, list[ast.stmt | None]] = {}
        for candidate, number in likely:
            own = tried.setdefault(id(events[candidate].statement), [None] * len(attempts[candidate]))
            own[number] = attempts[candidate][number].statement
        everywhere = [values, *(self._probe(k, tried) for k in range(1, len(self.points)))]
        best: tuple[tuple[Any, ...], int, Found, list[int]] | None = None
        for candidate, number in likely:
            fixed = self._fixes(candidate, number, together, everywhere, rows)
            if index not in fixed:
                continue
            attempt = attempts[candidate][number]
            rank = (-len(fixed), attempt.order, attempt.rank, 0 if candidate == index else 1)
            if best is None or rank < best[0]:
                best = (rank, candidate, attempt.found, fixed)
        return None if best is None else best[1:]

    def _influence(self, together: list[int], candidates: list[int]) -> list[dict[int, Any]]:
        """
        How the wrong gradients depend on the candidates, at every point, as random combinations of their elements.

        Returns, for each point and wrong gradient, the combination, what it lacks, and the ledger's sums.
        """
        found: list[dict[int, Any]] = []
        for number, point in enumerate(self.points):
            own: dict[int, Any] = {}
            rng = np.random.default_rng(number)
            begin = min(point.events[k].blocks[0] for k in candidates)
            cut = [(point.events[k].ids, 0.0) for k in self.twin if k not in together]
            for index in together[:8]:
                event = point.events[index]
                wanted = self.wanted[index][number]
                if event.value is None or event.value.shape != wanted.shape or index in self.replaced[0]:
                    continue
                weights = rng.standard_normal((*event.value.shape, 3))
                lack = np.tensordot(wanted - event.value, weights, axes=event.value.ndim)
                others = [(point.events[k].ids, 0.0) for k in together if k != index]
                blocks = (begin, event.blocks[1])
                fixed = [(ids, np.zeros((ids.size, 3))) for ids, _ in (*cut, *others)]
                sums = point.ledger.reverse([(event.ids, weights)], given=fixed, blocks=blocks, columns=3).sums
                own[index] = (sums, lack, float(np.max(np.abs(wanted), initial=0.0)) + float(np.max(np.abs(event.value), initial=0.0)))
            found.append(own)
        return found

    def _fixes(self, candidate: int, number: int, together: list[int], values: list[dict[tuple[int, int], Any]], rows: list[dict[int, Any]]) -> list[int]:
        """The wrong gradients that come right if a line has another value; a line in a loop has it in every turn."""
        events = self.points[0].events
        statement = events[candidate].statement
        members = sorted({k for each in together for k in self.region[each] if events[k].statement is statement} | {candidate})
        fixed = []
        for index in together:
            good = True
            for k, (tried, point) in enumerate(zip(values, self.points, strict=False)):
                value = tried.get((candidate, number))
                if value is None:
                    return []
                wanted = self.wanted[index][k]
                if members == [index] and close(value, wanted, self._loose(point, index, wanted)):
                    continue
                row = rows[k].get(index)
                change = self._change(members, number, tried, point, row[0]) if row is not None else None
                if row is None or change is None:
                    good = False
                    break
                _, lack, scale = row
                with np.errstate(all="ignore"):
                    if not np.all(np.abs(change - lack) <= 1e-7 * (np.abs(lack) + scale * 1e-1)) or not np.any(np.abs(change) > 0):
                        good = False
                        break
            if good:
                fixed.append(index)
        return fixed

    def _change(self, members: list[int], number: int, tried: dict[tuple[int, int], Any], point: Point, sums: Any) -> Any:
        """What another value in every turn of a line does to a wrong gradient; None if that can't be told."""
        change: Any = 0.0
        for member in members:
            value, event = tried.get((member, number)), point.events[member]
            if value is None or event.value is None or np.shape(value) != event.value.shape:
                return None
            change = change + np.tensordot(value - event.value, sums[event.ids], axes=event.value.ndim)
        return change

    def _choose_through(self, index: int, attempts: dict[int, list[Attempt]], values: dict[tuple[int, int], Any]) -> tuple[int, Found, list[int]] | None:
        """The attempt that puts right what reads a variable, if the variable is no gradient in spite of its name."""
        finals = sorted(self._finals(index))
        if not finals or index in self.replaced[0] or any(final in self.replaced[0] for final in finals):
            return None
        twin, kept = self.twin.pop(index), {final: (self.wanted.get(final), self.region.get(final)) for final in finals}
        for final in finals:
            self.wanted[final] = self._wanted_by(final)
            self.region[final] = self._temporaries(final)
        chosen = self._choose(finals[0], finals, attempts, values)
        if chosen is not None:
            self.named_twin.discard(index)
            return chosen[0], chosen[1], [index, *chosen[2]]
        self.twin[index] = twin
        for final, (wanted, region) in kept.items():
            if wanted is None:
                del self.wanted[final]
            else:
                self.wanted[final] = wanted
            if region is None:
                del self.region[final]
            else:
                self.region[final] = region
        return None

    def _wanted_by(self, index: int) -> list[Any]:
        """What a line should have computed, given the gradients that it reads."""
        closure = self._closure(index)
        found = []
        for point in self.points:
            seeds = [(ids, seed) for _, ids, seed in point.outputs]
            found.append(point.ledger.reverse(seeds, given=self._given(point, closure)).sums[point.events[self.twin[index]].ids])
        return found

    def _choose_by_running(self, index: int, attempts: dict[int, list[Attempt]], values: dict[tuple[int, int], Any]) -> tuple[int, Found, list[int]] | None:
        """
        The attempt that puts a wrong gradient right when the whole program runs with it.

        Only for what a line's own value can't tell: another shape, and what the turns of a loop do to each other.
        """
        events = self.points[0].events
        turns = Counter(id(events[k].statement) for k in self.region[index])
        tried: dict[tuple[int, int], tuple[int, Attempt]] = {}
        for candidate in self.region[index]:
            statement = events[candidate].statement
            for number, attempt in enumerate(attempts.get(candidate, ())):
                value = values.get((candidate, number))
                other_shape = value is not None and np.shape(value) != np.shape(events[candidate].value) and candidate != index
                in_turns = turns[id(statement)] > 1 and attempt.order <= 1
                if other_shape or in_turns:
                    tried.setdefault((id(statement), number), (candidate, attempt))
        for candidate, attempt in sorted(tried.values(), key=lambda each: (each[1].order, each[1].rank))[:MOST_RUNS]:
            for k, (seed, draw) in enumerate(self.starts):
                run = self.case.execute(seed, draw, replace=self.replaced[k], substitute={id(events[candidate].statement): attempt.statement}).run
                value = run.events[index].value if len(run.events) == len(events) and run.events[index].text == events[index].text else None
                wanted = self.wanted[index][k]
                if not close(value, wanted, self._loose(self.points[k], index, wanted)):
                    break
            else:
                return candidate, attempt.found, [index]
        return None

    def _shape_only(self, index: int) -> Found | None:
        """Right numbers in another shape."""
        if index not in self.wanted:
            return None
        for point, wanted in zip(self.points, self.wanted[index], strict=True):
            value = point.events[index].value
            if value is None or value.shape == wanted.shape or value.size != wanted.size or not np.allclose(value.ravel(), wanted.ravel(), rtol=1e-7):
                return None
        text = f"{self.points[0].events[index].text}.reshape({', '.join(map(str, self.wanted[index][0].shape))})"
        return Found("shape-only", text if self.points[0].events[index].statement is None else None, {})

    def _by_numbers(self, index: int) -> Found | None:
        """What the numbers say where no edit of the line does."""
        if index in self.replaced[0]:
            return None
        return self._by_ratio(index) or self._by_missing_use(index) or self._by_size(index)

    def _by_ratio(self, index: int) -> Found | None:
        """A gradient built over several lines that is right but for a number."""
        ratio = self._ratio(index)
        event = self.points[0].events[index]
        if ratio is None or event.statement is None or ratio == 0:
            return None
        name = event.text.split("[")[0] if event.kind != "set" else event.text
        sizes = sorted({n for k in self.forward for n in self.points[0].events[k].ids.shape if n > 1})
        line = ast.unparse(event.statement)
        if np.isclose(ratio, -1):
            return Found("sign", f"{line}; {name} *= -1", {})
        if np.isclose(ratio, 2) or np.isclose(ratio, 0.5):
            return Found("factor-two", f"{line}; {name} {'/' if ratio > 1 else '*'}= 2", {})
        for size in sizes:
            for factor in (ratio, 1 / ratio):
                if np.isclose(factor, size) or np.isclose(factor, size - 1):
                    return Found("missing-mean-factor", f"{line}; {name} {'/' if factor == ratio else '*'}= {round(factor)}", {})
        return None

    def _by_size(self, index: int) -> Found | None:
        """A difference as small as what keeps a logarithm or a quotient finite."""
        for point, wanted in zip(self.points, self.wanted[index], strict=True):
            value = point.events[index].value
            if value is None or value.shape != wanted.shape or not np.max(np.abs(value - wanted), initial=0.0) <= SMALL * np.max(np.abs(wanted), initial=0.0):
                return None
        return Found("eps-term", None, {})

    def _by_missing_use(self, index: int) -> Found | None:
        """A gradient that lacks what one or more uses of its variable send to it."""
        parts = self._contributions(index)
        if not parts or not 1 <= len(parts[0]) <= 8:
            return None
        many = len(parts[0])
        for subset in range(1, 2**many - 1):
            for point, own, wanted in zip(self.points, parts, self.wanted[index], strict=True):
                value = point.events[index].value
                lacking = sum(part for k, part in enumerate(own) if subset >> k & 1)
                if value is None or value.shape != wanted.shape or not close(value + lacking, wanted, self._loose(point, index, wanted)):
                    break
            else:
                return Found("missing-branch", None, {})
        return None

    def _unexplained(self, index: int, together: list[int]) -> int:
        """The line to blame where no mistake explains it."""
        shared = [k for k in self.region[index] if sum(k in self.region[each] for each in together) > 1 and k not in together]
        if len(together) > 1 and shared:
            return shared[-1]
        return self._odd_member(index)

    def _odd_member(self, index: int) -> int:
        """Of several contributions, the one that is no sum of what the uses of the variable send to it."""
        chain = [k for k in self.region[index] if k in self.chain_of[index]]
        if len(chain) < 2:
            return index
        parts = self._contributions(index)
        odd = [k for k in chain if not self._is_contribution(k, parts)]
        return odd[0] if len(odd) == 1 else index

    def _contributions(self, index: int) -> list[list[Any]]:
        """What each use of a variable sends to it, at each point."""
        result: list[list[Any]] = []
        twin = self.twin[index]
        for point in self.points:
            own = []
            ids = point.events[twin].ids
            for k in self.forward:
                if twin in self.reads[k] and k != twin:
                    event = point.events[k]
                    sums = point.ledger.reverse([(event.ids, point.author.given[event.ids])], blocks=event.blocks).sums
                    own.append(sums[ids])
            result.append(own)
        return result

    def _is_contribution(self, member: int, parts: list[list[Any]]) -> bool:
        if not parts or not parts[0] or len(parts[0]) > 10:
            return False
        many = len(parts[0])
        chain = self.chain_of[member]
        position = chain.index(member)
        for subset in range(1, 2**many):
            good = True
            for point, own in zip(self.points, parts, strict=True):
                value = point.events[member].value
                before = point.events[chain[position - 1]].value if position and point.events[member].kind != "set" else 0.0
                total = sum(part for k, part in enumerate(own) if subset >> k & 1)
                if value is None or np.shape(value) != np.shape(total) or not np.allclose(value - before, total, rtol=1e-7, atol=1e-12):
                    good = False
                    break
            if good:
                return True
        return False

    # Reporting ---------------------------------------------------------------------------------------------------------

    def _report(self, judgement: Judgement) -> None:
        first = self.points[0]
        events = first.events
        judgement.output = ", ".join(self.output_names)
        relevant = self._relevant()
        faulty = sorted(self.faults)
        downstream: dict[int, int] = {}
        for index in sorted(relevant):
            sources = [downstream.get(k, k) for k in sorted(self.reads[index]) if k in downstream or k in self.faults]
            chain = self.chain_of.get(index, [])
            position = chain.index(index) if index in chain else 0
            if position and events[index].kind != "set":
                before = chain[position - 1]
                sources += [downstream[before]] if before in downstream else [before] if before in self.faults else []
            if sources:
                downstream[index] = min(sources)
        for index in sorted(relevant):
            event = events[index]
            if event.statement is None:
                continue
            mark = Mark(event.line, event.text, "right")
            if index in self.faults:
                found = self.faults[index]
                mark.status, mark.diagnosis, mark.found = "wrong", found.diagnosis, found
                mark.expected = found.text
                mark.facts = self._numbers(index)
            elif index in downstream and index not in self.true and not (index in self.twin and index in self.local and self.twin[index] is None):
                mark.status = "inherits"
                mark.inherits = events[downstream[index]].line
            judgement.marks.append(mark)
        self._global_factor(judgement, faulty)
        self._judge_gradients(judgement)

    def _global_factor(self, judgement: Judgement, faulty: list[int]) -> None:
        """One factor on every gradient is one remark."""
        ratios = []
        for index in faulty:
            if index not in self.twin or index not in self.wanted:
                return
            ratio = self._ratio(index)
            if ratio is None:
                return
            ratios.append(ratio)
        lines = {self.points[0].events[index].line for index in faulty}
        if len(lines) < 3 or not np.allclose(ratios, ratios[0], rtol=1e-6):
            return
        wrong = [mark for mark in judgement.marks if mark.status == "wrong"]
        head = wrong[0]
        head.diagnosis = "global-factor"
        head.facts["factor"] = ratios[0]
        for mark in wrong[1:]:
            if mark.line != head.line:
                mark.status, mark.diagnosis, mark.inherits = "inherits", None, head.line

    def _ratio(self, index: int) -> float | None:
        ratios = []
        for k, point in enumerate(self.points):
            value, wanted = point.events[index].value, self.wanted[index][k]
            if value is None or np.shape(value) != np.shape(wanted):
                return None
            weight = float(np.sum(wanted * wanted))
            if weight == 0:
                return None
            ratio = float(np.sum(value * wanted)) / weight
            if not np.allclose(value, ratio * wanted, rtol=1e-6, atol=1e-12):
                return None
            ratios.append(ratio)
        return ratios[0] if np.allclose(ratios, ratios[0], rtol=1e-6) else None

    def _relevant(self) -> set[int]:
        """Backward events that are marked: gradients, and what they are computed from."""
        first = self.points[0]
        events = first.events
        inputs = {events[k].name for k in self.forward}
        stack = [k for k in self.checkpoints if k in self.twin]
        stack += [k for k in self.outside if events[k].kind == "return"]
        returned = [ids for _, _, ids in first.outcome.returned]
        for index in self.checkpoints:
            if index not in self.twin and any(ids.shape == events[index].ids.shape and np.array_equal(ids, events[index].ids) for ids in returned):
                stack.append(index)
        found: set[int] = set()
        outside = set(self.outside)
        while stack:
            index = stack.pop()
            if index in found or index not in outside:
                continue
            found.add(index)
            stack += self.reads[index]
            stack += [k for k in self.chain_of.get(index, ()) if k < index]
        seeds = {events[k].text for k in self.forward}
        return {k for k in found if events[k].text not in seeds or k in self.named_twin or events[k].name not in inputs}

    def _numbers(self, index: int) -> dict[str, Any]:
        event = self.points[0].events[index]
        facts: dict[str, Any] = {"value": event.value}
        if index in self.wanted:
            facts["wanted"] = self.wanted[index][0]
        if event.fault is not None or index in self.replaced[0]:
            failure = next((each for each in self.points[0].run.failures if each.line == event.line), None)
            facts["fault"] = failure.message if failure is not None else ""
        return facts

    def _judge_gradients(self, judgement: Judgement) -> None:
        first = self.points[0]
        events = first.events
        finals: dict[str, int] = {}
        names: dict[str, int] = {}
        forward = set(self.forward)
        leaves = [leaf for leaf in first.run.leaves if leaf.index in forward]
        for leaf in leaves:
            names.setdefault(leaf.name, leaf.index)
        for index in self.checkpoints:
            if index in self.twin and (index in self.named_twin):
                finals[events[self.twin[index]].name] = index
        missing: list[tuple[str, int]] = []
        for name, own in names.items():
            if name in finals:
                index = finals[name]
                judgement.gradients.append(self._gradient(index, name))
            elif not self._gradient_name(events[own]):
                by_value = [k for k in self.checkpoints if k in self.true and self._true_at(own, k)]
                if by_value:
                    judgement.gradients.append(self._gradient(by_value[-1], name))
                else:
                    missing.append((name, own))
        if not names:
            for name, index in finals.items():
                judgement.gradients.append(self._gradient(index, name))
        for name, index in finals.items():
            versions = [events[k] for k in self.by_name.get(name, ())]
            if names and name not in names and any(each.function == "__init__" or each.container for each in versions):
                judgement.gradients.append(self._gradient(index, name))
        # A gradient that the file speaks of and never computes is missing; of the others nobody asked for one.
        asked = [name for name, _ in missing if self.plan.has_gradient(name)]
        judgement.gradients += [GradientMark("", name, ok=False, shape=None, error=None, diagnosis="missing-gradient") for name in asked]
        judgement.missing = [name for name, own in missing if name not in asked and self.points[0].truth.sums[events[own].ids].any()]

    def _rests_on_replaced(self, index: int) -> bool:
        """Tell whether a gradient rests on a line that fails: then there is none."""
        if not self.replaced[0]:
            return False
        seen, stack = {index}, [index]
        while stack:
            own = stack.pop()
            if own in self.replaced[0]:
                return True
            new = self.reads[own] - seen
            seen |= new
            stack += new
        return False

    def _gradient(self, index: int, name: str) -> GradientMark:
        event = self.points[0].events[index]
        error = 0.0
        twin = self.twin[index]
        ok = self._true_at(twin, index) and not self._rests_on_replaced(index)
        for point in self.points:
            truth = point.truth.sums[point.events[twin].ids]
            value = point.events[index].value
            if self._rests_on_replaced(index) or value is None or value.shape != truth.shape:
                return GradientMark(event.text, name, ok=False, shape=None if value is None else value.shape, error=None, line=event.line)
            with np.errstate(all="ignore"):
                top = float(np.max(np.abs(truth), initial=0.0))
                error = max(error, float(np.max(np.abs(value - truth), initial=0.0)) / (top or 1.0))
        return GradientMark(event.text, name, ok=ok, shape=event.value.shape, error=error, line=event.line)


def _length(event: Event) -> int:
    return 0 if event.statement is None else len(ast.unparse(event.statement))


def _drawn(event: Event) -> bool:
    """Tell whether a value is drawn at random, as an upstream gradient of an intermediate result is."""
    return event.statement is not None and "random" in ast.unparse(event.statement)


def _simple(text: str) -> bool:
    return text.replace("_", "a").replace("[", "").replace("]", "").replace("'", "").replace(".", "").isalnum()


def _usable(outcome: Outcome) -> bool:
    if any(failure.line == 0 for failure in outcome.run.failures):
        return False
    if outcome.outputs:
        return all(np.all(np.isfinite(seed)) for _, _, seed in outcome.outputs) and _finite_forward(outcome)
    return _finite_forward(outcome)


def _finite_forward(outcome: Outcome) -> bool:
    events = [event for event in outcome.run.events if event.value is not None]
    if not events:
        return False
    bad = sum(not finite(event.value) for event in events)
    return bad * 5 < len(events)


def _branches(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.If | ast.IfExp | ast.While) or (isinstance(node, ast.Call) and ast.unparse(node.func) in {"max", "min"}) for node in ast.walk(tree)
    )


def _owners(point: Point) -> Any:
    """Which event each entry of the ledger belongs to; -1 for none."""
    owners = np.full(point.ledger.count, -1, np.int64)
    for event in point.events:
        flat = event.ids.ravel()
        free = flat[owners[flat] < 0]
        owners[free] = event.index
    owners[0] = -1
    return owners


def _claims(point: Point) -> Any:
    """Which event each block of the ledger was written by: the innermost one."""
    claimed = np.full(len(point.ledger.blocks), -1, np.int64)
    for event in point.events:
        part = claimed[event.blocks[0] : event.blocks[1]]
        part[part < 0] = event.index
    return claimed


def _reads(point: Point, event: Event, owners: Any, claimed: Any) -> set[int]:
    """The events whose values a statement reads."""
    found: set[int] = set()
    own = event.ids.ravel()
    for number in range(*event.blocks):
        block = point.ledger.blocks[number]
        if block.inp.size and claimed[number] == event.index:
            found.update(np.unique(owners[block.inp]).tolist())
    if own.size:
        found.update(np.unique(owners[own]).tolist())
    found.discard(-1)
    found.discard(event.index)
    return {k for k in found if k < event.index}
