"""The corpus of hand-written programs is what it says: right or wrong where it says so, by central differences of its own forward lines."""

from __future__ import annotations

import numpy as np
import pytest
from handwritten_runs import differences, right_programs, wrong_programs

RIGHT = right_programs()
WRONG = wrong_programs()


def worst(program, point, slopes):
    """Give the largest relative error of the gradients; infinity for a wrong shape or a program that stops."""
    try:
        run = program.run(point)
    except ValueError:
        return np.inf
    errors = []
    for name, slope in slopes.items():
        gradient = np.asarray(run.gradients[name])
        if gradient.shape != slope.shape:
            return np.inf
        errors.append(np.max(np.abs(gradient - slope)) / max(1.0, float(np.max(np.abs(slope)))))
    return max(errors)


def test_the_corpus_is_large():
    assert len(RIGHT) >= 40
    assert len(WRONG) >= 15


@pytest.mark.parametrize("program", RIGHT, ids=lambda p: p.name)
def test_a_right_program_is_right(program):
    (point,) = program.points(1)
    assert np.ndim(program.run(point).value) == 0
    assert worst(program, point, differences(program, point)) < 1e-6


@pytest.mark.parametrize("program", WRONG, ids=lambda p: p.name)
def test_a_wrong_program_is_wrong_at_each_line_named_and_nowhere_else(program):
    assert program.faults
    whole = program.corrected(program.faults)
    (point,) = whole.points(1)
    slopes = differences(whole, point)
    assert worst(whole, point, slopes) < 1e-6
    for fault in program.faults:
        others = [f for f in program.faults if f is not fault]
        assert worst(program.corrected(others), point, slopes) > 1e-6, fault
