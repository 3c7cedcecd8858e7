"""Do docstrings, comments and messages use one word for one thing?"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import Iterable, Iterator, NamedTuple

from conftest import SCRIPT

ROOT = SCRIPT.parent
# Words that the project once used, and the words that it uses.
GLOSSARY = {
    r"home(?! folder)": "on disk",
    r"anew": "again",
    r"films?": "video",
    r"gone at SmugMug": "deleted on SmugMug",
    r"at SmugMug(?!'s)": "on SmugMug",
    r"mend(?:s|ed)?": "repair",
    r"not sound": "damaged, changed or missing",
    r"not ready": "still processing",
    r"look(?:s|ed)? at again": "recheck",
    r"whoever|whomever": "the user, threads, programs",
    r"so many|so much|so long": "this many, or the parameter's name",
    r"out of reach": "unreachable",
    r"live line": "progress line",
    r"crews?": "worker pool",
    r"normalis\w+|recognis\w+|colours?|favourites?": "American spelling",
}
# The home folder, its variable, and a key of the keyboard.
ALLOWED = re.compile(r"`home`: |\$?HOME\b|/home/|home folder|Path\.home|_home\b|Home: \(\)")


class Text(NamedTuple):
    """A docstring, comment or message, with its line."""

    line: int
    text: str


def texts_of(source: str) -> Iterator[Text]:
    """Yield all docstrings, comments and other texts of a program."""
    for node in ast.walk(ast.parse(source)):
        text = getattr(node, "value", None)
        if type(node).__name__ == "Str":  # Python 3.7
            text = getattr(node, "s", None)
        if isinstance(text, str):
            yield Text(getattr(node, "lineno", 0), text)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)


def places_of(word: str, texts: Iterable[Text]) -> Iterator[str]:
    """Yield the places where texts use a word."""
    pattern = re.compile(rf"\b(?:{word})\b", re.IGNORECASE)
    for line, text in texts:
        plain = ALLOWED.sub("", text)
        match = pattern.search(plain)
        if match:
            start = max(0, match.start() - 30)
            yield f"line {line}: {plain[start : match.end() + 30]!r}"


def test_the_script_uses_the_words_of_the_glossary() -> None:
    texts = list(texts_of(SCRIPT.read_text(encoding="utf-8")))
    found = {word: list(places_of(word, texts)) for word in GLOSSARY}
    assert [(GLOSSARY[word], places) for word, places in found.items() if places] == []


def test_only_the_home_folder_is_called_home_in_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.search(r"\bhome\b", ALLOWED.sub("", line))]
    assert lines == []
