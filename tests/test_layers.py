"""Imports go only to the same or a lower layer, also inside functions and under TYPE_CHECKING."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "bpcompile"

#: Layer of each module; an entry for a package holds for everything inside it.
LAYERS = {
    "diagnostics": 0,
    "forms": 0,
    "exact": 0,
    "messages": 0,
    "primitive": 1,
    "ops": 2,
    "ir": 2,
    "dims": 2,
    "contraction": 2,
    "wellformed": 3,
    "interpret": 3,
    "frontends": 4,
    "reverse": 4,
    "passes": 4,
    "hazards": 4,
    "printer": 5,
    "targets": 5,
    "cost": 5,
    "naming": 6,
    "emit": 6,
    "check": 6,
    "gates": 6,
    "oracle": 6,
    "array_oracle": 6,
    "array_execution": 6,
    "execution": 6,
    "compiler": 7,
    "marking": 7,
    "output": 7,
    "teaching": 7,
    "cli": 8,
    "notebook": 8,
    "__init__": 8,
    "__main__": 8,
}


def module_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def home(parts: tuple[str, ...]) -> str:
    """The key in LAYERS of `bpcompile.<parts>`, that is of its first part: a module or a package at top level."""
    return parts[0] if parts else "__init__"


def is_module(parts: tuple[str, ...]) -> bool:
    path = PACKAGE.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield line and LAYERS key of each import of the package; `package` holds the parts that a relative import starts from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, *rest = alias.name.split(".")
                if first == "bpcompile":
                    yield node.lineno, home(tuple(rest))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - (node.level - 1)] + tuple((node.module or "").split(".") if node.module else ())
            elif (node.module or "").split(".")[0] == "bpcompile":
                base = tuple(node.module.split(".")[1:])
            else:
                continue
            for alias in node.names:
                # `from bpcompile import ops` imports a module, `from bpcompile import stage` a name of the package itself.
                inner = (*base, alias.name)
                yield node.lineno, home(inner if is_module(inner) else base)


def violations(text: str, parts: tuple[str, ...]) -> list[str]:
    """The upward imports of the module `bpcompile.<parts>`."""
    own = LAYERS[home(parts)]
    # A relative import starts from the package that holds the module; an __init__ is in its own package.
    found = imports(ast.parse(text), parts[:-1])
    return [f"line {line}: layer {own} imports {name}, layer {LAYERS[name]}" for line, name in found if LAYERS[name] > own]


@pytest.mark.parametrize("path", module_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert home(parts) in LAYERS, "a new module needs a layer"
    assert violations(path.read_text("utf-8"), parts) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("from bpcompile.compiler import compile_gradient", ("ir",)),
        ("from bpcompile import compiler", ("ir",)),
        ("from bpcompile import stage", ("reverse",)),
        ("import bpcompile.emit", ("passes", "cse")),
        ("def f():\n    from bpcompile import cli", ("compiler",)),
        ("if TYPE_CHECKING:\n    from bpcompile.emit import Emitted", ("printer",)),
        ("from ..emit import Emitted", ("passes", "cse")),
        ("from .. import cli", ("passes", "__init__")),
        ("from .reverse import backpropagate", ("ir",)),
    ],
)
def test_the_check_sees_an_upward_import(text, parts):
    assert len(violations(text, parts)) == 1


def test_the_check_allows_the_same_and_lower_layers():
    text = "import sympy\nfrom bpcompile import ops\nfrom bpcompile.ops.scalar import add\nfrom bpcompile.passes import cse\nfrom . import dead\n"
    assert violations(text, ("passes", "cse")) == []
