"""Two languages: complete, and in emitted code a matter of comments only."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest
from teaching_programs import ARRAYS, ROOT, SCALAR, SIX

import bpcompile.ops  # noqa: F401  fills the table
from bpcompile.compiler import Options, compile_file, compile_gradient
from bpcompile.diagnostics import CompileError
from bpcompile.messages import LANGUAGES, catalogue, knows, say, translate
from bpcompile.passes.recognise import _SAFER
from bpcompile.primitive import REGISTRY
from bpcompile.teaching.worked import syntax

CHINESE = re.compile(r"[一-鿿]")
KINDS = [{"layout": "function"}, {"layout": "split"}, {"layout": "script", "style": "notes"}, {"layout": "function", "style": "notes"}]


def comments(text: str) -> Iterator[str]:
    """Yield each comment, and each line of each docstring."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("# ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef):
            yield from filter(None, (ast.get_docstring(node) or "").split("\n"))


def sources(lang: str, **options) -> Iterator[str]:
    for name in SIX:
        yield compile_file(ROOT / "examples" / f"{name}.py", lang=lang, check="fast", **options).source
    for text in (SCALAR, ARRAYS, "x = 2.0\ny = 3.0\nf = x**2\ng = f + 1\nh = 0 * y + f"):
        yield compile_gradient(text, lang=lang, check="fast", **options).source


@pytest.mark.parametrize("options", KINDS, ids=lambda o: "-".join(o.values()))
def test_only_comments_differ(options):
    for english, chinese in zip(sources("en", **options), sources("zh", **options), strict=True):
        assert syntax(english) == syntax(chinese)
        assert not CHINESE.search(english)
        for line in comments(chinese):
            # A number of a stage, or shapes: there is nothing to translate.
            bare = re.sub(r"\([\d, ]*\)|\(\w+(, \w+)*,?\)|[=.>-]|\s", "", line)
            assert CHINESE.search(line) or not bare, line


def test_numbers_and_code_are_the_same_in_both_certificates():
    for english, chinese in zip(sources("en"), sources("zh"), strict=True):
        for a, b in zip(comments(english), comments(chinese), strict=True):
            assert sorted(re.findall(r"\d[\d.e-]*\d|\d", a)) == sorted(re.findall(r"\d[\d.e-]*\d|\d", b)), (a, b)


def test_every_note_of_the_table_has_a_translation():
    notes = {p.note for p in REGISTRY if p.note} | set(_SAFER.values())
    assert len(notes) >= 8
    for note in notes:
        assert CHINESE.search(translate("zh", note)), note


def test_translation_fills_braces_and_lists():
    assert translate("zh", "derivative rules: 2 proved with SymPy, 1 not checked") == "求导法则：2 条经 SymPy 证明，1 条未检验"
    assert translate("zh", "backprop f = x, y") == "回传到 f = x, y"
    assert translate("en", "exp cannot overflow") == "exp cannot overflow"


def test_sentences_of_gates_are_about_gates_of_the_table():
    others = {"structure", "function", "broadcast", "joins"}
    for key in catalogue():
        if key.startswith("gate."):
            assert key.split(".")[1] in REGISTRY or key.split(".")[1] in others, key


def test_say_and_knows():
    assert say("zh", "picture.value") == "值"
    assert knows("gate.add")
    assert not knows("gate.nonsense")
    assert all(len(texts) == len(LANGUAGES) for texts in catalogue().values())


def test_an_unknown_language_is_an_error():
    with pytest.raises(CompileError):
        Options(lang="fr")
