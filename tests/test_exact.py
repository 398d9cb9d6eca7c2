"""Arithmetic at 50 digits: functions that mpmath has no fast or no real form of."""

from __future__ import annotations

import pytest

from bpcompile import exact

mp = exact.mp


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("x", [-19.5, -20.5, -33.3, -57.01, -99.999, -21.25, -20.0000001])
def test_psi_far_below_zero_is_mpmaths(order, x):
    with mp.workdps(50):
        wanted = mp.psi(order, mp.mpf(x))
        assert abs(exact.psi(order, mp.mpf(x)) - wanted) <= mp.mpf(10) ** -40 * abs(wanted)


def test_psi_at_a_large_negative_argument_takes_few_steps():
    # One by one, ten million steps would take minutes. The value is that of the reflection formula at 1/2, where cot is 0.
    with mp.workdps(50):
        x = mp.mpf(10**9) + 0.5
        assert abs(exact.psi(0, 1 - x) - mp.psi(0, x)) < mp.mpf(10) ** -40


def test_psi_has_no_value_at_a_pole():
    assert mp.isnan(exact.FUNCTIONS["polygamma"](1, mp.mpf(-30)))
    assert mp.isnan(exact.FUNCTIONS["digamma"](mp.mpf(-3)))
