"""
Random array programs: the emitted value is the user's own code run under NumPy, the emitted gradient its derivative.

The oracle is the program's own text. Directional derivatives are central differences of it at three step sizes, extrapolated to step
0 (L. F. Richardson, 1911); where two extrapolations disagree, a kink is near, and nothing is compared. Sizes are pairwise different, 1
and 0 among them; inputs and upstream gradients are read-only.

`BPCOMPILE_EXAMPLES=20000 pytest tests/test_random_arrays.py` runs more programs than the profile says.
"""

from __future__ import annotations

import os
import random
import warnings
from collections import Counter

import array_programs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpcompile import compile_gradient
from bpcompile.diagnostics import CompileError

SHARDS = [(style, numerics, layout) for style in ("code", "notes") for numerics in ("stable", "literal") for layout in ("function", "split")]
#: In all: 160 programs, 5,000 in the long profile, 20,000 in that of the night.
_PROFILES = {50: 160, 200: 5_000, 1000: 20_000}
TOTAL = int(os.environ.get("BPCOMPILE_EXAMPLES", _PROFILES.get(settings.default.max_examples, 160)))
#: One in so many is compiled with its certificate.
CHECKED = 25
#: Errors that are refusals of what is not supported, at most this share of programs.
REFUSALS = 0.06
SEEN: Counter[str] = Counter()
REASONS: Counter[str] = Counter()


class Wrong(AssertionError):
    """A result differs; the message shows program and text."""


def run(sample, arguments):
    """Return what the user's code returns, a list of outputs."""
    space = {"np": np}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        exec(compile(sample.text, "<program>", "exec"), space)
        result = space["f"](*arguments)
    return list(result) if isinstance(result, tuple) else [result]


def weighted(sample, arguments, upstream):
    return sum(float(np.sum(u * r)) for u, r in zip(upstream, run(sample, arguments), strict=True))


def slope(sample, arguments, directions, upstream):
    """Return the derivative along a direction, and how far it can be trusted; None near a kink."""

    def central(h):
        values = []
        for sign in (h, -h):
            moved = [a if d is None else a + sign * d for a, d in zip(arguments, directions, strict=True)]
            values.append(weighted(sample, moved, upstream))
        return (values[0] - values[1]) / (2 * h)

    coarse, middle, fine = central(2.0**-9), central(2.0**-10), central(2.0**-11)
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    best = (16 * second - first) / 15
    return best, abs(best - second)


def frozen(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def call(compiled, arguments, upstream):
    emitted = compiled.emitted
    if emitted.target == "python":  # it takes numbers, not arrays of them
        arguments, upstream = [a.item() for a in arguments], [u.item() for u in upstream]
    if emitted.layout == "split":
        values, cache = compiled.namespace["forward"](*arguments)
        gradients = compiled.namespace["backward"](*upstream, cache)
        return values, values, gradients
    values, gradients = compiled.namespace["value_and_grad"](*arguments, *upstream)
    return values, compiled.namespace["value"](*arguments), gradients


def check_program(sample, *, style, numerics, layout, check="off", source=None):
    """Compile a program and compare it at both assignments of sizes; raise Wrong where it differs."""
    source = source or random.Random(0)
    try:
        compiled = compile_gradient("import numpy as np\n" + sample.text, style=style, numerics=numerics, layout=layout, check=check)
    except CompileError as error:
        if "E900" in str(error):
            raise Wrong(f"{error}\n{sample}") from error
        SEEN["refused"] += 1
        REASONS[str(error).split("\n")[0]] += 1
        return None
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {error}\n{sample}") from error
    order = [param.name for param, _ in compiled.emitted.params]
    with_gradient = [param.name for param, _ in compiled.emitted.gradients]
    for arguments in sample.arguments:
        given = dict(zip(sample.names, arguments, strict=True))
        compare(sample, compiled, [frozen(given[n]) for n in order], [given[n] for n in sample.names], with_gradient, source)
    if compiled.emitted.target == "numpy":
        compare_types(sample, compiled)
    return compiled


def compare_types(sample, compiled):
    """Run on float32: values have the type that NumPy gives them, or stay float32; gradients have that of their inputs."""
    given = {n: frozen(a.astype(np.float32) if a.dtype == float else a) for n, a in zip(sample.names, sample.arguments[0], strict=True)}
    want = run(sample, [np.array(given[n]) for n in sample.names])
    upstream = [frozen(np.ones(np.shape(w))) for w in want]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values, _, gradients = call(compiled, [given[param.name] for param, _ in compiled.emitted.params], upstream)
    except (ValueError, np.linalg.LinAlgError):
        return  # a size without room for a slice; a matrix that is singular in single precision
    SEEN["float32"] += 1
    # What is written over all of an array takes its own type along: np.eye, or an array of nothing but constants.
    widens = "np.eye" in sample.text or "= np.array(" in compiled.source
    for got, w in zip([values] if len(want) == 1 else values, want, strict=True):
        if np.asarray(got).dtype not in {np.asarray(w).dtype, np.dtype(np.float32)} and not widens:
            raise Wrong(f"value of {np.asarray(got).dtype}, not {np.asarray(w).dtype}\n{sample}\n{compiled.source}")
    for (param, _), gradient in zip(compiled.emitted.gradients, gradients, strict=True):
        if np.asarray(gradient).dtype != np.float32:
            raise Wrong(f"gradient of {param.name} is {np.asarray(gradient).dtype} for float32\n{sample}\n{compiled.source}")


def compare(sample, compiled, passed, arguments, with_gradient, source):
    generator = np.random.default_rng(source.randrange(2**32))
    want = run(sample, arguments)
    upstream = [frozen(generator.integers(300, 1500, np.shape(w)) * generator.choice([-1, 1], np.shape(w)) / 1024) for w in want]
    context = f"\n{sample}\n{compiled.source}"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values, plain, gradients = call(compiled, passed, upstream)
    except Exception as error:
        if "must be at least" in str(error):  # a slice that NumPy would cut short: refused at run time
            SEEN["too small"] += 1
            return
        raise Wrong(f"the text raises {type(error).__name__}: {error}{context}") from error
    single = len(compiled.emitted.outputs) == 1
    for results in (values, plain):
        for got, w in zip([results] if single else results, want, strict=True):
            if np.shape(got) != np.shape(w) or np.asarray(got).dtype != np.asarray(w).dtype:
                raise Wrong(f"value of {np.shape(got)} {np.asarray(got).dtype}, not {np.shape(w)} {np.asarray(w).dtype}{context}")
            if not np.allclose(got, w, rtol=1e-10, atol=1e-10, equal_nan=True):
                raise Wrong(f"value {got!r}, not {w!r}{context}")
    places = {name: k for k, name in enumerate(sample.names)}
    for name, gradient in zip(with_gradient, gradients, strict=True):
        x = arguments[places[name]]
        if np.shape(gradient) != np.shape(x) or np.asarray(gradient).dtype != np.float64:
            raise Wrong(f"gradient of {name} is {np.shape(gradient)} {np.asarray(gradient).dtype}, not {np.shape(x)}{context}")
        if not np.size(x):
            SEEN["empty"] += 1
            continue
        for turn in range(2):
            direction = np.asarray(generator.standard_normal(np.shape(x)))
            if turn:
                direction = direction * (generator.random(np.shape(x)) < 0.4)
            directions = [direction if k == places[name] else None for k in range(len(arguments))]
            try:
                expected, doubt = slope(sample, arguments, directions, upstream)
            except np.linalg.LinAlgError:
                continue
            if np.isnan(gradient).any() and "np.sqrt(np.sum(" in sample.text:
                SEEN["root of 0"] += 1
                continue
            terms = gradient * direction
            size = float(np.sum(np.abs(terms))) + abs(expected)
            if not np.isfinite(expected):
                SEEN["not finite"] += 1
                continue
            if doubt > 1e-7 * (1 + size):
                SEEN["kink"] += 1
                continue
            SEEN["gradient"] += 1
            if not abs(float(np.sum(terms)) - expected) <= 1e-6 * (1 + size) + 10 * doubt:
                raise Wrong(f"gradient of {name} along a direction: {float(np.sum(terms))!r}, not {expected!r} +- {doubt:.2g}{context}")


@pytest.mark.parametrize(("style", "numerics", "layout"), SHARDS, ids=["-".join(s) for s in SHARDS])
@settings(max_examples=max(1, TOTAL // len(SHARDS)))
@given(seed=st.integers(0, 2**64 - 1), statements=st.integers(1, 8))
def test_gradient_of_a_random_array_program(style, numerics, layout, seed, statements):
    # A generator of hypothesis's own would shrink better, and takes five times as long to draw from.
    source = random.Random(seed)
    sample = array_programs.sample(source, statements)
    SEEN["program"] += 1
    check_program(sample, style=style, numerics=numerics, layout=layout, check="off" if source.randrange(CHECKED) else "full", source=source)


def test_few_programs_are_refused_and_most_are_compared():
    """Counted over the programs above; on its own it runs some."""
    if SEEN["program"] < 50:
        for k, sample in enumerate(array_programs.samples(3, 60)):
            SEEN["program"] += 1
            check_program(sample, style="code", numerics="stable", layout="function", source=random.Random(k))
    assert SEEN["refused"] <= max(3, REFUSALS * SEEN["program"]), REASONS.most_common(10)
    assert SEEN["gradient"] > SEEN["program"]
    assert SEEN["kink"] < 0.2 * SEEN["gradient"]
