"""
Mark hand-written backward code: which lines are right, which are wrong and why, which only follow from an earlier error.

The file is parsed, never executed. Both halves are computed by an interpreter at small sizes (`running`), which keeps a
ledger of what every number depends on (`ledger`, `numbers`). `cases` finds what belongs together in a file and sizes at which
it runs; `judging` decides line by line; `mistakes` explains; `report` says it.

>>> report = mark_source("x = 3.0\\ny = -4.0\\nf = x * y\\ndx = y\\ndy = y\\n")
>>> [(line.line, line.status) for line in report.lines]
[(4, 'right'), (5, 'wrong')]
>>> report.lines[1].expected
'dy = x'
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bpcompile.diagnostics import Source
from bpcompile.frontends.source_text import parse, with_deep_stack
from bpcompile.marking.cases import Case, find_cases
from bpcompile.marking.judging import GradientMark, Judge, Judgement, Mark
from bpcompile.marking.messages import say
from bpcompile.marking.numbers import MismatchError
from bpcompile.marking.plan import make_plan
from bpcompile.marking.report import GradientReport, LineReport, Report, render, show, show_shape
from bpcompile.marking.running import Failure, mark_depth
from bpcompile.marking.words import is_container, stems

__all__ = ["GradientReport", "LineReport", "Report", "mark_source", "mark_tree", "render"]

_ORDER: Final = {"wrong": 3, "inherits": 2, "right": 1}


def mark_source(
    text: str,
    *,
    path: str = "hand.py",
    only: Sequence[str] = (),
    at: Mapping[str, Any] | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
) -> Report:
    """
    Mark a file.

    Args:
        text: Its source; parsed, never executed.
        path: How the user knows it.
        only: The gradients that are wanted; all of them if empty.
        at: Values that stand in place of random ones, by the name of the input.
        seed: Seeds the points.
        names: Gradients by a name of the user's own: gradient to variable.

    Raises:
        CompileError: E100, E117: the text is no Python.
    """
    source = Source(text, path)
    tree = parse(source)
    return with_deep_stack(lambda: mark_tree(tree, source, only=only, at=at or {}, seed=seed, names=names or {}))


def mark_tree(tree: ast.Module, source: Source, *, only: Sequence[str], at: Mapping[str, Any], seed: int, names: Mapping[str, str], first: int = 0) -> Report:
    """
    Mark a syntax tree; see `mark_source`.

    Args:
        tree: The tree.
        source: Its text.
        only: See `mark_source`.
        at: See `mark_source`.
        seed: See `mark_source`.
        names: See `mark_source`.
        first: Lines up to this one are a forward pass from elsewhere: they are not reported, and the others count from here.
    """
    mark_depth(tree)
    plan = make_plan(tree)
    plan.bare = first > 0
    judgements: list[tuple[Case, Judgement]] = []
    with np.errstate(all="ignore"):  # a mistake may well divide by zero
        for case in find_cases(plan, tree):
            case.at = dict(at)
            case.prepare()
            judgements += [(case, judgement) for judgement in Judge(case, names, seed).judge()]
    report = _combine(source, judgements, only)
    if not first:
        return report
    lines = tuple(
        replace(line, line=line.line - first, inherits_from=None if line.inherits_from is None else line.inherits_from - first)
        for line in report.lines
        if line.line > first
    )
    return replace(report, lines=lines)


def _targets(source: Source) -> dict[int, str]:
    """Return what each line with an assignment binds, as text."""
    found: dict[int, str] = {}
    try:
        tree = ast.parse(source.text)
    except (RecursionError, MemoryError, SyntaxError):  # too deep: such lines are refused one by one
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign | ast.AnnAssign):
            found[node.lineno] = ast.unparse(node.target)
        elif isinstance(node, ast.Assign):
            found[node.lineno] = ast.unparse(node.targets[0])
    return found


def _unread(source: Source, failure: Failure, targets: dict[int, str], marked: list[LineReport]) -> LineReport:
    """Report a line that could not be followed: one of the backward pass is not passed over, and one that fails is at fault."""
    text, target = source.line(failure.line).strip(), targets.get(failure.line, "")
    backward = any(line.line < failure.line for line in marked)
    name = re.split(r"[\[(]", target)[0]
    if backward and target and isinstance(failure.fault, MismatchError):
        earlier = min((line.line for line in marked if line.status == "wrong" and line.line < failure.line), default=None)
        message = say("fails", reason=failure.message)
        if earlier is None:
            return LineReport(failure.line, target, "wrong", "unknown", message, None, None, text)
        return LineReport(failure.line, target, "inherits", None, message, None, earlier, text)
    gradient = backward and target and (is_container(name) or bool(stems(name)))
    return LineReport(failure.line, target if gradient else "", "unread", None, say("unread", reason=failure.message), None, None, text)


#: Names that say that a value is a gradient, whatever of.
_SURELY: Final = re.compile(r"(grads?|gradient|nabla)_\w+|\w+_grad|d[A-Z]\w*")


def _unmatched(source: Source, marked: list[LineReport]) -> list[LineReport]:
    """Report results named as gradients and computed from gradients that belong to no variable: nobody has judged them."""
    known = {line.line for line in marked}
    gradients = {line.variable.split("[")[0] for line in marked if line.status != "unread"}
    if not gradients:
        return []
    try:
        tree = ast.parse(source.text)
    except (RecursionError, MemoryError, SyntaxError):
        return []
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name) or node.lineno in known:
            continue
        name = node.targets[0].id
        if name in read or not _SURELY.fullmatch(name) or not gradients & {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}:
            continue
        message = say("unmatched", name=name)
        found.append(LineReport(node.lineno, name, "unread", None, message, None, None, source.line(node.lineno).strip()))
    return found


def _combine(source: Source, judgements: Sequence[tuple[Case, Judgement]], only: Sequence[str]) -> Report:
    """Put together what several runs say: the worst of each line."""
    best: dict[tuple[int, str], Mark] = {}
    unread: dict[int, Failure] = {}
    gradients: dict[tuple[str, str, str], GradientMark] = {}
    judged = False
    for case, judgement in judgements:
        judged = judged or judgement.judged
        for mark in judgement.marks:
            key = (mark.line, mark.variable)
            known = best.get(key)
            if known is None or _ORDER[mark.status] > _ORDER[known.status]:
                best[key] = mark
        for failure in judgement.unread:
            if failure.line:
                unread.setdefault(failure.line, failure)
        for gradient in judgement.gradients:
            own = (case.title, gradient.name, gradient.of)
            before = gradients.get(own)
            if before is None or (before.ok and not gradient.ok):
                gradients[own] = gradient
    by_line: dict[int, list[Mark]] = defaultdict(list)
    for mark in best.values():
        by_line[mark.line].append(mark)
    lines = [_line(source, mark) for marks in by_line.values() for mark in _one_a_target(marks)]
    marked = {line.line for line in lines}
    targets = _targets(source) if unread else {}
    lines += [_unread(source, failure, targets, lines) for line, failure in unread.items() if line not in marked]
    lines += _unmatched(source, lines)
    if only:
        lines = [line for line in lines if line.variable in only or line.status in {"unread", "wrong"}]
    lines.sort(key=lambda line: (line.line, line.variable))
    found = [
        GradientReport(
            each.name,
            each.of,
            each.ok,
            each.shape,
            None if each.error is None or not np.isfinite(each.error) else float(f"{each.error:.3e}"),
            each.diagnosis,
            say("missing-gradient", name=each.of) if each.diagnosis == "missing-gradient" else "",
        )
        for each in gradients.values()
        if not only or each.name in only or each.of in only
    ]
    if only:
        wanted = {each.name for each in found}
        found += [
            GradientReport(name, "", ok=False, shape=None, max_relative_error=None, diagnosis="missing-gradient", message=say("missing-gradient", name=name))
            for name in only
            if name not in wanted
        ]
    done = {each.of for each in found}
    absent = dict.fromkeys(name for _, judgement in judgements for name in judgement.missing if name not in done)
    notes = (say("note-missing", names=", ".join(f"`{name}`" for name in absent)),) if absent and not only else ()
    return Report(source.name, tuple(lines), tuple(found), readable=judged, notes=notes)


def _one_a_target(marks: list[Mark]) -> list[Mark]:
    """Several targets on one line are several entries only if they differ in their marks."""
    return sorted(marks, key=lambda mark: (-_ORDER[mark.status], mark.variable)) if len(marks) > 1 else marks


def _line(source: Source, mark: Mark) -> LineReport:
    message = ""
    if mark.status == "wrong":
        message = _explain(mark)
    elif mark.status == "inherits":
        message = say("inherits", line=mark.inherits)
    return LineReport(mark.line, mark.variable, mark.status, mark.diagnosis, message, mark.expected, mark.inherits, source.line(mark.line).strip())


def _explain(mark: Mark) -> str:
    facts = mark.facts
    parts = [say(mark.diagnosis or "unknown", factor=show(facts.get("factor", 1.0)), name=mark.variable, other="")]
    value, wanted = facts.get("value"), facts.get("wanted")
    if facts.get("fault"):
        parts.append(say("fails", reason=facts["fault"]))
    elif value is not None and wanted is not None:
        if np.shape(value) != np.shape(wanted):
            parts.append(say("shape", got=show_shape(np.shape(value)), wanted=show_shape(np.shape(wanted))))
        else:
            difference = np.abs(value - wanted).ravel()
            k = int(np.nanargmax(difference)) if difference.size and not np.all(np.isnan(difference)) else 0
            parts.append(say("numbers", got=show(np.ravel(value)[k]), wanted=show(np.ravel(wanted)[k])))
    return "; ".join(parts)
