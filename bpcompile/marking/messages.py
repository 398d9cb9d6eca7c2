"""
What a person is told, in the language at hand.

The texts stand in `bpcompile.messages`, with those of the rest of the program.

>>> say("status-right")
'right'
"""

from __future__ import annotations

from typing import Any

from bpcompile import messages


def say(key: str, **facts: Any) -> str:
    """Return a text with its gaps filled."""
    return messages.say(messages.speaker.lang, f"verify.{key}", **facts)
