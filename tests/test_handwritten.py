"""The corpus of hand-written programs is what it says: the right ones are right, by central differences of their own forward lines."""

from __future__ import annotations

import numpy as np
import pytest
from handwritten_runs import differences, right_programs

RIGHT = right_programs()


def test_the_corpus_is_large():
    assert len(RIGHT) >= 40


@pytest.mark.parametrize("program", RIGHT, ids=lambda p: p.name)
def test_a_right_program_is_right(program):
    (point,) = program.points(1)
    run = program.run(point)
    assert np.ndim(run.value) == 0
    for name, slope in differences(program, point).items():
        gradient = np.asarray(run.gradients[name])
        assert gradient.shape == slope.shape, name
        scale = max(1.0, float(np.max(np.abs(slope))))
        assert np.max(np.abs(gradient - slope)) < 1e-6 * scale, name
