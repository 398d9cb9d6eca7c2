"""
From bytes to a syntax tree: decode as Python would, parse without executing, and say where a node stands.

Invariant: whatever the bytes are, the outcome is a tree or a `CompileError`.

>>> read_bytes(b"x = 3\\n", "expr.py").text
'x = 3\\n'
"""

from __future__ import annotations

import ast
import codecs
import io
import re
import sys
import threading
import tokenize
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, Protocol, TypeVar

from bpcompile.diagnostics import CompileError, Source, Span, error

_Result = TypeVar("_Result")

#: Deep trees recurse in C, about 300 bytes a level: this stack holds what `_DEEP_RECURSION` allows.
_DEEP_STACK: Final = 512 * 1024 * 1024
_DEEP_RECURSION: Final = 250_000


class Located(Protocol):
    """What `ast` says of the place of a node."""

    lineno: int
    col_offset: int
    end_lineno: int | None
    end_col_offset: int | None


class Spans:
    """Turns nodes into spans; remembers which lines are plain ASCII, where byte offsets are columns."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._ascii = source.text.isascii()

    def of(self, node: Located) -> Span:
        """Return the span of a node."""
        line, end_line = node.lineno, node.end_lineno or node.lineno
        start, end = node.col_offset, node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1
        if self._ascii:
            return Span(self.source, line, start + 1, end_line, end + 1)
        return Span(self.source, line, self.source.column(line, start), end_line, self.source.column(end_line, end))


def read_bytes(origin: str | Path | bytes, name: str) -> Source:
    """
    Decode a file as Python decodes it: byte order mark, then coding cookie, then UTF-8.

    Args:
        origin: A path, or the content itself as bytes.
        name: How the user knows it; appears in diagnostics.

    Returns:
        The text with its name.

    Raises:
        CompileError: E101, the content can't be read as text.
    """
    if isinstance(origin, bytes):
        data = origin
    else:
        try:
            data = Path(origin).read_bytes()
        except (OSError, ValueError) as fault:
            reason = fault.strerror.lower() if isinstance(fault, OSError) and fault.strerror else "not a valid path"
            raise error("E101", f"`{name}` can't be read: {reason}") from fault
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise error("E101", f"`{name}` is UTF-16, which Python source can't be", help="save it as UTF-8")
    if b"\0" in data:
        at = data.index(b"\0")
        raise _undecodable(data, at, name, "the file holds a NUL byte", help_="is it a Python source file? save it as UTF-8 text")
    if not data.strip() or data == codecs.BOM_UTF8:
        raise error("E101", f"`{name}` is empty", help="write the forward pass, for example `x = 3` and `f = x**2`")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as fault:
        for at, text in _utf8_fault(data):
            raise _undecodable(data, at, name, text, help_="save the file as UTF-8, or name its encoding in the first line: # coding: latin-1") from fault
        raise error("E101", f"`{name}` names an encoding that Python does not know", Span(Source(data.decode("latin-1"), name), 1, 1, 1, 2)) from fault
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as fault:
        message = f"byte 0x{data[fault.start]:02x} is not valid {encoding}"
        raise _undecodable(
            data, fault.start, name, message, help_="save the file as UTF-8, or name its encoding in the first line: # coding: latin-1"
        ) from fault
    except (LookupError, ValueError) as fault:
        raise error("E101", f"`{name}` names the encoding {encoding}, which is not one of text") from fault
    return Source(text, name)


def _utf8_fault(data: bytes) -> list[tuple[int, str]]:
    """Where and why the bytes are not UTF-8; empty when they are."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        return [(fault.start, f"byte 0x{data[fault.start]:02x} is not valid utf-8")]
    return []


def _undecodable(data: bytes, at: int, name: str, message: str, *, help_: str) -> CompileError:
    before = data[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    line = before.count(b"\n") + 1
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    source = Source(data.decode("utf-8", "replace"), name)
    return error("E101", message, Span(source, line, column, line, column + 1), help=help_)


def parse(source: Source) -> ast.Module:
    """
    Parse a source text; nothing in it is executed.

    Raises:
        CompileError: E100, not valid Python; E117, nested deeper than Python's own parser goes.
    """
    text = "\n".join(source.lines).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    try:
        return _parse(text)
    except RecursionError:
        # A sum of 5,000 terms is a tree 5,000 deep, which Python's default limit refuses.
        try:
            return with_deep_stack(lambda: _parse(text))
        except (RecursionError, MemoryError) as fault:
            raise too_deep(source) from fault
    except MemoryError as fault:
        raise too_deep(source) from fault
    except SyntaxError as fault:
        _refuse_syntax(source, fault)
    except ValueError as fault:
        raise error("E100", f"invalid source: {_lower(str(fault))}", Span(source, 1, 1, 1, 2)) from fault


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in strings and the like are not our business
        return ast.parse(text)


def too_deep(source: Source) -> CompileError:
    """Build the error for a text nested deeper than it can be walked."""
    longest = max(range(len(source.lines)), key=lambda i: len(source.lines[i]))
    span = Span(source, longest + 1, 1, longest + 1, 2)
    return error(
        "E117",
        "expression nested too deeply",
        span,
        label="on this line, as far as can be said",
        help="give parts of it names of their own, one assignment each",
    )


def with_deep_stack(function: Callable[[], _Result]) -> _Result:
    """Run `function` where recursion may go `_DEEP_RECURSION` deep; what it raises is raised here."""
    result: list[_Result] = []
    fault: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function())
        except BaseException as caught:  # noqa: BLE001  carried over to the calling thread and raised there
            fault.append(caught)

    limit = sys.getrecursionlimit()
    stack = threading.stack_size(_DEEP_STACK)
    try:
        sys.setrecursionlimit(max(limit, _DEEP_RECURSION))
        thread = threading.Thread(target=run, name="bpcompile-deep")
        try:
            thread.start()
        except RuntimeError as refused:  # no room for such a stack
            raise RecursionError from refused
        thread.join()
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
    if fault:
        raise fault[0]
    return result[0]


def _refuse_syntax(source: Source, fault: SyntaxError) -> NoReturn:
    message = _lower(fault.msg or "invalid syntax")
    help_ = ""
    if "Missing parentheses in call to 'print'" in (fault.msg or ""):
        message, help_ = "this is Python 2: `print` without parentheses", "write print(...), and mind that `/` divides exactly in Python 3"
    elif "integer string conversion" in message:
        message, help_ = "integer literal with too many digits", "a float such as 1e300 holds 17 digits, which is all that arithmetic keeps"
    elif "null bytes" in message:
        message, help_ = "the text holds a NUL byte", "save it as UTF-8 text"
    elif source.line(fault.lineno or 1).lstrip().startswith(("%", "!")):
        message, help_ = "this is a notebook command, not Python", "remove the line"
    line = max(1, min(fault.lineno or 1, len(source.lines)))
    column = max(1, fault.offset or 1)
    if "too many digits" in message:  # Python does not say where on the line
        digits = re.search(r"\d[\d_]{4000,}", source.line(line))
        column = digits.start() + 1 if digits else column
    end_line = fault.end_lineno or line
    end_column = fault.end_offset or 0
    if (end_line, end_column) <= (line, column):
        end_line, end_column = line, column + 1
    raise error("E100", message, Span(source, line, column, end_line, end_column), help=help_) from fault


def _lower(message: str) -> str:
    first = message.split(" ", 1)[0]
    return message if first.isupper() else message[:1].lower() + message[1:]


def imports_sympy(source: Source) -> bool:
    """Say whether the file imports SymPy (or this package's `stage`) anywhere; a file that does not parse does not."""
    if "sympy" not in source.text:
        return False
    try:
        tree = parse(source)
    except CompileError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "sympy" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "sympy":
            return True
    return False


def identifier(name: str) -> str:
    """Return a name as Python's parser sees it (NFKC, PEP 3131), so that names from the command line meet those in the file."""
    return unicodedata.normalize("NFKC", name)
