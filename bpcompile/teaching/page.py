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
from bpcompile.messages import knows, say
from bpcompile.teaching import circuit, formula, javascript, picture
from bpcompile.teaching.formula import Formula
from bpcompile.teaching.worked import Contribution, Gate, Stage, Statement, Wire, Worked, digits, spread

#: Programs with more gates than this are not written as one formula.
_ONE_FORMULA: Final = 14


@dataclass(slots=True)
class Number:
    """A number on the page: rounded text, and the key under which a browser computes it again."""

    text: str
    kind: str
    bind: str = ""
    exact: str = ""


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
    blank: str = ""

    @property
    def stop(self) -> str:
        """What ends a sentence."""
        return "。" if self.lang == "zh" else "."

    def say(self, key: str, **values: object) -> str:
        """Return a text of the page."""
        return say(self.lang, f"page.{key}", **values)


def page(worked: Worked, *, lang: str = "en", collapse: bool = False, blank: str = "") -> Page:
    """
    Make a page.

    Args:
        worked: The program at a point.
        lang: Its language.
        collapse: One gate a stage in the picture.
        blank: `gradients`, `values` or `code` leaves those open, as on a worksheet.
    """
    return _Maker(worked, lang, blank).page(collapse=collapse)


class _Maker:
    def __init__(self, worked: Worked, lang: str, blank: str) -> None:
        self.worked = worked
        self.lang = lang
        self.blank = blank
        self.index = {wire: i for i, wire in enumerate(worked.wires)}
        self.place = {id(c): i for i, c in enumerate(c for g in worked.gates for c in g.contributions)}
        self.stage_of = {g: s for s in worked.stages for g in s.gates}
        self.joined: set[Wire] = set()

    def page(self, *, collapse: bool) -> Page:
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
            title=say(self.lang, "page.title", name=worked.name),
            whole=self._whole(),
            inputs=[self._input(w, editable=bool(script)) for w in worked.inputs if w in self.index or w.gradient is not None],
            svg=picture.svg(drawing),
            circuit=drawing,
            stages=forward,
            backward=backward,
            checks=[self._check(i) for i in range(len(worked.differences))],
            code=self._code(),
            certificate=[] if certificate is None else certificate.lines(),
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
        hidden = self.blank == "values" and wire.maker is not None
        return Number(_shown(wire.value, hidden=hidden), "value", f"v{self.index[wire]}" if wire in self.index else "", _exact(wire.value))

    def _gradient(self, wire: Wire) -> Number:
        hidden = self.blank == "gradients" and not (wire.is_output and not wire.readers)
        return Number(_shown(wire.gradient, hidden=hidden), "gradient", f"g{self.index[wire]}" if wire in self.index else "", _exact(wire.gradient))

    def _input(self, wire: Wire, *, editable: bool) -> InputField:
        gradient = None if wire.gradient is None else self._gradient(wire)
        shape = show_shape(wire.var.shape) if wire.is_array else ""
        number = Number(repr(wire.value) if not wire.is_array else spread(wire.value), "value", f"v{self.index.get(wire, '')}", _exact(wire.value))
        return InputField(wire.name, wire.symbol, number, gradient, shape, editable)

    def _stage(self, stage: Stage) -> StageStep:
        gates = [self._gate(gate) for gate in reversed(stage.gates) if gate.contributions]
        shape = show_shape(stage.out.var.shape) if stage.out.is_array else ""
        return StageStep(stage.out.name, stage.number, stage.out.symbol, stage.formula, stage.forward, self._value(stage.out), shape, stage.backward, gates)

    def _gate(self, gate: Gate) -> GateStep:
        sentences = [sentence(gate, self.lang)]
        for part in gate.contributions:
            wire, wide = part.wire, gate.out.var.shape
            if gate.primitive.shape is None and wire.var.shape != wide:
                values = {"wire": wire.name, "narrow": show_shape(wire.var.shape), "wide": show_shape(wide)}
                sentences.append(say(self.lang, "gate.broadcast", **values))
        return GateStep(gate.label, formula.row(gate.out.symbol, "=", gate.formula), sentences, [self._step(gate, c) for c in gate.contributions])

    def _step(self, gate: Gate, part: Contribution) -> Step:
        hidden = self.blank == "gradients"
        i = self.place[id(part)]
        slope = product = None
        if part.local_value is not None:
            slope = Number(_shown(part.local_value, hidden=False), "local", f"l{i}", repr(part.local_value))
            product = Number(_shown(part.product, hidden=hidden), "gradient", f"p{i}", repr(part.product))
        shapes = f"{show_shape(part.wire.var.shape)} ← {show_shape(gate.out.var.shape)}"
        symbol = part.wire.symbol
        return Step(part.wire.name, symbol, formula.partial(gate.out.symbol, symbol), part.local, slope, self._gradient(gate.out), product, shapes)

    def _join(self, backward: Sequence[StageStep]) -> None:
        """Say where the gradients of a variable add up: at the stage that contributes last."""
        last: dict[Wire, StageStep] = {}
        by_key = {step.key: step for step in backward}
        count: dict[Wire, list[str]] = {}
        for stage in reversed(self.worked.stages):
            for gate in reversed(stage.gates):
                for part in gate.contributions:
                    last[part.wire] = by_key[stage.out.name]
                    count.setdefault(part.wire, []).append("" if part.product is None else _shown(part.product, hidden=self.blank == "gradients"))
        for wire, step in last.items():
            parts = count[wire]
            if len(parts) > 1:
                step.joins.append(say(self.lang, "gate.joins", wire=wire.name, count=len(parts)))

    def _check(self, i: int) -> CheckRow:
        difference = self.worked.differences[i]
        hidden = self.blank == "gradients"
        at = f"{self.index.get(difference.wire, '')}"
        measured = Number(_shown(difference.measured, hidden=hidden), "measured", f"d{at}", repr(difference.measured))
        computed = Number(_shown(difference.computed, hidden=hidden), "gradient", "" if self.worked.has_arrays else f"g{at}", repr(difference.computed))
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
            shown = text
            if self.blank == "code" and i in backward and not text.startswith("#"):
                code, mark, comment = text.partition("  #")
                left = code.partition("=")[0].rstrip(" +-")
                shown = f"{left} ____________________________{mark and '  #'}{comment.lstrip() and ' ' + comment.strip()}"
            found.append((i, shown, owner.get(i, "")))
        return found


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


def _shown(value: Any, *, hidden: bool) -> str:
    return "______" if hidden else circuit.shown(value)


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
