"""The commands `draw` and `explain`: from a compiled program and a suffix to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from bpcompile.compiler import Compiled
from bpcompile.diagnostics import error
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import Worked, work

PICTURES: Final = (".svg", ".png", ".pdf", ".dot")
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
