"""
How people name gradients: `dW`, `grad_W`, `W_grad`, `dLdW`, `dL_dW`, `W_bar`, `delta3`.

A name never decides that something is a gradient: the flow of data does. It only says which variable it may be the gradient
of.

>>> stems("dLdW")
['LdW', 'W']
>>> stems("W1_grad")
['W1']
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_SUFFIX: Final = re.compile(r"^(.+?)_?(?:gradients?|grads?|bar|adj|delta|deriv|prime)$")
_PREFIXES: Final = ("gradient", "grad", "nabla", "delta", "adj", "bar", "del", "upstream", "g", "d", "D", "∂", "δ", "∇", "Δ")


@cache
def _stems(name: str) -> tuple[str, ...]:
    found: list[str] = []
    for prefix in _PREFIXES:
        if name.startswith(prefix) and len(name) > len(prefix):
            rest = name[len(prefix) :].removeprefix("_")
            if rest:
                found.append(rest)
            if prefix in {"d", "∂", "del"}:
                # `dfdx`, `dL_dW`, `dloss_dx`: what stands after a later d.
                for match in re.finditer(r"_?d_?", name[len(prefix) + 1 :]):
                    rest = name[len(prefix) + 1 + match.end() :]
                    if rest:
                        found.append(rest)
    suffixed = _SUFFIX.match(name)
    if suffixed is not None:
        found.append(suffixed.group(1))
    return tuple(dict.fromkeys(each for each in found if each != name))


def stems(name: str) -> list[str]:
    """Return the names that `name` may be the gradient of, likeliest first."""
    return list(_stems(name))


def is_container(name: str) -> bool:
    """Tell whether a dictionary or object of this name holds gradients under the names of their variables."""
    return bool(re.fullmatch(r"(?:self\.)?(?:d|g|grads?|gradients?|dparams|d_params|param_grads|grad_?dict|derivs?|deltas?|nablas?)", name))
