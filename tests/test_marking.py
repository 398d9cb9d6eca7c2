"""Marking hand-written backward code: each kind of mistake, each form of input, the report, the command line."""

from __future__ import annotations

import json
import re
import time

import pytest

from bpcompile import cli
from bpcompile.diagnostics import CompileError
from bpcompile.marking import Report, mark_source, render
from bpcompile.marking.claims import mark_claims
from bpcompile.marking.ledger import Ledger
from bpcompile.marking.page import render_page

STAGED = """\
import math

x = 3
y = -4
sigy = 1.0 / (1 + math.exp(-y))
num = x + sigy
sigx = 1.0 / (1 + math.exp(-x))
xpy = x + y
xpysqr = xpy**2
den = sigx + xpysqr
invden = 1.0 / den
f = num * invden

dnum = invden
dinvden = num
dden = (-1.0 / (den**2)) * dinvden
dsigx = dden
dxpysqr = dden
dxpy = (2 * xpy) * dxpysqr
dx = dxpy
dy = dxpy
dx += ((1 - sigx) * sigx) * dsigx
dx += dnum
dsigy = dnum
dy += ((1 - sigy) * sigy) * dsigy
"""

LAYER = """\
import numpy as np

x = np.random.randn(4, 3)
W = np.random.randn(3, 5)
b = np.random.randn(5)
a = x @ W + b
h = np.tanh(a)
loss = np.sum(h**2) / 4

dh = 2 * h / 4
da = (1 - h**2) * dh
dx = da @ W.T
dW = x.T @ da
db = da.sum(axis=0)
"""

PAIRS = """\
import numpy as np

def affine_forward(x, w, b):
    \"\"\"
    - x: data of shape (N, D)
    - w: weights of shape (D, M)
    - b: shift of shape (M,)
    \"\"\"
    out = x.dot(w) + b
    cache = (x, w, b)
    return out, cache

def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T)
    dw = x.T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db

def relu_forward(x):
    return np.maximum(0, x), x

def relu_backward(dout, cache):
    dx = dout * (cache > 0)
    return dx
"""


def wrong(report: Report) -> list[tuple[int, str | None]]:
    return [(line.line, line.diagnosis) for line in report.lines if line.status == "wrong"]


def status(report: Report) -> dict[int, str]:
    return {line.line: line.status for line in report.lines}


def planted(source: str, right: str, mistake: str) -> tuple[Report, int]:
    """The report on `source` with one mistake, and the line it is on."""
    assert source.count(right) == 1
    return mark_source(source.replace(right, mistake)), source[: source.index(right)].count("\n") + 1


@pytest.mark.parametrize("source", [STAGED, LAYER, PAIRS])
def test_right_programs_are_all_right(source):
    report = mark_source(source)
    assert report.ok
    assert report.score == 1.0
    assert report.gradients
    assert {line.status for line in report.lines} == {"right"}


@pytest.mark.parametrize(
    ("right", "mistake", "diagnosis"),
    [
        ("(-1.0 / (den**2)) * dinvden", "(1.0 / (den**2)) * dinvden", "sign"),
        ("(-1.0 / (den**2)) * dinvden", "-1.0 / (den**2)", "missing-upstream"),
        ("dx += dnum", "dx = dnum", "overwrites"),
        ("(2 * xpy) * dxpysqr", "xpy * dxpysqr", "factor-two"),
        ("(-1.0 / (den**2))", "(-1.0 / (den**3))", "wrong-power"),
        ("((1 - sigx) * sigx) * dsigx", "((1 - x) * sigx) * dsigx", "wrong-stage"),
        ("((1 - sigy) * sigy) * dsigy", "((1 - sigy) * sigy) * dsigx", "stale-variable"),
    ],
)
def test_mistakes_in_scalar_code(right, mistake, diagnosis):
    report, line = planted(STAGED, right, mistake)
    assert wrong(report) == [(line, diagnosis)]
    assert not report.ok


@pytest.mark.parametrize(
    ("right", "mistake", "diagnosis"),
    [
        ("da @ W.T", "da @ W", "transpose"),
        ("x.T @ da", "da.T @ x", "operands-swapped"),
        ("da.sum(axis=0)", "da.sum(axis=0, keepdims=True)", "missing-keepdims"),
        ("da.sum(axis=0)", "da", "missing-sum"),
        ("da.sum(axis=0)", "da.sum(axis=1)", "wrong-axis"),
        ("2 * h / 4", "2 * h", "missing-mean-factor"),
        ("2 * h / 4", "h / 4", "factor-two"),
        ("(1 - h**2) * dh", "(1 - a**2) * dh", "wrong-stage"),
        ("(1 - h**2) * dh", "dh", "upstream-only"),
    ],
)
def test_mistakes_in_array_code(right, mistake, diagnosis):
    report, line = planted(LAYER, right, mistake)
    assert wrong(report)[0][0] == line
    same = {"operands-swapped": "transpose", "missing-keepdims": "shape-only"}  # two words for one change of the numbers
    assert wrong(report)[0][1] in {diagnosis, same.get(diagnosis)}
    assert len(wrong(report)) == 1


def test_the_corrected_line_is_in_the_authors_names():
    report, line = planted(LAYER, "x.T @ da", "x @ da")
    (fault,) = [each for each in report.lines if each.status == "wrong"]
    assert fault.line == line
    assert fault.expected == "dW = x.T @ da"
    assert mark_source(LAYER.replace("x.T @ da", "x @ da").replace("dW = x @ da", fault.expected)).ok


def test_later_lines_inherit_and_unrelated_ones_are_right():
    report, line = planted(STAGED, "(-1.0 / (den**2)) * dinvden", "(1.0 / (den**2)) * dinvden")
    marks = status(report)
    assert marks[line + 1] == marks[line + 4] == "inherits"
    assert marks[line + 8] == "right"  # dsigy = dnum
    assert {each.inherits_from for each in report.lines if each.status == "inherits"} == {line}


def test_independent_mistakes_are_each_found():
    source = STAGED.replace("dsigy = dnum", "dsigy = -dnum").replace("dxpy = (2 * xpy)", "dxpy = (3 * xpy)")
    assert [line for line, _ in wrong(mark_source(source))] == [19, 24]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dx = dxpy\ndy = dxpy\ndx += ((1 - sigx) * sigx) * dsigx\ndx += dnum\n", "dx = dnum + dden * (sigx - sigx**2) + dxpy\ndy = 1 * dxpy\n"),
        ("dsigx = dden\n", "dsigx = num * (0 - 1) / den / den\n"),
        ("dy += ((1 - sigy) * sigy) * dsigy\n", "dy += sigy * dsigy * (1 - sigy) + 0 * x\n"),
        ("dinvden = num\ndden = (-1.0 / (den**2)) * dinvden\n", "dden = -f * invden\n"),
    ],
)
def test_regrouped_lines_are_right(old, new):
    assert old in STAGED
    report = mark_source(STAGED.replace(old, new))
    assert report.ok, render(report)


def test_names_do_not_decide():
    source = LAYER
    for old, new in (("dh", "grad_h"), ("da", "tmp1"), ("dW", "W_grad"), ("db", "nabla_b"), ("dx", "dL_dx")):
        source = re.sub(rf"\b{old}\b", new, source)
    report = mark_source(source)
    assert report.ok, render(report)
    assert {each.of for each in report.gradients} == {"x", "W", "b"}


def test_a_name_of_the_users_own():
    source = LAYER.replace("dW", "weights_update").replace("x.T @ da", "x.T @ dh")
    assert ("W", False) not in {(each.of, each.ok) for each in mark_source(source).gradients}
    report = mark_source(source, names={"weights_update": "W"})
    assert ("W", False) in {(each.of, each.ok) for each in report.gradients}


def test_d_names_that_are_no_gradients():
    source = "df = 0.9\ndt = 0.1\nx = 2.0\nv = x * dt + x**2\nf = v * df\ndv = df\ndx = (dt + 2 * x) * dv\n"
    assert mark_source(source).ok


@pytest.mark.parametrize(
    ("right", "mistake", "diagnosis"),
    [
        ("(cache > 0)", "(dout > 0)", "wrong-route"),
        ("np.sum(dout, axis=0)", "np.sum(dout, axis=1)", "wrong-axis"),
        ("dout.dot(w.T)", "dout.dot(w)", "transpose"),
    ],
)
def test_pairs(right, mistake, diagnosis):
    report, line = planted(PAIRS, right, mistake)
    assert [each for each, _ in wrong(report)] == [line]
    assert wrong(report)[0][1] in {diagnosis, "stale-variable"}


def test_views_and_aliases_follow_numpy():
    source = """\
import numpy as np
x = np.random.randn(3, 4)
y = np.random.randint(0, 4, 3)
p = np.exp(x)
p = p / p.sum(axis=1, keepdims=True)
loss = -np.sum(np.log(p[np.arange(3), y])) / 3
dx = p
dx[np.arange(3), y] -= 1
dx /= 3
"""
    assert mark_source(source).ok
    report = mark_source(source.replace("dx[np.arange(3), y] -= 1", "part = dx[np.arange(3), y]\npart -= 1"))
    assert not report.ok  # an index array makes a copy


def test_repeated_indices():
    source = """\
import numpy as np
E = np.random.randn(5, 3)
i = np.array([0, 2, 2, 1])
out = E[i]
dout = np.random.randn(4, 3)
dE = np.zeros_like(E)
np.add.at(dE, i, dout)
"""
    assert mark_source(source).ok
    assert wrong(mark_source(source.replace("np.add.at(dE, i, dout)", "dE[i] += dout"))) == [(7, "repeated-index")]


def test_updated_value():
    source = """\
import numpy as np
x = np.random.randn(4, 3)
W1 = np.random.randn(3, 5)
W2 = np.random.randn(5, 2)
h = np.maximum(0, x @ W1)
loss = np.sum((h @ W2)**2)
d = 2 * (h @ W2)
dW2 = h.T @ d
dh = d @ W2.T
dh[h <= 0] = 0
dW1 = x.T @ dh
W1 -= 0.1 * dW1
W2 -= 0.1 * dW2
"""
    assert mark_source(source).ok
    moved = source.replace("W2 -= 0.1 * dW2\n", "").replace("dh = d @", "W2 -= 0.1 * dW2\ndh = d @")
    assert wrong(mark_source(moved)) == [(10, "updated-value")]


def test_a_line_that_fails_is_wrong_and_the_rest_is_judged():
    report, line = planted(LAYER, "x.T @ da", "x @ da")
    assert wrong(report) == [(line, "transpose")]
    assert status(report)[line + 1] == "right"


def test_a_list_of_old_numbers_is_a_gradient_too():
    source = """\
import math
w = [2, -3, -3]
x = [-1, -2]
dot = w[0] * x[0] + w[1] * x[1] + w[2]
f = 1.0 / (1 + math.exp(-dot))
ddot = (1 - f) * f
dx = [w[0] * ddot, w[1] * ddot]
dw = [x[0] * ddot, x[1] * ddot, 1.0 * ddot]
"""
    assert mark_source(source).ok
    assert [line for line, _ in wrong(mark_source(source.replace("x[0] * ddot, x[1] * ddot, 1.0 * ddot", "x[0], x[1], 1.0")))] == [8]


def test_a_missing_contribution():
    report = mark_source(STAGED.replace("dx += dnum\n", ""))
    assert [diagnosis for _, diagnosis in wrong(report)] == ["missing-branch"]


def test_square_matrices_and_single_rows_hide_nothing():
    source = LAYER.replace("(3, 5)", "(3, 3)").replace("randn(5)", "randn(3)").replace("(4, 3)", "(1, 3)").replace(" / 4", " / x.shape[0]")
    assert mark_source(source).ok
    assert not mark_source(source.replace("2 * h / x.shape[0]", "2 * h / x.shape[1]")).ok
    assert not mark_source(source.replace("da @ W.T", "da @ W")).ok


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_report_does_not_depend_on_the_run(seed):
    source = LAYER.replace("da @ W.T", "da @ W")
    assert mark_source(source, seed=seed).to_json() == mark_source(source, seed=seed).to_json()


def test_only_some_gradients():
    source = LAYER.replace("x.T @ da", "x.T @ dh")
    assert not mark_source(source).ok
    assert [each.name for each in mark_source(LAYER, only=("db",)).gradients] == ["db"]
    (missing,) = [each for each in mark_source(LAYER, only=("dq",)).gradients if not each.ok]
    assert missing.diagnosis == "missing-gradient"


def test_json():
    data = json.loads(mark_source(LAYER.replace("da @ W.T", "da @ W"), path="hand.py").to_json())
    assert data["schema"] == 1
    assert data["ok"] is False
    assert 0 < data["score"] < 1
    assert set(data["lines"][0]) == {"line", "variable", "status", "diagnosis", "message", "expected", "inherits_from"}
    assert set(data["gradients"][0]) >= {"name", "of", "ok", "shape", "max_relative_error"}


def test_page_is_escaped_and_self_contained():
    page = render_page(mark_source(LAYER.replace("da @ W.T", "da @ W  # <b>"), path="<hand>.py"))
    assert "&lt;b&gt;" in page
    assert "<hand>" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_colours_only_when_asked_for():
    report = mark_source(STAGED)
    assert "\x1b" not in render(report)
    assert "\x1b" in render(report, colour=True)


def test_claims():
    forward = "x = 1.0\ny = 2.0\nf = x**2 * y\n"
    report = mark_claims(forward, "dx = 2*x*y\ndy = x**2\n", path="paper.py")
    assert report.ok
    assert [line.line for line in report.lines] == [1, 2]
    report = mark_claims(forward, "dx = 2*x*y\ndy = x**3\n", path="paper.py")
    assert wrong(report) == [(2, "wrong-power")]
    assert mark_claims("x = 0.5\nimport math\nf = math.sin(x)**2\n", "dx = 2*sin(x)*cos(x)\n", path="paper.py").ok


def test_nothing_to_mark_is_not_right():
    report = mark_source("x = 3.0\nf = x * x\n")
    assert not report.ok
    assert not mark_source("def f(x):\n    return x\n").ok


def test_not_python():
    with pytest.raises(CompileError):
        mark_source("dx = = 3\n")


HOSTILE = """\
import os
x = 3.0
f = x * x
a = 9**9**9
os.system("touch pwned")
exec("open('pwned', 'w')")
b = ().__class__.__bases__[0]
c = [0] * 10**10
d = "a" * 10**12
for i in range(10**12):
    e = i
def g(n):
    return g(n - 1)
g(3)
while True:
    h = 1.0
dx = 2 * x
"""


def test_hostile_files_are_refused_by_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin = time.process_time()
    report = mark_source(HOSTILE)
    assert time.process_time() - begin < 20
    assert not list(tmp_path.iterdir())
    assert {line.line for line in report.lines if line.status == "unread"} >= {4, 5, 6, 7, 8, 9, 10}
    assert status(report)[17] == "right"


@pytest.mark.parametrize("text", ["y = " + "(" * 5000 + "x" + ")" * 5000, "y = " + "-" * 10_000 + "x"])
def test_deep_nesting_is_one_message(text):
    with pytest.raises(CompileError):
        mark_source(f"x = 3.0\n{text}\ndx = 1.0\n")


def test_long_sums_and_nested_loops():
    assert mark_source("x = 3.0\ny = " + "+".join(["x"] * 3000) + "\ndx = 3000.0\n").ok
    loops = "".join("    " * k + f"for i{k} in range(1000):\n" for k in range(12)) + "    " * 12 + "z = 1.0\n"
    mark_source(loops)


def test_cost_is_linear_in_lines():
    def source(n: int) -> str:
        lines = ["import math", "x0 = 0.5"]
        lines += [f"x{k} = math.sin(x{k - 1})" for k in range(1, n)]
        lines += [f"dx{n - 1} = 1.0"]
        lines += [f"dx{k - 1} = math.cos(x{k - 1}) * dx{k}" for k in range(n - 1, 0, -1)]
        return "\n".join(lines) + "\n"

    times = []
    for n in (100, 800):
        begin = time.process_time()
        assert mark_source(source(n)).ok
        times.append(time.process_time() - begin)
    assert times[1] < 8 * 3 * times[0] + 1.0


def test_the_ledger_adds_what_meets():
    import numpy as np

    ledger = Ledger()
    x = ledger.fresh(1)
    y = ledger.fresh(1)
    ledger.record(y, x, np.array([2.0]))
    z = ledger.fresh(1)
    ledger.record(z, np.concatenate([x, y])[:1], np.array([3.0]))
    ledger.record(z, y, np.array([5.0]))
    assert ledger.reverse([(z, np.array([1.0]))]).sums[x] == 3.0 + 5.0 * 2.0
    given = ledger.reverse([(z, np.array([1.0]))], given=[(y, np.array([7.0]))])
    assert given.sums[y] == 5.0
    assert given.sums[x] == 3.0 + 7.0 * 2.0


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = cli.main(["verify", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_line(tmp_path, capsys):
    path = tmp_path / "hand.py"
    path.write_text(LAYER)
    assert run(capsys, str(path))[0] == 0
    path.write_text(LAYER.replace("da @ W.T", "da @ W"))
    code, out, _ = run(capsys, str(path))
    assert code == 1
    assert "transpose" in out
    assert json.loads(run(capsys, str(path), "--json")[1])["ok"] is False
    assert run(capsys, str(path), "--html")[1].startswith("<!DOCTYPE html>")
    assert run(capsys, str(tmp_path / "absent.py"))[0] == 2
    assert run(capsys, str(path), "--json", "--html")[0] == 2
    assert run(capsys, str(path), "--map", "gW")[0] == 2
    assert run(capsys)[0] == 2
    path.write_text("x = = 1\n")
    assert run(capsys, str(path))[0] == 2
    path.write_text("print('hello')\n")
    assert run(capsys, str(path))[0] == 2
    assert run(capsys, "-e", "x**2*y", "--claim", "dx = 2*x*y")[0] == 0
    assert run(capsys, "-e", "x**2*y", "--claim", "dx = 2*x")[0] == 1


LSTM = """\
import numpy as np

def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    N, H = prev_h.shape
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i = 1 / (1 + np.exp(-a[:, :H]))
    f = 1 / (1 + np.exp(-a[:, H:2*H]))
    o = 1 / (1 + np.exp(-a[:, 2*H:3*H]))
    g = np.tanh(a[:, 3*H:])
    next_c = f * prev_c + i * g
    tc = np.tanh(next_c)
    next_h = o * tc
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc)

def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    da = np.hstack((dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * tc * o * (1 - o), dc * i * (1 - g**2)))
    return da.dot(Wx.T), da.dot(Wh.T), dc * f, x.T.dot(da), prev_h.T.dot(da), da.sum(axis=0)
"""


def test_shapes_are_tried_out_where_nothing_tells_them():
    report = mark_source(LSTM.replace("    return da", "    dprev_c = dc * f\n    dWx = x.T.dot(da)\n    return da"))
    assert report.ok, render(report)
    report, line = planted(LSTM, "dc = dnext_c + dnext_h", "dc = dnext_h")
    assert wrong(report)[0] == (line, "missing-branch")
