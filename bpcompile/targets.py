"""What differs between the targets: how numbers and modules are written, how arguments enter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bpcompile.forms import Prec


@dataclass(frozen=True, slots=True)
class Target:
    """
    One output language.

    Attributes:
        name: `python` or `numpy`, as on the command line.
        forms: Key into `Primitive.forms`.
        module: What the constants `pi`, `e`, `inf` and `nan` belong to.
        imports: Import statement of each module that forms name.
    """

    name: str
    forms: str
    module: str

    def number(self, value: float) -> tuple[str, Prec]:
        """
        Return the text of a literal; floats round-trip.

        >>> TARGETS["python"].number(-2.0), TARGETS["numpy"].number(math.pi)
        (('-2.0', <Prec.FACTOR: 12>), ('np.pi', <Prec.ATOM: 14>))
        """
        if isinstance(value, bool | int):
            text = repr(value)
        elif value != value:  # noqa: PLR0124  nan
            text = f"{self.module}.nan"
        elif math.isinf(value):
            text = f"{self.module}.inf" if value > 0 else f"-{self.module}.inf"
        elif abs(value) == math.pi:
            text = f"{self.module}.pi" if value > 0 else f"-{self.module}.pi"
        elif abs(value) == math.e:
            text = f"{self.module}.e" if value > 0 else f"-{self.module}.e"
        else:
            text = repr(value)
        return text, Prec.FACTOR if text.startswith("-") else Prec.ATOM


TARGETS: Final = {"python": Target("python", "math", "math"), "numpy": Target("numpy", "numpy", "np")}

_IMPORTS: Final = {
    "math": "import math",
    "numpy": "import numpy as np",
    "scipy.special": "from scipy import special",
}


def import_lines(modules: Iterable[str]) -> list[str]:
    """
    Return import statements in the order of isort: the standard library, an empty line, the others.

    >>> import_lines(["scipy.special", "math"])
    ['import math', '', 'from scipy import special']
    """
    wanted = set(modules)
    standard = [_IMPORTS[m] for m in ("math",) if m in wanted]
    others = [_IMPORTS[m] for m in ("numpy", "scipy.special") if m in wanted]
    return [*standard, *([""] if standard and others else []), *others]
