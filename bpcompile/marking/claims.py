"""
Gradients claimed as expressions: `dx = 2*x*y` of a paper, marked against a forward pass in another file.

>>> report = mark_claims("x = 1.0\\ny = 2.0\\nf = x**2 * y\\n", "dx = 2*x*y\\ndy = x\\n", path="paper.py")
>>> [(line.line, line.status) for line in report.lines]
[(1, 'right'), (2, 'wrong')]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bpcompile.compiler import compile_expression, compile_file
from bpcompile.diagnostics import Source
from bpcompile.frontends.source_text import parse, with_deep_stack
from bpcompile.marking import mark_tree
from bpcompile.marking.report import Report

#: The line with which the compiler's pages begin their second half.
_HALF: Final = "\n# backward pass\n"
_SYMPY: Final = re.compile(r"^\s*(?:import\s+sympy\b|from\s+sympy\b)", re.MULTILINE)


def mark_claims(
    forward: str,
    claims: str,
    *,
    path: str,
    only: Sequence[str] = (),
    at: Mapping[str, Any] | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
) -> Report:
    """
    Mark claimed gradients.

    Args:
        forward: The forward pass as code; parsed, never executed.
        claims: Assignments to gradients, which may use every name of the forward pass, and functions by their bare names.
        path: What the claims are called in the report.
        only: See `mark_source`, as for the rest.
        at: See `mark_source`.
        seed: See `mark_source`.
        names: See `mark_source`.

    Raises:
        CompileError: E100, E117: one of the texts is no Python.
    """
    parse(Source(claims, path))
    before = forward.rstrip("\n").count("\n") + 1
    source = Source(f"{forward.rstrip(chr(10))}\n{claims}", path)
    tree = parse(source)
    return with_deep_stack(lambda: mark_tree(tree, source, only=only, at=at or {}, seed=seed, names=names or {}, first=before))


def forward_code(path: Path | str, text: str) -> str:
    """Return the forward pass of a file as code: as it is, or, for a SymPy file, as the compiler writes it."""
    if not _SYMPY.search(text):
        return text
    return compile_file(path, layout="script", style="notes", target="numpy", check="off").source.partition(_HALF)[0]


def expression_code(text: str) -> str:
    """Return the forward pass of a one-line expression as code."""
    return compile_expression(text, layout="script", style="notes", target="numpy", check="off").source.partition(_HALF)[0]
