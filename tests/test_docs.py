"""What the documentation shows is what the program does today. `pytest tests/test_docs.py --update-golden` rewrites it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bpcompile.frontends import arrays
from bpcompile.frontends.known_functions import NAMESPACES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "arrays.md"

#: Conversions of type, which are read and have no derivative of their own.
_TYPES = re.compile(r"^(u?int|float|bool|double)")


def is_refused(function) -> bool:
    return function.__qualname__.startswith("_refused")


def subset() -> str:
    """The functions of NumPy that are read, as a table."""
    known = {name: function for name, function in arrays.FUNCTIONS.items() if not is_refused(function)}
    numpy = [name for name in NAMESPACES["numpy"] if name not in arrays.FUNCTIONS]
    rows = {
        "`np.`, element by element": [n for n in numpy if not _TYPES.match(n)],
        "`np.`, arrays": list(known),
        "`np.linalg.`": [n for n, f in arrays.LINALG.items() if not is_refused(f)],
        "`np.lib.stride_tricks.`": [n for n, f in arrays.STRIDES.items() if not is_refused(f)],
        "`scipy.special.`": list(NAMESPACES["scipy.special"]),
        "methods": list(arrays.METHODS),
        "attributes": list(arrays.ATTRIBUTES),
        "types": [n for n in numpy if _TYPES.match(n)],
        "refused, with a way out": [n for n, f in arrays.FUNCTIONS.items() if is_refused(f)],
    }
    return "\n".join(["| where | what |", "|---|---|", *(f"| {where} | {', '.join(f'`{n}`' for n in names)} |" for where, names in rows.items())])


def shown(name: str) -> str:
    if name == "subset":
        return subset()
    return f"```python\n{(ROOT / 'examples' / 'arrays' / f'{name}.py').read_text('utf-8').strip()}\n```"


@pytest.mark.parametrize("name", ["softmax_loss", "softmax_loss_grad", "subset"])
def test_the_page_about_arrays_is_true(name, request):
    text = PAGE.read_text("utf-8")
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if request.config.getoption("--update-golden"):
        head, rest = text.split(begin)
        text = head + begin + shown(name) + "\n" + end + rest.split(end)[1]
        PAGE.write_text(text, "utf-8")
    assert text.split(begin)[1].split(end)[0] == shown(name) + "\n"


@pytest.mark.parametrize("page", ["README.md", "docs/arrays.md", "docs/verify.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target
