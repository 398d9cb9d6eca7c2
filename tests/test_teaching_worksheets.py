"""Worksheets hide what is asked for, everywhere it could be read, and their keys hold it."""

from __future__ import annotations

import ast
import re

import pytest
from teaching_programs import ROOT, SCALAR, SIX, example, of_text

from bpcompile.cli import main
from bpcompile.teaching.commands import open_code
from bpcompile.teaching.page import SECTIONS, html, latex, markdown, page
from bpcompile.teaching.worked import digits, run

pytest.importorskip("pygraphviz", reason="worksheets hold pictures, which need the extra `draw`")
WRITERS = {"html": html, "md": lambda made: markdown(made, "x.svg") + made.svg, "tex": latex}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("worked", [lambda: example("staged"), lambda: of_text(SCALAR)], ids=["staged", "scalar"])
def test_hidden_numbers_are_nowhere(worked, kind):
    model = worked()
    size = lambda numbers: {digits(abs(x)) for x in numbers if x is not None}  # noqa: E731
    known = size(w.value for w in model.wires) | size(c.local_value for g in model.gates for c in g.contributions) | {"1", "0"}
    gradients = size(w.gradient for w in model.wires) - known
    text = WRITERS[kind](page(model, blank="gradients"))
    assert len(gradients) >= 4
    for number in gradients:
        assert not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text), number
    given = {digits(w.value) for w in model.inputs}
    values = {digits(w.value) for w in model.wires if w.maker is not None} - given
    values = {v for v in values if len(v) > 4}  # a short number may stand in a formula
    text = WRITERS[kind](page(model, blank="values"))
    assert len(values) >= 4
    for number in values:
        assert not re.search(
            rf"(?<![\d.\w]){re.escape(number)}(?!\d)", re.sub(r'(?:cx|cy|x|y|d|width|height|viewBox)="[^"]*"|at \([^)]*\)|\([-\d.]+,[-\d.]+\)', "", text)
        )


@pytest.mark.parametrize("name", SIX)
def test_hidden_lines_are_nowhere_and_the_rest_is_as_it_was(name):
    worked = example(name)
    text = html(page(worked, blank="code"))
    shown = re.sub(r"<[^>]+>", "", text)
    for line in worked.backward:
        if not line.text.startswith("#"):
            right = line.code.partition("= ")[2]
            assert f"= {right}" not in shown or len(right) < 4
    code = open_code(worked)
    ast.parse(code)
    rows, full = code.split("\n"), worked.compiled.source.split("\n")
    changed = [i for i, (a, b) in enumerate(zip(rows, full, strict=True)) if a != b]
    assert changed == [line.number - 1 for line in worked.backward if not line.text.startswith("#")]
    for i in changed:
        assert re.match(r"\w+ \+?= \.\.\.  # \(\d+\)$|\w+ = \.\.\.$", rows[i]), rows[i]


@pytest.mark.parametrize("blank", ["gradients", "values", "code"])
def test_a_worksheet_and_its_key_are_of_one_example(tmp_path, blank):
    source = str(ROOT / "examples" / "max_gate.py")
    for name in ("sheet.html", "sheet.md", "sheet.tex"):
        arguments = ["--blank", blank, "--seed", "5", "-o", str(tmp_path / name), "-q", "--check", "off"]
        assert main(["explain", source, *arguments]) == 0
        sheet = (tmp_path / name).read_text("utf-8")
        key = (tmp_path / name.replace("sheet", "sheet-key")).read_text("utf-8")
        assert sheet.count("Worksheet") >= 1
        assert key.count("Answer key") >= 1
        assert "nswer" not in sheet
    if blank == "code":
        filled = (tmp_path / "sheet-key.py").read_text("utf-8")
        assert run(filled)["dx"] == run(filled)["y"] * run(filled)["dprod"]
        assert "..." in (tmp_path / "sheet.py").read_text("utf-8")
    else:
        assert not list(tmp_path.glob("*.py"))


def test_sections_are_known_and_anchored():
    worked = example("staged")
    for blank, sections in SECTIONS.items():
        text = html(page(worked, blank=blank))
        assert re.findall(r'<section id="(\w+)"', text) == list(sections)
        for anchor in re.findall(r'href="#(\w+)"', text):
            assert f'id="{anchor}"' in text
        if blank:
            assert "function backprop" not in text


def test_pictures_alone_can_be_worksheets(tmp_path):
    out = tmp_path / "x.svg"
    assert main(["draw", str(ROOT / "examples" / "neuron.py"), "--blank", "gradients", "-o", str(out), "-q", "--check", "off"]) == 0
    text = out.read_text("utf-8")
    assert text.count('class="blank"') == 9
    assert text.count("data-gradient") == 1


def test_a_filled_in_code_worksheet_is_marked(tmp_path, capsys):
    source = str(ROOT / "examples" / "staged.py")
    assert main(["explain", source, "--blank", "code", "--seed", "2", "-o", str(tmp_path / "sheet.html"), "-q", "--check", "off"]) == 0
    key = (tmp_path / "sheet-key.py").read_text("utf-8")
    sheet = (tmp_path / "sheet.py").read_text("utf-8").split("\n")
    filled = [a if "..." not in a else b for a, b in zip(sheet, key.split("\n"), strict=True)]
    (tmp_path / "right.py").write_text("\n".join(filled), "utf-8")
    (tmp_path / "wrong.py").write_text("\n".join(line.replace("dx += (1) * dnum", "dx = (1) * dnum") for line in filled), "utf-8")
    assert main(["verify", str(tmp_path / "right.py")]) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "wrong.py"), "--lang", "zh"]) == 1
    report = capsys.readouterr().out
    assert "覆盖了先前的贡献" in report
    assert main(["verify", str(tmp_path / "wrong.py"), "--html"]) == 1
    assert '<html lang="en">' in capsys.readouterr().out
