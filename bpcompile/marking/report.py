"""
The report of a marked file: as data, as text for a terminal, as JSON for programs.

The schema of the JSON is in docs/verify.md; `SCHEMA` is its version, and changes when a field changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpcompile.marking.messages import say

SCHEMA: Final = 1


@dataclass(frozen=True)
class LineReport:
    """What is said of one line."""

    line: int
    variable: str
    status: str
    diagnosis: str | None = None
    message: str = ""
    expected: str | None = None
    inherits_from: int | None = None
    source: str = field(default="", repr=False)


@dataclass(frozen=True)
class GradientReport:
    """What is said of the final gradient of one input."""

    name: str
    of: str
    ok: bool
    shape: tuple[int, ...] | None
    max_relative_error: float | None
    diagnosis: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Report:
    """
    The marks of a file.

    Attributes:
        path: The file.
        lines: Its backward lines, in order, and the lines that could not be read.
        gradients: The final gradient of each input.
        readable: Whether anything could be marked.
    """

    path: str
    lines: tuple[LineReport, ...]
    gradients: tuple[GradientReport, ...]
    readable: bool = True
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was marked is right."""
        return (
            self.readable
            and bool(self.gradients)
            and all(line.status == "right" or (line.status == "unread" and not line.variable) for line in self.lines)
            and all(gradient.ok for gradient in self.gradients)
        )

    @property
    def score(self) -> float:
        """The share of the marked lines that are not themselves wrong; a missing gradient counts as a wrong line."""
        marked = [line for line in self.lines if line.status != "unread"]
        missing = sum(gradient.diagnosis == "missing-gradient" for gradient in self.gradients)
        if not marked and not missing:
            return 1.0 if self.ok else 0.0
        wrong = sum(line.status == "wrong" for line in marked)
        score = 1.0 - (wrong + missing) / (len(marked) + missing)
        return round(score, 4)

    def data(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "schema": SCHEMA,
            "file": self.path,
            "ok": self.ok,
            "score": self.score,
            "lines": [
                {
                    "line": line.line,
                    "variable": line.variable,
                    "status": line.status,
                    "diagnosis": line.diagnosis,
                    "message": line.message,
                    "expected": line.expected,
                    "inherits_from": line.inherits_from,
                }
                for line in self.lines
            ],
            "gradients": [
                {
                    "name": gradient.name,
                    "of": gradient.of,
                    "ok": gradient.ok,
                    "shape": None if gradient.shape is None else list(gradient.shape),
                    "max_relative_error": gradient.max_relative_error,
                    "diagnosis": gradient.diagnosis,
                    "message": gradient.message,
                }
                for gradient in self.gradients
            ],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.data(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_SIGNS: Final = {"right": "ok", "wrong": "XX", "inherits": "..", "unread": "??"}
_COLOURS: Final = {"right": "32", "wrong": "31;1", "inherits": "33", "unread": "35"}


def render(report: Report, *, colour: bool = False) -> str:
    """Return the text of a report: the lines with their marks, the faults explained, the gradients."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    out: list[str] = []
    width = max((len(str(line.line)) for line in report.lines), default=1)
    for line in report.lines:
        mark = paint(_SIGNS[line.status], _COLOURS[line.status])
        out.append(f"{mark} {line.line:>{width}} | {line.source}".rstrip())
        margin = " " * (3 + width) + "| "
        if line.status == "wrong":
            out.append(margin + paint("^ " + line.message, _COLOURS["wrong"]))
            if line.expected:
                out.append(f"{margin}  {say('correct')}: {line.expected}")
        elif line.status == "unread" or (line.message and line.status == "right"):
            out.append(margin + "  " + line.message)
    if report.gradients:
        if out:
            out.append("")
        for gradient in report.gradients:
            shape = "" if gradient.shape is None or gradient.shape == () else " " + _shape(gradient.shape)
            word = say("gradient-ok" if gradient.ok else "gradient-wrong")
            detail = gradient.message
            if not gradient.ok and gradient.max_relative_error is not None:
                detail = detail or f"{say('column-error')} {gradient.max_relative_error:.1e}"
            text = f"{gradient.name}{shape}: {word}" if gradient.name else f"{gradient.of}: {word}"
            out.append(paint(text, _COLOURS["right" if gradient.ok else "wrong"]) + (f", {detail}" if detail else ""))
    out += report.notes
    out.append("")
    out.append(verdict(report))
    return "\n".join(out).lstrip("\n") + "\n"


def verdict(report: Report) -> str:
    """Return the last line of a report."""
    counts = {status: sum(line.status == status for line in report.lines) for status in _SIGNS}
    if not report.readable or not (report.lines or report.gradients):
        return f"{report.path}: {say('nothing')}"
    total = counts["right"] + counts["wrong"] + counts["inherits"]
    parts = [say("verdict-lines", right=counts["right"], all=total)]
    if counts["wrong"]:
        parts.append(say("verdict-wrong", wrong=counts["wrong"]))
    if counts["inherits"]:
        parts.append(say("verdict-inherits", many=counts["inherits"]))
    if counts["unread"]:
        parts.append(say("verdict-unread", many=counts["unread"]))
    return f"{report.path}: " + ", ".join(parts)


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def show(value: Any) -> str:
    """Return a number, or the first of an array, to four digits."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{float(array):.4g}"
    flat = array.ravel()
    shown = ", ".join(f"{float(each):.4g}" for each in flat[:4])
    return f"[{shown}{', ...' if flat.size > 4 else ''}]"


def show_shape(shape: Sequence[int]) -> str:
    """Return a shape as Python writes it."""
    return _shape(shape)
