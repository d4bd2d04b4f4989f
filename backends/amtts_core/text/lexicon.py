"""The user's own readings: they win over every rule of the pack. Knows no language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text
from amtts_core.text.rules import Stage, Substitution

_LATIN_RUN = re.compile("[A-Za-z\u00c0-\u024f]+(?:-[A-Za-z\u00c0-\u024f]+)*")
_TOKEN = re.compile(r"[^\s።፣፤፦?!,;()\[\]\"«»“”‹›]+")


def read_lexicon(path: Path) -> dict[str, str]:
    """A file of `word<TAB>reading` lines; empty lines and lines that start with `#` are skipped.

    Raises:
        AmttsError: a line of another shape, or a word with two readings; names file and line.
    """
    try:
        text = decode_text(path.read_bytes(), source=str(path))
    except OSError as fault:
        raise AmttsError(f"lexicon {path} cannot be read: {fault.strerror}") from fault
    readings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        word, _, reading = (part.strip(" \r") for part in line.partition("\t"))
        if not word or not reading or "\t" in reading:
            raise AmttsError(
                f"{path}:{number}: {line!r} is not 'word<TAB>reading'",
                remedy="Write one word, a tab and its reading on each line",
            )
        if " " in word:
            raise AmttsError(
                f"{path}:{number}: the word {word!r} holds a space", remedy="List words one by one"
            )
        if readings.setdefault(word, reading) != reading:
            raise AmttsError(f"{path}:{number}: {word!r} has a second reading {reading!r}", remedy="Keep one")
    return readings


def lexicon_stage(readings: Mapping[str, str], *, prefixes: tuple[str, ...] = ()) -> Stage:
    """Replaces whole words, with a bound prefix kept; an exact match wins over one without case.

    A Latin word may have a prefix and a suffix in another script against it (`የElonን`).
    """
    lowered = {word.lower(): reading for word, reading in reversed(list(readings.items()))}

    def look_up(word: str) -> str | None:
        return readings.get(word) or lowered.get(word.lower())

    def read(match: re.Match[str]) -> str:
        token = match[0]
        core = token.rstrip(".:")
        for word in (token, core):
            if found := look_up(word):
                return found + token[len(word) :]
        for prefix in prefixes:
            if core.startswith(prefix) and (found := look_up(core[len(prefix) :])):
                return prefix + found + token[len(core) :]
        if _LATIN_RUN.search(token) and not token.isascii():
            return _LATIN_RUN.sub(lambda run: look_up(run[0]) or run[0], token)
        return token

    return Stage("lexicon", (Substitution("lexicon", _TOKEN, read),))
