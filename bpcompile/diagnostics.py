"""
Say what is wrong with an input, where, and what to do about it.

A `Diagnostic` is data: a stable code, a lowercase sentence, the smallest `Span` of source text, a help line.
`render` turns one into caret text. `CompileError` carries one or more of them up to the command line; nothing else that a
user's input can provoke may leave the package as an exception.

>>> source = Source("f = x +* y\\n", "expr.py")
>>> print(render(Diagnostic("E100", "invalid syntax", Span(source, 1, 8, 1, 9), label="not an operand")))
error[E100]: invalid syntax
 --> expr.py:1:8
  |
1 | f = x +* y
  |        ^ not an operand
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, eq=False)
class Source:
    """A source text with its name as the user knows it (a path as given, or `<expression>`)."""

    text: str
    name: str = "<string>"
    lines: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Not str.splitlines: Python's own line numbers count only \n, \r\n and \r, not form feeds.
        text = self.text.replace("\r\n", "\n").replace("\r", "\n")
        object.__setattr__(self, "lines", tuple(text.split("\n")))

    def line(self, number: int) -> str:
        """Return line `number` (from 1) without its end, or an empty string past the end."""
        return self.lines[number - 1] if 1 <= number <= len(self.lines) else ""

    def column(self, line: int, byte_offset: int) -> int:
        """Turn the UTF-8 byte offset that `ast` reports into a 1-based column in characters."""
        encoded = self.line(line).encode("utf-8", "surrogatepass")
        return len(encoded[:byte_offset].decode("utf-8", "replace")) + 1


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """A piece of a source: lines and columns count from 1, columns in characters, the end is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: `code` is stable (`E102`), `message` is a lowercase sentence without full stop."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    help: str = ""
    level: Literal["error", "warning", "note"] = "error"


class CompileError(Exception):
    """Raised with every diagnostic of an input that can't be compiled."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(d.message for d in diagnostics))
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics

    def __str__(self) -> str:
        return "\n\n".join(render(d) for d in self.diagnostics)


def error(code: str, message: str, span: Span | None = None, *, label: str = "", help: str = "") -> CompileError:  # noqa: A002  `help` is the field's name
    """Build a `CompileError` of one diagnostic, to be raised."""
    return CompileError(Diagnostic(code, message, span, label, help))


def render(diagnostic: Diagnostic) -> str:
    """
    Return the caret text of one diagnostic, in rustc's manner.

    Args:
        diagnostic: The finding; without a span only message and help are printed.
    """
    head = f"{diagnostic.level}[{diagnostic.code}]: {diagnostic.message}"
    span = diagnostic.span
    if span is None:
        return head + (f"\n  = help: {diagnostic.help}" if diagnostic.help else "")
    number = str(span.line)
    gutter = " " * len(number)
    text = span.source.line(span.line)
    shown, start = _window(text, span.column)
    end = span.end_column if span.end_line == span.line else len(text) + 1
    carets = "^" * max(1, sum(_width(c) for c in shown[start - 1 : start - 1 + max(1, end - span.column)]))
    # A tab before the caret stays a tab, so that the caret stands under its text at any tab width.
    indent = "".join("\t" if c == "\t" else " " * _width(c) for c in shown[: start - 1])
    lines = [
        head,
        f"{gutter}--> {span.source.name}:{span.line}:{span.column}",
        f"{gutter} |",
        f"{number} | {shown}".rstrip(),
        f"{gutter} | {indent}{carets} {diagnostic.label}".rstrip(),
    ]
    if diagnostic.help:
        lines += [f"{gutter} |", f"{gutter} = help: {diagnostic.help}"]
    return "\n".join(lines)


def render_all(diagnostics: Sequence[Diagnostic]) -> str:
    """Return the caret texts of several diagnostics, an empty line between them."""
    return "\n\n".join(render(d) for d in diagnostics)


def _width(char: str) -> int:
    """Return how many columns of a terminal a character takes: two for East Asian wide ones, none for combining marks."""
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _window(text: str, column: int, width: int = 120) -> tuple[str, int]:
    """Cut a very long line around `column`; return the piece and the column within it."""
    text = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(text) <= width:
        return text, column
    begin = max(0, min(column - 1 - width // 3, len(text) - width))
    left = "..." if begin else ""
    right = "..." if begin + width < len(text) else ""
    return left + text[begin : begin + width] + right, column - begin + len(left)
