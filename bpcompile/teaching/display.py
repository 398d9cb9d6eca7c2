"""
How compiled gradients show themselves in a notebook: as HTML, Markdown and LaTeX.

What can't be drawn, for lack of a library or of a point in the domain, is shown as code.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from bpcompile.compiler import Compiled, recompile, render_template
from bpcompile.diagnostics import CompileError
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import Worked, shown, work

PARTS: Final = ("code", "picture", "numbers")
_count = itertools.count(1)


class Lesson:
    """
    A worked example as a notebook shows it.

    Args:
        worked: The program at a point.
        parts: What to show of `code`, `picture` and `numbers`, in that order.
        lang: The language of texts.
        collapse: One gate a stage in the picture.
    """

    def __init__(self, worked: Worked, *, parts: Sequence[str] = PARTS, lang: str = "en", collapse: bool = False) -> None:
        self.worked = worked
        self.parts = tuple(parts)
        self.lang = lang
        self.collapse = collapse

    @functools.cached_property
    def _page(self) -> Any:
        from bpcompile.teaching import page  # noqa: PLC0415  drawing libraries load only when drawing

        return page.page(self.worked, lang=self.lang, collapse=self.collapse)

    @functools.cached_property
    def svg(self) -> str:
        """The circuit."""
        from bpcompile.teaching import picture  # noqa: PLC0415  see above

        # Several pictures may stand in one document.
        return picture.svg(self._page.circuit, ident=f"circuit{next(_count)}")

    def _repr_html_(self) -> str:
        return render_template("lesson.html.j2", page=self._page, parts=self.parts, svg=self.svg if "picture" in self.parts else "", escape=escape)

    def _repr_markdown_(self) -> str:
        return _markdown(self.worked)

    def _repr_latex_(self) -> str:
        return _latex(self.worked)

    def __repr__(self) -> str:
        lines = []
        for wire in self.worked.wires:
            gradient = "" if wire.gradient is None else f", gradient {shown(wire.gradient)}"
            lines.append(f"{wire.name} = {shown(wire.value)}{gradient}")
        return "\n".join(lines)


def as_script(compiled: Compiled) -> Compiled:
    """Return the gradient as a page to read; its certificate is that of the gradient."""
    if compiled.emitted.layout == "script":
        return compiled
    return recompile(compiled, layout="script", style="notes", check="off", examples=examples(None))


def show_html(compiled: Compiled) -> str:
    """Show a compiled gradient: its code, and if it can be drawn its circuit and its numbers."""
    code = f"<pre><code>{escape(compiled.source)}</code></pre>"
    try:
        drawn = Lesson(work(as_script(compiled)), parts=("picture", "numbers"), lang=compiled.options.lang)
        return code + drawn._repr_html_()
    except CompileError:
        return code  # no drawing library, or no point of the domain at hand


def show_markdown(compiled: Compiled) -> str:
    """Show a compiled gradient as Markdown: its formulas and its code."""
    return f"{show_latex(compiled)}\n\n```python\n{compiled.source}```\n".lstrip()


def show_latex(compiled: Compiled) -> str:
    """Show the stages of a compiled gradient as formulas."""
    try:
        return _latex(work(as_script(compiled)))
    except CompileError:
        return ""


def _markdown(worked: Worked) -> str:
    return f"{_latex(worked)}\n\n```python\n{worked.compiled.source}```\n"


def _latex(worked: Worked) -> str:
    lines = [f"{s.out.symbol.latex} &= {s.formula.latex}" for s in worked.stages]
    return "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"
