"""
Turn a program with adjoints into source text: names, inlining of single-use temporaries, statements.

A value gets a statement of its own if it is a stage (the user named it, or a person would), if more than one place reads
it, or if the line would get too long; all others stand where they are used. Statements of the backward pass are grouped under
the stage that they undo. The text around them comes from a template, which knows nothing of operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bpcompile import dims
from bpcompile.dims import show as show_dim
from bpcompile.forms import Form, Prec
from bpcompile.ir import Atom, Dim, Eqn, Lit, Logic, Output, Param, Program, Shape, Tree, Var, leaves, show_shape
from bpcompile.messages import say, translate
from bpcompile.naming import Names
from bpcompile.ops.array import assumed
from bpcompile.printer import Text, show
from bpcompile.targets import TARGETS, import_lines

_WIDTH: Final = 88
#: A comment further right than this is not aligned with its neighbours.
_FAR: Final = 56
#: From this many adjoints on, those of nameless temporaries share names.
_MANY: Final = 50
#: What gives an array even of floats: `np.where`, `np.full_like`, SciPy's `polygamma`.
_BOXING: Final = frozenset({"select", "fill_like", "polygamma"})
_IDENTIFIER: Final = re.compile(r"[^\W\d]\w*")


#: Operations whose result has a type of its own, not that of an operand.
_OWN_TYPE: Final = frozenset({"eye", "full", "zeros"})


@dataclass(slots=True)
class Emitted:
    """
    The emitted text and how to call it.

    Layout `function` defines `value(*params)` and `value_and_grad(*params, df=1.0, ...)`, which returns
    `(f, (dx, dy))`; with several outputs `((f, g), (dx, dy))` and one upstream parameter an output.
    Layout `split` defines `forward(*params) -> (f, cache)` and `backward(df, cache) -> (dx, dy)`.
    Layout `script` assigns example values to the inputs at the top of the module and leaves outputs and gradients in
    module variables (upstream gradients are 1).

    Attributes:
        text: The file.
        layout: `function`, `split` or `script`.
        target: `python` or `numpy`.
        params: The inputs in order (without upstream gradients), with the name each has in the text.
        outputs: Name of each output in the text.
        seeds: Name of the upstream gradient of each output; empty in layout `script`.
        gradients: The inputs whose gradient is returned, in order, with the name of the gradient.
        forward: The statements of the forward pass, in order.
        backward: The statements of the backward pass, in order, and the comment lines that name what a block undoes.
        names: How each value with a name is read (`num`, `w[0]`).
        adjoints: How the gradient of a value is read, where it has a name (`dnum`, `dw[0]`).
        numbers: The number of each stage.
    """

    text: str
    layout: str
    target: str
    params: list[tuple[Param, str]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)
    gradients: list[tuple[Param, str]] = field(default_factory=list)
    forward: list[Line] = field(default_factory=list)
    backward: list[Line] = field(default_factory=list)
    names: dict[Var, str] = field(default_factory=dict)
    adjoints: dict[Var, str] = field(default_factory=dict)
    numbers: dict[Var, int] = field(default_factory=dict)


@dataclass(slots=True)
class Line:
    """
    A statement, or a comment line where `code` is empty.

    `stage` is the value that a line of the forward pass computes, or that a line of the backward pass undoes.
    """

    code: str
    comment: str = ""
    stage: Var | None = None


class _Body:
    """Statements of one sequence of equations."""

    def __init__(self, emitter: Emitter, eqns: Sequence[Eqn], results: Iterable[Atom]) -> None:
        self.emitter = emitter
        self.names = emitter.names
        self.target = emitter.target
        self.env: dict[Var, Text] = dict(emitter.inputs)
        self.literals: dict[Lit, Text] = {}
        self.lines: list[Line] = []
        self.pending: dict[Var, Eqn] = {}
        self.deferred: dict[Atom, tuple[Eqn, Form]] = {}
        self.risky: set[Var] = set()
        self.consumer: dict[Var, Var] = {}
        self.statement: dict[Var, str] = {}
        self.number: dict[Var, int] = {}
        self.owners: dict[Var, Var | None] = {}
        self.block: Var | None = None
        self.settling = False
        self.at = 0
        #: Names under which other values are read, too.
        self.aliased: set[str] = set()
        #: Values whose text may share memory with another value.
        self.views: set[Atom] = set()
        self.eqns = eqns
        self.results = list(results)
        self.uses: dict[Var, int] = {}
        self.mutated: set[Var] = set()
        self._count()

    def _count(self) -> None:
        uses = self.uses
        for eqn in self.eqns:
            for arg in eqn.args:
                if isinstance(arg, Var):
                    uses[arg] = uses.get(arg, 0) + 1
            if eqn.out.twin is not None and (before := eqn.adds_to()) is not None:
                self.mutated.add(before)
        for atom in self.results:
            if isinstance(atom, Var):
                uses[atom] = uses.get(atom, 0) + 1
                if atom.twin is not None:
                    self.mutated.add(atom)
        if self.target.forms == "math":
            for eqn in self.eqns:
                if eqn.guard and self.is_named(eqn.out):
                    for condition, _ in self.emitter.logic.tests(eqn.guard):
                        uses[condition] = uses.get(condition, 0) + 1

    def is_named(self, var: Var) -> bool:
        """Whether a value has a statement of its own, whatever the length of lines."""
        if var.stage or self.uses.get(var, 0) > 1 or var in self.mutated:
            return True
        return var.twin is not None and self.emitter.keeps_twin(var.twin)

    def text(self, atom: Atom) -> Text:
        """Return how an operand is written at this point."""
        if isinstance(atom, Lit):
            known = self.literals.get(atom)
            if known is None:
                known = self.literals[atom] = Text(*self.target.number(atom.value))
                if known.text.lstrip("-").startswith(self.target.module + "."):
                    self.emitter.modules.add({"np": "numpy"}.get(self.target.module, self.target.module))
            return known
        if atom in self.deferred:
            eqn, form = self.deferred.pop(atom)
            self._write(eqn, form, form.statements, self._name(eqn))
        return self.env[atom]

    def run(self, *, inline_last: Callable[[Var], bool] | None = None) -> None:
        """Make the statements."""
        for at, eqn in enumerate(self.eqns):
            self.at = at
            self._equation(eqn, inline_last)

    def _equation(self, eqn: Eqn, inline_last: Callable[[Var], bool] | None) -> None:
        out = eqn.out
        version = self._previous(eqn) if out.twin is not None else None
        if version is not None:
            if eqn.args[1] in self.deferred and eqn.prim.name == "add":
                self._accumulate(eqn, version)
                return
            added = self.text(eqn.args[1])
            sign = "+=" if eqn.prim.name == "add" else "-="
            self._take(eqn.args[1], out)
            self._assign(eqn, sign, added, version)
            self.env[out] = Text(version)
            return
        if eqn.prim.name == "copy" and self._copy(eqn, inline_last):
            return
        form = self.form(eqn)
        if form.statements:
            self._by_statements(eqn, form)
            return
        text = self._operation(eqn, form)
        if self._is_place(eqn):
            self.env[out] = text
            return
        if form.view and out in self.mutated:
            text = Text(f"{text.within(Prec.ATOM)}.copy()")
        if self.is_named(out) and not (inline_last is not None and inline_last(out)):
            self.define(eqn, text)
        else:
            self.env[out] = text
            self.pending[out] = eqn
            if form.view:
                self.views.add(out)

    def _is_place(self, eqn: Eqn) -> bool:
        """Whether a value is a size or a part of an input, which costs nothing to write wherever it is read."""
        if eqn.out.twin is not None or eqn.out in self.mutated:
            return False
        if not eqn.args:
            return not eqn.out.shape and not eqn.out.name
        return not eqn.out.stage and eqn.prim.name == "getitem" and eqn.args[0] in self.emitter.inputs and all(isinstance(i, int) for i in eqn.params["index"])

    def _previous(self, eqn: Eqn) -> str | None:
        """Return the name of the adjoint that an equation adds to in place, if it does."""
        before = eqn.adds_to()
        if before is None or before in self.emitter.seeds:
            return None
        name = self.env[before].text
        self.names.of[eqn.out] = name
        return name

    def _copy(self, eqn: Eqn, inline_last: Callable[[Var], bool] | None) -> bool:
        """Emit an alias, or nothing where nobody needs the second name."""
        source = self.text(eqn.args[0])
        out = eqn.out
        fresh = source.prec < Prec.ATOM or not _IDENTIFIER.fullmatch(source.text) or isinstance(eqn.args[0], Lit)
        fresh = fresh and eqn.args[0] not in self.views
        if inline_last is not None and inline_last(out):
            self.env[out] = Text(f"{source.text}.copy()") if self.emitter.is_array(out) and not fresh else source
            self.pending[out] = eqn
            return True
        if not self.is_named(out):
            self.env[out] = source
            self.aliased.add(source.text)
            if isinstance(eqn.args[0], Var) and eqn.args[0] in self.pending:
                self.pending[out] = self.pending.pop(eqn.args[0])
                self.pending[out] = self.pending[out].replace(out=out)
            return True
        if out.twin is not None and out not in self.mutated and not self.emitter.keeps_twin(out.twin):
            self.env[out] = source
            self.aliased.add(source.text)
            return True
        if self.emitter.is_array(out) and not fresh and out in self.mutated:
            return False
        self._take(eqn.args[0], out)
        self.define(eqn, source)
        return True

    def form(self, eqn: Eqn) -> Form:
        """Return how an operation is written for the target and in the style at hand."""
        target = "notes" if self.emitter.notes and self.target.forms == "numpy" else self.target.forms
        return eqn.prim.form(target, eqn.params, [a.shape for a in eqn.args])

    def _by_statements(self, eqn: Eqn, form: Form) -> None:
        """Emit what no expression says, now or where its value is added to an adjoint."""
        self.deferred[eqn.out] = eqn, form
        if not (form.accumulate and eqn.out.twin is None and self.uses.get(eqn.out, 0) == 1):
            self.text(eqn.out)

    def _accumulate(self, eqn: Eqn, name: str) -> None:
        added, form = self.deferred.pop(eqn.args[1])
        self._write(added.replace(out=eqn.out), form, form.accumulate, name)

    def _write(self, eqn: Eqn, form: Form, templates: Sequence[str], name: str) -> None:
        """Emit the lines of a form that has no expression."""
        for i in form.atoms:
            self._settle(eqn.args[i])
        texts = [self.text(a) for a in eqn.args]
        for arg in eqn.args:
            self._take(arg, eqn.out)
        self.emitter.modules.update(form.imports)
        fresh = {word: self.names.unique(word) for word in form.fresh}
        parts = [t.within(p) for t, p in zip(texts, _spread(form.operands, len(texts)), strict=True)]
        for template in templates:
            code = template.format(*parts, out=name, **fresh)
            self.place(eqn, Line(code, self.emitter.said(eqn.note)))
            self.statement.setdefault(eqn.out, code)
        self.env[eqn.out] = Text(name)

    def _operation(self, eqn: Eqn, form: Form) -> Text:
        for i in form.atoms:
            if self.text(eqn.args[i]).prec < Prec.ATOM or not _IDENTIFIER.match(self.text(eqn.args[i]).text):
                self._settle(eqn.args[i])
        operands = [self.text(a) for a in eqn.args]
        width = 0
        for operand in operands:
            width += len(operand.text)
        if width > _WIDTH - 10:
            # Longest first, until the rest fits.
            order = sorted(range(len(operands)), key=lambda i: (-len(operands[i].text), i))
            for i in order:
                if sum(len(o.text) for o in operands) <= _WIDTH - 10:
                    break
                if len(operands[i].text) > 20:
                    self._settle(eqn.args[i])
                    operands = [self.text(a) for a in eqn.args]
        if self.pending:
            for arg in eqn.args:
                self._take(arg, eqn.out)
        if eqn.can_fail():
            self.risky.add(eqn.out)
        if form.imports:
            self.emitter.modules.update(form.imports)
        return show(eqn.prim.name, form, operands, notes=self.emitter.notes)

    def _take(self, atom: Atom, into: Var) -> None:
        """Record that a value without a statement is part of another."""
        if isinstance(atom, Var) and self.pending.pop(atom, None) is not None:
            self.consumer[atom] = into
            if atom in self.risky:
                self.risky.add(into)

    def _settle(self, atom: Atom) -> None:
        """Give a value that waited to be inlined a statement after all."""
        if isinstance(atom, Var) and atom in self.pending:
            self.settling = True
            self.define(self.pending.pop(atom), self.env[atom])
            self.settling = False

    def define(self, eqn: Eqn, text: Text) -> None:
        """Emit `name = text`."""
        name = self._name(eqn)
        self._assign(eqn, "=", text, name)
        self.env[eqn.out] = Text(name)

    def _name(self, eqn: Eqn) -> str:
        return self.names.name(eqn.out) if eqn.out.twin is None else self.emitter.adjoint_name(eqn.out)

    def _assign(self, eqn: Eqn, sign: str, text: Text, name: str) -> None:
        code = text.text
        if eqn.guard and self.target.forms == "math" and eqn.out in self.risky:
            conditions = [self._condition(c, taken) for c, taken in self.emitter.logic.tests(eqn.guard)]
            code = f"{text.within(Prec.OR)} if {' and '.join(conditions)} else 0.0"
        self.place(eqn, Line(f"{name} {sign} {code}", _joined(self.emitter.said(eqn.note), self.emitter.shape_note(eqn))))
        if sign == "=":
            self.statement[eqn.out] = f"{name} = {code}"

    def _condition(self, condition: Var, taken: bool) -> str:  # noqa: FBT001  a pair of a guard
        self._settle(condition)
        text = self.text(condition)
        return text.within(Prec.AND) if taken else f"not {text.within(Prec.NOT)}"

    def place(self, eqn: Eqn, line: Line) -> None:
        """Append a statement."""
        line.stage = eqn.out
        self.lines.append(line)

    def owner(self, origin: Var | None) -> Var | None:
        """Return the stage in whose statement a value of the user's program was computed."""
        chain: list[Var] = []
        at = origin
        while at is not None and at not in self.owners and at not in self.statement:
            chain.append(at)
            at = self.consumer[at] if at in self.consumer else self.emitter.reader.get(at)
        found = None if at is None else at if at in self.statement else self.owners[at]
        for var in chain:
            self.owners[var] = found
        return found


@dataclass(slots=True)
class _Slot:
    """A name that adjoints of temporaries take one after another, and the last equation that reads it."""

    name: str
    until: int = -1


class _Backward(_Body):
    """Statements of the backward pass, in blocks that name what they undo."""

    def __init__(self, emitter: Emitter, forward: _Body, eqns: Sequence[Eqn], results: Iterable[Atom]) -> None:
        self.forward = forward
        super().__init__(emitter, eqns, results)
        self.env = dict(forward.env)
        #: The equation that reads an adjoint last, by its primal value.
        self.last: dict[Var, int] = {}
        for i, eqn in enumerate(eqns):
            for arg in eqn.args:
                if isinstance(arg, Var) and arg.twin is not None:
                    self.last[arg.twin] = i
        self.slots: dict[str, list[_Slot]] = {}

    def _name(self, eqn: Eqn) -> str:
        twin = eqn.out.twin
        if twin is None or twin in self.emitter.twin_names or twin not in self.last or len(self.last) < _MANY:
            return super()._name(eqn)
        word = self.names.numbered.get(self.names.of.get(twin, ""))
        if word is None or twin.stage or twin in self.emitter.program.gradients:
            return super()._name(eqn)
        # `dprod` of one product after another: their lives do not overlap, a number says nothing, and fifty live floats cost time.
        slots = self.slots.setdefault(word, [])
        free = next((s for s in slots if s.until <= self.at and not self._is_read(s.name)), None)
        if free is None:
            free = _Slot(self.names.gradient(word))
            slots.append(free)
        free.until = self.last[twin]
        self.emitter.twin_names[twin] = self.names.of[eqn.out] = free.name
        return free.name

    def _is_read(self, name: str) -> bool:
        """Whether a name has a second reader, or stands in the text of a value that has no statement yet."""
        return name in self.aliased or any(name in _IDENTIFIER.findall(self.env[var].text) for var in self.pending)

    def enter(self, owner: Var | None) -> None:
        """Begin the block of a stage, unless it is the block at hand."""
        if owner is not None and owner is not self.block:
            self.lines.append(Line("", say(self.emitter.lang, "code.backprop", stage=self.forward.statement[owner]), owner))
            self.block = owner

    def place(self, eqn: Eqn, line: Line) -> None:
        if not self.settling or self.block is None:  # a part of the line at hand, whatever it was computed for
            self.enter(self.forward.owner(eqn.origin))
        number = self.forward.number.get(self.block) if self.block is not None else None
        line.comment = _joined(f"({number})" if number else "", line.comment)
        line.stage = self.block
        self.lines.append(line)


def _joined(*parts: str) -> str:
    return " ".join(p for p in parts if p)


class Emitter:
    """
    Emits one program.

    Args:
        program: After the reverse pass and the passes.
        forward: The same program without its backward pass, for `value`.
        target: `python` or `numpy`.
        layout: `function`, `split` or `script`.
        style: `code` or `notes`.
        written: The program before gates were spelled out for the target: what values are named after.
        lang: The language of comments.
    """

    def __init__(self, program: Program, forward: Program, *, written: Program, target: str, layout: str, style: str, lang: str = "en") -> None:
        self.lang = lang
        self.program = program
        self.forward = forward
        self.target = TARGETS[target]
        self.layout = layout
        self.notes = style == "notes"
        self.modules: set[str] = set()
        self.logic = Logic(program.eqns)
        self.boxed = self._boxed() if target == "numpy" and layout == "script" else set()
        self.names = Names(program, written, reserved=_size_names(program))
        # Where a pass has merged a line's temporaries, the user's program still says which line they belonged to.
        self.reader: dict[Var, Var] = {}
        for eqn in written.eqns:
            if eqn.origin is None:
                for arg in eqn.args:
                    if isinstance(arg, Var):
                        self.reader.setdefault(arg, eqn.out)
        self.inputs: dict[Var, Text] = {}
        self.seeds: set[Var] = set()
        self.seed_names: list[str] = []
        self.gradient_names: list[tuple[Param, str]] = []
        self.twin_names: dict[Var, str] = {}
        self._twins: dict[Var, bool] = {}
        self._sizes: dict[str, int] | None = None
        #: Checks of sizes such as 4*H, after the lines that read H.
        self.composite: list[Line] = []
        self._named: set[Var] = set()
        self.params = [p for p in program.params if p.seed is None]
        self._name_inputs()

    # -- names of inputs and adjoints ----------------------------------------------------------------------------------

    def _name_inputs(self) -> None:
        unpack = self.layout != "script" and not self.notes
        for param, name in zip(self.params, self.names.params, strict=True):
            if isinstance(param.tree, Var):
                self.inputs[param.tree] = Text(name)
                self.names.of[param.tree] = name
                continue
            for var, path in _paths(param.tree):
                text = self.names.unique(name + "_".join(map(str, path))) if unpack else name + "".join(f"[{i}]" for i in path)
                self.inputs[var] = Text(text)
                self.names.of[var] = text if unpack else name + "_".join(map(str, path))
        self.output_names = [self._output_name(o) for o in self.program.outputs]
        for output_name, seed in zip(self.output_names, self.program.seeds, strict=True):
            if isinstance(seed, Var) and any(p.tree is seed for p in self.program.params):
                text = self.names.gradient(output_name)
                self.inputs[seed] = Text(text)
                self.names.of[seed] = text
                self.seeds.add(seed)
                self.seed_names.append(text)
        for param, name in zip(self.params, self.names.params, strict=True):
            if any(v in self.program.gradients for v in param.leaves()):
                gradient = self.names.gradient(name)
                self.gradient_names.append((param, gradient))
                if isinstance(param.tree, Var):
                    self.twin_names[param.tree] = gradient

    def _output_name(self, output: Output) -> str:
        atom = output.atom
        if isinstance(atom, Var) and atom not in self.inputs and atom in self.names.of:
            return self.names.of[atom]
        return self.names.unique(output.name if output.name.isidentifier() else "f")

    def adjoint_name(self, var: Var) -> str:
        """Return the name that all versions of an adjoint share."""
        twin = var.twin
        assert twin is not None
        if twin not in self.twin_names:
            base = self.names.of.get(twin)
            if base is None:
                base = self.names.stem(twin) or self.names._fallback(twin)  # noqa: SLF001  the fallback is part of naming
            self.twin_names[twin] = self.names.gradient(base)
        self.names.of[var] = self.twin_names[twin]
        return self.twin_names[twin]

    def is_array(self, var: Var) -> bool:
        """Whether a value may be an array, which a second name would share."""
        return self.target.forms == "numpy" and (self.layout != "script" or bool(var.shape) or var in self.boxed)

    def _boxed(self) -> set[Var]:
        """Return the values that are arrays of no axes, not floats, though all inputs are floats."""
        found: set[Var] = set()
        for eqn in self.program.eqns:
            first = eqn.args[0] if eqn.args else None
            if eqn.prim.name in _BOXING or ((eqn.prim.name == "copy" or eqn.adds_to() is not None) and first in found):
                found.add(eqn.out)
        return found

    def said(self, note: str) -> str:
        """Return a note of an equation in the language of the comments."""
        return translate(self.lang, note)

    def keeps_twin(self, twin: Var) -> bool:
        """Whether the adjoint of a value has a statement of its own even if only one place reads it."""
        return twin in self.program.gradients or twin.stage

    # -- statements ----------------------------------------------------------------------------------------------------

    def statements(self) -> None:
        """Make the statements of the whole file."""
        program = self.program
        split = next((i for i, eqn in enumerate(program.eqns) if eqn.origin is not None), len(program.eqns))
        outputs = [o.atom for o in program.outputs]
        gradients = [a for p in self.params for v in p.leaves() if (a := program.gradients.get(v)) is not None]
        self.body = _Body(self, program.eqns[:split], outputs)
        for eqn in program.eqns[split:]:  # what the backward pass reads must have a name
            for arg in eqn.args:
                if isinstance(arg, Var):
                    self.body.uses[arg] = self.body.uses.get(arg, 0) + 1
        self.body.run()
        self._number()
        self.backward = _Backward(self, self.body, program.eqns[split:], gradients)
        last = program.eqns[-1].origin if len(program.eqns) > split else None
        last_owner = self.body.owner(last)
        lists = {a for p in self.params if not isinstance(p.tree, Var) for v in p.leaves() if isinstance(a := program.gradients.get(v), Var)}
        versions = {eqn.out for eqn in program.eqns[split:] if eqn.adds_to() is not None}
        origin = {eqn.out: eqn.origin for eqn in program.eqns[split:]}

        def inline_last(var: Var) -> bool:
            if var not in lists or var in versions or self.backward.uses.get(var, 0) > 1:
                return False
            return var not in self._added_to and self.body.owner(origin[var]) is last_owner

        self._added_to = {eqn.adds_to() for eqn in program.eqns[split:]}
        self.backward.run(inline_last=inline_last)
        if any(v in lists and inline_last(v) for v in origin):
            self.backward.enter(last_owner)
        self._pack()

    def _number(self) -> None:
        """Number the statements of the forward pass that the backward pass undoes."""
        body = self.body
        undone = {body.owner(eqn.origin) for eqn in self.program.eqns if eqn.origin is not None}
        count = 0
        by_code = {line.code: line for line in body.lines}
        for var, code in body.statement.items():
            if var in undone:
                count += 1
                body.number[var] = count
                line = by_code[code]
                line.comment = _joined(f"({count})", line.comment)

    def _pack(self) -> None:
        """Put the gradients of list elements together, and write those that nothing contributed to."""
        body = self.backward
        number = body.forward.number.get(body.block) if body.block is not None else None
        comment = f"({number})" if number else ""
        for param, name in self.gradient_names:
            if isinstance(param.tree, Var):
                gradient = self.program.gradients[param.tree]
                if isinstance(gradient, Lit):
                    body.lines.append(
                        Line(
                            f"{name} = {self._constant(gradient, param.tree)}",
                            say(self.lang, "code.no-gradient", name=self.inputs[param.tree].text) if gradient.value == 0 else "",
                        )
                    )
                elif body.env[gradient].text != name:
                    source = body.env[gradient].text
                    body.lines.append(Line(f"{name} = {source + '.copy()' if self.is_array(gradient) else source}", comment, body.block))
                if self._may_widen() and not isinstance(gradient, Lit) and self.is_array(param.tree):
                    own = self.inputs[param.tree].text
                    body.lines.append(Line(f"{name} = {name}.astype({own}.dtype, copy=False)", comment, body.block))
                continue
            line = f"{name} = {self._list(param.tree)}"
            body.lines.append(Line(line, comment, body.block))

    def _may_widen(self) -> bool:
        """Whether the program makes arrays of float64 or of integers itself, which float32 would be promoted by."""
        made = any(eqn.prim.name in _OWN_TYPE for eqn in self.program.eqns)
        read = {a for eqn in self.program.eqns for a in eqn.args if isinstance(a, Var) and a.dtype == "int" and eqn.out.dtype == "float"}
        return self.layout != "script" and (made or any(not self._only_points(a) for a in read))

    def _only_points(self, var: Var) -> bool:
        """Whether whole numbers serve as positions only."""
        return all(eqn.prim.name in {"gather", "scatter_add"} for eqn in self.program.eqns if var in eqn.args)

    def _list(self, tree: Tree) -> str:
        if isinstance(tree, Var):
            gradient = self.program.gradients[tree]
            return self._constant(gradient, tree) if isinstance(gradient, Lit) else self.backward.env[gradient].text
        return f"[{', '.join(self._list(t) for t in tree)}]"

    def _constant(self, literal: Lit, var: Var) -> str:
        if self.target.forms == "numpy" and self.layout != "script":
            self.modules.add("numpy")
            name = self.inputs[var].text
            return f"np.zeros_like({name})" if literal.value == 0 else f"np.full_like({name}, {literal.value!r})"
        return repr(float(literal.value))

    def shape_note(self, eqn: Eqn) -> str:
        """Return the shape reasoning of a line of the backward pass, in lecture style: `(5, 10) = (5, 3) . (3, 10)`."""
        if not self.notes or eqn.origin is None or not any(a.shape for a in (eqn.out, *eqn.args)):
            return ""
        if eqn.adds_to() is not None:
            return show_shape(eqn.out.shape)
        spec = eqn.params.get("spec")
        if spec and len(eqn.args) == 2:
            left, right = _in_order(spec, eqn.args[0].shape, eqn.args[1].shape)
            return f"{show_shape(eqn.out.shape)} = {show_shape(left)} . {show_shape(right)}"
        if eqn.prim.name in {"sum", "mean"}:
            return f"{show_shape(eqn.args[0].shape)} -> {show_shape(eqn.out.shape)}"
        return show_shape(eqn.out.shape)

    # -- the file ------------------------------------------------------------------------------------------------------

    def context(self) -> dict[str, Any]:
        """Return what the template is rendered with: finished lines, and names."""
        self.statements()
        value = _Body(self, self.forward.eqns, [o.atom for o in self.forward.outputs])
        value.run()
        numpy = self.target.forms == "numpy"
        outputs = [value.text(o.atom).text if isinstance(o.atom, Lit) else self.body.text(o.atom).text for o in self.program.outputs]
        same = ".copy()" if self.target.forms == "numpy" and self.layout != "script" else ""
        constants = [
            Line(f"{name} = {text}{same if isinstance(output.atom, Var) else ''}")
            for name, text, output in zip(self.output_names, outputs, self.program.outputs, strict=True)
            if name != text
        ]
        params = list(self.names.params)
        seeds = list(self.seed_names)
        wrapped = numpy and self.layout != "script"
        seed_entry: list[Line] = []
        if wrapped:
            self.modules.add("numpy")
            read = {word for line in self.backward.lines for word in _IDENTIFIER.findall(line.code)}
            seed_entry = [
                Line(f"{seed} = np.broadcast_to(np.asarray({seed}, dtype={output}.dtype), {output}.shape)")
                for seed, output in zip(seeds, self.output_names, strict=True)
                if seed in read
            ]
        unpack = [Line(self._unpack(p, n)) for p, n in zip(self.params, params, strict=True) if not isinstance(p.tree, Var)]
        if self.layout == "script" or self.notes:
            unpack = []
        results = _tuple(self.output_names) if len(self.output_names) > 1 else self.output_names[0]
        gradients = [name for _, name in self.gradient_names]
        cache = self._cached(params) if self.layout == "split" else []
        backward = self.backward.lines
        entry = [*(self._entry_lines() if wrapped else []), *unpack]
        bounds = self._bound_lines() if wrapped else []
        return {
            "layout": self.layout,
            "target": self.target.name,
            "imports": import_lines(self.modules),
            "params": params,
            "seeds": seeds,
            "outputs": self.output_names,
            "result": results,
            "gradients": _tuple(gradients),
            "gradient_names": gradients,
            "array_entry": wrapped,
            "seed_params": [f"{seed}=1.0" for seed in seeds],
            "shaped": self._has_axes(),
            "entry": layout([*entry, *self._size_lines([*self.composite, *self.body.lines, *backward, *bounds]), *self.composite, *bounds]),
            "sizes": layout(self._size_lines([*self.body.lines, *backward])),
            "value_entry": layout([*entry, *self._size_lines([*self.composite, *value.lines, *bounds]), *self.composite, *bounds]),
            "value_lines": layout(value.lines + constants),
            "forward_lines": layout(self.body.lines + constants),
            "seed_lines": layout(seed_entry),
            "backward_lines": layout(backward),
            "cache": _tuple(cache),
            "examples": [
                f"{name} = {self._drawn(param, i) or _example(param, floats=numpy and all(v.dtype == 'float' for v in param.leaves()))}"
                for i, (param, name) in enumerate(zip(self.params, params, strict=True))
            ],
        }

    def _drawn(self, param: Param, seed: int) -> str:
        """Return an example of an array that has none: random numbers, the same on every run; sizes that have no number get one."""
        if param.example is not None or not isinstance(param.tree, Var) or not param.tree.shape:
            return ""
        shape = show_shape(tuple(dims.substitute(dim, self._example_sizes()) for dim in param.tree.shape))
        generator = f"np.random.default_rng({seed + 1})"
        if param.tree.dtype != "float":
            return f"{generator}.integers(0, 2, {shape})"
        # A logarithm or a root wants positive numbers.
        anywhere = all(not eqn.prim.domain for eqn in self.forward.eqns)
        return f"{generator}.standard_normal({shape})" if anywhere else f"{generator}.uniform(0.5, 1.5, {shape})"

    def _example_sizes(self) -> dict[str, int]:
        """Return numbers for the names of sizes with which every operation works."""
        if self._sizes is None:
            from bpcompile.array_oracle import choose_sizes  # noqa: PLC0415  brings mpmath, and only pages draw arrays
            from bpcompile.oracle import Unsupported  # noqa: PLC0415

            try:
                self._sizes = choose_sizes(self.forward)
            except Unsupported:
                names = dict.fromkeys(name for _, var in self._arrays() for dim in var.shape for name in dims.names(dim))
                self._sizes = {name: len(names) + 1 - i for i, name in enumerate(names)}
        return self._sizes

    def _arrays(self) -> list[tuple[str, Var]]:
        return [(n, p.tree) for p, n in zip(self.params, self.names.params, strict=True) if isinstance(p.tree, Var)]

    def _entry_lines(self) -> list[Line]:
        """Return the lines that make arrays of the arguments and compare their sizes."""
        arrays = self._arrays()
        shaped = self._has_axes()
        lines = []
        for name, var in arrays:
            function = "_array" if var.dtype == "float" else "_integers"
            sizes = f', "{_sizes(var.shape)}"' if shaped else ""
            lines.append(Line(f'{name} = {function}("{name}", {name}{sizes})'))
        lists = [(n, p.tree) for p, n in zip(self.params, self.names.params, strict=True) if not isinstance(p.tree, Var)]
        for name, tree in lists:
            convert = f'_array("{name}", %s, "")' if shaped else f'_array("{name}", %s)'
            lines.append(Line(f"{name} = {_each(tree, name, convert)}"))
        if not shaped and len(arrays) + sum(1 for _, tree in lists for _ in leaves(tree)) > 1:
            named = [f"{n}={n}" for n, _ in arrays] + [f"{n}{_path(path, '_')}={n}{_path(path)}" for n, tree in lists for _, path in _paths(tree)]
            lines.append(Line(f"_same_shape({', '.join(named)})"))
        places: dict[Dim, list[tuple[str, int]]] = {}
        for name, var in arrays:
            for axis, dim in enumerate(var.shape):
                places.setdefault(dim, []).append((name, axis))
        axes = [(name, axis) for name, var in arrays for axis in range(len(var.shape))]
        solved = dims.solve([dim for _, var in arrays for dim in var.shape])
        read_from = {axes[at] for at, factor, _ in solved.values() if factor == 1}
        for dim, where in places.items():
            sizes = ", ".join(f"{name}.shape[{axis}]" for name, axis in where)
            read = any(at in read_from for at in where)  # a size that a name was found from agrees with it
            if isinstance(dim, str) or read:
                if len(where) > 1:
                    lines.append(Line(f'_same_size("{dim}", {sizes})'))
            elif not isinstance(dim, int) and all(name in solved for name in dims.names(dim)):
                self.composite.append(Line(f'_same_size("{dim}", {dim}, {sizes})'))
        return lines

    def _has_axes(self) -> bool:
        """Whether sizes matter: an input has them, or an array is made of numbers, which can't be arrays themselves then."""
        return any(var.shape for _, var in self._arrays()) or any(eqn.out.shape for eqn in self.program.eqns)

    def _bound_lines(self) -> list[Line]:
        """Return the lines that check sizes against the bounds of slices, which are taken to lie inside."""
        found: dict[tuple[Dim, Dim], None] = {}
        for eqn in self.program.eqns:
            index = eqn.params.get("index")
            if index is not None:
                found.update(dict.fromkeys(assumed(eqn.args[0].shape, index)))
        largest: dict[Dim, int] = {}
        for size, least in found:
            if isinstance(least, int):
                largest[size] = max(least, largest.get(size, least))
        kept = [(s, m) for s, m in found if not isinstance(m, int) or m == largest[s]]
        return [Line(f'_at_least("{show_dim(size)}", {show_dim(size)}, {show_dim(least)})') for size, least in kept]

    def _size_lines(self, lines: Sequence[Line]) -> list[Line]:
        """Return the lines that read the sizes which other lines use by name."""
        used = {word for line in lines for word in _IDENTIFIER.findall(line.code)}
        axes = [(dim, f"{name}.shape[{axis}]") for name, var in self._arrays() for axis, dim in enumerate(var.shape)]
        solved = dims.solve([dim for dim, _ in axes])
        for name, (_, _, rest) in reversed(solved.items()):  # what is needed to find another size comes before it
            if name in used:
                used.update(dims.names(rest))
        return [Line(f"{name} = {_solution(axes[at][1], factor, rest)}") for name, (at, factor, rest) in solved.items() if name in used]

    def _unpack(self, param: Param, name: str) -> str:
        def show_tree(tree: Tree) -> str:
            if isinstance(tree, Var):
                return self.inputs[tree].text
            return f"({', '.join(show_tree(t) for t in tree)}{',' if len(tree) == 1 else ''})"

        text = show_tree(param.tree)
        top = param.tree
        return f"{text[1:-1] if not isinstance(top, Var) and len(top) > 1 else text} = {name}"

    def _cached(self, params: list[str]) -> list[str]:
        used = {word for line in self.backward.lines for word in _IDENTIFIER.findall(line.code)}
        if self.target.forms == "numpy":
            used.update(self.output_names)
        inputs = [t.text for v, t in self.inputs.items() if v not in self.seeds and "[" not in t.text]
        computed = [*(line.code.partition(" ")[0] for line in self._size_lines(self.backward.lines))]
        computed += [self.body.env[var].text for var in self.body.statement]
        computed += self.output_names
        return [n for n in dict.fromkeys([*params, *inputs, *computed]) if n in used]

    def emitted(self, text: str) -> Emitted:
        """Return the text with the names that a caller needs."""
        return Emitted(
            text,
            self.layout,
            self.target.name,
            params=list(zip(self.params, self.names.params, strict=True)),
            outputs=list(self.output_names),
            seeds=list(self.seed_names),
            gradients=list(self.gradient_names),
            forward=list(self.body.lines),
            backward=list(self.backward.lines),
            names={**{v: t.text for v, t in self.inputs.items()}, **{v: self.body.env[v].text for v in self.body.statement}},
            adjoints=self._adjoints(),
            numbers=dict(self.body.number),
        )

    def _adjoints(self) -> dict[Var, str]:
        """Return how the gradient of each value is read once the backward pass is over."""
        found = {twin: name for twin, name in self.twin_names.items() if twin in self.body.statement}
        for param, name in self.gradient_names:
            for var, path in _paths(param.tree):
                found[var] = name + _path(path)
        return found


def _size_names(program: Program) -> list[str]:
    """Return the names of sizes, which are variables of the emitted functions."""
    return [name for v in program.inputs() for dim in v.shape for name in dims.names(dim)]


def _solution(size: str, factor: int, rest: Dim) -> str:
    """
    Return the text of (size - rest) // factor.

    >>> _solution("x.shape[0]", 1, dims.subtract("K", 1))
    'x.shape[0] - K + 1'
    """
    text = size
    for term in dims.terms(rest):
        text += f" + {term[1:]}" if term.startswith("-") else f" - {term}"
    return text if factor == 1 else f"({text}) // {factor}" if text != size else f"{text} // {factor}"


def _sizes(shape: Shape) -> str:
    """
    Return the sizes of axes as in an annotation.

    >>> _sizes(("N", 3))
    'N 3'
    """
    return " ".join(str(dim).replace(" ", "") for dim in shape)


def _in_order(spec: str, left: Shape, right: Shape) -> tuple[Shape, Shape]:
    """
    Return the shapes of two factors as a product reads: what is summed over stands in the middle.

    >>> _in_order("ik,jk->ij", (5, 3), (10, 3))
    ((5, 3), (3, 10))
    """
    inputs, _, output = spec.partition("->")
    a, b = inputs.split(",")
    summed = [i for i in a if i in b and i not in output]
    size = {**dict(zip(a, left, strict=True)), **dict(zip(b, right, strict=True))}
    first = [i for i in a if i not in summed] + summed
    second = summed + [i for i in b if i not in summed]
    return tuple(size[i] for i in first), tuple(size[i] for i in second)


def _spread(operands: Sequence[Prec], count: int) -> list[Prec]:
    """Return the precedence of each of `count` operands: the last one given repeats."""
    return [operands[min(i, len(operands) - 1)] for i in range(count)]


def layout(lines: Sequence[Line]) -> list[str]:
    """Return the lines as text, comments aligned where that does not push them far to the right."""
    widths = [len(line.code) for line in lines if line.code and line.comment]
    near = [w for w in widths if w <= _FAR]
    column = max(near, default=0)
    result = []
    for line in lines:
        if not line.code:
            result.append(f"# {line.comment}")
        elif line.comment:
            result.append(f"{line.code.ljust(column)}  # {line.comment}")
        else:
            result.append(line.code)
    return result


def _paths(tree: Tree) -> list[tuple[Var, tuple[int, ...]]]:
    stack: list[tuple[Tree, tuple[int, ...]]] = [(tree, ())]
    found = []
    while stack:
        node, path = stack.pop()
        if isinstance(node, Var):
            found.append((node, path))
        else:
            stack.extend((child, (*path, i)) for i, child in reversed(list(enumerate(node))))
    return found


def _path(path: tuple[int, ...], between: str = "") -> str:
    """
    Return subscripts, or the same as a part of a name.

    >>> _path((0, 2)), _path((0, 2), "_")
    ('[0][2]', '0_2')
    """
    return between.join(map(str, path)) if between else "".join(f"[{i}]" for i in path)


def _each(tree: Tree, name: str, template: str) -> str:
    """
    Return an expression that converts every element of a nested list.

    >>> _each((Var(), Var()), "w", "f(%s)")
    '[f(item) for item in w]'
    """
    depth = 0
    while not isinstance(tree, Var) and tree:
        tree, depth = tree[0], depth + 1
    text = template % "item"
    for level in range(depth, 0, -1):
        inner = "item" if level == depth else f"row{level}"
        outer = name if level == 1 else f"row{level - 1}"
        text = f"[{text} for {inner} in {outer}]"
    return text


def _tuple(names: Sequence[str]) -> str:
    """Return the text of a tuple."""
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def _example(param: Param, *, floats: bool) -> str:
    """Return an example value as source text; NumPy's integers have an arithmetic of their own, so there it is a float."""

    def show_value(value: Any) -> str:
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(show_value, value))}]"
        return repr(float(value)) if floats and value is not None else repr(value)

    text = show_value(param.example)
    return f"np.array({text})" if any(v.shape for v in leaves(param.tree)) else text
