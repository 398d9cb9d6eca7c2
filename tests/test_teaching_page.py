"""Worked pages as text: what they say is read back, in each format and language."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import pytest
from teaching_programs import ARRAYS, ROOT, SCALAR, SIX, example, of_text

from bpcompile.cli import main
from bpcompile.messages import LANGUAGES, catalogue
from bpcompile.teaching import javascript
from bpcompile.teaching.page import html, latex, markdown, page, sentence
from bpcompile.teaching.worked import run

pytest.importorskip("pygraphviz", reason="pages hold pictures, which need the extra `draw`")


class Reader(HTMLParser):
    """Collects what the page binds, its words, and whatever it would fetch."""

    VOID = frozenset({"meta", "link", "input", "br", "rect", "path", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.bound: dict[str, set[str]] = {}
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "data-bind" in found:
            self.bound.setdefault(found["data-bind"], set()).add(found.get("data-exact", ""))
        self.fetched += [v for k, v in attrs if k in {"src", "href", "action", "data"} and v and not v.startswith(("#", "data:"))]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)


@pytest.fixture(scope="module", params=[*SIX, "scalar"])
def worked(request):
    return of_text(SCALAR) if request.param == "scalar" else example(request.param)


def test_numbers_on_the_page_are_those_of_the_emitted_code(worked):
    reader = Reader(html(page(worked)))
    assert not reader.open
    space = run(worked.compiled.source)
    emitted = worked.compiled.emitted
    for i, wire in enumerate(worked.wires):
        if wire.var in emitted.names and f"v{i}" in reader.bound:
            (exact,) = reader.bound[f"v{i}"]
            assert float(exact) == pytest.approx(eval(emitted.names[wire.var], dict(space)), rel=1e-12)
        if wire.var in emitted.adjoints and f"g{i}" in reader.bound:
            for exact in reader.bound[f"g{i}"]:
                assert float(exact) == pytest.approx(eval(emitted.adjoints[wire.var], dict(space)), rel=1e-12, abs=1e-12)


def test_every_stage_has_its_rows_and_every_gate_its_sentence(worked):
    made = page(worked)
    text = "".join(Reader(html(made)).words)
    for stage in worked.stages:
        assert stage.forward.code in text
        for line in stage.backward:
            assert line.code in text
    assert sum(len(g.steps) for s in made.backward for g in s.gates) == sum(len(g.contributions) for g in worked.gates)
    for gate in worked.gates:
        assert sentence(gate, "en") in text


def test_nothing_is_fetched(worked):
    for lang in LANGUAGES:
        text = html(page(worked, lang=lang))
        assert Reader(text).fetched == []
        assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_sentences_about_routing_switching_and_adding_up():
    gates = {g.out.name: g for g in example("max_gate").gates}
    assert sentence(gates["largest"], "en").endswith("larger input, z, and none to w.")
    assert "switches" in sentence(gates["prod"], "en")
    assert "distributes" in sentence(gates["total"], "en")
    assert "2" in sentence(gates["f"], "en")
    joins = [t for s in page(example("staged")).backward for t in s.joins]
    assert joins == ["x is used 3 times, so the gradients that come back add up: `+=`.", "y is used 2 times, so the gradients that come back add up: `+=`."]
    losers = of_text("x = 1.0\ny = 2.0\nf = min(x, y) + max(x, y)").gates
    assert [sentence(g, "en")[-10:] for g in losers[:2]] == ["none to y.", "none to x."]


def test_arrays_reason_with_shapes():
    made = page(of_text(ARRAYS))
    text = html(made)
    assert "(2, 3) ← (2, 4)" in text  # dW from dh
    assert "stretched from (2, 1) to (2, 4)" in text
    assert made.script == ""
    assert "<form" not in text


def test_chinese_pages_speak_chinese():
    english, chinese = (html(page(example("neuron"), lang=lang)) for lang in LANGUAGES)
    for key, (en, zh) in catalogue().items():
        if key.startswith("page.") and "{" not in en and f">{en}<" in english:
            assert f">{zh}<" in chinese, key
            assert f">{en}<" not in chinese, key
    assert '<html lang="zh">' in chinese


def test_catalogue_is_complete_in_both_languages():
    for key, texts in catalogue().items():
        assert len(texts) == len(LANGUAGES) == 2, key
        fields = [sorted(re.findall(r"\{(\w*)\}", text)) for text in texts]
        assert fields[0] == fields[1], key
        assert all(text.strip() for text in texts), key
        assert re.search(r"[一-鿿]", texts[1]), key
        assert not re.search(r"[一-鿿]", texts[0]), key


def test_markdown_needs_no_html():
    text = markdown(page(of_text(SCALAR)), "picture.svg")
    assert not re.search(r"<[a-zA-Z/!]", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL))
    assert "![Circuit of f(" in text
    assert "\\operatorname" not in text  # code hosts refuse it
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        assert row.count("|") in {4, 5, 6}, row
    assert text.count("```") % 2 == 0


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
@pytest.mark.parametrize("name", ["staged", "scalar", "arrays"])
def test_latex_compiles(tmp_path, name):
    worked = {"staged": lambda: example("staged", check="fast"), "scalar": lambda: of_text(SCALAR), "arrays": lambda: of_text(ARRAYS)}[name]()
    (tmp_path / "page.tex").write_text(latex(page(worked)), "utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_is_balanced():
    for lang in LANGUAGES:
        text = latex(page(of_text(SCALAR), lang=lang))
        begun, ended = re.findall(r"\\begin\{(\w+\*?)\}", text), re.findall(r"\\end\{(\w+\*?)\}", text)
        assert sorted(begun) == sorted(ended)
        assert ("ctex" in text) is (lang == "zh")


@pytest.mark.skipif(shutil.which("node") is None, reason="no node is installed")
@pytest.mark.parametrize("text", [SCALAR, "x = 0.5\ny = 2.0\nf = -x**2 * y - (-x)**2 + 2**-y + (x if x > y else -y**2)", "x = 1.5\nf = x"])
def test_javascript_computes_the_same(text):
    worked = of_text(text)
    script = javascript.function(worked) + f"\nconsole.log(JSON.stringify(backprop({[w.value for w in worked.inputs]})))"
    got = json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)
    assert got["values"] == pytest.approx([w.value for w in worked.wires], rel=1e-14)
    assert [g for g in got["gradients"] if g is not None] == pytest.approx([w.gradient for w in worked.wires if w.gradient is not None], rel=1e-13)
    assert got["locals"] == pytest.approx([c.local_value for g in worked.gates for c in g.contributions], rel=1e-13)


def test_a_function_that_browsers_lack_leaves_the_page_as_printed():
    made = page(of_text("import math\nx = 0.5\nf = math.erf(x)"))
    assert made.script == ""
    assert "erf" in html(made)
    assert "<form" not in html(made)


def test_names_of_javascript_are_no_variables():
    text = javascript.function(of_text("new = 1.5\nvar = 2.0\nlet = new * var"))
    assert "backprop([new_, var_])" in text


def test_the_command(tmp_path, capsys):
    source = str(ROOT / "examples" / "staged.py")
    for name in ("page.html", "page.md", "page.tex"):
        assert main(["explain", source, "--at", "x=3,y=-4", "-o", str(tmp_path / name), "-q", "--check", "fast", "--lang", "zh"]) == 0
        assert "反向传播" in (tmp_path / name).read_text("utf-8")
    assert (tmp_path / "page.svg").read_text("utf-8").startswith("<svg")
    assert "](page.svg)" in (tmp_path / "page.md").read_text("utf-8")
    assert main(["explain", "-e", "x * y", "--check", "off", "-q"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    assert main(["explain", source, "-o", str(tmp_path / "page.docx")]) == 1
    assert "E023" in capsys.readouterr().err


def test_the_certificate_is_on_the_page():
    worked = example("neuron", check="full")
    text = unescape(html(page(worked)))
    for line in worked.compiled.certificate.lines():
        assert line in text
