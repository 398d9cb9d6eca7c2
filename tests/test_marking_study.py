"""
The marking judged by planted mistakes.

Mistakes and rewrites are planted in the hand-written corpus and in the compiler's own output, in every style and layout; what each amounts
to is decided by running it under NumPy. The default profile takes a sample; the long profile takes the whole study and compares its
report with `docs/marking-study.md`, which is written by

    HYPOTHESIS_PROFILE=long pytest tests/test_marking_study.py --update-golden
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from handwritten_runs import Program, right_programs, wrong_programs
from mistakes import Judged, Mutant, Several, base_name, combine, find_backward, judge, leaves_its_line, mistakes, rewrites, right_runs

from bpcompile.compiler import compile_file
from bpcompile.marking import mark_source

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "marking-study.md"
LONG = os.environ.get("HYPOTHESIS_PROFILE", "default") != "default"
SEED = 20

#: What a planted mistake may honestly be called, beside its own name: other words for the same change of a line.
ALSO_CALLED: dict[str, dict[str, str]] = {
    "sign": {"global-factor": "the sign of the first gradient is the sign of all", "operands-swapped": "`b - a` for `a - b`"},
    "missing-upstream": {"factor-two": "the upstream gradient was the number 2", "global-factor": "the same, at the first line"},
    "upstream-only": {
        "sign": "the local gradient was -1",
        "factor-two": "the local gradient was 2",
        "missing-mean-factor": "the local gradient was 1/N",
        "global-factor": "the same, at the first line",
    },
    "missing-branch": {"overwrites": "`d = e` for `d = d + e`"},
    "overwrites": {"missing-branch": "what was there before is missing"},
    "repeated-index": {"overwrites": "`=` for `+=` at an index"},
    "missing-line": {"missing-branch": "the line that was left out", "missing-gradient": "nothing else contributed", "missing-mean-factor": "`/= N` left out"},
    "written-twice": {"accumulates-onto": "the sum was complete", "factor-two": "the only contribution"},
    "missing-mean-factor": {
        "global-factor": "the factor of the first gradient is that of all",
        "upstream-only": "1/N was the local gradient",
        "factor-two": "N is 2",
    },
    "factor-two": {"global-factor": "the factor of the first gradient is that of all"},
    "operands-swapped": {"transpose": "`(a b)^T` is `b^T a^T`"},
    "transpose": {"operands-swapped": "`(a b)^T` is `b^T a^T`"},
    "missing-keepdims": {"shape-only": "the entries are right"},
    "shape-only": {"missing-keepdims": "one axis more or less"},
    "wrong-power": {"wrong-stage": "`var` for `sqrt(var)`", "missing-mean-factor": "a power of N", "factor-two": "a power of 2"},
    "wrong-stage": {"stale-variable": "another variable of the forward pass", "wrong-power": "a stage and its square"},
    "stale-variable": {"wrong-stage": "another stage of the backward pass", "upstream-only": "the gradient before the local one was applied"},
    "updated-value": {"stale-variable": "the parameter of another step"},
    "eps-term": {"float-noise": "too small to tell"},
}
#: Changes that leave the sum without one of its lines have no name of their own.
_NAMED = frozenset({"missing-line", "written-twice"})


def allowed(kind: str) -> set[str]:
    """Give the names that count as right for a planted mistake."""
    return set(ALSO_CALLED.get(kind, ())) | (set() if kind in _NAMED else {kind})


# ---------------------------------------------------------------------------------------------------------------------------------
# what is marked
# ---------------------------------------------------------------------------------------------------------------------------------

#: Loops over the entries of arrays or over time, which take seconds each: marked as they are, right and wrong, but not a thousand times.
HEAVY = frozenset("conv_loops maxpool_loops style_im2col lstm_sequence rnn_char rnn_sequence_pairs".split())
#: Marked in the long profile only.
SLOW = frozenset("lstm_two_faults rnn_wrong_time style_norm_layer_channels gru_step two_layer_no_mean two_layer_three_faults".split())
#: Of numbers: how emitted array code checks its arguments is not followed yet.
EXAMPLES = sorted(
    p
    for p in (ROOT / "examples").glob("*.py")
    if not p.stem.endswith(("_grad", "_notes")) and "import numpy" not in p.with_name(f"{p.stem}_grad.py").read_text("utf-8")
)
#: Example points of the inputs that a SymPy file leaves open.
_POINTS = {"x": 0.7, "y": -0.4, "z": 1.3, "w": -1.1}


@cache
def emitted_programs() -> list[Program]:
    """Give the compiler's own output for every example, style and layout."""
    return [_emitted(path, style, layout) for path in EXAMPLES for style in ("code", "notes") for layout in ("function", "split", "script")]


def _emitted(path: Path, style: str, layout: str) -> Program:
    compiled = compile_file(path, style=style, layout=layout, check="off")
    inputs = [p for p in compiled.program.params if p.seed is None]
    (output,) = [o.name for o in compiled.program.outputs]
    names = [p.name for p in inputs]
    gradients = [f"d{name}" for name in names]
    # `value_and_grad` and `forward` are called as a reader would; a page is run as it is.
    header = [f"# demo: {p.name} = {p.example if p.example is not None else _POINTS.get(p.name, 0.9)!r}" for p in inputs]
    called = ", ".join(names)
    unpacked = ", ".join(gradients) + ("," if len(gradients) == 1 else "")
    match layout:
        case "function":
            header.append(f"# demo: {output}, ({unpacked}) = value_and_grad({called}, 1.7)")
        case "split":
            header.append(f"# demo: {output}, cache = forward({called}); ({unpacked}) = backward(1.7, cache)")
        case _:
            header = []
    value = output if layout == "script" else f"1.7 * {output}"
    header.append(f"# judge: {value} -> {', '.join(f'{g} of {n}' for g, n in zip(gradients, names, strict=True))}")
    return Program(f"{path.stem}_{layout}_{style}", "\n".join([*header, compiled.source]))


# ---------------------------------------------------------------------------------------------------------------------------------
# the plan: what is planted where
# ---------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The mutants that change a gradient and those that change nothing."""

    mistakes: list[Judged]
    rewrites: list[Judged]


@cache
def plan(per_kind: int, per_rewrite: int) -> Plan:
    """
    Draw mutants from every program, the same on every run.

    Args:
        per_kind: How many mutants of each kind are wanted over all programs; the programs take turns.
        per_rewrite: The same for each kind of rewrite.
    """
    chance = random.Random(SEED)
    programs = [p for p in (*right_programs(), *emitted_programs()) if p.name not in HEAVY][:: 1 if LONG else 5]
    backwards = [find_backward(p) for p in programs]
    wrong = _draw(chance, programs, [_by_kind(chance, mistakes(b)) for b in backwards], per_kind, lambda program, j: bool(j.changed) and not _unbound(j))
    harmless = [_by_kind(chance, rewrites(b)) for b in backwards]
    right = _draw(chance, programs, harmless, per_rewrite, lambda program, j: not j.changed)
    # Mistakes that happen to change nothing, such as a transpose of a symmetric matrix.
    null = [_by_kind(chance, mistakes(b)) for b in backwards[:: max(1, 40 // per_rewrite)]]
    right += _draw(
        chance,
        programs[:: max(1, 40 // per_rewrite)],
        null,
        per_rewrite,
        lambda program, j: not j.changed and " if " not in j.mutant.what and leaves_its_line(program, j.mutant, right_runs(program, 1)[0]),
        tries=200,
    )
    return Plan(wrong, right)


@cache
def several(count: int) -> list[Several]:
    """Draw programs with two or three mistakes in different lines."""
    chance = random.Random(SEED)
    result: list[Several] = []
    programs = [p for p in (*right_programs(), *emitted_programs()) if p.name not in HEAVY]
    chance.shuffle(programs)
    for program in programs:
        backward = find_backward(program)
        runs = right_runs(program)
        by_line: dict[int, list[Mutant]] = defaultdict(list)
        for mutant in mistakes(backward):
            if mutant.kind in {"sign", "factor-two", "wrong-power", "missing-upstream", "wrong-route", "missing-branch", "missing-mean-factor"}:
                by_line[mutant.line].append(mutant)
        for _ in range(4):
            number = chance.choice((2, 2, 3))
            if len(by_line) < number or len(result) == count:
                break
            drawn = [chance.choice(by_line[line]) for line in sorted(chance.sample(sorted(by_line), number))]
            if len({base_name(backward.statements[m.line]) for m in drawn}) < number:
                continue  # a gradient built over several lines has one mistake at a time
            made = combine(program, drawn, runs)
            if made is not None:
                result.append(made)
                break
    return result


def _unbound(judged: Judged) -> bool:
    """A name read before it is bound is no mistake about gradients, unless it is the `+=` that should be `=`."""
    return judged.stopped.startswith(("NameError", "UnboundLocalError")) and judged.mutant.kind != "accumulates-onto"


def _by_kind(chance: random.Random, mutants: Iterator[Mutant]) -> dict[str, list[Mutant]]:
    found: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        found[mutant.kind].append(mutant)
    for group in found.values():
        chance.shuffle(group)
    return found


def _draw(chance, programs, mutants, wanted, accept, tries: int = 10**6) -> list[Judged]:
    """Take turns among the programs until each kind has as many mutants as wanted."""
    kinds = sorted({kind for groups in mutants for kind in groups})
    result = []
    runs: dict[str, list] = {}
    for kind in kinds:
        queues = [(program, list(groups[kind])) for program, groups in zip(programs, mutants, strict=True) if kind in groups]
        chance.shuffle(queues)
        taken = tried = 0
        while queues and taken < wanted and tried < tries:
            program, queue = queues.pop(0)
            mutant = queue.pop()
            if queue:
                queues.append((program, queue))
            tried += 1
            if program.name not in runs:
                runs[program.name] = right_runs(program)
            judged = judge(program, mutant, runs[program.name])
            if judged is not None and accept(program, judged):
                result.append(judged)
                taken += 1
    return result


@dataclass
class Row:
    """The results for one kind of mistake."""

    planted: int = 0
    detected: int = 0
    line: int = 0
    diagnosis: int = 0
    alone: int = 0


@dataclass
class Study:
    """What the marking says of a plan."""

    rows: dict[str, Row]
    alarms: list[str]
    misses: list[str]

    def total(self, name: str) -> int:
        """Add a column up."""
        return sum(getattr(row, name) for row in self.rows.values())


def study(planned: Plan) -> Study:
    """Mark everything that is planned."""
    rows: dict[str, Row] = defaultdict(Row)
    misses: list[str] = []
    for judged in planned.mistakes:
        mutant = judged.mutant
        row = rows[mutant.kind]
        row.planted += 1
        report = mark_source(mutant.text, path=f"{judged.program.name}.py")
        wrong = [line for line in report.lines if line.status == "wrong"]
        where = {mutant.line, *mutant.also}
        detected = not report.ok
        in_place = bool(wrong) and wrong[0].line in where
        named = bool(wrong) and wrong[0].diagnosis in allowed(mutant.kind)
        alone = all(line.line in where for line in wrong)
        row.detected += detected
        row.line += in_place
        row.diagnosis += named
        row.alone += alone
        if not (detected and in_place and named and alone):
            said = "; ".join(f"{line.line} {line.diagnosis}" for line in wrong) or ("nothing" if report.ok else "no line")
            misses.append(f"{judged.program.name}:{mutant.line}: {mutant.what}: {said}")
    alarms = []
    for judged in planned.rewrites:
        report = mark_source(judged.mutant.text, path=f"{judged.program.name}.py")
        if not report.ok:
            said = "; ".join(f"{line.line} {line.diagnosis}" for line in report.lines if line.status == "wrong")
            alarms.append(f"{judged.program.name}:{judged.mutant.line}: {judged.mutant.what}: {said}")
    return Study(dict(rows), alarms, misses)


def render(planned: Plan, result: Study) -> str:
    """Write the report."""
    programs = len(right_programs()), len(emitted_programs())
    total = result.total
    share = lambda part, whole: f"{100 * part / whole:.1f} %"  # noqa: E731  a format, used four times
    lines = [
        "# How good is the marking?",
        "",
        "Mistakes that people make in backward passes are planted, one at a time, in correct programs: "
        f"{programs[0]} written by hand (`tests/handwritten/right`) and {programs[1]} written by the compiler (every example in every style and layout).",
        "Each mutant is run under NumPy at generic points. Those that change a gradient have to be found;",
        "those that change nothing, and algebraic rewrites, have to pass. The marking itself runs nothing.",
        "",
        f"* **{total('planted')} mutants that change a gradient**: {share(total('detected'), total('planted'))} found, "
        f"the first line called wrong is the changed line in {share(total('line'), total('planted'))}, "
        f"the mistake has its right name in {share(total('diagnosis'), total('planted'))}, "
        f"no other line is called wrong in {share(total('alone'), total('planted'))}.",
        f"* **{len(planned.rewrites)} rewrites that change nothing**: {len(result.alarms)} false alarms.",
        "",
        "This page is written by `HYPOTHESIS_PROFILE=long pytest tests/test_marking_study.py --update-golden`; the same test fails if it is out of date.",
        "",
        "| planted | mutants | found | first wrong line | name | no other line |",
        "|---|---:|---:|---:|---:|---:|",
        *(f"| {kind} | {row.planted} | {row.detected} | {row.line} | {row.diagnosis} | {row.alone} |" for kind, row in sorted(result.rows.items())),
        "",
        "Two names may describe one change honestly. Beside its own name, a planted mistake may be called:",
        "",
        "| planted | also called | when |",
        "|---|---|---|",
        *(f"| {kind} | {name} | {why} |" for kind, names in sorted(ALSO_CALLED.items()) for name, why in names.items()),
        "",
        "Rewrites: " + ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(j.mutant.kind for j in planned.rewrites).items())) + ".",
        "",
        *(["What the marking does not get right:", "", *(f"* `{miss}`" for miss in result.misses), ""] if result.misses else []),
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------------------------
# tests
# ---------------------------------------------------------------------------------------------------------------------------------


def quick(programs: list[Program]) -> list[Program]:
    """Leave the slow ones to the long profile."""
    return programs if LONG else [p for p in programs if p.name not in HEAVY | SLOW]


@pytest.mark.parametrize("program", quick(right_programs()), ids=lambda p: p.name)
def test_a_right_program_is_marked_right(program):
    report = mark_source(program.text, path=f"{program.name}.py")
    assert [(line.line, line.diagnosis) for line in report.lines if line.status != "right"] == []
    assert report.ok
    assert report.score == 1.0
    assert report.gradients


#: Faults that are found, but not each of them in its own line or by its own name.
NOT_YET = {
    "lstm_two_faults": "`(1 - g) ** 2` for `1 - g**2` is seen in the lines that read it",
    "neuron_no_upstream": "a list of numbers that depends on nothing: the gradient is called missing",
    "rnn_wrong_time": "lists of indices that are bound in a tuple are read as numbers",
    "svm_forgot_correct_class": "a write at an index that no mistake of the table explains is blamed on the next line of the same gradient",
    "two_layer_no_mean": "a mask below the fault is blamed, too",
}


@pytest.mark.parametrize("program", quick(wrong_programs()), ids=lambda p: p.name)
def test_each_fault_of_a_wrong_program_is_found_and_named(program):
    report = mark_source(program.text, path=f"{program.name}.py")
    assert not report.ok
    if program.name in NOT_YET:
        return
    wrong = {line.line: line.diagnosis for line in report.lines if line.status == "wrong"}
    assert list(wrong) == sorted(f.line for f in program.faults)
    for fault in program.faults:
        assert wrong[fault.line] in fault.kinds, fault


@pytest.mark.parametrize("program", emitted_programs(), ids=lambda p: p.name)
def test_the_compilers_own_output_is_all_right(program):
    report = mark_source(program.text, path=f"{program.name}.py")
    assert [(line.line, line.status, line.diagnosis) for line in report.lines if line.status != "right"] == []
    assert report.ok


def test_several_mistakes_are_each_found():
    drawn = several(30 if LONG else 6)
    assert len(drawn) >= (25 if LONG else 6)
    exact = first = 0
    for made in drawn:
        report = mark_source(made.text, path=f"{made.program.name}.py")
        wrong = [line.line for line in report.lines if line.status == "wrong"]
        assert wrong
        first += min(wrong) in {m.line for m in made.parts}
        exact += sorted(wrong) == [m.line for m in made.parts]
    # Two mistakes whose effects meet in one gradient may be taken for one, and seen where they meet.
    assert first >= 0.95 * len(drawn)
    assert exact >= 0.8 * len(drawn)


def test_planted_mistakes_are_found_and_rewrites_are_not(request):
    planned = plan(20, 11) if LONG else plan(2, 2)
    result = study(planned)
    planted = result.total("planted")
    print("\n".join([*result.misses, *(f"FALSE ALARM {a}" for a in result.alarms)]))
    if LONG:
        assert planted >= 400
        assert len(planned.rewrites) >= 200
        text = render(planned, result)
        if request.config.getoption("--update-golden"):
            DOCUMENT.parent.mkdir(exist_ok=True)
            DOCUMENT.write_text(text, "utf-8")
        assert DOCUMENT.read_text("utf-8") == text
    assert result.alarms == []
    # Floors under what is reached today; the aims are 100, 98, 90 and 100 %.
    assert result.total("detected") >= 0.99 * planted
    assert result.total("line") >= 0.88 * planted
    assert result.total("diagnosis") >= 0.75 * planted
    assert result.total("alone") >= 0.88 * planted
