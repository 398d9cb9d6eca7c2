"""
Names for people: short, telling, legal, unique, and the same on every run.

Users' names come first and are kept where Python lets them; what must be changed is reported. Temporaries are named after
what they are (`xpy` for x + y, `sinx`, `xsqr`, `invden`), adjoints after what they are the gradient of (`dxpy`).
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var

#: What emitted files use themselves, or linters dislike as names.
RESERVED: Final = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "__debug__"}
    | {"math", "np", "numpy", "scipy", "special", "value", "value_and_grad", "forward", "backward", "cache"}
    | {"_array", "_check_shape", "_integers", "_same_shape", "_same_size"}
    | {"l", "O", "I"},
)
_LONGEST: Final = 12
_COUNT: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COMPARE: Final = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne"}
_SIGN: Final = {"lt": "neg", "le": "nonpos", "gt": "pos", "ge": "nonneg", "eq": "iszero", "ne": "nonzero"}
_WORD: Final = {"add": "sum", "sub": "diff", "mul": "prod", "div": "quot", "pow": "power", "powr": "power", "select": "pick", "chain": "prod"}
_AFFINE: Final = frozenset({"add", "sub", "einsum", "getitem"})
#: Functions whose operand a person calls z where the operand is an array.
_ACTIVATIONS: Final = frozenset({"sigmoid", "tanh", "relu", "softplus"})
_PRIMES: Final = {"'": "_prime", "′": "_prime", "″": "_prime2", "''": "_prime2"}


def legal(name: str) -> str:
    r"""
    Return the Python identifier nearest to a symbol's name.

    >>> [legal(n) for n in ("x'", r"\\alpha", "x_{2}", "x y", "1x", "lambda", "µ", "")]
    ['x_prime', 'alpha', 'x_2', 'x_y', 'v1x', 'lambda', 'μ', 'v']
    """
    if name.isascii() and name.isidentifier() and name.strip("_"):
        return name
    text = unicodedata.normalize("NFKC", name)
    for mark, word in _PRIMES.items():
        text = text.replace(mark, word)
    text = re.sub(r"[\\{}$]", "", text)
    text = re.sub(r"\W+", "_", text)
    text = text if text.strip("_") else "v"
    if not text[0].isidentifier():
        text = "v" + text
    return text if text.isidentifier() else "v"


class Names:
    """
    Hands out names, each once.

    Args:
        program: The program to be printed.
        written: The same before gates were spelled out for the target.
        reserved: Names that are taken already.

    Attributes:
        changed: What had to be renamed: (the user's name, the name in the output).
    """

    def __init__(self, program: Program, written: Program | None = None, reserved: Iterable[str] = ()) -> None:
        self.of: dict[Var, str] = {}
        self.changed: list[tuple[str, str]] = []
        self._taken: set[str] = {*RESERVED, *reserved}
        # Values are named after the gate that the user wrote, not after how the target spells it.
        self._definition: dict[Var, Eqn] = {eqn.out: eqn for p in (program, written) if p is not None for eqn in p.eqns}
        self._stems: dict[Var, str] = {}
        #: Names that say nothing but the kind of operation, with the word for it.
        self.numbered: dict[str, str] = {}
        self._roles: dict[Var, str] = {}
        self._counters: dict[str, int] = {}
        self.params: list[str] = []
        for param in program.params:
            if param.seed is None:
                self.params.append(self._claim_user(param.name))
        # All names of the user are taken before the first temporary gets one.
        stages = [eqn.out for eqn in program.eqns if eqn.out.stage and eqn.out.name and eqn.out.twin is None]
        for output in program.outputs:
            if isinstance(output.atom, Var) and output.atom in self._definition and legal(output.name) not in self._taken:
                self._claim_var(output.atom, output.name)
        for var in stages:
            if var not in self.of and var.name:
                self._claim_var(var, var.name)
        self._find_roles(written or program)

    def _claim_user(self, name: str) -> str:
        """Take a user's name, changed where it must be."""
        text = legal(name)
        if text in RESERVED:
            text += "_"
        text = self.unique(text)
        if text != name:
            self.changed.append((name, text))
        return text

    def _claim_var(self, var: Var, name: str) -> None:
        element = re.fullmatch(r"(.+?)((?:\[\d+\])+)", name) if name.endswith("]") else None
        base = legal(element[1]) + "_".join(re.findall(r"\d+", element[2])) if element else legal(name)
        if base in RESERVED:
            base += "_"
        if base in self._taken:
            # A later version of the same name: x, x_1, x_2.
            number = self._counters.get(base, 0) + 1
            while f"{base}_{number}" in self._taken:
                number += 1
            self._counters[base] = number
            base = f"{base}_{number}"
        self._taken.add(base)
        self.of[var] = base

    def unique(self, name: str) -> str:
        """Return `name`, with the first free number behind it where it is taken."""
        if name not in self._taken:
            self._taken.add(name)
            return name
        stem = name + "_" if name[-1].isdigit() else name
        number = self._counters.get(stem, 1) + 1
        while f"{stem}{number}" in self._taken:
            number += 1
        self._counters[stem] = number
        self._taken.add(f"{stem}{number}")
        return f"{stem}{number}"

    def gradient(self, name: str) -> str:
        """Return the name of the gradient of `name`: `d` before it, or `d_` where that means something else."""
        for candidate in (f"d{name}", f"d_{name}"):
            if candidate not in self._taken:
                self._taken.add(candidate)
                return candidate
        return self.unique(f"d_{name}")

    def name(self, var: Var) -> str:
        """Return the name of a value, made now if it has none."""
        known = self.of.get(var)
        if known is not None:
            return known
        if var.twin is not None:
            made = self.gradient(self.of.get(var.twin) or self.stem(var.twin) or self._fallback(var.twin))
        elif var.name:
            self._claim_var(var, var.name)
            return self.of[var]
        else:
            stem = self.stem(var)
            made = self.unique(stem) if stem and stem not in RESERVED else self._numbered(self._fallback(var))
        self.of[var] = made
        return made

    def _numbered(self, word: str) -> str:
        number = self._counters.get(word, 0) + 1
        while f"{word}{number}" in self._taken:
            number += 1
        self._counters[word] = number
        self._taken.add(f"{word}{number}")
        self.numbered[f"{word}{number}"] = word
        return f"{word}{number}"

    def _fallback(self, var: Var) -> str:
        eqn = self._definition.get(var)
        if eqn is None:
            return "v"
        if eqn.out.dtype == "bool":
            return "cond"
        return _WORD.get(eqn.prim.name) or eqn.prim.short or eqn.prim.name

    def _find_roles(self, program: Program) -> None:
        """Find numerators and denominators: `num`, `den`, `invden`; and what goes into an activation: `z1` for `a1 = tanh(...)`."""
        for eqn in program.eqns:
            if eqn.origin is not None:
                break
            if eqn.prim.name in _ACTIVATIONS and eqn.out.shape:
                z = self._definition.get(eqn.args[0])  # type: ignore[arg-type]  # a literal has no definition either
                if z is not None and not z.out.name and z.prim.name in _AFFINE:
                    name = self.of.get(eqn.out, "")
                    number = re.search(r"(?<!_)\d+$", name)
                    self._roles.setdefault(z.out, f"z{number[0] if number else name}")
            if eqn.prim.name == "div":
                top, bottom = eqn.args
                if self._is_compound(bottom):
                    self._roles.setdefault(bottom, "den")  # type: ignore[arg-type]  # compound values are variables
                    if isinstance(top, Lit):
                        self._roles.setdefault(eqn.out, "invden")
                    elif self._is_compound(top):
                        self._roles.setdefault(top, "num")
            elif eqn.prim.name == "mul":
                for a, b in (eqn.args, eqn.args[::-1]):
                    if isinstance(b, Var) and self._roles.get(b) == "invden" and self._is_compound(a):
                        self._roles.setdefault(a, "num")  # type: ignore[arg-type]

    def _is_compound(self, atom: Atom) -> bool:
        eqn = self._definition.get(atom) if isinstance(atom, Var) else None
        return eqn is not None and not eqn.out.name and eqn.prim.name in {"add", "sub", "mul"}

    def stem(self, var: Var) -> str:
        """Return a short name that says what a value is, or an empty string if that gets long."""
        stack = [var]
        while stack:
            top = stack[-1]
            if top in self._stems or top in self.of:
                stack.pop()
                continue
            eqn = self._definition.get(top)
            if eqn is None or len(stack) > 4:
                self._stems[top] = legal(top.name) if eqn is None and top.name else ""
                stack.pop()
                continue
            missing = [a for a in eqn.args if isinstance(a, Var) and a not in self._stems and a not in self.of]
            if missing:
                stack.append(missing[0])
                continue
            self._stems[top] = self._compose(eqn)
            stack.pop()
        return self.of.get(var) or self._stems[var]

    def _compose(self, eqn: Eqn) -> str:
        role = self._roles.get(eqn.out)
        if role:
            return role
        if eqn.out.twin is not None:
            inner = self.of.get(eqn.out.twin) or self._stems.get(eqn.out.twin, "")
            return f"d{inner}" if inner else ""
        parts = [self._part(a) for a in eqn.args]
        text = _compose(eqn, parts)
        return text if text and len(text) <= _LONGEST and text.isidentifier() else ""

    def _part(self, atom: Atom) -> str | Lit:
        return atom if isinstance(atom, Lit) else self.of.get(atom) or self._stems.get(atom, "")


def _compose(eqn: Eqn, parts: list[str | Lit]) -> str:
    """Name an operation after its operands; empty if an operand has no name."""
    if any(isinstance(p, str) and not p for p in (parts[1:] if eqn.prim.name == "select" else parts)):
        return ""
    words = [_count(p) if isinstance(p, Lit) else p for p in parts]
    op = eqn.prim.name
    if op == "dim":
        return eqn.params["size"] if isinstance(eqn.params["size"], str) else ""
    if op == "getitem":
        # One element or row: xs[2] is xs2.
        index = eqn.params["index"]
        return f"{words[0]}{'_' if words[0][-1:].isdigit() else ''}{'_'.join(map(str, index))}" if all(isinstance(i, int) and i >= 0 for i in index) else ""
    if op in _COMPARE and len(words) == 2:
        if isinstance(parts[1], Lit) and parts[1].value == 0:
            return words[0] + _SIGN[op]
        return f"{words[0]}{op}{words[1]}" if all(words) else ""
    if op in {"add", "sub"}:
        sign = "p" if op == "add" else "m"
        if isinstance(parts[1], Lit):
            digit = _digits(parts[1])
            return f"{words[0]}{sign}{digit}" if digit else ""
        return f"{words[0]}{sign}{words[1]}" if words[0] else ""
    if op == "mul" and isinstance(parts[0], Lit) and not words[0] and _digits(parts[0]):
        return f"{words[1]}_{_digits(parts[0])}"
    if op in {"mul", "chain"}:
        return "".join(words) if all(words) else ""
    if op == "div":
        if isinstance(parts[0], Lit):
            return f"inv{words[1]}" if parts[0].value == 1 else ""
        return f"{words[0]}by{words[1]}" if words[1] else ""
    if op == "pow" and isinstance(parts[1], Lit):
        n = parts[1].value
        return f"{words[0]}{ {2: 'sqr', 3: 'cub'}.get(int(n), f'pow{int(n)}') }" if n > 0 else ""
    if op == "powr":
        return f"{words[0]}pow{words[1]}" if words[0] and words[1] else ""
    if op == "neg":
        return f"neg{words[0]}"
    if op == "select":
        # The rescue of a value is named after the value.
        return words[2] if isinstance(parts[1], Lit) else words[1] if isinstance(parts[2], Lit) else ""
    if op == "copy":
        return ""
    stem = eqn.prim.short or op
    if op in {"max", "min", "logaddexp"} and words[0].startswith(stem):
        words[0] = words[0].removeprefix(stem)
    return stem + "".join(words) if all(words) and len(words) <= 2 else ""


def _count(literal: Lit) -> str:
    value = literal.value
    if value == int(value) if abs(value) < 1e9 else False:
        return _COUNT[int(value)] if 0 <= value < len(_COUNT) else ""
    return "half" if value == 0.5 else ""


def _digits(literal: Lit) -> str:
    value = literal.value
    return str(int(value)) if 0 <= value < 1000 and value == int(value) else ""
