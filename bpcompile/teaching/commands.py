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


def draw(example: Worked, kind: str, *, collapse: bool = False, lang: str = "en") -> str | bytes:
    """Return a picture: text for `.svg` and `.dot`, bytes for `.png` and `.pdf`."""
    from bpcompile.teaching import circuit, picture  # noqa: PLC0415  drawing libraries load only when drawing

    if kind == ".dot":
        return picture.dot(example)
    drawing = circuit.draw(example, collapse=collapse, lang=lang)
    return picture.svg(drawing) if kind == ".svg" else picture.raster(drawing, kind[1:])


def explain(example: Worked, path: str | None, kind: str, *, collapse: bool = False, lang: str = "en") -> dict[str | None, str | bytes]:
    """
    Return a worked page.

    Args:
        example: The program at a point.
        path: Where the page goes; None for standard output.
        kind: `.html`, `.md` or `.tex`.
        collapse: One gate a stage in its picture.
        lang: Its language.

    Returns:
        The contents of each file to write: the page, and for Markdown the picture beside it, which text can't hold.
    """
    from bpcompile.teaching import page as pages  # noqa: PLC0415  drawing libraries load only when drawing

    made = pages.page(example, lang=lang, collapse=collapse)
    if kind == ".html":
        return {path: pages.html(made)}
    if kind == ".tex":
        return {path: pages.latex(made)}
    picture = PurePath(path or "page.md").with_suffix(".svg")
    files: dict[str | None, str | bytes] = {path: pages.markdown(made, picture.name)}
    if path is not None:
        files[str(picture)] = made.svg
    return files
