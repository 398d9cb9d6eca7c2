"""
SymPy files: executed as `python expr.py` would execute them, in a process of their own, under limits of time and memory.

The child runs the file and reports the module's names; expressions travel as a flat table, never pickled, so that neither their
depth nor the file's own classes matter. The parent decides what is an input, a stage and the output.

Invariants: whatever the file does, the outcome is a program or a `CompileError`; what it prints goes to standard error; its
folder comes last on the module path, so that a `numpy.py` beside it does not stand in for NumPy.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import sympy
from sympy.logic.boolalg import Boolean
from sympy.matrices.matrixbase import MatrixBase

from bpcompile.diagnostics import CompileError, Source, Span, error
from bpcompile.frontends.expression_inputs import unknown_name
from bpcompile.frontends.expression_table import Table, decode
from bpcompile.frontends.source_text import Spans, parse
from bpcompile.frontends.stages import Stage
from bpcompile.frontends.sympy_exprs import elements, read_expressions
from bpcompile.ir import Program, Shape

#: What a file may take beyond what the compiler itself holds.
MEMORY_LIMIT: Final = 2 * 1024**3
#: Names that hold example values: `at = {x: 3, y: -4}`.
_EXAMPLES: Final = ("at", "point")
#: An exception's text is cut here.
_TEXT_LIMIT: Final = 300
_HEADER: Final = struct.Struct("<Q")
#: Lists of expressions nested deeper than this hold themselves.
_NESTING_LIMIT: Final = 20

#: Integers up to here are exact as floats.
_EXACT: Final = 2**53

_Nested = Any  # a number of a node, or a list of such


def read_file(
    path: Path,
    source: Source,
    *,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[Any, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    time_limit: float = 10.0,
) -> Program:
    """
    Execute a SymPy file and turn the expressions that it names into a program.

    Names bound to expressions are the stages, in the order of their last assignment; the last one is the output unless `of`
    says otherwise. Symbols are inputs in the order in which they are bound, lists of symbols are list inputs, and a dictionary
    `at` or `point` holds example values.

    Args:
        path: Where the file is; its text is taken from `source`.
        source: Its text.
        wrt: The inputs whose gradient is wanted; all unless given.
        of: The names of the outputs.
        at: Example values by name; they replace those of the file.
        shapes: Shapes of inputs that are arrays.
        time_limit: Seconds that the file may run.

    Raises:
        CompileError: E100 or E117 the file is no Python, E120 it raised an exception, E121 it ran out of time, E122 out of
            memory, E123 it ended before its end, E124 it names no expression; and what `read_expressions` raises.
    """
    tree = parse(source)
    places = _Places(source, tree)
    report = _run(path, source, time_limit)
    if "fault" in report:
        raise _explain(report, source, places, time_limit)
    module = _Module(report, tree)
    outputs = module.outputs(of, source)
    examples = {**module.examples, **{str(k): v for k, v in (at or {}).items()}}
    return read_expressions(
        outputs,
        stages=module.stages,
        wrt=wrt,
        at=examples,
        shapes=shapes,
        inputs=module.inputs,
        source=source,
        spans={name: places.of(name, line) for name, line in module.lines.items()},
    )


class _Places:
    """Where names are assigned."""

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self._source = source
        self._spans = Spans(source)
        self._by_line: dict[int, list[ast.stmt]] = {}
        stack: list[ast.AST] = [tree]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.stmt):
                self._by_line.setdefault(node.lineno, []).append(node)
            if not isinstance(node, ast.expr):
                stack.extend(ast.iter_child_nodes(node))

    def of(self, name: str, line: int) -> Span:
        """Return the span of what is assigned to `name` on a line, or else of the line."""
        for statement in self._by_line.get(line, ()):
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            value = getattr(statement, "value", None)
            if value is not None and any(isinstance(t, ast.AST) and _binds(t, name) for t in targets):
                return self._spans.of(value)
        return self.line(line)

    def line(self, line: int) -> Span:
        """Return the span of a line without its indentation."""
        text = self._source.line(line)
        start = len(text) - len(text.lstrip()) + 1
        return Span(self._source, line, start, line, max(len(text.rstrip()) + 1, start + 1))


def _binds(target: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


class _Module:
    """What a file has left behind, sorted into inputs, stages and example values."""

    def __init__(self, report: Mapping[str, Any], tree: ast.Module) -> None:
        roots = decode(report["nodes"], report["roots"])
        self.stages: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self._bare: Any = None
        self._last: str | None = None
        for name, value, line in report["values"]:
            self._take(name, _resolve(value, roots), line)
        if "bare" in report:
            self._bare = _resolve(report["bare"], roots)
        starred = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)}
        self.inputs = self._find_inputs([(n, _resolve(v, roots), line) for n, v, line in report["symbols"]], starred)
        self.examples = {roots[key] if isinstance(key, int) else key: value for key, value in report["examples"]}

    def _take(self, name: str, value: Any, line: int) -> None:
        parts = [expr for _, expr in elements(name, value)]
        if any(_is_stage(part) for part in parts):
            self.stages[name] = value
            self.lines[name] = line
            if any(isinstance(part, sympy.Expr | MatrixBase) or _is_definition(part) for part in parts):
                self._last = name

    def _find_inputs(self, bound: Sequence[tuple[str, Any, int]], starred: set[int]) -> list[tuple[str, Any]]:
        singles = {value for _, value, _ in bound if _is_input(value)}
        found: dict[Any, tuple[str, Any]] = {}
        for name, value, line in bound:
            if _is_input(value):
                if line not in starred:  # `from sympy.abc import *` binds every letter
                    found.setdefault(value, (value.name, value))
                    self.lines.setdefault(value.name, line)
            elif not singles.issuperset(_leaves(value)):
                found.setdefault(value, (name, value))
                self.lines.setdefault(name, line)
        return list(found.values())

    def outputs(self, of: Sequence[str] | None, source: Source) -> dict[str, Any]:
        """
        Return the outputs by name.

        Raises:
            CompileError: E124, E158.
        """
        parts = {label: expr for name, value in self.stages.items() for label, expr in elements(name, value)}
        if of:
            missing = [name for name in of if name not in self.stages and name not in parts]
            if missing:
                known = list(self.stages)
                raise CompileError(*(unknown_name(name, known, f"no expression `{name}`", f"in `{source.name}`") for name in missing))
            return {name: self.stages[name] if name in self.stages else parts[name] for name in of}
        if self._last is not None:
            return {self._last: self.stages[self._last]}
        if self._bare is not None:
            return {"f": self._bare}
        raise error("E124", f"`{source.name}` binds no name to an expression", help="bind the result to a name, such as `f = x*y`")


def _is_definition(expr: Any) -> bool:
    """Whether an expression says what the elements of an array are: `Eq(Z[i, j], ...)`."""
    return isinstance(expr, sympy.Eq) and isinstance(expr.lhs, sympy.Indexed)


def _is_stage(expr: Any) -> bool:
    if _is_input(expr) or isinstance(expr, sympy.Idx):
        return False
    return isinstance(expr, Stage) or (isinstance(expr, sympy.Expr | Boolean | MatrixBase) and not getattr(expr, "is_Atom", False))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _resolve(value: _Nested, roots: Sequence[Any]) -> Any:
    return tuple(_resolve(part, roots) for part in value) if isinstance(value, list) else roots[value]


def _explain(report: Mapping[str, Any], source: Source, places: _Places, time_limit: float) -> CompileError:
    """Build the error for a run that did not come to its end."""
    kind, line = report["fault"], report.get("line")
    span = places.line(line) if line else None
    if kind == "time":
        text = f"`{source.name}` did not finish within the time limit of {time_limit:g} seconds"
        return error("E121", text, help="the file is executed as `python` would: look for a loop without end, or for numbers like 9**9**9")
    if kind == "memory":
        return error("E122", f"`{source.name}` needs more than the memory limit of {MEMORY_LIMIT // 1024**3} GiB", span, label="here" if span else "")
    if kind == "end":
        return error("E123", f"`{source.name}` ended early: {report['text']}", span, help="the file must run to its end without exiting")
    if report["type"] == "RecursionError":
        help_ = "expressions this deep are beyond SymPy itself: cut them with `bpcompile.stage(name, expr)`, or write the forward pass in plain Python"
        return error("E120", "SymPy's recursion limit is reached", span, help=help_)
    text = f"{report['type']}: {report['text']}" if report["text"] else report["type"]
    return error("E120", f"the file raised {text}", span, label="raised here" if span else "")


# Parent: start the child, wait, read its report.


def _run(path: Path, source: Source, time_limit: float) -> dict[str, Any]:
    """Run the file in a child process and return its report."""
    text = "\n".join(source.lines).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    if hasattr(os, "fork"):
        return _run_forked(path, text, time_limit)
    return _run_spawned(path, text, time_limit)


def _run_forked(path: Path, text: str, time_limit: float) -> dict[str, Any]:
    """Run the file in a copy of this process, where SymPy is imported already."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or the child would print it again
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # A fork of a threaded process is unsafe for what other threads hold; the child only runs Python and never returns.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        os.close(receiver)
        _child(str(path), text, sender, time_limit)
    os.close(sender)
    try:
        payload = _receive(receiver, time.monotonic() + time_limit)
    finally:
        os.close(receiver)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if payload is None:
        return {"fault": "time"}
    return json.loads(payload) if payload else _sudden_end(os.waitstatus_to_exitcode(status))


def _receive(descriptor: int, deadline: float) -> bytes | None:
    """Read one message; empty if the child died before it was complete, None if time is up."""
    # The length comes first: a process that the file left behind may hold the pipe open for ever.
    data = bytearray()
    while len(data) < _HEADER.size or len(data) < _HEADER.size + _HEADER.unpack_from(data)[0]:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b""
        data += chunk
    return bytes(data[_HEADER.size :])


def _run_spawned(path: Path, text: str, time_limit: float) -> dict[str, Any]:
    """Run the file in a fresh interpreter, where processes can't be forked."""
    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bpcompile.frontends.sympy_file import serve; serve(sys.argv[2], float(sys.argv[3]))"
    )
    command = [sys.executable, "-I", "-c", program, json.dumps(sys.path), str(path), str(time_limit)]
    try:
        # The start of the interpreter and of SymPy is not the file's time.
        done = subprocess.run(command, input=text.encode("utf-8", "surrogatepass"), stdout=subprocess.PIPE, timeout=time_limit + 10.0, check=False)  # noqa: S603  our own interpreter
    except subprocess.TimeoutExpired:
        return {"fault": "time"}
    payload = done.stdout[_HEADER.size :]
    return json.loads(payload) if payload else _sudden_end(done.returncode)


def _sudden_end(status: int) -> dict[str, Any]:
    """Describe a child that ended without a report."""
    if status < 0:
        name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
        return {"fault": "time"} if name in ("SIGXCPU", "SIGALRM") else {"fault": "end", "text": f"killed by {name}"}
    return {"fault": "end", "text": f"exit status {status}"}


# Child: run the file, report its names.


def serve(path: str, time_limit: float) -> None:
    """Run the file whose text arrives on standard input and write the report to standard output."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    _child(path, text, os.dup(1), time_limit)


def _child(path: str, text: str, descriptor: int, time_limit: float) -> NoReturn:
    """Run the file, send the report and end the process, whatever happens."""
    try:
        payload = b""
        try:
            _isolate(path, time_limit)
            report = _execute(path, text)
            payload = json.dumps(report).encode("ascii")
        except BaseException as fault:  # noqa: BLE001  a report is owed whatever the file has done
            payload = json.dumps(_describe(fault, path)).encode("ascii")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        message = memoryview(_HEADER.pack(len(payload)) + payload)
        while message:
            message = message[os.write(descriptor, message) :]
    finally:
        os._exit(0)  # no exit handlers: they are the parent's


def _isolate(path: str, time_limit: float) -> None:
    """Give the child its own streams, limits and module path."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, so that what the file starts ends with it
    with contextlib.suppress(OSError):  # a stream may be closed
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.stdout = sys.stderr
    for name in ("SIGINT", "SIGALRM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    _limit(time_limit)
    warnings.resetwarnings()
    warnings.simplefilter("ignore", DeprecationWarning)
    folder = str(Path(path).absolute().parent)
    here = {folder, os.path.realpath(folder), ""}
    with contextlib.suppress(OSError):  # the current folder may be gone
        here.add(str(Path.cwd()))
    sys.path[:] = [entry for entry in sys.path if entry not in here] + [entry for entry in dict.fromkeys(sys.path) if entry in here and entry] + [folder]
    sys.argv = [path]
    depth, frame = 0, sys._getframe()  # noqa: SLF001  the only way to count frames
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + depth))


def _limit(time_limit: float) -> None:
    """Set limits that hold even if the parent is gone."""
    try:
        import resource  # noqa: PLC0415  not on every platform
    except ImportError:
        return
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, time_limit + 2.0)
    seconds = math.ceil(time_limit) + 2
    held = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    wanted = [(resource.RLIMIT_CPU, resource.getrusage(resource.RUSAGE_SELF).ru_utime + seconds), (resource.RLIMIT_CORE, 0)]
    if held:
        wanted.append((resource.RLIMIT_AS, held + MEMORY_LIMIT))
    for limit, amount in wanted:
        _, hard = resource.getrlimit(limit)
        size = int(amount) if hard == resource.RLIM_INFINITY else min(int(amount), hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (size, hard))


def _is_input(value: Any) -> bool:
    """Whether a value is a symbol, or an array of them."""
    return isinstance(value, sympy.Symbol | sympy.MatrixSymbol | sympy.IndexedBase) and not isinstance(value, Stage)


class _Names(dict[str, Any]):
    """The module's names; a name moves to the end when it is bound again, and remembers the line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.symbols: dict[Any, tuple[str, Any, int]] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        self.pop(name, None)
        super().__setitem__(name, value)
        self.lines[name] = line = sys._getframe(1).f_lineno  # noqa: SLF001  the statement that binds
        if _is_input(value):
            self.symbols.setdefault(value, (name, value, line))  # an input even if its name is bound to something else later
        elif isinstance(value, tuple | list | MatrixBase):
            self.symbols[name] = (name, value, line)


class _Main(types.ModuleType):
    """The `__main__` module, for what looks names up in it."""

    def __init__(self, names: _Names) -> None:
        super().__init__("__main__")
        self.__dict__["_names"] = names

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_names"][name]
        except KeyError:
            raise AttributeError(name) from None


def _execute(path: str, text: str) -> dict[str, Any]:
    """Run the text as the main module and report its names."""
    tree = ast.parse(text)
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = ast.Module(tree.body[:-1] if last else tree.body, tree.type_ignores)
    names = _Names()
    for name, value in (("__name__", "__main__"), ("__file__", path), ("__builtins__", __builtins__), ("__doc__", ast.get_docstring(tree, clean=False))):
        dict.__setitem__(names, name, value)
    sys.modules["__main__"] = _Main(names)
    bare = None
    try:
        exec(compile(body, path, "exec", dont_inherit=True), names)  # noqa: S102  a SymPy file is executed: the README says so
        if last:
            bare = eval(compile(ast.Expression(last.value), path, "eval", dont_inherit=True), names)  # noqa: S307  as above
    except SystemExit as end:
        if end.code not in (None, 0, False):
            raise
    return _collect(names, bare)


def _collect(names: _Names, bare: Any) -> dict[str, Any]:
    """Return names, expressions and example values in the plain form that `_Module` reads."""
    table = Table()
    numbers: list[int] = []

    def number(expr: sympy.Basic) -> int:
        numbers.append(table.add(expr))
        return len(numbers) - 1

    def enter(value: Any, leaf: Any, depth: int = 0) -> Any:
        """Return the nested numbers of a value whose leaves all satisfy `leaf`, else None."""
        if isinstance(value, MatrixBase) and leaf is is_expression:
            return number(sympy.ImmutableDenseMatrix(value))
        if isinstance(value, MatrixBase):
            value = list(value) if 1 in value.shape else value.tolist()
        if isinstance(value, list | tuple | sympy.Tuple):
            parts = [enter(part, leaf, depth + 1) for part in value] if depth < _NESTING_LIMIT else []
            return parts if parts and all(part is not None for part in parts) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and depth:
            value = sympy.sympify(value)
        return number(value) if leaf(value) else None

    def is_expression(value: Any) -> bool:
        return isinstance(value, sympy.Expr | Boolean)

    examples: list[tuple[Any, Any]] = []
    for name in _EXAMPLES:
        held = names.get(name)
        for key, value in held.items() if isinstance(held, dict) else ():
            plain = _plain(value)
            if plain is not None and (isinstance(key, str) or _is_input(key)):
                examples.append((key if isinstance(key, str) else number(key), plain))
    bound = [(name, enter(value, _is_input), line) for name, value, line in names.symbols.values()]
    values = [(name, enter(value, is_expression), names.lines.get(name, 1)) for name, value in names.items()]
    report: dict[str, Any] = {
        "symbols": [item for item in bound if item[1] is not None],
        "values": [item for item in values if item[1] is not None],
        "examples": examples,
    }
    if is_expression(bare):
        report["bare"] = number(bare)
    report["nodes"], report["roots"] = table.encode(numbers)
    return report


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a number, or nested lists of numbers, as plain Python; None for anything else."""
    if hasattr(value, "tolist"):  # a matrix of SymPy's, an array of NumPy's
        value = value.tolist()
    if isinstance(value, list | tuple | sympy.Tuple) and depth < _NESTING_LIMIT:
        parts = [_plain(part, depth + 1) for part in value]
        return parts if None not in parts else None
    if isinstance(value, bool) or not isinstance(value, int | float | sympy.Number):
        return None
    if isinstance(value, int | sympy.Integer) and abs(value) <= _EXACT:
        return int(value)
    with contextlib.suppress(OverflowError, TypeError):
        return float(value)
    return None


def _describe(fault: BaseException, path: str) -> dict[str, Any]:
    """Report an exception: its kind, its text and the line of the file that it came from."""
    line = None
    for frame, number in traceback.walk_tb(fault.__traceback__):
        if frame.f_code.co_filename == path:
            line = number
    if isinstance(fault, SyntaxError) and fault.filename == path:
        line = fault.lineno
    text = ""
    with contextlib.suppress(Exception):
        text = " ".join(str(fault).split())[:_TEXT_LIMIT]
    if isinstance(fault, MemoryError):
        return {"fault": "memory", "line": line}
    if isinstance(fault, SystemExit):
        return {"fault": "end", "text": f"it exits with {text}", "line": line}
    return {"fault": "exception", "type": type(fault).__name__, "text": text, "line": line}
