"""The worked example: numbers from emitted code, against the user's own program and against SymPy-free arithmetic."""

from __future__ import annotations

import math
import runpy

import numpy as np
import pytest
from teaching_programs import ARRAYS, ROOT, SCALAR, SIX, example, of_text

from bpcompile.compiler import every_gate
from bpcompile.diagnostics import CompileError
from bpcompile.ir import Builder, Var
from bpcompile.teaching import formula
from bpcompile.teaching.examples import examples
from bpcompile.teaching.worked import digits, point, run

PROGRAMS = {name: lambda name=name: example(name) for name in SIX} | {"scalar": lambda: of_text(SCALAR), "arrays": lambda: of_text(ARRAYS)}


@pytest.fixture(scope="module", params=PROGRAMS)
def worked(request):
    return PROGRAMS[request.param]()


def test_values_are_those_of_the_users_own_file():
    for name in SIX:
        mine = {w.name: w.value for w in example(name).wires if w.named}
        theirs = runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
        compared = [k for k in mine if k in theirs]
        assert compared
        for key in compared:
            assert mine[key] == pytest.approx(theirs[key], rel=1e-14), (name, key)


def test_gradients_are_those_of_the_emitted_page(worked):
    space = run(worked.compiled.source)
    for param, name in worked.compiled.emitted.gradients:
        leaves = list(param.leaves())
        wires = {w.var: w for w in worked.inputs}
        found = np.ravel(np.array(space[name], dtype=float))
        mine = np.concatenate([np.ravel(wires[v].gradient) for v in leaves])
        np.testing.assert_allclose(mine, found, rtol=1e-12)


def test_the_contributions_to_a_wire_add_up_to_its_gradient(worked):
    for wire in worked.wires:
        parts = [c.product for g in worked.gates for c in g.contributions if c.wire is wire]
        if wire.is_array or wire.gradient is None or not parts or None in parts:
            continue
        seed = 1.0 if wire.is_output else 0.0
        assert math.fsum(parts) + seed == pytest.approx(wire.gradient, rel=1e-12, abs=1e-15), wire.name


def test_finite_differences_agree(worked):
    assert len(worked.differences) == sum(w.gradient is not None for w in worked.inputs) > 0
    assert all(d.agrees for d in worked.differences)


def test_a_wrong_gradient_is_seen_by_the_differences():
    worked = of_text("x = 2\nf = x**3")
    worked.inputs[0].gradient *= 1.001
    assert not worked.differences[0].agrees


def test_every_gate_belongs_to_one_stage_and_every_stage_has_its_lines(worked):
    inside = [g for s in worked.stages for g in s.gates]
    assert len(inside) == len(set(inside)) == len(worked.gates)
    rows = worked.compiled.source.split("\n")
    for stage in worked.stages:
        for line in (stage.forward, *stage.backward):
            assert rows[line.number - 1] == line.text
            assert line.text.startswith(line.code)
        assert stage.forward.code.startswith(f"{stage.out.name} = ")
        if stage.out.gradient is not None and not worked.has_arrays:
            assert stage.backward  # a sum of arrays may be undone inside the next line


def test_stages_of_a_program_are_as_they_were_after_emitting_every_gate():
    worked = example("neuron")
    before = [eqn.out.stage for eqn in worked.compiled.stages.eqns]
    text = every_gate(worked.compiled)[0].text
    assert [eqn.out.stage for eqn in worked.compiled.stages.eqns] == before
    assert every_gate(worked.compiled)[0].text == text


def test_labels_of_gates():
    labels = {g.out.name: g.label for g in example("four_gates").gates}
    assert labels | {"scaled": "∗−1", "power": "exp", "shifted": "+1", "f": "1/x"} == labels
    shown = [g.label for g in of_text("import math\nx = 2.0\ny = 3.0\nf = (x - y) / (2 - x**3) + max(x, 0) - math.tanh(y) / 2 + 1 / (1 + math.exp(-y))").gates]
    for label in ("−", "x³", "2−x", "/", "max 0", "tanh", "x/2", "σ"):
        assert label in shown


def test_a_gradient_that_does_not_flow_is_none():
    worked = of_text("x = 2.0\ny = 3.0\nf = x * y", wrt=["x"])
    assert [w.gradient for w in worked.inputs] == [3.0, None]


def test_an_output_that_is_read_again_keeps_its_seed():
    worked = of_text("x = 2.0\ny = 3.0\na = x * y\nf = a * a", of=["a", "f"])
    a = next(w for w in worked.wires if w.name == "a")
    assert a.gradient == 13.0  # 1 of its own, 12 from f


def test_outside_the_domain_is_an_error_with_a_way_out():
    with pytest.raises(CompileError) as caught:
        of_text("import math\nx = -2.0\nf = math.log(x)")
    assert caught.value.diagnostics[0].code == "E020"
    assert "--at" in caught.value.diagnostics[0].help


def test_numbers_that_disagree_with_the_page_are_never_shown(monkeypatch):
    from bpcompile.teaching import worked as module

    def tampered(compiled):
        detail, joint = every_gate(compiled)
        detail.text = detail.text.replace("dx = y", "dx = 1.001 * y")
        return detail, joint

    monkeypatch.setattr(module, "every_gate", tampered)
    with pytest.raises(CompileError) as caught:
        of_text("x = 2.0\ny = 3.0\nf = x * y")
    assert caught.value.diagnostics[0].code == "E025"


def test_numbers_of_numpy_are_plain_on_the_page():
    pytest.importorskip("pygraphviz", reason="pages need the extra `draw`")
    from bpcompile.teaching.page import html, page

    made = html(page(of_text("import numpy as np\nx = 2.0\nf = np.exp(x)", target="numpy")))
    assert "np.float64" not in made
    assert 'value="2.0"' in made


def test_new_values_are_the_same_for_the_same_seed_and_friendly():
    seen = set()
    for seed in range(6):
        one, two = (of_text(SCALAR, seed=seed) for _ in range(2))
        assert point(one) == point(two)
        seen.add(repr(point(one)))
        for wire in one.wires:
            assert math.isfinite(wire.value)
            assert abs(wire.value) <= 1e3
            assert abs(wire.gradient) <= 1e3
        for wire in one.inputs:
            assert len(f"{abs(wire.value):g}") <= 3
    assert len(seen) > 3


def test_new_values_keep_clear_of_ties():
    for seed in range(12):
        values = point(example("max_gate", examples=examples(seed)))
        assert abs(values["z"] - values["w"]) >= 0.25


def test_new_values_of_arrays_agree_in_their_sizes():
    text = "import numpy as np\ndef f(X, w):\n    return np.sum(np.tanh(X.dot(w)))"
    worked = of_text(text, seed=1, shapes={"X": ("N", "D"), "w": ("D",)})
    shapes = [np.shape(w.value) for w in worked.inputs]
    assert shapes[0][1:] == shapes[1]
    assert len(set(shapes[0])) == 2


def test_no_friendly_values_is_an_error():
    with pytest.raises(CompileError) as caught:
        of_text("x = 2.0\nf = 1e9 * x", seed=1)
    assert caught.value.diagnostics[0].code == "E022"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0179862, "0.01799"), (-1234567.0, "-1.235e+6"), (3, "3"), (0.5, "0.5"), (-0.0, "0"), (1e-9, "1e-9"), (math.inf, "inf")]
)
def test_four_digits(value, text):
    assert digits(value) == text


@pytest.mark.parametrize(
    ("build", "latex"),
    [
        (lambda x, y, z: x - (y - z), r"x - \left(y - z\right)"),
        (lambda x, y, z: x - y - z, "x - y - z"),
        (lambda x, y, z: (x + y) * z, r"\left(x + y\right) \cdot z"),
        (lambda x, y, z: x * (y * z), r"x \cdot \left(y \cdot z\right)"),
        (lambda x, y, z: x / (y + z), r"\frac{x}{y + z}"),
        (lambda x, y, z: (x / y) ** 2, r"\left(\frac{x}{y}\right)^{2}"),
        (lambda x, y, z: -x * y, r"- x \cdot y"),
        (lambda x, y, z: -(x + y), r"- \left(x + y\right)"),
        (lambda x, y, z: (-x) ** 2, r"\left(- x\right)^{2}"),
        (lambda x, y, z: x + -y, r"x + \left(- y\right)"),
        (lambda x, y, z: (x + 1.0) ** 2, r"\left(x + 1\right)^{2}"),
        (lambda x, y, z: x**-2, "x^{- 2}"),
        (lambda x, y, z: x * -2, r"x \cdot \left(- 2\right)"),
        (lambda x, y, z: 1.5e-9 * x, r"1.5 \cdot 10^{- 9} \cdot x"),
    ],
)
def test_typesetting(build, latex):
    symbols = [Var(name=n) for n in "xyz"]
    with Builder() as builder:
        result = build(*symbols)
    assert formula.typeset(result, builder.eqns, {v: formula.name(v.name) for v in symbols}).latex == latex


def test_mathml_is_well_formed():
    from xml.etree import ElementTree as ET

    for worked in (of_text(SCALAR), of_text(ARRAYS)):
        for stage in worked.stages:
            ET.fromstring(stage.formula.element)
        for gate in worked.gates:
            for part in gate.contributions:
                if part.local is not None:
                    ET.fromstring(part.local.element)
    assert "&lt;" in formula.code("a < b").mathml
