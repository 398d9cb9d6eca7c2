"""
Notebooks: the cell magic `%%backprop`.

    %load_ext bpcompile

    %%backprop --at x=3,y=-4
    q = x + y
    f = q * x

compiles the cell as `bpcompile` compiles a file, shows the code, the circuit and the numbers, and leaves the compiled gradient in
`compiled`, or in what `--as` names.

>>> name, lesson = backprop("--as g --check off", "x = 2\\nf = x**3")
>>> name, lesson.worked.inputs[0].gradient
('g', 12)
"""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from typing import Any, NoReturn

from bpcompile.cli import parse_points, parse_shapes
from bpcompile.compiler import Options, compile_source, recompile
from bpcompile.diagnostics import CompileError, Source
from bpcompile.teaching.display import PARTS, Lesson
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import work


class _UsageError(Exception):
    """The options of a magic make no sense."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def _options(line: str) -> argparse.Namespace:
    parser = _Parser(prog="%%backprop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--at", nargs="+", action="extend", default=[])
    add("--shape", nargs="+", action="extend", default=[])
    add("--wrt", type=_names)
    add("--of", type=_names)
    add("--as", dest="name", default="compiled")
    add("--show", type=_names, default=list(PARTS))
    add("--style", choices=("code", "notes"), default="notes")
    add("--numerics", choices=("stable", "literal"))
    add("--check", choices=("full", "fast", "off"), default="full")
    add("--lang", choices=("en", "zh"), default="en")
    add("--seed", type=int)
    add("--collapse", action="store_true")
    options = parser.parse_args(shlex.split(line))
    unknown = [part for part in options.show if part not in PARTS]
    if unknown:
        msg = f"--show takes {', '.join(PARTS)}, not {unknown[0]}"
        raise _UsageError(msg)
    return options


def _names(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,]+", text) if part]


def backprop(line: str, cell: str) -> tuple[str, Lesson]:
    """
    Compile a cell.

    Args:
        line: The options of the magic.
        cell: Forward code.

    Returns:
        The name that the result gets, and what to show.

    Raises:
        ValueError: The options make no sense.
        CompileError: The code can't be compiled.
    """
    try:
        options = _options(line)
    except _UsageError as fault:
        raise ValueError(f"%%backprop: {fault}") from None
    settings: dict[str, Any] = {key: getattr(options, key) for key in ("style", "numerics", "check", "lang")}
    compiled = compile_source(
        Source(cell, "<cell>"),
        wrt=options.wrt,
        of=options.of,
        at=parse_points(options.at) or None,
        shapes=parse_shapes(options.shape) or None,
        options=Options(layout="script", examples=examples(options.seed), **settings),
    )
    return options.name, Lesson(work(compiled), parts=options.show, lang=options.lang, collapse=options.collapse)


def register(shell: Any) -> None:
    """Add the magic to an IPython shell."""
    ipython: Any = import_module("IPython.display")

    def magic(line: str, cell: str) -> None:
        try:
            name, made = backprop(line, cell)
        except (CompileError, ValueError) as fault:
            # A message for a person, not a traceback.
            print(fault)  # noqa: T201  a notebook shows what is printed
            return
        shell.user_ns[name] = recompile(made.worked.compiled, layout="function", style="code")
        if "code" in made.parts:
            ipython.display(ipython.Markdown(f"```python\n{made.worked.compiled.source}```"))
        if "picture" in made.parts:
            ipython.display(ipython.SVG(made.svg))
        if "numbers" in made.parts:
            ipython.display(Lesson(made.worked, parts=("numbers",), lang=made.lang, collapse=made.collapse))

    shell.register_magic_function(magic, "cell", "backprop")
