"""
A worked page: everything that a template prints, in plain data, and the templates for HTML, Markdown and LaTeX.

No template computes: numbers, sentences and formulas come finished from here, in the language of the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import numpy as np

from bpcompile.compiler import render_template
from bpcompile.ir import Lit, show_shape
from bpcompile.messages import knows, say, translate
from bpcompile.teaching import circuit, formula, javascript, picture
from bpcompile.teaching.formula import Formula
from bpcompile.teaching.worked import Contribution, Gate, Stage, Statement, Wire, Worked, digits, shown

#: Programs with more gates than this are not written as one formula.
_ONE_FORMULA: Final = 14


@dataclass(slots=True)
class Number:
    """A number on the page: rounded text, and the key under which a browser computes it again."""

    text: str
    kind: str
    bind: str = ""
    exact: str = ""

    @property
    def hidden(self) -> bool:
        """Whether it is to be filled in."""
        return not self.text


#: What is left open on a worksheet, and the sections of it; a page has all of them.
SECTIONS: Final = {
    "": ("formula", "inputs", "picture", "forward", "backward", "check", "code", "certificate"),
    "values": ("formula", "inputs", "picture", "forward"),
    "gradients": ("formula", "inputs", "picture", "forward", "backward"),
    "code": ("formula", "inputs", "picture", "forward", "check", "code"),
}


@dataclass(slots=True)
class Step:
    """What flows back through one operand."""

    wire: str
    symbol: Formula
    partial: Formula
    local: Formula | None
    slope: Number | None
    upstream: Number
    product: Number | None
    shapes: str = ""

    @property
    def plain(self) -> bool:
        """Whether the local derivative is a number already."""
        return self.local is not None and self.slope is not None and self.local.latex.replace(" ", "") == self.slope.text


@dataclass(slots=True)
class GateStep:
    """One gate on the way back."""

    label: str
    formula: Formula
    sentences: list[str]
    steps: list[Step]


@dataclass(slots=True)
class StageStep:
    """One stage, forward and back."""

    key: str
    number: int | None
    symbol: Formula
    formula: Formula
    forward: Statement
    value: Number
    gradient: Number | None
    shape: str
    backward: list[Statement]
    gates: list[GateStep]
    joins: list[str] = field(default_factory=list)


@dataclass(slots=True)
class InputField:
    """An input and its value, as a browser's field."""

    key: str
    symbol: Formula
    value: Number
    gradient: Number | None
    shape: str
    editable: bool


@dataclass(slots=True)
class CheckRow:
    """A finite difference and the gradient."""

    symbol: Formula
    measured: Number
    computed: Number
    agrees: bool


@dataclass(slots=True)
class Page:
    """All that a page says."""

    lang: str
    name: str
    title: str
    whole: list[Formula]
    inputs: list[InputField]
    svg: str
    circuit: circuit.Circuit
    stages: list[StageStep]
    backward: list[StageStep]
    checks: list[CheckRow]
    code: list[tuple[int, str, str]]
    certificate: list[str]
    script: str
    static: str
    arrays: bool
    caption: str
    lead: str
    check_lead: str
    wire_names: str
    upstream: list[int]
    outputs_index: list[int]
    words: str
    task: str
    sections: tuple[str, ...]
    blank: str = ""

    @property
    def stop(self) -> str:
        """What ends a sentence."""
        return "。" if self.lang == "zh" else "."

    def say(self, key: str, **values: object) -> str:
        """Return a text of the page."""
        return say(self.lang, f"page.{key}", **values)


def page(worked: Worked, *, lang: str = "en", collapse: bool = False, blank: str = "", key: bool = False) -> Page:
    """
    Make a page.

    Args:
        worked: The program at a point.
        lang: Its language.
        collapse: One gate a stage in the picture.
        blank: `gradients`, `values` or `code` leaves those open, as on a worksheet.
        key: Whether it is the answer key of a worksheet.
    """
    return _Maker(worked, lang, blank).page(collapse=collapse, key=key)


class _Maker:
    def __init__(self, worked: Worked, lang: str, blank: str) -> None:
        self.worked = worked
        self.lang = lang
        self.blank = blank
        self.index = {wire: i for i, wire in enumerate(worked.wires)}
        self.place = {id(c): i for i, c in enumerate(c for g in worked.gates for c in g.contributions)}
        self.stage_of = {g: s for s in worked.stages for g in s.gates}
        self.joined: set[Wire] = set()

    def page(self, *, collapse: bool, key: bool) -> Page:
        worked = self.worked
        drawing = circuit.draw(worked, collapse=collapse, lang=self.lang, blank=self.blank)
        forward = [self._stage(stage) for stage in worked.stages]
        # In the order of the program, the sentence about a variable that is read twice comes with its last contribution.
        backward = [step for step, stage in zip(forward, worked.stages, strict=True) if any(g.contributions for g in stage.gates)][::-1]
        self._join(backward)
        script, static = "", ""
        try:
            script = "" if self.blank else javascript.function(worked)
        except javascript.UnprintableError as reason:
            static = str(reason)
        certificate = worked.compiled.certificate
        arrays = ".arrays" if worked.has_arrays else ""
        return Page(
            lang=self.lang,
            name=worked.name,
            title=self._say(f"page.title{'.sheet' if self.blank else '.key' if key else ''}", name=worked.name),
            whole=self._whole(),
            inputs=[self._input(w, editable=bool(script)) for w in worked.inputs if w in self.index or w.gradient is not None],
            svg=picture.svg(drawing),
            circuit=drawing,
            stages=forward,
            backward=backward,
            checks=[self._check(i) for i in range(len(worked.differences))],
            code=self._code(),
            certificate=[] if certificate is None else [translate(self.lang, line) for line in certificate.lines()],
            script=script,
            static=static,
            arrays=worked.has_arrays,
            caption=self._say("picture.caption") + (" " + self._say("picture.caption.arrays") if worked.has_arrays else ""),
            lead=self._say(f"page.backward.lead{arrays}", outputs=(", " if self.lang == "en" else "、").join(w.name for w in worked.outputs)),
            check_lead=self._say(f"page.check.lead{arrays}"),
            wire_names=_json([w.name for w in self.index]),
            upstream=[self.index[g.out] for g in worked.gates for _ in g.contributions],
            outputs_index=[self.index[w] for w in worked.outputs],
            words=_json([self._say("page.check.agrees"), self._say("page.check.differs")]),
            task=self._say(f"page.task.{self.blank}") if self.blank else "",
            sections=SECTIONS[self.blank],
            blank=self.blank,
        )

    def _say(self, key: str, **values: object) -> str:
        return say(self.lang, key, **values)

    def _whole(self) -> list[Formula]:
        worked = self.worked
        if worked.has_arrays or len(worked.gates) > _ONE_FORMULA:
            return []
        known = {w.var: w.symbol for w in worked.inputs}
        names = [formula.name(n) for n in worked.compiled.emitted.outputs]
        results = [o.atom for o in worked.compiled.stages.outputs]
        eqns = [g.eqn for g in worked.gates]
        return [formula.row(n, "=", formula.typeset(r.value if isinstance(r, Lit) else r, eqns, known)) for n, r in zip(names, results, strict=True)]

    def _value(self, wire: Wire) -> Number:
        if self.blank == "values" and wire.maker is not None:
            return Number("", "value")
        return self._bound(wire, wire.value, "value")

    def _gradient(self, wire: Wire) -> Number:
        if self.blank == "values" or (self.blank == "gradients" and not (wire.is_output and not wire.readers)):
            return Number("", "gradient")
        return self._bound(wire, wire.gradient, "gradient")

    def _bound(self, wire: Wire, value: Any, kind: str) -> Number:
        return Number(shown(value), kind, f"{kind[0]}{self.index[wire]}" if wire in self.index else "", _exact(value))

    def _input(self, wire: Wire, *, editable: bool) -> InputField:
        gradient = None if wire.gradient is None or self.blank == "values" else self._gradient(wire)
        shape = show_shape(wire.var.shape) if wire.is_array else ""
        number = self._bound(wire, wire.value, "value")
        if not wire.is_array:
            number.text = _exact(wire.value)
        return InputField(wire.name, wire.symbol, number, gradient, shape, editable)

    def _stage(self, stage: Stage) -> StageStep:
        gates = [self._gate(gate) for gate in reversed(stage.gates) if gate.contributions]
        shape = show_shape(stage.out.var.shape) if stage.out.is_array else ""
        gradient = None if stage.out.gradient is None else self._gradient(stage.out)
        out = stage.out
        return StageStep(out.name, stage.number, out.symbol, stage.formula, stage.forward, self._value(out), gradient, shape, stage.backward, gates)

    def _gate(self, gate: Gate) -> GateStep:
        sentences = [sentence(gate, self.lang)]
        for part in gate.contributions:
            wire, wide = part.wire, gate.out.var.shape
            if gate.primitive.shape is None and wire.var.shape != wide:
                values = {"wire": wire.name, "narrow": show_shape(wire.var.shape), "wide": show_shape(wide)}
                sentences.append(say(self.lang, "gate.broadcast", **values))
        return GateStep(gate.label, formula.row(gate.out.symbol, "=", gate.formula), sentences, [self._step(gate, c) for c in gate.contributions])

    def _step(self, gate: Gate, part: Contribution) -> Step:
        i = self.place[id(part)]
        slope = product = None
        if part.local_value is not None:
            slope = Number(digits(part.local_value), "local", f"l{i}", repr(part.local_value))
            product = Number("", "gradient") if self.blank == "gradients" else Number(digits(part.product), "gradient", f"p{i}", repr(part.product))
        shapes = f"{show_shape(part.wire.var.shape)} ← {show_shape(gate.out.var.shape)}"
        symbol = part.wire.symbol
        return Step(part.wire.name, symbol, formula.partial(gate.out.symbol, symbol), part.local, slope, self._gradient(gate.out), product, shapes)

    def _join(self, backward: Sequence[StageStep]) -> None:
        """Say where the gradients of a variable add up: at the stage that contributes last."""
        last: dict[Wire, StageStep] = {}
        by_key = {step.key: step for step in backward}
        count: dict[Wire, int] = {}
        for stage in reversed(self.worked.stages):
            for gate in reversed(stage.gates):
                for part in gate.contributions:
                    last[part.wire] = by_key[stage.out.name]
                    count[part.wire] = count.get(part.wire, 0) + 1
        for wire, step in last.items():
            if count[wire] > 1:
                step.joins.append(say(self.lang, "gate.joins", wire=wire.name, count=count[wire]))

    def _check(self, i: int) -> CheckRow:
        difference = self.worked.differences[i]
        at = f"{self.index.get(difference.wire, '')}"
        measured = Number(digits(difference.measured), "measured", f"d{at}", repr(difference.measured))
        computed = Number(digits(difference.computed), "gradient", "" if self.worked.has_arrays else f"g{at}", repr(difference.computed))
        return CheckRow(difference.wire.symbol, measured, computed, difference.agrees)

    def _code(self) -> list[tuple[int, str, str]]:
        """Return the lines of the file, each with the stage that it belongs to."""
        owner: dict[int, str] = {}
        for stage in self.worked.stages:
            for line in (stage.forward, *stage.backward):
                owner[line.number] = stage.out.name
        backward = {line.number for line in self.worked.backward}
        rows = self.worked.compiled.source.rstrip("\n").split("\n")
        found = []
        for i, text in enumerate(rows, 1):
            shown = open_line(text, "____________________________") if self.blank == "code" and i in backward else text
            found.append((i, shown, owner.get(i, "")))
        return found


def open_line(text: str, blank: str) -> str:
    """
    Return a line of the backward pass with its right side left open; comments stay.

    >>> open_line("dx += (1) * dq  # (2)", "...")
    'dx += ...  # (2)'
    """
    if text.startswith("#"):
        return text
    code, mark, comment = text.partition("  #")
    left = re.match(r"(\w+ [-+]?=) ", code)
    return f"{left[1]} {blank}{mark and '  # ' + comment.strip()}" if left else text


def sentence(gate: Gate, lang: str) -> str:
    """Return what a gate does to the gradient, in one sentence."""
    primitive = gate.primitive
    wires = list(dict.fromkeys(c.wire for c in gate.contributions))
    names = [o.name if isinstance(o, Wire) else digits(o) for o in gate.operands]
    constants = [digits(o) for o in gate.operands if not isinstance(o, Wire)]
    between = "、" if lang == "zh" else " and " if len(wires) == 2 else ", "
    values = {
        "out": gate.out.name,
        "first": names[0] if names else "",
        "second": names[1] if len(names) > 1 else "",
        "all": between.join(w.name for w in wires),
        "constant": constants[0] if constants else "",
        "name": primitive.name,
        "winner": "",
        "loser": "",
    }
    key = f"gate.{primitive.name}"
    if primitive.name == "powr" and isinstance(gate.operands[1], Wire):
        return say(lang, "gate.function", **values)
    if primitive.name == "powr":
        key = "gate.pow"
    if primitive.name == "div" and constants and isinstance(gate.operands[0], Wire):
        key = "gate.div.by"
    elif constants and knows(f"{key}.constant"):
        key += ".constant"
    elif knows(f"{key}.array") and gate.out.is_array:
        key += ".array"
    elif primitive.name in {"max", "min"} and len(gate.wires) == 2:
        first, second = gate.wires
        takes_first = first.value >= second.value if primitive.name == "max" else first.value <= second.value
        values["winner"], values["loser"] = (first.name, second.name) if takes_first else (second.name, first.name)
    if not knows(key):
        key = "gate.function" if primitive.shape is None else "gate.structure"
    return say(lang, key, **values)


def _exact(value: Any) -> str:
    return "" if value is None or np.ndim(value) else repr(value.item() if hasattr(value, "item") else value)


def _json(value: Any) -> str:
    """Return a value as JavaScript that can't end the script it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def html(made: Page) -> str:
    """Write a page as HTML, complete in itself."""
    return render_template("page.html.j2", page=made, style=picture.STYLE, escape=escape, prose=lambda text: _prose(escape(text), "<code>", "</code>"))


def markdown(made: Page, image: str) -> str:
    """
    Write a page as Markdown.

    Args:
        made: The page.
        image: Where its picture is, as a link.
    """
    return render_template("page.md.j2", page=made, image=image)


def latex(made: Page) -> str:
    """Write a page as LaTeX, with the picture in TikZ."""
    prose = lambda text: _prose(formula.escaped(text), r"\texttt{", "}")  # noqa: E731  one for each format
    return render_template("page.tex.j2", page=made, tikz=picture.tikz(made.circuit), escape=formula.escaped, prose=prose)


def _prose(text: str, before: str, after: str) -> str:
    """Set what stands between backquotes as code."""
    return re.sub(r"`([^`]*)`", lambda found: f"{before}{found[1]}{after}", text)
