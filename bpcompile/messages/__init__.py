"""
Every sentence that bpcompile says in more than one language: key to text, in one catalogue.

Each area of the program keeps its sentences in a module of this package, as a table `MESSAGES` of key -> (English, Chinese).
Code is never translated, and neither is a name of the user's: they enter a sentence through braces.

>>> say("zh", "page.forward"), say("en", "page.forward")
('前向传播', 'Forward pass')
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from bpcompile.messages import code, gates, marking, pages

LANGUAGES: Final = ("en", "zh")
_AREAS: Final = (code, gates, marking, pages)


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


def translate(lang: str, text: str) -> str:
    """
    Return a text that other parts of the program write in English, in another language.

    The catalogue holds it as a message whose English has the text's form; what stands in its braces is translated too, and so is
    each part of a list. A text that no message has the form of comes back as it is.

    >>> translate("zh", "exp cannot overflow"), translate("zh", "x = 3")
    ('exp 不会溢出', 'x = 3')
    """
    if lang == LANGUAGES[0]:
        return text
    for pattern, key in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return say(lang, key, **{name: translate(lang, value) for name, value in found.groupdict().items()})
    if ", " in text:
        parts = [translate(lang, part) for part in text.split(", ")]
        if parts != text.split(", "):
            return "，".join(parts)
    return text


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the forms of what may be translated, the longest first: it says most."""
    found = []
    for key in sorted((k for k in _ALL if k.startswith("code.")), key=lambda k: -len(_ALL[k][0])):
        english = re.escape(_ALL[key][0])
        found.append((re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", english), re.DOTALL), key))
    return found


class Speaker:
    """The language of those to whom none is passed on. Not a context variable: a report may be made on a thread of its own."""

    def __init__(self) -> None:
        self.lang = LANGUAGES[0]

    @contextmanager
    def speaking(self, lang: str) -> Iterator[None]:
        """Set the language of what is said inside."""
        before, self.lang = self.lang, lang
        try:
            yield
        finally:
            self.lang = before


speaker: Final = Speaker()


def knows(key: str) -> bool:
    """Whether the catalogue has a message of that key."""
    return key in _ALL
