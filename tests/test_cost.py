"""Operation counts, checked against counts made by hand."""

from __future__ import annotations

import pytest

from bpcompile.cost import Cost, count
from bpcompile.emit import Emitted


def function(body: str) -> Emitted:
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    return Emitted(f"import math\nimport numpy as np\n\n\ndef value(x, y):\n{lines}\n\n\ndef value_and_grad(x, y, df=1.0):\n{lines}\n", "function", "python")


@pytest.mark.parametrize(
    ("body", "operations"),
    [
        ("return x", 0),
        ("return x + y * 2", 2),
        ("return -x", 0),
        ("x += y", 1),
        ("return x ** 2 / y", 2),
        ("return math.exp(-x)", 1),
        ("return 1.0 / (1.0 + math.exp(-x))", 3),
        ("return max(x, y)", 1),
        ("return max(x, y, 0.0)", 2),
        ("return x > y", 1),
        ("return x * y if x > 0 else x", 2),
        ("return x if x > 0 else x * y + 1", 3),
        ("x = np.asarray(x, dtype=float)\nreturn np.where(x > 0, np.exp(x), x)", 3),
        ("return (x * y).copy()", 1),
        ("return np.broadcast_to(x, y.shape)", 0),
        ("return (x * y).sum(axis=0)", 2),
        ("return np.zeros_like(x) + float(y)", 1),
        ("if x > 0:\n    y = x * x + 1\nelse:\n    y = x + 1\nreturn y", 3),
        ("return [x * y, x + y]", 2),
        ("return x[0] * y[1 + 1]", 1),
    ],
)
def test_operations_of_a_statement(body: str, operations: int) -> None:
    assert count(function(body)) == Cost(operations, operations)


def test_functions_are_counted_apart() -> None:
    text = "def value(x):\n    return x * x\n\n\ndef value_and_grad(x, df=1.0 + 1.0):\n    f = x * x\n    return f, (2 * x * df,)\n"
    cost = count(Emitted(text, "function", "python"))
    assert cost == Cost(1, 3)
    assert cost.ratio == 3.0
    assert str(cost) == "value 1, value and gradient 3 (3.00 times)"


def test_split_counts_forward_twice() -> None:
    text = "def forward(x):\n    return x * x, (x,)\n\n\ndef backward(df, cache):\n    (x,) = cache\n    return (2 * x * df,)\n"
    assert count(Emitted(text, "split", "python")) == Cost(1, 3)


@pytest.mark.parametrize("comment", ["# backward pass", "# backprop f = x * x"])
def test_script_is_cut_at_the_comment(comment: str) -> None:
    text = f'"""Page."""\n\nx = -3\n\n# forward pass\nf = x * x + 1\n\n{comment}\ndx = 2 * x\nprint("f =", f, x * x)\n'
    assert count(Emitted(text, "script", "python")) == Cost(2, 3)


def test_value_without_operations_has_a_ratio() -> None:
    assert Cost(0, 0).ratio == 0.0
    assert Cost(0, 2).ratio == 2.0


def test_helper_functions_of_the_text_do_not_count() -> None:
    text = function("return x * y").text + "\n\ndef _array(name, x):\n    return x + 1 if x > 0 else x\n"
    assert count(Emitted(text, "function", "numpy")) == Cost(1, 1)


def test_long_sum() -> None:
    """A sum of many terms nests to the left as deep as it is long."""
    body = "return " + " + ".join(["x"] * 1500)
    assert count(function(body)).value == 1499


def test_not_python() -> None:
    with pytest.raises(SyntaxError):
        count(Emitted("def value(x:\n", "function", "python"))
