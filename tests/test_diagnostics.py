"""Caret text: each case is compared with the whole text a user would see."""

from __future__ import annotations

import textwrap

import pytest

from bpcompile.diagnostics import CompileError, Diagnostic, Source, Span, error, render, render_all


def golden(text):
    return textwrap.dedent(text).strip("\n")


def show(text, column, end, *, line=1, end_line=None, name="f.py", **more):
    return render(Diagnostic("E100", "no", Span(Source(text, name), line, column, end_line or line, end), **more))


def test_a_full_diagnostic():
    source = Source("import numpy as np\n\n\n\n\n\n    return np.sort(x)[0] * w\n", "examples/loss.py")
    diagnostic = Diagnostic(
        "E102",
        "`np.sort` has no derivative rule",
        Span(source, 7, 12, 7, 22),
        label="not in the table of primitives",
        help="`bpcompile ops` lists the primitives",
    )
    assert render(diagnostic) == golden("""
        error[E102]: `np.sort` has no derivative rule
         --> examples/loss.py:7:12
          |
        7 |     return np.sort(x)[0] * w
          |            ^^^^^^^^^^ not in the table of primitives
          |
          = help: `bpcompile ops` lists the primitives
    """)


def test_the_gutter_is_as_wide_as_the_line_number():
    assert show("\n" * 99 + "f = x +* y", 8, 9, line=100) == golden("""
        error[E100]: no
           --> f.py:100:8
            |
        100 | f = x +* y
            |        ^
    """)


def test_tabs_before_the_caret_stay_tabs():
    assert show("\tf =\tx +* y", 9, 10).splitlines()[3:] == ["1 | \tf =\tx +* y", "  | \t   \t   ^"]


def test_an_accent_is_one_column():
    assert show("été = x +* y", 10, 11).splitlines()[3:] == ["1 | été = x +* y", "  |          ^"]


def test_a_wide_character_takes_two_columns():
    # In a terminal each of 値段 is two columns wide, so the caret stands four columns to the right of `f`'s own text.
    assert show("値段 = x +* y", 9, 10).splitlines()[3:] == ["1 | 値段 = x +* y", "  |           ^"]


def test_a_span_of_wide_characters_is_underlined_in_full():
    assert show("値段 = 1", 1, 3).splitlines()[4] == "  | ^^^^"


def test_a_combining_mark_takes_no_column():
    assert show("e\N{COMBINING ACUTE ACCENT} = x +* y", 9, 10).splitlines()[4] == "  |        ^"


def test_columns_come_from_utf8_offsets():
    source = Source("été = 値 + x")
    assert [source.column(1, offset) for offset in (0, 2, 5, 8, 11)] == [1, 2, 4, 7, 8]


@pytest.mark.parametrize("column", [1, 30, 200, 2500, 4990, 5000])
def test_a_long_line_is_cut_around_the_caret(column):
    text = "".join("0123456789abcdefghij"[i % 20] for i in range(5000))
    *_, shown, carets = show(text, column, column + 1).splitlines()
    assert max(len(shown), len(carets)) < 140
    assert shown[carets.index("^")] == text[column - 1]
    assert shown.startswith("1 | ...") == (column > 100)
    assert shown.endswith("...") == (column < 4900)


def test_a_span_longer_than_a_long_line_stays_within_it():
    *_, shown, carets = show("x" * 5000, 1, 5001).splitlines()
    assert len(carets) <= len(shown)


def test_a_span_over_several_lines_is_marked_to_the_end_of_its_first():
    assert show("f = g(x,\n      y)", 5, 9, end_line=2) == golden("""
        error[E100]: no
         --> f.py:1:5
          |
        1 | f = g(x,
          |     ^^^^
    """)


def test_without_a_span_only_message_and_help():
    assert render(Diagnostic("E101", "there is no file")) == "error[E101]: there is no file"
    assert render(Diagnostic("W020", "mind", help="do", level="warning")) == "warning[W020]: mind\n  = help: do"


def test_an_empty_span_past_the_end_shows_one_caret():
    assert show("f = x +", 8, 8).splitlines()[3:] == ["1 | f = x +", "  |        ^"]
    assert show("", 1, 1, line=5).splitlines()[2:] == ["  |", "5 |", "  | ^"]


def test_control_characters_do_not_reach_the_terminal():
    text = show("f = '\x1b[31m\x00' +* y", 14, 15)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert text.splitlines()[3:] == ["1 | f = '\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}' +* y", "  |              ^"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_python_counts_them(end):
    source = Source(f"a{end}b\x0cc{end}d")
    assert [source.line(n) for n in (0, 1, 2, 3, 4)] == ["", "a", "b\x0cc", "d", ""]


def test_a_compile_error_shows_every_diagnostic():
    first, second = Diagnostic("E100", "one"), Diagnostic("E101", "two")
    assert str(CompileError(first, second)) == render_all([first, second]) == "error[E100]: one\n\nerror[E101]: two"
    assert error("E100", "one").diagnostics == (first,)
