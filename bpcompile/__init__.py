"""
Compile a forward pass into the backward pass that a careful person would have written by hand.

The public names load on first use: `import bpcompile` and `bpcompile --help` must not pay for SymPy or NumPy.

>>> import bpcompile
>>> "compile_gradient" in dir(bpcompile)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bpcompile.compiler import Compiled, compile_expression, compile_file, compile_gradient
    from bpcompile.diagnostics import CompileError, Diagnostic
    from bpcompile.frontends.stages import stage

__version__ = "0.1.0"

__all__ = ["CompileError", "Compiled", "Diagnostic", "compile_expression", "compile_file", "compile_gradient", "stage"]

#: Where each public name is defined.
_HOMES: Final = {
    "CompileError": "bpcompile.diagnostics",
    "Compiled": "bpcompile.compiler",
    "Diagnostic": "bpcompile.diagnostics",
    "compile_expression": "bpcompile.compiler",
    "compile_file": "bpcompile.compiler",
    "compile_gradient": "bpcompile.compiler",
    "stage": "bpcompile.frontends.stages",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(home), name)
    # Kept as a module attribute, so that the next use is a plain look-up.
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """Add the cell magic `%%backprop`; IPython calls this on `%load_ext bpcompile`."""
    from bpcompile.notebook import register  # noqa: PLC0415  only in a notebook

    register(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
