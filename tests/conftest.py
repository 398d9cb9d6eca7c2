"""Hypothesis profiles: `default` is quick, `long` is what `.ci/run` uses, `night` takes hours; each gives the same examples on every run."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a compilation's time varies with the machine's load. No example database: a run depends on nothing but the code.
_COMMON = {"deadline": None, "derandomize": True, "database": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=50, **_COMMON)
settings.register_profile("long", max_examples=200, **_COMMON)
settings.register_profile("night", max_examples=1000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`: rewrite the files that tests compare with, instead of failing."""
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files; read the difference before committing it")
