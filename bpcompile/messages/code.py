"""Comments and docstrings of emitted code."""

from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {}
