"""Worked pages in a real browser: quiet, alone on the network, and computing what Python computes."""

from __future__ import annotations

import math
import random
import re

import pytest
from browser import Browser, find
from teaching_programs import ARRAYS, SCALAR, example, of_text

from bpcompile.teaching.page import html, page
from bpcompile.teaching.worked import Worked, digits, run

pytest.importorskip("pygraphviz", reason="pages hold pictures, which need the extra `draw`")
pytestmark = pytest.mark.skipif(find() is None, reason="no Chromium is installed")

PROGRAMS = {
    "staged": lambda: example("staged", check="fast"),
    "neuron": lambda: example("neuron"),
    "max_gate": lambda: example("max_gate"),
    "scalar": lambda: of_text(SCALAR),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Each page written once: (worked, path)."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[tuple[str, str], tuple] = {}

    def get(name: str, lang: str = "en"):
        if (name, lang) not in made:
            worked = PROGRAMS[name]() if name in PROGRAMS else of_text(ARRAYS)
            path = folder / f"{name}-{lang}.html"
            path.write_text(html(page(worked, lang=lang)), "utf-8")
            made[name, lang] = worked, path
        return made[name, lang]

    return get


SET = """
(function (values) {
  const fields = [...document.querySelectorAll("form.inputs input")];
  fields.forEach((field, i) => { field.value = String(values[i]); });
  fields[0].dispatchEvent(new Event("input", { bubbles: true }));
})(%s)
"""
READ = """
Object.fromEntries([...document.querySelectorAll(".circuit g.wire")].map((g) => [g.dataset.name, [g.dataset.value, g.dataset.gradient,
  g.querySelector("text.value").textContent]]))
"""


def python_at(worked: Worked, values: list[float]) -> tuple[dict[str, float], dict[str, float]]:
    """Run the code with a line for each gate, and return values and gradients by the names of wires."""
    at = dict(zip([w.name for w in worked.inputs], values, strict=True))
    given: dict[str, object] = {}
    for name, value in at.items():
        element = re.match(r"(\w+)\[\d+\]", name)
        if element:
            given.setdefault(element[1], []).append(value)
        else:
            given[name] = value
    space = run(worked.detail.text, given)
    read = lambda text: eval(text, dict(space))  # noqa: E731
    found = {w.name: read(worked.detail.names[w.var]) for w in worked.wires}
    gradients = {w.name: read(worked.detail.adjoints[w.var]) for w in worked.wires if w.var in worked.detail.adjoints}
    return found, gradients


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_page_computes_what_python_computes(browser, pages, name):
    worked, path = pages(name)
    browser.open(path)
    source = random.Random(7)
    for _ in range(5):
        values = [round(source.uniform(0.2, 2.5), 3) * (-1 if name != "scalar" and source.random() < 0.5 else 1) for _ in worked.inputs]
        browser.run(SET % values)
        shown = browser.run(READ)
        want, gradients = python_at(worked, values)
        for wire, (value, gradient, text) in shown.items():
            assert float(value) == pytest.approx(want[wire], rel=1e-12, abs=1e-12), wire
            assert text == digits(want[wire])
            if wire in gradients:
                assert float(gradient) == pytest.approx(gradients[wire], rel=1e-12, abs=1e-12), wire
        exact = browser.run('Object.fromEntries([...document.querySelectorAll("[data-bind]")].map((n) => [n.dataset.bind, n.dataset.exact]))')
        place = 0
        for gate in worked.gates:
            for part in gate.contributions:
                product = float(exact[f"p{place}"])
                assert product == pytest.approx(float(exact[f"l{place}"]) * gradients.get(gate.out.name, 1.0), rel=1e-11, abs=1e-12)
                assert part.wire.name in want
                place += 1
        assert browser.run('[...document.querySelectorAll("[data-agrees]")].every((n) => n.textContent === "agrees")')
    browser.run('document.querySelector("form.inputs").reset(); new Promise((done) => setTimeout(done, 50))')
    for wire, (value, _, _) in browser.run(READ).items():
        assert float(value) == pytest.approx(next(w.value for w in worked.wires if w.name == wire), rel=1e-12)
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 740)])
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", ["staged", "scalar", "arrays"])
def test_quiet_alone_and_without_overflow(browser, pages, name, lang, width, height):
    _, path = pages(name, lang)
    browser.open(path, width=width, height=height)
    assert browser.complaints() == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.documentElement.lang") == lang
    assert browser.screenshot().startswith(b"\x89PNG")


def test_without_javascript_the_page_says_the_same(browser, pages):
    worked, path = pages("staged")
    browser.open(path, scripts=False)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    shown = browser.run(READ)
    assert {k: float(v[0]) for k, v in shown.items()} == pytest.approx({w.name: w.value for w in worked.wires})
    assert browser.run('document.querySelector("form.inputs").hidden')
    assert browser.run('document.querySelectorAll(".step").length') == 8


def test_pointing_at_a_stage_lights_its_lines_and_its_wire(browser, pages):
    _, path = pages("staged")
    browser.open(path)
    lit = """
    (function () {
      const row = document.querySelector('#forward tr[data-stage="xpysqr"]');
      row.%s;
      return [...document.querySelectorAll(".lit")].map((n) => n.dataset.stage || n.dataset.name + "/" + n.classList[0]);
    })()
    """
    found = browser.run(lit % 'dispatchEvent(new MouseEvent("mouseenter"))')
    assert found.count("xpysqr") == 4  # the row, the step, the forward line and the backward line of the listing
    assert {"xpysqr/wire", "xpysqr/gate"} <= set(found)
    assert browser.run(lit % 'dispatchEvent(new MouseEvent("mouseleave"))') == []
    assert browser.run(lit % "focus()").count("xpysqr") == 4


def test_landmarks_names_and_contrast(browser, pages):
    for name, lang in (("staged", "en"), ("arrays", "zh")):
        _, path = pages(name, lang)
        browser.open(path)
        assert browser.run('["header", "nav", "main", "footer", "h1"].map((n) => document.querySelectorAll(n).length)') == [1, 1, 1, 1, 1]
        assert browser.run(
            '[...document.querySelectorAll("section[aria-labelledby], [role=group]")].every((n) => document.getElementById(n.getAttribute("aria-labelledby")))'
        )
        assert browser.run('[...document.querySelectorAll("input")].every((n) => n.getAttribute("aria-label"))')
        assert browser.run("new Set([...document.querySelectorAll('[id]')].map((n) => n.id)).size === document.querySelectorAll('[id]').length")
        poor = browser.run(
            """
            (function () {
              const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
              const parse = (text) => text.match(/[\\d.]+/g).map(Number);
              const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
              const behind = (node) => {
                for (let n = node; n instanceof Element; n = n.parentElement) {
                  const colour = parse(getComputedStyle(n).backgroundColor);
                  if (colour.length < 4 || colour[3] > 0) return colour;
                }
                return [255, 255, 255];
              };
              const found = [];
              const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              for (let t = walk.nextNode(); t; t = walk.nextNode()) {
                const node = t.parentElement;
                if (!t.textContent.trim() || ["SCRIPT", "STYLE", "style", "title", "desc"].includes(node.tagName)) continue;
                const style = getComputedStyle(node);
                const svg = node instanceof SVGElement;
                const [a, b] = [light(parse(svg ? style.fill : style.color)), light(svg ? [243, 246, 250] : behind(node))];
                const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (ratio < 4.5) found.push(t.textContent + " " + ratio);
              }
              return found;
            })()
            """,
        )
        assert poor == []


def test_outside_the_domain_numbers_become_dashes(browser, pages):
    worked, path = pages("scalar")
    browser.open(path)
    values = [w.value for w in worked.inputs]
    browser.run(SET % [0, *values[1:]])  # f divides by x
    assert not math.isfinite(float(browser.run(READ)["f"][0]))
    assert browser.complaints() == []
