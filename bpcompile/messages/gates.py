"""What each gate does to a gradient, in one sentence."""

from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {}
