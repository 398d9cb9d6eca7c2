"""Pictures: what they say is read back and compared with emitted code; what they look like is measured."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from teaching_programs import ARRAYS, ROOT, SCALAR, SIX, example, of_text

from bpcompile.cli import main
from bpcompile.diagnostics import CompileError
from bpcompile.teaching.circuit import CHAR, SIZE, Circuit, Label, _Layout, _Request, draw
from bpcompile.teaching.picture import dot, raster, svg
from bpcompile.teaching.worked import digits, run

pytest.importorskip("pygraphviz", reason="pictures need the extra `draw`")

NS = {"s": "http://www.w3.org/2000/svg"}


def wires_of(text: str) -> dict[str, tuple[dict[str, str], list[tuple[str, str]]]]:
    """The wires of an SVG by name: exact numbers, and shown texts with their class."""
    root = ET.fromstring(text)
    return {
        g.get("data-name"): (dict(g.attrib), [(t.get("class"), t.text) for t in g.findall("s:text", NS)]) for g in root.findall(".//s:g[@class='wire']", NS)
    }


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("collapse", [False, True])
def test_numbers_in_the_picture_are_those_of_the_emitted_code(name, collapse):
    worked = example(name)
    space = run(worked.compiled.source)
    emitted = worked.compiled.emitted
    wires = wires_of(svg(draw(worked, collapse=collapse)))
    value = dict.fromkeys(wires)
    for var, text in emitted.names.items():
        attributes, texts = wires[text]
        want = eval(text, dict(space))
        assert float(attributes["data-value"]) == pytest.approx(want, rel=1e-12)
        assert float(dict(texts)["value"]) == pytest.approx(want, rel=6e-4)
        value[text] = want
        if var in emitted.adjoints:
            want = eval(emitted.adjoints[var], dict(space))
            assert float(attributes["data-gradient"]) == pytest.approx(want, rel=1e-12, abs=1e-15)
            assert float(dict(texts)["gradient"]) == pytest.approx(want, rel=6e-4, abs=1e-12)
    assert set(emitted.outputs) <= set(wires)


def test_gradients_against_differences_of_the_users_own_file():
    text = (ROOT / "examples" / "staged.py").read_text("utf-8")
    wires = wires_of(svg(draw(example("staged"))))

    def f(x, y):
        space = {}
        exec(text.replace("x = 3", f"x = {x!r}").replace("y = -4", f"y = {y!r}"), space)
        return space["f"]

    h = 1e-6
    assert float(wires["x"][0]["data-gradient"]) == pytest.approx((f(3 + h, -4) - f(3 - h, -4)) / (2 * h), rel=1e-6)
    assert float(wires["y"][0]["data-gradient"]) == pytest.approx((f(3, -4 + h) - f(3, -4 - h)) / (2 * h), rel=1e-6)


def test_arrays_show_shape_and_spread():
    worked = of_text(ARRAYS)
    wires = wires_of(svg(draw(worked)))
    texts = dict(wires["h"][1])
    h = run(worked.compiled.source)["h"]
    assert texts["shape"] == "(2, 4)"
    assert [float(t) for t in texts["value"].split()] == pytest.approx([h.min(), h.mean(), h.max()], rel=6e-4)


def boxes(circuit: Circuit) -> list[tuple[str, float, float, float, float]]:
    found = []
    for group in circuit.groups:
        for mark in group.marks:
            if isinstance(mark, Label) and mark.kind not in {"sign", "order"}:
                width = len(mark.text) * CHAR * (11 / SIZE if mark.kind == "stage" else 1)
                left = mark.x - {"start": 0, "middle": width / 2, "end": width}[mark.anchor]
                found.append((mark.text, left, mark.y - 9, left + width, mark.y + 2))
    return found


@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("worked", [*SIX, "scalar", "arrays"])
def test_no_label_lies_on_another_and_all_are_inside(worked, collapse):
    model = of_text({"scalar": SCALAR, "arrays": ARRAYS}[worked]) if worked in {"scalar", "arrays"} else example(worked)
    circuit = draw(model, collapse=collapse)
    found = boxes(circuit)
    for (t, a, b, c, d), (u, e, f, g, h) in itertools.combinations(found, 2):
        assert not (a < g and e < c and b < h and f < d), (t, u)
    for text, left, top, right, bottom in found:
        assert min(left, top, circuit.width - right, circuit.height - bottom) >= 0, text


def test_inputs_stand_at_the_left_and_the_output_at_the_right():
    circuit = draw(of_text(SCALAR))
    at = {g.key: next(m.x for m in g.marks if isinstance(m, Label)) for g in circuit.groups if g.kind == "wire"}
    inputs = [at[n] for n in ("x", "y", "z", "w[0]", "w[1]", "w[2]")]
    assert max(inputs) < min(v for k, v in at.items() if k not in {"x", "y", "z", "w[0]", "w[1]", "w[2]"})
    assert at["f"] == max(at.values())


def test_wires_that_leave_a_variable_used_twice_join_in_its_sum():
    text = svg(draw(example("staged")))
    root = ET.fromstring(text)
    groups = {g.get("data-name"): g for g in root.findall(".//s:g[@class='wire']", NS)}
    joined = {name for name, g in groups.items() if any(t.get("class") == "sum" and t.text == "+=" for t in g.findall("s:text", NS))}
    assert joined == {"x", "y"}
    circle = groups["x"].find("s:circle", NS)
    at = float(circle.get("cx")), float(circle.get("cy"))
    starts = [tuple(map(float, re.match(r"M([\d.]+),([\d.]+)", p.get("d")).groups())) for p in groups["x"].findall("s:path", NS)]
    assert sum(abs(x - at[0]) < 2 and abs(y - at[1]) < 2 for x, y in starts) == 3  # num, sigx and xpy


def test_stages_are_boxes_and_collapse_to_one_gate():
    def count(kind: str, *, collapse: bool) -> int:
        return len(ET.fromstring(svg(draw(example("neuron"), collapse=collapse))).findall(f".//s:g[@class='{kind}']", NS))

    assert (count("stage", collapse=False), count("gate", collapse=False)) == (1, 5)
    assert (count("stage", collapse=True), count("gate", collapse=True)) == (0, 2)


def test_pictures_carry_text_alternatives_in_both_languages():
    worked = example("neuron")
    for lang, word in (("en", "gates from left to right"), ("zh", "个门")):
        root = ET.fromstring(svg(draw(worked, lang=lang)))
        assert root.get("role") == "img"
        assert root.find("s:title", NS).text
        assert word in root.find("s:desc", NS).text
        assert all(g.find("s:title", NS).text for g in root.findall("s:g", NS))
        assert {root.find("s:title", NS).get("id"), root.find("s:desc", NS).get("id")} == set(root.get("aria-labelledby").split())


def test_the_same_program_gives_the_same_bytes():
    assert svg(draw(example("neuron"))) == svg(draw(example("neuron")))
    assert dot(example("neuron")) == dot(example("neuron"))


@pytest.mark.parametrize("name", SIX)
def test_committed_pictures_are_current(name):
    path = ROOT / "docs" / "pictures" / f"{name}.svg"
    text = svg(draw(example(name)))
    # Graphviz may route a line by a hair otherwise on another machine: the numbers and gates count.
    assert wires_of(path.read_text("utf-8")).keys() == wires_of(text).keys()
    for wire, (attributes, texts) in wires_of(path.read_text("utf-8")).items():
        new_attributes, new_texts = wires_of(text)[wire]
        assert texts == new_texts
        assert float(attributes["data-value"]) == pytest.approx(float(new_attributes["data-value"]), rel=1e-12)


def test_dot_text_holds_gates_wires_and_numbers(tmp_path):
    pgv = pytest.importorskip("pygraphviz")
    text = dot(of_text(SCALAR))
    (tmp_path / "x.dot").write_text(text, "utf-8")
    graph = pgv.AGraph(str(tmp_path / "x.dot"))
    assert len([n for n in graph.nodes() if n.startswith("gate")]) == len(of_text(SCALAR).gates)
    d = next(w for w in of_text(SCALAR).wires if w.name == "d")
    assert f">{digits(d.value)}</B>" in text
    assert f">{digits(d.gradient)}</I>" in text


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-")])
def test_png_and_pdf(kind, magic):
    pytest.importorskip("matplotlib")
    circuit = draw(example("neuron"))
    data = raster(circuit, kind, dpi=72)
    assert data.startswith(magic)
    assert data == raster(circuit, kind, dpi=72)
    if kind == "png":
        assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (circuit.width, circuit.height)


def test_the_command(tmp_path, capsys):
    out = tmp_path / "staged.svg"
    assert main(["draw", str(ROOT / "examples" / "staged.py"), "--at", "x=1,y=2", "-o", str(out), "-q", "--check", "off"]) == 0
    assert float(wires_of(out.read_text("utf-8"))["xpy"][0]["data-value"]) == 3
    assert main(["draw", "-e", "x * y", "--seed", "2", "--check", "off"]) == 0
    assert capsys.readouterr().out.startswith("<svg")
    assert main(["draw", "-e", "x * y", "-o", str(tmp_path / "x.jpg")]) == 1
    assert "E023" in capsys.readouterr().err
    assert main(["draw"]) == 2
    assert main(["draw", "--help"]) == 0


def test_help_loads_no_drawing_library():
    watched = "'pygraphviz', 'matplotlib', 'sympy', 'numpy'"
    code = f"import sys; from bpcompile.cli import main; main(['draw', '--help']); main(['--help']); print(sorted({{{watched}}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_compiling_loads_no_drawing_library():
    code = "import sys; from bpcompile.cli import main; main(['-e', 'x*y', '--check', 'off']); print(sorted({'pygraphviz', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_too_many_gates_are_refused_with_a_way_out():
    text = "x = 0.5\n" + "".join(f"a{i} = {'x' if i == 0 else f'a{i - 1}'} * 1.01\n" for i in range(401))
    with pytest.raises(CompileError) as caught:
        draw(of_text(text))
    assert caught.value.diagnostics[0].code == "E024"


def test_lines_cross_only_where_they_must():
    def crossings(text: str) -> int:
        request = _Request(of_text(text), collapse=False, lang="en", blank="")
        return min(_Layout(request, swapped=False, ordered=ordered).crossings() for ordered in (True, False))

    assert crossings("x = 1.0\ny = 2.0\nz = 3.0\nf = (x + y) * z") == 0
    assert crossings("a = 1.0\nb = 2.0\nc = 3.0\nd = 4.0\nf = (a * b + c * d) * (a + 2)") <= 1
    # Three inputs that all meet in three gates can't be drawn flat.
    assert 0 < crossings("a = 1.0\nb = 2.0\nc = 3.0\np = a * b * c\nq = a + b + c\nr = max(a, b, c)\nf = p * q * r") < 12


def test_a_chain_of_forty_gates_stays_readable():
    text = "x = 0.5\n" + "".join(f"a{i} = {'x' if i == 0 else f'a{i - 1}'} * {1 + i / 50!r}\n" for i in range(40))
    circuit = draw(of_text(text))
    assert circuit.height < 200
    found = boxes(circuit)
    for (t, a, b, c, d), (u, e, f, g, h) in itertools.combinations(found, 2):
        assert not (a < g and e < c and b < h and f < d), (t, u)
    assert np.isfinite(circuit.width)
