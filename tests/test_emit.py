"""What every emitted file promises, whatever the example, layout, style, target and numerics."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bpcompile.compiler import Compiled, compile_expression, compile_file, compile_gradient

ROOT = Path(__file__).resolve().parent.parent
#: Programs of numbers, which compile for both targets.
EXAMPLES = sorted(
    p
    for p in (ROOT / "examples").glob("*.py")
    if not p.stem.endswith(("_grad", "_notes")) and "import numpy" not in p.with_name(f"{p.stem}_grad.py").read_text("utf-8")
)
#: One-line programs beside the examples: branches, ties, lists of functions, sharing, long lines.
LINES = {
    "branch": "sqrt(x) * y if x > 0 else x * y",
    "nested": "(log(x) if y > 1 else acosh(y + 3)) if x > 0.5 else exp(x * y)",
    "ties": "max(x, y, z) + min(x, 2) * clip(y, -1, 1) + relu(x) * abs(z)",
    "shared": "sin(x * y) * cos(x * y) + sin(x * y)**2",
    "power": "x**3 + y**-2 + x**y + 2**x + x**0.5",
    "logistic": "softplus(x) * sigmoid(y) + logaddexp(x, y) + tanh(x) * sech(y)",
    "circular": "sec(x) + csc(y) + cot(x) + asin(x / 9) + atan2(y, x) + hypot(x, y)",
    "steps": "floor(x) * y + x % y + heaviside(x, 0.5) + sign(y) * x + round(y) * fmod(x, y)",
    "special": "erf(x) + gamma(y) * digamma(x) + beta(x, y) + lgamma(x)",
    "long": "(a*b + c*d + e*f1 + g*h)*(a*c + b*d + e*g + f1*h)*(a*d + b*c + e*h + f1*g)*(a + b + c + d + e + f1 + g + h)"
    "*(a - b - c - d)*(a*b*c*d*e*f1*g*h) + sin(a*b*c*d*e*f1*g*h)",
    "stages": "q = x + y; r = q * z; s = exp(-r); t = s / (1 + s); f = t * q - r",
    "copies": "a = x; b = a; f = b * x + a",
    "constant": "x * 0 + 3",
    "identity": "x",
}
TARGETS = ("python", "numpy")
LAYOUTS = ("function", "split", "script")
STYLES = ("code", "notes")
NUMERICS = ("stable", "literal")
SETTINGS = list(itertools.product(TARGETS, LAYOUTS, STYLES, NUMERICS))


def options(setting) -> dict[str, str]:
    return dict(zip(("target", "layout", "style", "numerics"), setting, strict=True))


def everything() -> list[tuple[str, tuple[str, ...]]]:
    return [(name, setting) for name in [*[p.stem for p in EXAMPLES], *LINES] for setting in SETTINGS]


_MADE: dict[tuple[str, tuple[str, ...]], Compiled] = {}


def made(name: str, setting: tuple[str, ...]) -> Compiled:
    """The compilation of an example or line, made once."""
    key = (name, setting)
    if key not in _MADE:
        if name in LINES:
            _MADE[key] = compile_expression(LINES[name], check="off", **options(setting))
        else:
            _MADE[key] = compile_file(ROOT / "examples" / f"{name}.py", check="off", **options(setting))
    return _MADE[key]


NAMES = [*[p.stem for p in EXAMPLES], *LINES]
each_setting = pytest.mark.parametrize("setting", SETTINGS, ids="-".join)


def all_made(setting: tuple[str, ...]) -> list[tuple[str, Compiled]]:
    return [(name, made(name, setting)) for name in NAMES]


def bodies(text: str, layout: str) -> list[tuple[str, set[str], list[ast.stmt]]]:
    """The straight-line parts of a file: (name, names known before, statements)."""
    tree = ast.parse(text)
    modules = {a.asname or a.name for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    if layout == "script":
        return [("script", modules, [s for s in tree.body if isinstance(s, ast.Assign | ast.AugAssign)])]
    known = modules | functions
    return [(n.name, known | {a.arg for a in n.args.args}, n.body) for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]


def names_in(target: ast.expr) -> list[str]:
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


# -- text -----------------------------------------------------------------------------------------------------------------


@each_setting
def test_imports(setting):
    for name, compiled in all_made(setting):
        modules = set()
        for node in ast.walk(ast.parse(compiled.source)):
            if isinstance(node, ast.Import):
                modules |= {a.name for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules |= {f"{node.module}.{a.name}" for a in node.names}
        allowed = {"math"} if setting[0] == "python" else {"math", "numpy"}
        if name == "special":
            assert "Needs SciPy" in compiled.source
            allowed |= {"scipy.special"}
        else:
            assert "SciPy" not in compiled.source
        assert modules <= allowed


@each_setting
def test_every_name_is_assigned_before_it_is_read(setting):
    builtin = {"max", "min", "abs", "round", "float", "range", "len"}
    for name, compiled in all_made(setting):
        for function, known, statements in bodies(compiled.source, setting[1]):
            names = set(known) | builtin
            for statement in statements:
                parts = list(ast.walk(statement))
                reads = {n.id for n in parts if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
                reads -= {n for p in parts if isinstance(p, ast.comprehension) for n in names_in(p.target)}
                if isinstance(statement, ast.AugAssign):
                    reads.add(statement.target.id)
                assert reads <= names, (name, function, ast.unparse(statement), reads - names)
                if isinstance(statement, ast.Assign):
                    names |= {n for t in statement.targets for n in names_in(t)}


@each_setting
def test_a_value_is_assigned_once_and_then_added_to(setting):
    """In the forward pass each name has one value; a gradient is `=` first, then `+=` or `-=`, with no other in between."""
    for _, compiled in all_made(setting):
        for function, known, statements in bodies(compiled.source, setting[1]):
            entry = known & {n for _, n in compiled.emitted.params} | set(compiled.emitted.seeds)
            seen: set[str] = set()
            for statement in statements:
                if isinstance(statement, ast.Assign):
                    for target in (n for t in statement.targets for n in names_in(t)):
                        assert target not in seen or target in entry, (function, ast.unparse(statement))
                        seen.add(target)
                elif isinstance(statement, ast.AugAssign):
                    assert isinstance(statement.op, ast.Add | ast.Sub)
                    assert statement.target.id in seen, (function, ast.unparse(statement))
                    assert statement.target.id.startswith("d")


def paths(value: ast.expr) -> Iterator[tuple[ast.expr, frozenset[tuple[str, bool]]]]:
    """Each part of an expression with the conditions under which it is computed."""
    stack: list[tuple[ast.AST, frozenset[tuple[str, bool]]]] = [(value, frozenset())]
    while stack:
        node, under = stack.pop()
        if isinstance(node, ast.expr):
            yield node, under
        if isinstance(node, ast.IfExp):
            test, sense = node.test, True
            while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                test, sense = test.operand, not sense
            stack += [(node.test, under), (node.body, under | {(ast.dump(test), sense)}), (node.orelse, under | {(ast.dump(test), not sense)})]
        else:
            stack += [(child, under) for child in ast.iter_child_nodes(node)]


def repeated(statements: list[ast.stmt]) -> list[str]:
    """Expressions that are computed twice from the same values, but in two branches of one condition and in `(1) * d` lines."""
    version: dict[str, int] = {}
    seen: dict[str, list[tuple[frozenset[tuple[str, bool]], str]]] = {}
    found = []

    class Versions(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.Name(f"{node.id}@{version.get(node.id, 0)}", ast.Load())

    for statement in statements:
        value = getattr(statement, "value", None)
        if value is None:
            continue
        for node, under in paths(value):
            if isinstance(node, ast.BinOp | ast.Call | ast.Compare) and not is_trivial(node):
                key = ast.dump(Versions().visit(ast.parse(ast.unparse(node), mode="eval").body))
                here = ast.unparse(statement)
                found += [
                    f"{ast.unparse(node)}: in `{there}` and in `{here}`"
                    for other, there in seen.get(key, [])
                    if not any((t, not sense) in other for t, sense in under)
                ]
                seen.setdefault(key, []).append((under, here))
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AugAssign) else []
        for target in targets:
            for n in ast.walk(target):
                if isinstance(n, ast.Name):
                    version[n.id] = version.get(n.id, 0) + 1
    return found


def is_trivial(node: ast.expr) -> bool:
    """A copy, an entry check, or a line of lecture style that multiplies by 1."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return name.endswith((".copy", "_like", "asarray", "broadcast_to")) or name.startswith("_")
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant) and abs(node.left.value) == 1


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s[2] == "code"], ids="-".join)
def test_nothing_is_computed_twice(setting):
    for name, compiled in all_made(setting):
        for function, _, statements in bodies(compiled.source, setting[1]):
            assert repeated(statements) == [], (name, function)


def test_the_check_for_repetition_sees_one():
    assert repeated(ast.parse("a = x * y\nb = 1 + x * y").body)
    assert not repeated(ast.parse("a = x * y\nx = 2\nb = 1 + x * y").body)
    assert not repeated(ast.parse("da = (1) * dq\ndb = (1) * dq").body)
    assert not repeated(ast.parse("a = x * y if c else 0\nb = 1 if c else x * y").body)
    assert not repeated(ast.parse("a = x * y if not c else 0\nb = x * y if c else 1").body)
    assert repeated(ast.parse("a = x * y if c else 0\nb = x * y if c else 1").body)
    assert repeated(ast.parse("a = x * y if c else 0\nb = x * y").body)


def code_lines(text: str) -> list[str]:
    """Lines without comments and docstrings. A signature, a cache or a return is a list of names, however many there are."""
    lines = [line.split("  # ")[0].strip() for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("#", '"""', "def ", "cache = (", "return ")) and not line.endswith(" = cache")]


@each_setting
def test_lines_are_short(setting):
    for name, compiled in all_made(setting):
        for line in code_lines(compiled.source):
            assert len(line) < 120, (name, line)


def test_a_deep_expression_is_cut_into_lines():
    text = "x"
    for i in range(150):  # Python's own parser allows 200 parentheses
        text = f"sin({text} * {i + 1}.5 + y)"
    for setting in SETTINGS:
        compiled = compile_expression(text, check="off", **options(setting))
        compile(compiled.source, "<deep>", "exec")
        assert max(map(len, code_lines(compiled.source))) < 120


def test_a_wide_sum_is_cut_into_lines():
    text = " + ".join(f"x{i} * y{i}" for i in range(400))
    compiled = compile_expression(text, check="off")
    assert max(map(len, code_lines(compiled.source))) < 120
    value, gradients = compiled(*[0.5] * 800)
    assert value == 100.0
    assert gradients == (0.5,) * 800


@each_setting
def test_ruff_passes(setting, tmp_path):
    """Ruff's own defaults, as a user's project would have them, with no pragma in the text."""
    for name in NAMES:
        text = made(name, setting).source
        assert "noqa" not in text
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--line-length", "120", "--select", "E4,E7,E9,F,W,I,B,A", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


@each_setting
def test_the_text_is_tidy(setting):
    for _, compiled in all_made(setting):
        text = compiled.source
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert not re.search(r"[ \t]$", text, re.MULTILINE)
        assert "\n\n\n\n" not in text
        assert "\t" not in text
        assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s[1] != "script"], ids="-".join)
def test_blocks_follow_the_stages_backwards(setting):
    """A backward block is headed by the statement it undoes, and the blocks go from the last statement to the first."""
    for _, compiled in all_made(setting):
        text = compiled.source
        forward, _, backward = text.partition("# backward pass" if setting[1] == "function" else "def backward")
        written = [line.split("  #")[0].strip() for line in forward.splitlines()]
        headings = re.findall(r"# backprop (.*)", backward)
        if setting[0] == "numpy" and len(set(headings)) < len(headings):
            # Where branches hold branches, a safe argument may be made between two pieces of one line's block.
            headings = [h for h in headings if headings.count(h) == 1]
        places = [max(i for i, line in enumerate(written) if line == heading) for heading in headings]
        assert places == sorted(places, reverse=True), headings
        assert len(set(headings)) == len(headings)


# -- determinism ----------------------------------------------------------------------------------------------------------

_SCRIPT = """
import hashlib, json, sys
sys.path.insert(0, "tests")
from test_emit import LINES, NAMES, SETTINGS, made
# A SymPy file is run by a process of its own, which takes its time.
chosen = [(n, s) for n in NAMES for i, s in enumerate(SETTINGS) if i % (5 if n in LINES else 8 if n in ("staged_sympy", "staged_flat") else 1) == 0]
print(json.dumps({f"{n} {'-'.join(s)}": hashlib.sha256(made(n, s).source.encode()).hexdigest() for n, s in chosen}))
"""


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_hash_seed():
    digests = []
    for seed in range(10):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        run = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
        digests.append(json.loads(run.stdout))
    for other in digests[1:]:
        assert other == digests[0]


# -- running --------------------------------------------------------------------------------------------------------------

SCALARS = (
    "branch",
    "nested",
    "ties",
    "shared",
    "power",
    "logistic",
    "circular",
    "steps",
    "stages",
    "copies",
    "constant",
    "identity",
    "staged",
    "max_gate",
    "product",
)


def point_of(compiled: Compiled, kind=float) -> list:
    return [kind(1.25 + 0.5 * i) for i in range(len(compiled.emitted.params))]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("name", SCALARS)
def test_layouts_and_targets_agree(name, style, numerics):
    results = []
    for target in TARGETS:
        for layout in ("function", "split"):
            compiled = made(name, (target, layout, style, numerics))
            value, gradients = compiled(*point_of(compiled))
            assert compiled.value(*point_of(compiled)) == pytest.approx(value, rel=1e-15)
            results.append([float(value), *map(float, gradients)])
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("layout", ["function", "split"])
@pytest.mark.parametrize("name", SCALARS)
class TestArrays:
    """NumPy files on arrays."""

    @pytest.fixture
    def compiled(self, name, layout, style):
        return made(name, ("numpy", layout, style, "stable"))

    @pytest.fixture
    def arrays(self, compiled):
        return [np.linspace(1.1 + 0.3 * i, 2.4 + 0.2 * i, 6).reshape(2, 3) for i in range(len(compiled.emitted.params))]

    def test_inputs_are_never_changed(self, compiled, arrays):
        before = [a.copy() for a in arrays]
        upstream = np.full((2, 3), 1.5)
        for a in (*arrays, upstream):
            a.flags.writeable = False
        compiled(*arrays, **{compiled.emitted.seeds[0]: upstream})
        assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
        assert (upstream == 1.5).all()

    def test_results_share_no_memory(self, compiled, arrays):
        upstream = np.full((2, 3), 1.5)
        value, gradients = compiled(*arrays, **{compiled.emitted.seeds[0]: upstream})
        everything = [*gradients, upstream, *arrays]
        for a, b in itertools.combinations(everything, 2):
            assert not np.shares_memory(a, b)
        # Writing into a gradient changes neither another nor what a second call returns.
        kept = [g.copy() for g in gradients]
        for g in gradients:
            g[...] += 1.0
        assert all(np.array_equal(g, k + 1.0) for g, k in zip(gradients, kept, strict=True))
        again = compiled(*arrays, **{compiled.emitted.seeds[0]: upstream})
        assert np.array_equal(again[0], value)
        assert all(np.array_equal(a, b) for a, b in zip(again[1], kept, strict=True))

    def test_shapes_and_values(self, compiled, arrays):
        value, gradients = compiled(*arrays)
        assert value.shape == (2, 3)
        for g in gradients:
            assert g.shape == (2, 3)
        for index in np.ndindex(2, 3):
            single, parts = compiled(*[float(a[index]) for a in arrays])
            assert float(single) == pytest.approx(value[index], rel=1e-13)
            for g, part in zip(gradients, parts, strict=True):
                assert np.shape(part) == ()
                assert float(part) == pytest.approx(g[index], rel=1e-12, abs=1e-12)

    def test_float32_stays(self, compiled, arrays):
        value, gradients = compiled(*[a.astype(np.float32) for a in arrays])
        assert value.dtype == np.float32
        assert [g.dtype for g in gradients] == [np.float32] * len(gradients)

    def test_integers_become_floats(self, compiled, arrays):
        integers = [np.array([[1, 2, 3], [4, 5, 6]]) + i for i in range(len(arrays))]
        with np.errstate(all="ignore"):
            value, gradients = compiled(*integers)
            again, others = compiled(*[a.astype(float) for a in integers])
        assert value.dtype == np.float64
        assert np.array_equal(value, again, equal_nan=True)
        for g, other in zip(gradients, others, strict=True):
            assert g.dtype == np.float64
            assert np.array_equal(g, other, equal_nan=True)

    def test_lists_strides_and_empty_arrays(self, compiled, arrays):
        value, gradients = compiled(*arrays)
        for others in ([a.tolist() for a in arrays], [np.asfortranarray(a) for a in arrays], [np.repeat(a, 2, axis=1)[:, ::2] for a in arrays]):
            other, parts = compiled(*others)
            assert np.array_equal(other, value)
            assert all(np.array_equal(a, b) for a, b in zip(parts, gradients, strict=True))
        empty, parts = compiled(*[np.zeros((0, 3)) for _ in arrays])
        assert empty.shape == (0, 3)
        assert all(p.shape == (0, 3) for p in parts)

    def test_what_is_no_plain_array_is_refused(self, compiled, arrays):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # NumPy advises against np.matrix, and so do we
            matrix = np.matrix([[1.0, 2.0]])
        for odd in (matrix, np.ma.masked_array([1.0], [True]), np.array([1j]), np.array(["a"]), np.array([None])):
            with pytest.raises(TypeError):
                compiled.value(*[odd for _ in arrays])

    def test_different_shapes_are_refused(self, compiled, arrays):
        if len(arrays) > 1:
            with pytest.raises(ValueError, match="shape"):
                compiled.value(arrays[0][0], *arrays[1:])


@pytest.mark.parametrize("name", SCALARS)
def test_python_gives_floats_for_integers(name):
    """An int enters, a float or an exact int leaves, and the numbers are those of floats."""
    compiled = made(name, ("python", "function", "code", "stable"))
    integers = [2 + i for i in range(len(compiled.emitted.params))]
    value, gradients = compiled(*integers)
    same, others = compiled(*map(float, integers))
    assert value == pytest.approx(same, rel=1e-15)
    assert gradients == pytest.approx(others, rel=1e-14)
    assert not any(isinstance(v, bool | complex | np.generic) for v in (value, *gradients))


def test_a_list_stays_as_it_was():
    compiled = made("neuron", ("python", "function", "code", "stable"))
    w, x = [2, -3, -3], [-1, -2]
    compiled(w, x)
    assert (w, x) == ([2, -3, -3], [-1, -2])


def test_several_outputs():
    for target, layout in itertools.product(TARGETS, ("function", "split")):
        compiled = compile_gradient("f = x * y; g = f + sin(x)", of=["f", "g"], check="off", target=target, layout=layout)
        (f, g), (dx, dy) = compiled(2.0, 3.0, df=10.0, dg=100.0)
        assert float(f) == 6.0
        assert float(g) == pytest.approx(6.0 + np.sin(2.0))
        assert float(dx) == pytest.approx(10 * 3 + 100 * (3 + np.cos(2.0)))
        assert float(dy) == pytest.approx(110 * 2)


def test_branches_not_taken_warn_of_nothing():
    for name in ("branch", "nested"):
        compiled = made(name, ("numpy", "function", "code", "stable"))
        with np.errstate(all="raise"):
            value, gradients = compiled(np.array([-1.0, 0.0, 4.0, 0.2]), np.array([0.5, -2.0, 2.0, 3.0]))
        assert np.isfinite(value).all()
        assert all(np.isfinite(g).all() for g in gradients)


def test_a_cache_holds_what_backward_reads_and_nothing_else():
    for name in NAMES:
        if name in {"constant", "identity", "copies"}:
            continue
        for style in STYLES:
            tree = ast.parse(made(name, ("python", "split", style, "stable")).source)
            backward = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "backward")
            unpacked = names_in(backward.body[1].targets[0])
            read = {n.id for s in backward.body[2:] for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            assert set(unpacked) <= read, name
