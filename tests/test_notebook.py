"""The cell magic, the rich displays, and the notebook that introduces them."""

from __future__ import annotations

import json
import re

import pytest
from teaching_programs import ROOT, SCALAR, example

from bpcompile.compiler import compile_gradient
from bpcompile.notebook import backprop
from bpcompile.teaching.display import Lesson, as_script
from bpcompile.teaching.worked import work

pytest.importorskip("pygraphviz", reason="notebooks show pictures, which need the extra `draw`")
NOTEBOOK = ROOT / "docs" / "backpropagation.ipynb"


def test_the_magic_reads_its_options():
    name, lesson = backprop("--as g --at x=1,y=2 --wrt x --show numbers --style code --check off --lang zh", "x = 3\ny = -4\nf = x * y")
    assert (name, lesson.parts, lesson.lang) == ("g", ("numbers",), "zh")
    assert [(w.name, w.value, w.gradient) for w in lesson.worked.inputs] == [("x", 1, 2), ("y", 2, None)]
    assert "取" not in lesson._repr_html_().split("<table>")[0]
    assert "变量" in lesson._repr_html_()


@pytest.mark.parametrize("line", ["--show nonsense", "--unknown", "--style loud", "--at x"])
def test_wrong_options_are_said_in_one_line(line):
    with pytest.raises(ValueError) as caught:
        backprop(line, "x = 3\nf = x**2")
    assert "\n" not in str(caught.value)


def test_the_magic_in_a_shell(capsys):
    ipython = pytest.importorskip("IPython.core.interactiveshell", reason="needs the extra `notebook`")
    from IPython.utils.capture import capture_output

    shell = ipython.InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "bpcompile")
        with capture_output() as shown:
            shell.run_cell_magic("backprop", "--as cube --check off", "x = 2.0\nf = x**3")
        assert shell.user_ns["cube"](3.0) == (27.0, (27.0,))
        kinds = [set(output.data) for output in shown.outputs]
        assert "text/markdown" in kinds[0]
        assert "image/svg+xml" in kinds[1]
        assert {"text/html", "text/markdown", "text/latex"} <= kinds[2]
        with capture_output() as shown:
            shell.run_cell_magic("backprop", "", "f = nonsense(2)")
        assert "error[" in shown.stdout
        assert "Traceback" not in shown.stdout + shown.stderr
    finally:
        ipython.InteractiveShell.clear_instance()


@pytest.mark.parametrize("layout", ["function", "split", "script"])
@pytest.mark.parametrize("style", ["code", "notes"])
def test_rich_displays_of_a_compiled_gradient(layout, style):
    compiled = compile_gradient(SCALAR, layout=layout, style=style, check="off")
    html = compiled._repr_html_()
    assert "<svg" in html
    assert "<table>" in html
    assert "def " in html or layout == "script"
    assert compiled._repr_markdown_().count("```") == 2
    assert compiled._repr_latex_().startswith("$$")
    assert r"\tanh" in compiled._repr_latex_()


def test_showing_leaves_the_compiled_gradient_as_it_was():
    compiled = compile_gradient(SCALAR, check="off")
    source = compiled.source
    compiled._repr_html_()
    assert compiled.source == source == compile_gradient(SCALAR, check="off").source
    assert as_script(compiled).source == as_script(compiled).source


def test_what_cannot_be_drawn_is_shown_as_code():
    compiled = compile_gradient("import math\nx = -1.0\nf = math.log(x)", check="off")
    assert "<svg" not in compiled._repr_html_()
    assert "math.log" in compiled._repr_html_()
    assert compiled._repr_latex_() == ""
    assert compiled._repr_markdown_().startswith("```python")


def test_pictures_of_one_document_have_ids_of_their_own():
    one, two = Lesson(example("neuron")).svg, Lesson(example("neuron")).svg
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (one, two)]
    assert not ids[0] & ids[1]


def test_a_lesson_in_plain_text():
    lesson = Lesson(work(compile_gradient("x = 3.0\nf = x**2", layout="script", style="notes", check="off")))
    assert repr(lesson) == "x = 3, gradient 6\nf = 9, gradient 1"


def test_the_notebook_is_committed_with_its_results():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert sum(bool(c.get("outputs")) for c in cells) >= 10
    text = NOTEBOOK.read_text("utf-8")
    assert "error[" not in text
    assert '"output_type": "error"' not in text
    assert not re.search(r"/(home|root|tmp|work)/", text)


@pytest.mark.filterwarnings("ignore")  # those of Jupyter's own libraries
def test_the_notebook_runs():
    nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebook`")
    client = pytest.importorskip("nbclient", reason="needs the extra `notebook`")
    pytest.importorskip("ipykernel", reason="needs the extra `notebook`")
    pytest.importorskip("matplotlib", reason="needs the extra `draw`")
    notebook = nbformat.read(NOTEBOOK, 4)
    wanted = [cell.get("outputs", []) for cell in notebook.cells]
    client.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell, before in zip(notebook.cells, wanted, strict=True):
        outputs = cell.get("outputs", [])
        assert [o.output_type for o in outputs] == [o.output_type for o in before]
        assert not [o for o in outputs if o.output_type in {"error", "stream"}], outputs
        for now, then in zip(outputs, before, strict=True):
            assert now.data.get("text/html") == then.data.get("text/html")
