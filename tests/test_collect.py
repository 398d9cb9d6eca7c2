"""Contributions to one adjoint are added up where they undo one line, and nowhere else."""

import random

import pytest

from bpcompile import compile_gradient
from bpcompile.cost import count
from bpcompile.passes import collect as module


def backward(source: str) -> list[str]:
    text = compile_gradient(source, check="off").source.partition("# backward pass")[2]
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("return")]


def both(source: str, monkeypatch):
    """The gradient with the pass and without it."""
    collected = compile_gradient(source, check="off")
    monkeypatch.setattr("bpcompile.compiler.collect", lambda program: program)
    plain = compile_gradient(source, check="off")
    monkeypatch.setattr("bpcompile.compiler.collect", module.collect)
    return collected, plain


def test_a_common_factor_is_taken_out():
    assert "dx = (z + y) * df" in backward("def f(x, y, z):\n    return x * y + x * z\n")


def test_equal_contributions_become_a_coefficient():
    assert "dx = 2.0 * df" in backward("def f(x, y):\n    return x + x + y\n")


def test_the_blocks_of_stages_stay_apart():
    lines = backward("def f(x, y):\n    a = x * y\n    b = a + x\n    return a * b\n")
    assert "dx = db" in lines
    assert any(line.startswith("dx += ") for line in lines)


def test_a_symmetric_form_reads_the_product_of_the_value():
    n = 6
    x = [f"x{i}" for i in range(n)]
    matrix = [[1.0 / (1 + i + j) for j in range(n)] for i in range(n)]
    form = " + ".join(f"x{i} * ({' + '.join(f'{matrix[i][j]!r} * x{j}' for j in range(n))})" for i in range(n))
    result = compile_gradient(f"def f({', '.join(x)}):\n    return {form}\n", check="off")
    found = count(result.emitted)
    # n * n products and sums once, not twice.
    assert found.value_and_grad < found.value * 1.5
    point = [0.3 * i - 0.7 for i in range(n)]
    for i, dx in enumerate(result(*point)[1]):
        assert dx == pytest.approx(2 * sum(a * v for a, v in zip(matrix[i], point, strict=True)), rel=1e-13, abs=1e-13)


def test_a_form_that_is_not_symmetric_stays_right():
    n = 5
    x = [f"x{i}" for i in range(n)]
    matrix = [[1.0 + i - 0.3 * j * i for j in range(n)] for i in range(n)]
    form = " + ".join(f"x{i} * ({' + '.join(f'{matrix[i][j]!r} * x{j}' for j in range(n))})" for i in range(n))
    result = compile_gradient(f"def f({', '.join(x)}):\n    return {form}\n", check="off")
    point = [0.3 * i - 0.7 for i in range(n)]
    for i, dx in enumerate(result(*point)[1]):
        assert dx == pytest.approx(sum((matrix[i][j] + matrix[j][i]) * point[j] for j in range(n)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("line", ["log(x0) - {form}", "{form} - log(x0)", "{form} * x2 + log(x1) - x3 / x0", "x0 * x1 + {form}", "cos({form}) * x1 + x0"])
@pytest.mark.parametrize("stages", [False, True])
def test_a_symmetric_form_beside_other_contributions(line, stages, monkeypatch):
    n = 4
    form = " + ".join(f"x{i} * ({' + '.join(f'{1.0 / (1 + i + j)!r} * x{j}' for j in range(n))})" for i in range(n))
    body = f"    quad = {form}\n    return {line.format(form='quad')}" if stages else f"    return {line.format(form=f'({form})')}"
    source = f"from math import cos, log\ndef f({', '.join(f'x{i}' for i in range(n))}):\n{body}\n"
    collected, plain = both(source, monkeypatch)
    point = [0.7, 1.9, 0.4, 1.2]
    assert collected(*point, df=1.3)[1] == pytest.approx(plain(*point, df=1.3)[1], rel=1e-12)
    compile_gradient(source, check="fast")


def term(generator: random.Random, values: list[str], depth: int = 0) -> str:
    choice = generator.random()
    if depth > 2 or choice < 0.35:
        return generator.choice(values)
    if choice < 0.42:
        return repr(generator.choice([2.0, -3.0, 0.5, 1.0, -1.0]))
    inner = [term(generator, values, depth + 1) for _ in range(2)]
    if choice < 0.9:
        return f"({inner[0]} {'+' if choice < 0.55 else '-' if choice < 0.68 else '*'} {inner[1]})"
    if choice < 0.95:
        return f"(-{inner[0]})"
    return f"({inner[0]} if {generator.choice(values)} > 0.1 else {inner[1]})"


def random_program(seed: int) -> str:
    generator = random.Random(seed)
    values = ["x", "y", "z"]
    lines = []
    for i in range(generator.randint(1, 5)):
        name = generator.choice([f"v{i}", "x", "u"])
        lines.append(f"    {name} = {term(generator, values)} + {generator.choice(values)} * {generator.choice(values)}")
        values = list(dict.fromkeys([*values, name]))
    return "def f(x, y, z):\n" + "\n".join([*lines, f"    return {' + '.join(values[-3:])}", ""])


@pytest.mark.parametrize("block", range(4))
def test_gradients_stay(block, monkeypatch):
    changed = 0
    for seed in range(40 * block, 40 * block + 40):
        collected, plain = both(random_program(seed), monkeypatch)
        changed += collected.source != plain.source
        point = [random.Random(seed).uniform(-1, 1) for _ in range(3)]
        (value, found), (want_value, want) = collected(*point, df=1.3), plain(*point, df=1.3)
        assert value == want_value
        scale = max(map(abs, want))
        assert all(abs(a - b) <= 1e-12 * scale for a, b in zip(found, want, strict=True)), random_program(seed)
    assert changed > 20
