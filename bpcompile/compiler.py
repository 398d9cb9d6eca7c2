"""
Compile: read, undo, simplify, emit, check.

>>> compiled = compile_gradient("q = x + y; f = q * z", check="off")
>>> compiled(-2.0, 5.0, -4.0)
(-12.0, (-4.0, -4.0, 3.0))
"""

from __future__ import annotations

import ast
import functools
import gc
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bpcompile.ops  # noqa: F401  fills the table of primitives
from bpcompile.diagnostics import CompileError, Diagnostic, Source, error
from bpcompile.emit import Emitted, Emitter
from bpcompile.hazards import find_hazards
from bpcompile.ir import Param, Program, Shape, Tree, Var
from bpcompile.messages import LANGUAGES, translate
from bpcompile.passes.absorb import absorb
from bpcompile.passes.aliases import forward_aliases
from bpcompile.passes.broadcast import broadcast_late
from bpcompile.passes.choices import keep_type, multiply_inside, spread_constants
from bpcompile.passes.collect import collect
from bpcompile.passes.cse import share
from bpcompile.passes.cut import cut
from bpcompile.passes.dead import eliminate_dead
from bpcompile.passes.expand import expand
from bpcompile.passes.fold import fold
from bpcompile.passes.guards import find_guards, separate_branches
from bpcompile.passes.recognise import recognise
from bpcompile.passes.safe_branches import guard_branches
from bpcompile.passes.schedule import schedule
from bpcompile.passes.shift import shift_exponentials
from bpcompile.passes.signs import drop_impossible_guards
from bpcompile.passes.simplify import simplify
from bpcompile.passes.sums import merge_sums
from bpcompile.reverse import read_again, reverse
from bpcompile.wellformed import check as check_program
from bpcompile.wellformed import check_guards

if TYPE_CHECKING:
    import jinja2
    import sympy

    from bpcompile.check import Certificate

_TARGETS: Final = ("python", "numpy")
_LAYOUTS: Final = ("function", "split", "script")
_STYLES: Final = ("code", "notes")
_NUMERICS: Final = ("stable", "literal")
_CHECKS: Final = ("full", "fast", "off")


@dataclass(frozen=True)
class Options:
    """How to compile; see `compile_gradient`."""

    target: str | None = None
    layout: str = "function"
    style: str = "code"
    numerics: str | None = None
    check: str = "full"
    template: Path | None = None
    lang: str = "en"
    progress: Callable[[str], None] | None = None
    #: Gives inputs the example values of a script, in the parameters of the program that it is called with.
    examples: Callable[[Program], None] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("target", (None, *_TARGETS)), ("layout", _LAYOUTS), ("style", _STYLES), ("check", _CHECKS), ("lang", LANGUAGES)):
            value = getattr(self, name)
            if value not in allowed:
                raise error("E001", f"{name} `{value}` is not one of {', '.join(a for a in allowed if a)}")
        if self.numerics not in (None, *_NUMERICS):
            raise error("E001", f"numerics `{self.numerics}` is not one of {', '.join(_NUMERICS)}")

    @property
    def literal(self) -> bool:
        """Whether formulas stay as written; lecture style keeps them unless told otherwise."""
        return (self.numerics or ("literal" if self.style == "notes" else "stable")) == "literal"


@dataclass(frozen=True, eq=False)
class Compiled:
    """
    A compiled gradient.

    Attributes:
        source: The emitted file.
        program: What was read.
        gradient: The same with the backward pass, as emitted.
        certificate: What was checked; None with `check="off"`.
        notes: Warnings and notes.
        stages: What was differentiated: the program with its gates recognised and cut into stages.
        options: How it was compiled.
    """

    source: str
    program: Program
    gradient: Program
    emitted: Emitted
    certificate: Certificate | None
    notes: list[Diagnostic] = field(default_factory=list)
    stages: Program = field(repr=False, kw_only=True)
    options: Options = field(default_factory=Options, kw_only=True)

    @cached_property
    def namespace(self) -> dict[str, Any]:
        """The emitted module, run once."""
        namespace: dict[str, Any] = {"__name__": "bpcompile_gradient"}
        exec(compile(self.source, "<gradient>", "exec"), namespace)  # noqa: S102  our own text
        return namespace

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the emitted `value_and_grad`; in layout `split`, `forward` and `backward` one after the other."""
        if self.emitted.layout == "function":
            return self.namespace["value_and_grad"](*args, **kwargs)
        if self.emitted.layout == "split":
            upstream = [kwargs.pop(name, 1.0) for name in self.emitted.seeds]
            result, cache = self.namespace["forward"](*args, **kwargs)
            return result, self.namespace["backward"](*upstream, cache)
        msg = "layout `script` is a page to run, not a function to call"
        raise TypeError(msg)

    def _repr_html_(self) -> str:
        from bpcompile.teaching import display  # noqa: PLC0415  only in a notebook

        return display.show_html(self)

    def _repr_markdown_(self) -> str:
        from bpcompile.teaching import display  # noqa: PLC0415  only in a notebook

        return display.show_markdown(self)

    def _repr_latex_(self) -> str:
        from bpcompile.teaching import display  # noqa: PLC0415  only in a notebook

        return display.show_latex(self)

    def value(self, *args: Any, **kwargs: Any) -> Any:
        """Call the emitted `value`, or `forward` without its cache."""
        if self.emitted.layout == "split":
            return self.namespace["forward"](*args, **kwargs)[0]
        return self.namespace["value"](*args, **kwargs)


def compile_gradient(
    expr: sympy.Expr | Mapping[str, Any] | Sequence[Any] | str,
    *,
    wrt: Sequence[Any] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[Any, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    **options: Any,
) -> Compiled:
    """
    Compile the gradient of an expression.

    Args:
        expr: A SymPy expression; a dict of named stages, the last of which is the output; or source text (forward code, or
            a single expression).
        wrt: The inputs whose gradients are wanted, all unless given.
        of: The outputs, for a dict of stages or source text.
        at: Example values.
        shapes: Shapes of array inputs, such as `{"x": ("N",)}`.
        **options: `target` (`python`, `numpy`; unless given, the one the inputs need), `layout` (`function`, `split`, `script`), `style` (`code`, `notes`),
            `numerics` (`stable`, `literal`), `check` (`full`, `fast`, `off`), `lang` (`en`, `zh`: comments and docstrings), `template` (a jinja2 file).

    Returns:
        The emitted source with its certificate, callable as `value_and_grad`.

    Raises:
        CompileError: The input can't be compiled, or the result failed its check.
    """
    chosen = Options(**options)
    names = None if wrt is None else [str(w) for w in wrt]
    given = None if at is None else {str(k): v for k, v in at.items()}
    if isinstance(expr, str):
        source = Source(expr, "<string>")
        return compile_source(source, wrt=names, of=of, at=given, shapes=shapes, options=chosen)
    from bpcompile.frontends import sympy_exprs  # noqa: PLC0415  only where SymPy objects come in

    if isinstance(expr, Mapping):
        stages = {str(k): v for k, v in expr.items()}
        outputs = {k: stages[k] for k in (of or [list(stages)[-1]])}
    elif isinstance(expr, Sequence):
        outputs = {f"f{i}": e for i, e in enumerate(expr, 1)}
        stages = {}
    else:
        outputs, stages = {"f": expr}, {}
    program = sympy_exprs.read_expressions(outputs, stages=stages, wrt=names, at=given, shapes=shapes)
    return compile_program(program, chosen)


def compile_source(
    source: Source,
    *,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    options: Options,
) -> Compiled:
    """Compile forward code or a one-line expression that is not in a file."""
    from bpcompile.frontends import python_source  # noqa: PLC0415  only where code comes in

    read = python_source.read_code if _is_code(source.text) else python_source.read_expression
    return compile_program(read(source, shapes=shapes, wrt=wrt, of=of, at=at), options)


#: A line of forward code, which one-liners do not have: a statement with a block, an import, a name bound to a number or a list.
_CODE: Final = re.compile(r"^\s*(def|for|if|import|from)\b|^\s*\w+\s*=\s*(-?[\d.]|\[)", re.MULTILINE)
_MODULES: Final = frozenset({"math", "np", "numpy", "special"})


def _is_code(text: str) -> bool:
    """
    Whether a text is forward code, with a value for each input, and not a one-liner, whose inputs are the names that it leaves free.

    >>> _is_code("W = np.random.randn(5, 10); f = np.sum(W * W)"), _is_code("s = sin(x); f = s * s")
    (True, False)
    """
    if _CODE.search(text):
        return True
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # whatever reads it says what is wrong
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    arguments = {n.arg for n in nodes if isinstance(n, ast.arg)}
    return bool(bound) and not {n.id for n in nodes if isinstance(n, ast.Name)} - bound - called - arguments - _MODULES


def compile_expression(
    text: str,
    *,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    **options: Any,
) -> Compiled:
    """Compile the text of `bpcompile -e`: an expression, or `a = ...; b = ...`; free names are the inputs."""
    from bpcompile.frontends import python_source  # noqa: PLC0415  only where code comes in

    program = python_source.read_expression(Source(text, "<expression>"), shapes=shapes, wrt=wrt, of=of, at=at)
    return compile_program(program, Options(**options))


def compile_file(
    path: Path | str,
    *,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    text: bytes | None = None,
    **options: Any,
) -> Compiled:
    """
    Compile a file: one that imports sympy is run, any other is parsed and never run.

    Args:
        path: The file.
        wrt: As in `compile_gradient`.
        of: As in `compile_gradient`.
        at: As in `compile_gradient`.
        shapes: As in `compile_gradient`.
        text: What the file holds, if it was read already (standard input).
        **options: As in `compile_gradient`.
    """
    from bpcompile.frontends import python_source  # noqa: PLC0415  only where code comes in

    chosen = Options(**options)
    source = python_source.read_bytes(Path(path) if text is None else text, str(path))
    if python_source.imports_sympy(source):
        from bpcompile.frontends import sympy_file  # noqa: PLC0415  only where SymPy comes in

        program = sympy_file.read_file(Path(path), source, wrt=wrt, of=of, at=at, shapes=shapes)
    else:
        program = python_source.read_code(source, shapes=shapes, wrt=wrt, of=of, at=at)
    return compile_program(program, chosen)


def compile_program(program: Program, options: Options) -> Compiled:
    """Compile a program that a front end has read; it may be compiled again, with other options."""
    values = [eqn.out for eqn in program.eqns]
    before = [var.stage for var in values]
    try:
        with _collector_paused():
            return _compile(program, options)
    finally:
        # What became a stage for one style need not be one for another.
        for var, stage in zip(values, before, strict=True):
            var.stage = stage


def recompile(compiled: Compiled, **options: Any) -> Compiled:
    """Compile the same program with other options."""
    return compile_program(compiled.program, replace(compiled.options, **options))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Stop the cyclic garbage collector: a compilation makes many objects and no garbage, and would spend half its time there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def every_gate(compiled: Compiled) -> tuple[Emitted, Program]:
    """
    Emit a compiled program once more, as a script in which each gate has a statement of its own.

    Where the emitted file says `f = 1.0 / (1 + math.exp(-dot))` this one has a line for each part and a line for its gradient,
    so that running it yields the number on every wire of the circuit. The program it is printed from comes with it.
    """
    options = replace(compiled.options, layout="script", style="notes", lang="en", numerics="literal" if compiled.options.literal else "stable")
    values = [eqn.out for eqn in compiled.stages.eqns]
    before = [var.stage for var in values]
    try:
        for var in values:
            var.stage = True
        with _collector_paused():
            joint, forward, written = _differentiate(compiled.stages, options, _target(compiled.program, options))
        emitter = Emitter(joint, forward, written=written, target=_target(compiled.program, options), layout="script", style="notes")
        context = emitter.context()
        return emitter.emitted(_render(replace(options, template=None), context, _header(emitter, context))), joint
    finally:
        for var, stage in zip(values, before, strict=True):
            var.stage = stage


def _compile(program: Program, options: Options) -> Compiled:
    progress = options.progress or (lambda _: None)
    language = _target(program, options)
    thorough = options.check != "off"

    def verified(result: Program) -> Program:
        if thorough:
            check_program(result)
        return result

    progress("reverse pass")
    primal = verified(program)
    compact = options.style == "code"
    hazards = find_hazards(primal, literal=options.literal)
    recognised = recognise(share(find_guards(separate_branches(eliminate_dead(primal)))), stable=not options.literal)
    recognised = verified(absorb(recognised if options.literal else shift_exponentials(recognised)))
    if compact:
        recognised = verified(fold(recognised))
    stages = cut(share(find_guards(recognised)))
    again = read_again(stages, textbook=not compact)
    if not compact:
        # They have a line, so in lecture style they get a gradient of their own.
        for eqn in stages.eqns:
            eqn.out.stage |= eqn.out in again and eqn.out.dtype == "float"
    stages = verified(find_guards(schedule(stages, keep=again)))
    joint, forward, written = _differentiate(stages, options, language)
    if options.layout == "script":
        (options.examples or _complete_examples)(joint)
    progress("writing")
    emitter = Emitter(joint, forward, written=written, target=language, layout=options.layout, style=options.style, lang=options.lang)
    context = emitter.context()
    notes = [*program.notes, *hazards, *_rename_notes(emitter.names.changed)]
    header = _header(emitter, context)
    emitted = emitter.emitted(_render(options, context, header))
    certificate = None
    if options.check != "off":
        from bpcompile.check import certify  # noqa: PLC0415  brings mpmath

        certificate = certify(primal, emitted, level=options.check, gradient=joint, progress=options.progress)  # type: ignore[arg-type]  # validated by Options
        if not certificate.ok:
            raise CompileError(
                Diagnostic(
                    "E900",
                    "the emitted gradient failed its own check, so nothing is written",
                    help="\n          ".join(certificate.lines()),
                ),
            )
        emitted = emitter.emitted(_render(options, context, [*header, "", *certificate.lines()]))
    return Compiled(emitted.text, program, joint, emitted, certificate, notes, stages=stages, options=options)


def _differentiate(stages: Program, options: Options, language: str) -> tuple[Program, Program, Program]:
    """Return the program with its backward pass as it is printed, its forward part alone, and the same before printing's rewrites."""
    progress = options.progress or (lambda _: None)
    target = "math" if language == "python" else "numpy"
    compact = options.style == "code"

    def verified(result: Program) -> Program:
        if options.check != "off":
            check_program(result)
        return result

    upstream = options.layout != "script"
    joint = verified(reverse(stages, upstream=upstream, textbook=not compact, stable=not options.literal))
    progress("passes")
    joint = written = verified(forward_aliases(joint))
    joint = verified(drop_impossible_guards(expand(joint, target=target, literal=options.literal)))
    if compact:
        joint = verified(collect(verified(_compact(joint))))
    elif target == "numpy":
        joint = verified(merge_sums(absorb(multiply_inside(joint))))
    joint = verified(share(find_guards(joint)))
    joint = verified(find_guards(eliminate_dead(joint)))
    if target == "numpy":
        joint = verified(find_guards(eliminate_dead(share(guard_branches(keep_type(joint)), eager=True))))
        joint = verified(find_guards(eliminate_dead(share(broadcast_late(joint, keep_stages=not compact)))))
        if upstream and not any(v.shape for v in joint.inputs()):
            joint = verified(spread_constants(joint))
    if options.check != "off":
        check_guards(joint)
    return joint, eliminate_dead(_without_gradients(joint)), written


def _compact(joint: Program) -> Program:
    joint = simplify(joint)
    if not any(var.shape for var in joint.inputs()):
        return joint
    # Where an operand is no longer spread its coefficient stands beside another one.
    return simplify(eliminate_dead(broadcast_late(merge_sums(absorb(joint)))))


def _target(program: Program, options: Options) -> str:
    """Return the target that was asked for, or the one that the inputs need."""
    array = next((p for p in program.params if any(v.shape for v in p.leaves())), None)
    if array is not None and options.target == "python":
        raise error("E003", f"`{array.name}` is an array, which target python does not have", array.span, help="`--target numpy` compiles it")
    made = next((eqn for eqn in program.eqns if eqn.out.shape or any(a.shape for a in eqn.args)), None)
    if made is not None and options.target == "python":
        raise error("E003", "an array is made here, and target python has none", made.span, help="`--target numpy` compiles it")
    return options.target or ("python" if array is None and made is None else "numpy")


def _without_gradients(joint: Program) -> Program:
    forward = joint.with_eqns([eqn for eqn in joint.eqns if eqn.origin is None])
    forward.gradients = {}
    return forward


def _rename_notes(changed: list[tuple[str, str]]) -> list[Diagnostic]:
    return [Diagnostic("N101", f"`{_plain(old)}` is called `{new}` in the output", level="note") for old, new in changed]


def _plain(text: str) -> str:
    """Return a user's name in a form that can end neither a comment nor a docstring."""
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)


def _header(emitter: Emitter, context: Mapping[str, Any]) -> list[str]:
    """Return the lines of the module docstring, without the certificate."""
    inputs = ", ".join(context["params"])
    outputs = ", ".join(context["outputs"])
    lines = [f"Value and gradient of {outputs}({inputs}).", "", "Written by bpcompile."]
    if "from scipy import special" in context["imports"]:
        lines[-1] += " Needs SciPy, for functions that the standard library and NumPy lack."
    lines += [f"`{_plain(old)}` of the input is called `{new}` here." for old, new in emitter.names.changed]
    for param, name in zip(emitter.params, context["params"], strict=True):
        if param.note:
            lines.append(f"{name}: {_plain(param.note)}.")
    return lines


def _render(options: Options, context: Mapping[str, Any], header: Sequence[str]) -> str:

    path = options.template or _template_folder() / "file.py.j2"
    try:
        template = _template(path.read_text(encoding="utf-8"))
        docs = _docs(context)
        said = functools.partial(translate, options.lang)
        docs = {key: said(text) for key, text in docs.items()}
        docstring = "\n".join(map(said, header)).rstrip()
        text = template.render(**context, **docs, said=said, docstring=docstring + ("\n" if len(header) > 1 else ""))
    except Exception as problem:  # noqa: BLE001  a template is a program of the user's, which may raise anything
        line = getattr(problem, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise error("E002", f"the template {where} can't be used: {problem}") from None
    return text.rstrip("\n") + "\n"


def render_template(name: str, **context: Any) -> str:
    """Render one of the templates that come with bpcompile."""
    return _template((_template_folder() / name).read_text(encoding="utf-8")).render(**context)


@cache
def _template(text: str) -> jinja2.Template:
    import jinja2  # noqa: PLC0415  only where something is written

    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701  Python source, not HTML
    return environment.from_string(text)


def _template_folder() -> Path:
    here = Path(__file__).parent
    inside = here / "templates"
    return inside if inside.is_dir() else here.parent / "templates"


def _docs(context: Mapping[str, Any]) -> dict[str, Any]:
    result, gradients = context["result"], context["gradients"]
    seeds = context["seeds"]
    upstream = f"the upstream gradient{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
    return {
        "value_doc": f"Return {result}.",
        "value_and_grad_doc": f"Return {result} and its gradients {gradients}, given {upstream}.",
        "forward_doc": f"Return {result} and a cache for `backward`.",
        "backward_doc": f"Return the gradients {gradients}, given {upstream}.",
    }


def _complete_examples(program: Program) -> None:
    """Give inputs without an example value one, so that a page of lecture notes can run; arrays are drawn on the page."""
    for i, param in enumerate(p for p in program.params if p.seed is None):
        if param.example is None and not any(v.shape for v in param.leaves()):
            param.example = _example(param, i)


def _example(param: Param, index: int) -> Any:
    def fill(tree: Tree, k: int) -> Any:
        if isinstance(tree, Var):
            return (3, -4, 2, -1, 5, 0.5, 1.5)[k % 7]
        return [fill(t, k + j) for j, t in enumerate(tree)]

    return fill(param.tree, index)
