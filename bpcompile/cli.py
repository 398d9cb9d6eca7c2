"""
The command line: `bpcompile expr.py -o grad.py`.

Reads the arguments, calls the compiler, and turns whatever happens into text and an exit code; no traceback reaches a user.
Nothing heavy is imported before there is something to compile, so that `--help` and `--version` answer at once.

Exit codes: 0 done; 1 the input can't be compiled, or a file can't be read or written; 2 wrong usage; 3 a fault of bpcompile
itself; 130 interrupted.

>>> parse_points(["x=3,w=[2,-3]"])
{'x': 3, 'w': [2, -3]}
>>> parse_shapes(["x=N,D", "w="])
{'x': ('N', 'D'), 'w': ()}
"""

from __future__ import annotations

import argparse
import ast
import functools
import keyword
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from bpcompile.diagnostics import CompileError, Diagnostic, error, render_all
from bpcompile.output import check_output, write_output

if TYPE_CHECKING:
    from types import TracebackType

    from bpcompile.compiler import Compiled
    from bpcompile.primitive import Primitive

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
FAULT: Final = 3
INTERRUPTED: Final = 130

#: Nested lists of numbers, as `--at` takes them.
Point = int | float | list["Point"]

_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit code.

    Args:
        argv: The arguments without the program's name; the process's own when None.
    """
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except _UsageError as fault:
        _say(f"bpcompile: {fault} (`bpcompile --help` lists the options)")
        return USAGE
    except CompileError as fault:
        _say(render_all(fault.diagnostics))
        return REFUSED
    except KeyboardInterrupt:
        _say("bpcompile: interrupted")
        return INTERRUPTED
    except MemoryError:
        _say("error[E013]: not enough memory to compile this")
        return REFUSED
    except BaseException as fault:  # noqa: BLE001  the last line of defence: a user sees no traceback, not even SystemExit's silence
        return _report_fault(fault)


def parse_points(items: Sequence[str]) -> dict[str, Point]:
    """
    Read example values: `x=3,y=-4` or `w=[2,-3]`.

    Args:
        items: The arguments of `--at`; each holds one or more `name=value`, with commas between.

    Returns:
        The values by name; lists stay lists.

    Raises:
        ValueError: An item is malformed; the message says which.
    """
    points: dict[str, Point] = {}
    for piece in _pieces(items):
        name, equals, text = (part.strip() for part in piece.partition("="))
        if not name or not equals or not text:
            msg = f"`{piece}` is not of the form name=value"
            raise ValueError(msg)
        if name in points:
            msg = f"`{name}` is given twice"
            raise ValueError(msg)
        points[name] = _number(name, text)
    return points


def parse_shapes(items: Sequence[str]) -> dict[str, tuple[int | str, ...]]:
    """
    Read shapes: `x=N,D` has two axes, `w=` is a scalar.

    Args:
        items: The arguments of `--shape`; a size without `=` belongs to the name before it.

    Returns:
        For each name its sizes: numbers, or names of dimensions.

    Raises:
        ValueError: An item is malformed; the message says which.
    """
    shapes: dict[str, tuple[int | str, ...]] = {}
    for item in items:
        name: str | None = None  # a size never belongs to a name of another argument
        for piece in _pieces([item]):
            size = piece
            if "=" in piece:
                name, _, size = (part.strip() for part in piece.partition("="))
                if not name:
                    msg = f"`{piece}` has no name before `=`"
                    raise ValueError(msg)
                if name in shapes:
                    msg = f"`{name}` is given twice"
                    raise ValueError(msg)
                shapes[name] = ()
            if name is None:
                msg = f"`{piece}` is not of the form name=sizes"
                raise ValueError(msg)
            sizes = size[1:-1] if size.startswith("(") and size.endswith(")") else size
            shapes[name] += tuple(_dimension(name, text.strip()) for text in sizes.split(",") if text.strip())
    return shapes


def list_primitives() -> str:
    """Return the table of primitives as plain text: name and operands, derivatives, domain, kinks."""
    import bpcompile.ops  # noqa: F401  importing the package fills the registry
    from bpcompile.primitive import REGISTRY

    rows = [row for primitive in REGISTRY for row in _describe(primitive)]
    left = max(len(call) for call, _, _ in rows)
    # The few rules longer than this push their domain to the right rather than everyone's.
    middle = min(44, max(len(rule) for _, rule, _ in rows))
    lines = [
        f"{len(REGISTRY)} primitives. In a derivative, `ans` is the value of the primitive itself, and 0 means that the operand carries none.",
        "",
        f"{'primitive':{left}}  {'derivative':{middle}}  domain",
        f"{'-' * left}  {'-' * middle}  {'-' * len('domain')}",
    ]
    lines += [f"{call:{left}}  {rule:{middle}}  {domain}".rstrip() for call, rule, domain in rows]
    return "\n".join(lines) + "\n"


class Progress:
    """
    One line on the terminal that says what a long compilation is doing.

    Shown from the first second on, only where `stream` is a terminal; erased at the end. Call it with the name of each step;
    use it as a context manager.

    Args:
        stream: Where the line goes; standard error when None.
        delay: Seconds before it shows.
        enabled: False keeps it silent.
    """

    def __init__(self, stream: IO[str] | None = None, *, delay: float = 1.0, enabled: bool = True) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._delay = delay
        self._enabled = enabled and self._stream is not None and _is_terminal(self._stream)
        self._step = ""
        self._start = time.monotonic()
        self._shown = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:  # noqa: PYI034  subclasses are not foreseen
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __call__(self, step: str) -> None:
        """Name the step that begins."""
        if not self._enabled:
            return
        with self._lock:
            self._step = step
        if self._thread is None:
            # A thread, because a single slow step would otherwise show nothing until it is over.
            self._thread = threading.Thread(target=self._tick, name="bpcompile-progress", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop, and erase the line."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _tick(self) -> None:
        if self._stop.wait(max(0.0, self._delay - (time.monotonic() - self._start))):
            return
        while True:
            with self._lock:
                step = self._step
            line = f"bpcompile: {step} ({time.monotonic() - self._start:.0f} s)"
            self._shown = True
            self._write(f"\r{line[: _columns() - 1]}\x1b[K")
            if self._stop.wait(0.2):
                return

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that went away is no reason to fail
            self._stream.write(text)
            self._stream.flush()


class _UsageError(Exception):
    """The arguments make no sense."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


#: What the commands of teachers take besides FILE, -e and what compiling takes.
_COMMANDS: Final = {
    "draw": "Draw a program at a point as a circuit: values in green above the wires, gradients in red below. "
    "The suffix of OUT (.svg, .png, .pdf, .dot) says what to write; without -o, SVG goes to standard output.",
    "explain": "Write a worked page: formula, circuit, forward table, backward pass step by step with numbers, finite differences, code. "
    "The suffix of OUT (.html, .md, .tex) says what to write; without -o, HTML goes to standard output.",
}


def _build_command_parser(command: str) -> _Parser:
    parser = _Parser(
        prog=f"bpcompile {command}", usage=f"bpcompile {command} FILE [--at X=3] [-o OUT] [options]", description=_COMMANDS[command], add_help=False
    )
    parser.allow_abbrev = False
    _add_input(parser)
    add = parser.add_argument
    add("--target", choices=("python", "numpy"), help="compute with math, or with NumPy (the default if an input is an array)")
    add("--style", choices=("code", "notes"), default="notes", help="the style of the code beside it (default: notes)")
    add("--numerics", choices=("stable", "literal"), help="rewrite what overflows or cancels, or keep every formula as written (default)")
    add("--check", choices=("full", "fast", "off"), default="full", help="how much of the certificate to compute (default: full)")
    add("--lang", choices=("en", "zh"), default="en", help="the language of every text (default: en)")
    add("--seed", metavar="N", type=int, help="draw new example values that are easy to work with, the same ones for the same N")
    add(
        "--blank",
        choices=("gradients", "values", "code"),
        default="",
        help="a worksheet that leaves these to be filled in; a page's answer key goes beside it (SHEET-key)",
    )
    add("--collapse", action="store_true", help="one gate a stage, instead of a box around the gates of a stage")
    add("--name", metavar="F", help="the name of the value of EXPR (default: f)")
    add("-q", "--quiet", action="store_true", help="print no notes and no progress, only errors")
    add("-h", "--help", action="store_true", help="print this text and leave")
    return parser


def _add_input(parser: argparse.ArgumentParser) -> None:
    """Add what says what to compile and where to write it."""
    add = parser.add_argument
    add(
        "file",
        metavar="FILE",
        nargs="?",
        help="a SymPy file, or forward code with math or NumPy; `-` reads standard input; `ops` prints the table of primitives",
    )
    add("-e", "--expression", metavar="EXPR", help="compile this expression instead of a file")
    add("-o", "--output", metavar="OUT", help="the file to write; standard output without it")
    add("--wrt", metavar="X,Y", action="append", default=[], help="the inputs whose gradients are wanted; all of them without it")
    add("--of", metavar="F,G", action="append", default=[], help="the outputs to differentiate; the last stage without it")
    add("--at", metavar="X=3", nargs="+", action="extend", default=[], help="example values: x=3,y=-4 or w=[2,-3]")
    add("--shape", metavar="X=N", nargs="+", action="extend", default=[], help="shapes of array inputs: x=N,D has two axes, w= is a scalar")


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="bpcompile",
        usage="bpcompile FILE [-o OUT] [options]\n       bpcompile -e EXPR [-o OUT] [options]\n"
        "       bpcompile verify FILE [options]\n       bpcompile draw FILE [-o OUT] [options]\n"
        "       bpcompile explain FILE [-o OUT] [options]\n       bpcompile ops",
        description="Write the forward pass, get the backward pass: reads FILE and emits Python or NumPy code that returns the value and every gradient.",
        epilog="A FILE that imports sympy is executed, as `python FILE` would execute it; any other is parsed and never executed. "
        "Exit codes: 0 done, 1 the input can't be compiled, 2 wrong usage, 3 a fault of bpcompile.",
        add_help=False,
        allow_abbrev=False,
    )
    _add_input(parser)
    add = parser.add_argument
    add("--target", choices=("python", "numpy"), help="what the emitted code computes with: math, or NumPy (the default if an input is an array)")
    add(
        "--layout",
        choices=("function", "split", "script"),
        default="function",
        help="value and value_and_grad (default), forward and backward, or a page to read",
    )
    add("--style", choices=("code", "notes"), default="code", help="compact code (default), or each local gradient written out as in lecture notes")
    add(
        "--numerics",
        choices=("stable", "literal"),
        help="rewrite what overflows or cancels, or keep every formula as written (default: stable, for notes literal)",
    )
    add("--check", choices=("full", "fast", "off"), default="full", help="how much of the certificate to compute (default: full)")
    add("--lang", choices=("en", "zh"), default="en", help="the language of comments and docstrings in the emitted code (default: en)")
    add("--template", metavar="FILE", help="a jinja2 template of your own for the skeleton of the emitted file")
    add("--name", metavar="F", help="the name of the value of EXPR (default: f)")
    add("-q", "--quiet", action="store_true", help="print no notes and no progress, only errors")
    add("--version", action="store_true", help="print the version and leave")
    add("-h", "--help", action="store_true", help="print this text and leave")
    return parser


def _run(argv: list[str]) -> int:
    if argv[:1] == ["verify"]:
        return _verify(argv[1:])
    command = argv[0] if argv and argv[0] in _COMMANDS else None
    parser = _build_command_parser(command) if command else _build_parser()
    options = parser.parse_args(_join_expression(argv[1:] if command else argv))
    if options.help:
        return _print(parser.format_help())
    if not command and options.version:
        from bpcompile import __version__

        return _print(f"bpcompile {__version__}\n")
    _rescue_file(options)
    _check_arguments(options)
    if command:
        return _teach(command, options)
    if options.file == "ops":
        return _deliver(list_primitives(), options.output, ())
    return _compile(options)


def _check_arguments(options: argparse.Namespace) -> None:
    if options.file is not None and options.expression is not None:
        msg = "give FILE or -e EXPR, not both"
        raise _UsageError(msg)
    if options.file is None and options.expression is None:
        msg = "nothing to compile: give FILE or -e EXPR"
        raise _UsageError(msg)
    if options.name is not None:
        if options.expression is None:
            msg = "--name goes with -e EXPR: in a file the outputs have names already"
            raise _UsageError(msg)
        if not options.name.isidentifier() or keyword.iskeyword(options.name):
            msg = f"--name: `{_short(options.name)}` is not a name"
            raise _UsageError(msg)


def _teach(command: str, options: argparse.Namespace) -> int:
    """Run one of the commands of teachers."""
    settings = _settings(options)
    inputs = _checked_paths(options)
    from bpcompile.teaching import commands

    path = None if options.output == "-" else options.output
    kind = commands.suffix(path, commands.PICTURES if command == "draw" else commands.PAGES)
    with redirect_stdout(sys.stderr), Progress(enabled=not options.quiet) as progress:
        progress("loading")
        example = commands.worked(_compiler_for(options), settings | {"progress": progress}, seed=options.seed)
        progress("drawing")
        choices = {"collapse": options.collapse, "lang": options.lang, "blank": options.blank}
        if command == "draw":
            files: dict[str | None, str | bytes] = {path: commands.draw(example, kind, **choices)}
        else:
            files = commands.explain(example, path, kind, **choices)
    _say_notes(options, example.compiled)
    for name in files:
        if name is not None:
            check_output(name, inputs)
    for name, text in files.items():
        _deliver(text, name, inputs)
    return DONE


def _build_verify_parser() -> _Parser:
    parser = _Parser(
        prog="bpcompile verify",
        usage="bpcompile verify FILE [options]\n       bpcompile verify FILE --against CLAIMS [options]\n       bpcompile verify FILE --claim EXPR [options]",
        description="Marks the hand-written backward pass in FILE line by line: right, wrong and why, or following from an earlier error. "
        "FILE is parsed, never executed.",
        epilog="Exit codes: 0 all right, 1 something is wrong, 2 the file can't be read, or wrong usage, 3 a fault of bpcompile. "
        "With --against or --claim, a FILE that imports sympy is executed, as `python FILE` would execute it.",
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "file",
        metavar="FILE",
        nargs="?",
        help="a script, forward and backward functions, or a function that returns loss and gradients; `-` reads standard input",
    )
    add("-e", "--expression", metavar="EXPR", help="the forward pass as an expression, for --claim and --against")
    add("--against", metavar="CLAIMS", help="a file of claimed gradients (`dx = 2*x*y`), marked against the forward pass in FILE")
    add("--claim", metavar="EXPR", action="append", default=[], help="a claimed gradient: --claim 'dx = 2*x*y'")
    add("--only", metavar="DW,DB", action="append", default=[], help="the gradients to mark; all of them without it")
    add("--map", metavar="GW=W", action="append", default=[], help="which variable a gradient belongs to, where its name does not tell")
    add("--at", metavar="X=3", nargs="+", action="extend", default=[], help="values to mark at, in place of random ones")
    add("--seed", metavar="N", type=int, default=0, help="seeds the random points (default: 0)")
    add("--lang", choices=("en", "zh"), default="en", help="the language of the report (default: en)")
    add("--json", action="store_true", help="print the report as JSON")
    add("--html", action="store_true", help="print the report as one page of HTML")
    add("-o", "--output", metavar="OUT", help="the file to write the report to; standard output without it")
    add("-h", "--help", action="store_true", help="print this text and leave")
    return parser


def _verify(argv: list[str]) -> int:
    """Run `bpcompile verify`; what can't be read is a matter of usage here, since 1 says that a gradient is wrong."""
    try:
        return _mark_as_asked(argv)
    except _UsageError as fault:
        _say(f"bpcompile: {fault} (`bpcompile verify --help` lists the options)")
    except CompileError as fault:
        _say(render_all(fault.diagnostics))
    return USAGE


def _mark_as_asked(argv: list[str]) -> int:
    parser = _build_verify_parser()
    options = parser.parse_args(_join_expression(argv))
    if options.help:
        return _print(parser.format_help())
    if options.file is None and len(options.at) > 1 and "=" not in options.at[-1]:
        options.file = options.at.pop()
    if (options.file is None) is (options.expression is None):
        msg = "give FILE to mark, or -e EXPR with --claim"
        raise _UsageError(msg)
    if options.expression is not None and not options.claim and options.against is None:
        msg = "-e goes with --claim or --against"
        raise _UsageError(msg)
    if options.json and options.html:
        msg = "--json or --html, not both"
        raise _UsageError(msg)
    from bpcompile.messages import speaker

    with speaker.speaking(options.lang):
        return _mark(options)


def _mark(options: argparse.Namespace) -> int:
    inputs = [name for name in (options.file, options.against) if name not in (None, "-")]
    for name in inputs:
        _check_input(name)
    if options.output not in (None, "-"):
        check_output(options.output, inputs)
    try:
        settings: dict[str, Any] = {
            "only": list(_pieces(options.only)),
            "at": parse_points(options.at),
            "seed": options.seed,
            "names": dict(_pair(piece) for piece in _pieces(options.map)),
        }
    except ValueError as fault:
        raise _UsageError(str(fault)) from None

    from bpcompile.frontends.source_text import read_bytes
    from bpcompile.marking import mark_source, render

    name = "<stdin>" if options.file == "-" else options.file
    text = None if options.file is None else read_bytes(_read_standard_input() if options.file == "-" else Path(options.file), name).text
    if options.against is None and not options.claim:
        assert text is not None
        report = mark_source(text, path=name, **settings)
    else:
        from bpcompile.marking.claims import expression_code, forward_code, mark_claims

        with redirect_stdout(sys.stderr):
            forward = expression_code(options.expression) if text is None else forward_code(options.file, text)
        claims = "".join(f"{claim}\n" for claim in options.claim)
        if options.against is not None:
            claims = read_bytes(Path(options.against), options.against).text.rstrip("\n") + "\n" + claims
        report = mark_claims(forward, claims, path=options.against or "--claim", **settings)
    if options.json:
        shown = report.to_json()
    elif options.html:
        from bpcompile.marking.page import render_page

        shown = render_page(report)
    else:
        to_terminal = options.output in (None, "-") and sys.stdout is not None and _is_terminal(sys.stdout)
        shown = render(report, colour=to_terminal and not os.environ.get("NO_COLOR"))
    _deliver(shown, options.output, inputs)
    return USAGE if not report.readable else DONE if report.ok else REFUSED


def _pair(piece: str) -> tuple[str, str]:
    name, equals, of = (part.strip() for part in piece.partition("="))
    if not name or not equals or not of:
        msg = f"--map: `{_short(piece)}` is not of the form gradient=variable"
        raise ValueError(msg)
    return name, of


def _compile(options: argparse.Namespace) -> int:
    settings = _settings(options)
    inputs = _checked_paths(options)
    # Whatever the user's own file prints while it is executed must not end up in the emitted code.
    with redirect_stdout(sys.stderr), Progress(enabled=not options.quiet) as progress:
        progress("loading")
        compiled = _compiler_for(options)(**settings, progress=progress)
    _say_notes(options, compiled)
    return _deliver(compiled.source, options.output, inputs)


def _checked_paths(options: argparse.Namespace) -> list[str]:
    """Return the files that are read, after looking at what is read and written before any work is done."""
    inputs = [name for name in (options.file, getattr(options, "template", None)) if name not in (None, "-")]
    for name in inputs:
        _check_input(name)
    if options.output not in (None, "-"):
        check_output(options.output, inputs)
    return inputs


def _say_notes(options: argparse.Namespace, compiled: Compiled) -> None:
    notes: list[Diagnostic] = list(compiled.notes)
    if notes and not options.quiet:
        _say(render_all(notes))


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {key: getattr(options, key) for key in ("target", "layout", "style", "numerics", "check", "lang") if hasattr(options, key)}
    if hasattr(options, "template"):
        settings["template"] = None if options.template is None else Path(options.template)
    for option, key, parse in (("--at", "at", parse_points), ("--shape", "shapes", parse_shapes), ("--wrt", "wrt", _names), ("--of", "of", _names)):
        items: list[str] = getattr(options, option[2:])
        read: Callable[[Sequence[str]], Any] = parse
        try:
            settings[key] = read(items) if items else None
        except ValueError as fault:
            msg = f"{option}: {fault}"
            raise _UsageError(msg) from None
    if options.target == "python" and any((settings["shapes"] or {}).values()):
        msg = "--shape: an array goes with --target numpy"
        raise _UsageError(msg)
    return settings


def _compiler_for(options: argparse.Namespace) -> Callable[..., Compiled]:
    """Return the entry point of the compiler that suits the kind of input, with the input filled in."""
    from bpcompile import compiler

    if options.expression is not None:
        text = options.expression if options.name is None else f"{options.name} = {options.expression}"
        return functools.partial(compiler.compile_expression, text)
    if options.file == "-":
        return functools.partial(compiler.compile_file, "<stdin>", text=_read_standard_input())
    return functools.partial(compiler.compile_file, options.file)


def _describe(primitive: Primitive) -> list[tuple[str, str, str]]:
    """Return the rows of one primitive: one an operand, then one a kink."""
    operands = _operand_names(primitive)
    rows = []
    for index, name in enumerate(operands):
        call = f"{primitive.name}({', '.join(operands)})" if index == 0 else ""
        rows.append((call, f"d{name} = {_local_gradient(primitive, index, operands)}", primitive.domain if index == 0 else ""))
    rows += [("", f"kink at {kink.at}: {kink.value}; {kink.why}", "") for kink in primitive.kinks]
    return rows


def _local_gradient(primitive: Primitive, index: int, operands: Sequence[str]) -> str:
    """Return the derivative by one operand as text: the textbook's form where the table has one."""
    from bpcompile.forms import Form, call
    from bpcompile.ir import Builder, Lit, Var
    from bpcompile.printer import Text, show
    from bpcompile.targets import TARGETS

    rule = primitive.vjp[index]
    if not callable(rule):
        return "0"
    if primitive.shape is not None:
        return "(structural)"
    names = ("ans", *operands)
    variables = [Var(name=name) for name in names]
    texts = {variable: Text(name) for variable, name in zip(variables, names, strict=True)}

    def text_of(operand: Any) -> Text:
        value = operand.value if isinstance(operand, Lit) else operand
        if isinstance(value, Var):
            return texts[value]
        text, prec = TARGETS["python"].number(value)
        return Text(text.replace("math.", ""), prec)

    with Builder() as builder:
        result = primitive.textbook[index](*variables) if primitive.textbook is not None else rule(1, *variables)
    for eqn in builder.eqns:
        form = eqn.prim.forms["math"]
        # Operators as Python writes them; functions by their name in this table, not by whatever module they are from.
        if not isinstance(form, Form) or form.imports or "(" in form.template or "{}" in form.template:
            form = call(eqn.prim.name)
        texts[eqn.out] = show(eqn.prim.name, form, [text_of(a) for a in eqn.args])
    return text_of(result).text


def _operand_names(primitive: Primitive) -> list[str]:
    """Return the operands as the rules of the table call them; x, y, z where no rule says."""
    import inspect

    for rule in [] if primitive.variadic else [primitive.vjp[i] for i in range(primitive.arity)]:
        if callable(rule):
            parameters = inspect.signature(rule).parameters.values()
            names = [p.name.strip("_") for p in parameters if p.kind is not p.KEYWORD_ONLY][2:]
            if all(names) and len(set(names)) == len(names):
                return names
    return ["x", "y", "z", "u", "v", "w"][: 2 if primitive.variadic else primitive.arity]


def _join_expression(argv: list[str]) -> list[str]:
    """Make one argument of `-e -x*y`, which argparse would take for two options."""
    joined: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            joined += [word, *words]
        elif word in ("-e", "--expression"):
            following = next(words, None)
            joined.append(word if following is None else f"--expression={following}")
        else:
            joined.append(word)
    return joined


def _rescue_file(options: argparse.Namespace) -> None:
    """Take FILE back from `--at x=3 FILE`: an option with several values swallows what follows them."""
    for values in (options.at, options.shape):
        if options.file is None and options.expression is None and len(values) > 1 and "=" not in values[-1]:
            options.file = values.pop()


def _pieces(items: Sequence[str]) -> Iterator[str]:
    """Split each item at its commas, but not inside brackets, and drop what is empty."""
    for item in items:
        depth = begin = 0
        for index, char in enumerate(item + ","):
            if char in _OPENING:
                depth += 1
            elif char in _CLOSING:
                depth -= 1
            elif (char == "," and depth <= 0) or index == len(item):
                piece = item[begin:index].strip()
                begin = index + 1
                if piece:
                    yield piece


def _names(items: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(_pieces(items)))
    if not names:
        msg = "a name is expected"
        raise ValueError(msg)
    return names


def _number(name: str, text: str) -> Point:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        msg = f"the value of `{name}` is neither a number nor a list of numbers: `{_short(text)}`"
        raise ValueError(msg) from None
    return _listed(name, value)


def _listed(name: str, value: object) -> Point:
    if isinstance(value, list | tuple):
        return [_listed(name, element) for element in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"the value of `{name}` is neither a number nor a list of numbers: `{_short(repr(value))}`"
        raise ValueError(msg)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"the value of `{name}` is not a finite number"
        raise ValueError(msg)
    return value


def _dimension(name: str, text: str) -> int | str:
    if text.isascii() and text.isdecimal():
        return int(text[:18])
    if text.isidentifier() or (re.fullmatch(r"[\w*/+()-]+", text) and any(c.isalpha() for c in text)):
        return text
    msg = f"a size of `{name}` is neither a number nor a name: `{_short(text)}`"
    raise ValueError(msg)


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _check_input(path: str) -> None:
    """Refuse a file that can't be read, before the compiler is loaded."""
    if os.path.isdir(path):
        raise error("E101", f"can't read `{path}`: it is a folder")
    if not os.path.exists(path):
        raise error("E101", f"can't read `{path}`: there is no such file", help="`-e EXPR` compiles an expression")
    if not os.access(path, os.R_OK):
        raise error("E101", f"can't read `{path}`: permission denied")


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise error("E101", "can't read standard input: it is closed")
    try:
        return sys.stdin.buffer.read()
    except OSError as fault:
        raise error("E101", f"can't read standard input: {(fault.strerror or str(fault)).lower()}") from None


def _deliver(text: str | bytes, path: str | None, inputs: Sequence[str]) -> int:
    if path is not None and path != "-":
        write_output(path, text, inputs)
        return DONE
    return _print(text if isinstance(text, str) else text.decode("utf-8"))


def _print(text: str) -> int:
    """Write to standard output; a reader that left early has what it wanted."""
    stream = sys.stdout
    if stream is None:
        raise error("E012", "can't write standard output: it is closed")
    try:
        binary = getattr(stream, "buffer", None)
        if binary is None:
            stream.write(text)
        elif _is_terminal(stream):
            # A terminal gets what it can show.
            stream.flush()
            binary.write(text.encode(stream.encoding or "ascii", "backslashreplace"))
        else:
            # A file or a pipe gets Python source, which is UTF-8 whatever the console's code page.
            stream.flush()
            binary.write(text.encode("utf-8"))
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)
    except OSError as fault:
        _abandon(stream)
        raise error("E012", f"can't write standard output: {(fault.strerror or str(fault)).lower()}") from None
    return DONE


def _abandon(stream: IO[str]) -> None:
    """Send what is still in the buffer nowhere, or the interpreter would complain on its way out."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def _say(text: str) -> None:
    """Write a line to standard error, whatever its encoding can hold."""
    stream = sys.stderr
    if stream is None:
        return
    with suppress(OSError, ValueError):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def _report_fault(fault: BaseException) -> int:
    lines = str(fault).splitlines()
    kind = type(fault).__name__
    _say(f"bpcompile: this is a bug in bpcompile: {kind}" + (f": {_short(lines[0], 300)}" if lines else ""))
    if os.environ.get("BPCOMPILE_TRACEBACK") == "1":
        import traceback

        _say("".join(traceback.format_exception(fault)).rstrip())
    else:
        _say("BPCOMPILE_TRACEBACK=1 shows where")
    return FAULT


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
