"""
Every sentence that bpcompile says in more than one language: key to text, in one catalogue.

Each area of the program keeps its sentences in a module of this package, as a table `MESSAGES` of key -> (English, Chinese).
Code is never translated, and neither is a name of the user's: they enter a sentence through braces.

>>> say("zh", "page.forward"), say("en", "page.forward")
('前向传播', 'Forward pass')
"""

from __future__ import annotations

from typing import Final

from bpcompile.messages import code, gates, pages

LANGUAGES: Final = ("en", "zh")
_AREAS: Final = (code, gates, pages)


def catalogue() -> dict[str, tuple[str, str]]:
    """Return every message of every area; a key belongs to one area."""
    merged: dict[str, tuple[str, str]] = {}
    for area in _AREAS:
        clash = merged.keys() & area.MESSAGES.keys()
        assert not clash, f"two areas define {sorted(clash)}"
        merged.update(area.MESSAGES)
    return merged


_ALL: Final = catalogue()


def say(lang: str, key: str, **values: object) -> str:
    """Return a message in a language, its braces filled in."""
    return _ALL[key][LANGUAGES.index(lang)].format(**values)


def knows(key: str) -> bool:
    """Whether the catalogue has a message of that key."""
    return key in _ALL
