"""The commands `draw` and `explain`: from a compiled program and a suffix to the contents of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from bpcompile.compiler import Compiled
from bpcompile.diagnostics import error
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import Worked, work

PICTURES: Final = (".svg", ".png", ".pdf", ".dot")
PAGES: Final = (".html", ".md", ".tex")
#: What the commands compile for, whatever else is asked: a page to read.
SETTINGS: Final = {"layout": "script"}


def suffix(path: str | None, known: tuple[str, ...]) -> str:
    """
    Return the kind of file that an output path asks for; without a path, the first one known.

    Raises:
        CompileError: E023 the suffix is none of `known`.
    """
    if path in (None, "-"):
        return known[0]
    found = PurePath(path or "").suffix.lower()
    if found not in known:
        raise error("E023", f"can't write `{path}`: the suffix says what to write, and it is none of {', '.join(known)}")
    return found


def worked(compile_: Callable[..., Compiled], settings: dict[str, Any], *, seed: int | None = None) -> Worked:
    """
    Compile as a script and work the example.

    Args:
        compile_: An entry point of the compiler with its input filled in.
        settings: Its options.
        seed: Draws new example values.
    """
    return work(compile_(**settings | SETTINGS, examples=examples(seed)))


def draw(example: Worked, kind: str, *, collapse: bool = False, lang: str = "en", blank: str = "") -> str | bytes:
    """Return a picture: text for `.svg` and `.dot`, bytes for `.png` and `.pdf`."""
    from bpcompile.teaching import circuit, picture  # noqa: PLC0415  drawing libraries load only when drawing

    if kind == ".dot":
        return picture.dot(example)
    drawing = circuit.draw(example, collapse=collapse, lang=lang, blank=blank)
    return picture.svg(drawing) if kind == ".svg" else picture.raster(drawing, kind[1:])


def explain(example: Worked, path: str | None, kind: str, *, collapse: bool = False, lang: str = "en", blank: str = "") -> dict[str | None, str | bytes]:
    """
    Return a worked page, or a worksheet with its answer key.

    Args:
        example: The program at a point.
        path: Where the page goes; None for standard output.
        kind: `.html`, `.md` or `.tex`.
        collapse: One gate a stage in its picture.
        lang: Its language.
        blank: What is left open: `gradients`, `values`, `code`, or nothing.

    Returns:
        The contents of each file to write: the page; for Markdown the picture beside it, which text can't hold; for a worksheet
        its answer key; for one on code the file to be completed, and the complete one.
    """
    if path is None:
        return {None: _page(example, None, kind, collapse=collapse, lang=lang, blank=blank, key=False)[None]}
    files = _page(example, path, kind, collapse=collapse, lang=lang, blank=blank, key=False)
    if blank:
        files |= _page(example, beside(path, "-key"), kind, collapse=collapse, lang=lang, blank="", key=True)
    if blank == "code":
        files[str(PurePath(path).with_suffix(".py"))] = open_code(example)
        files[str(PurePath(beside(path, "-key")).with_suffix(".py"))] = example.compiled.source
    return files


def beside(path: str, ending: str) -> str:
    """
    Return the name of a file that belongs to another one.

    >>> beside("sheet.html", "-key")
    'sheet-key.html'
    """
    found = PurePath(path)
    return str(found.with_name(f"{found.stem}{ending}{found.suffix}"))


def open_code(example: Worked) -> str:
    """Return the emitted file with the right sides of its backward pass left open."""
    from bpcompile.teaching.page import open_line  # noqa: PLC0415  drawing libraries load only when drawing

    rows = example.compiled.source.split("\n")
    for line in example.backward:
        rows[line.number - 1] = open_line(line.text, "...")
    return "\n".join(rows)


def _page(example: Worked, path: str | None, kind: str, *, collapse: bool, lang: str, blank: str, key: bool) -> dict[str | None, str | bytes]:
    from bpcompile.teaching import page as pages  # noqa: PLC0415  see above

    made = pages.page(example, lang=lang, collapse=collapse, blank=blank, key=key)
    if kind == ".html":
        return {path: pages.html(made)}
    if kind == ".tex":
        return {path: pages.latex(made)}
    picture = PurePath(path or "page.md").with_suffix(".svg")
    files: dict[str | None, str | bytes] = {path: pages.markdown(made, picture.name)}
    if path is not None:
        files[str(picture)] = made.svg
    return files
