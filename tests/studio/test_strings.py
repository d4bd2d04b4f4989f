"""The table of words is whole in both languages, and every word of it is used."""

from __future__ import annotations

import re
import string
from pathlib import Path

import amtts_cli.studio
from amtts_cli.studio.strings import LANGUAGES, STRINGS, Say

SOURCES = Path(amtts_cli.studio.__file__).parent
SAME: tuple[str, ...] = ()
"""Keys whose Amharic text has no Ethiopic letter."""
_ETHIOPIC = re.compile(r"[\u1200-\u137F]")


def _places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_each_text_stands_in_both_languages_with_the_same_places():
    for key, (english, amharic) in STRINGS.items():
        assert english.strip(), key
        assert amharic.strip(), key
        assert _places(english) == _places(amharic), key
        words = re.sub(r"\{.*?\}|\W", "", amharic)  # "{source} → {out}" has none
        assert not words or _ETHIOPIC.search(words) or key in ("other_language", *SAME), key


def test_every_key_that_the_code_says_is_there_and_every_text_is_said():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py") if path.name != "strings.py"
    )
    said = set(re.findall(r"""say\(\s*f?["']([a-z_.\-]+)["']""", code))
    assert said - set(STRINGS) == set()
    stems = tuple(re.findall(r"""f["']([a-z_]+[._][a-z_.]*)\{""", code))  # say(f"state.{job.state}")
    for key in STRINGS:
        assert f'"{key}"' in code or f"'{key}'" in code or key.startswith(stems), f"{key} is never said"


def test_a_language_says_its_own():
    english, amharic = (Say(language)("state.done") for language in sorted(LANGUAGES, reverse=True))
    assert (english, amharic) == STRINGS["state.done"]
