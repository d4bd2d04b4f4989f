"""The first stage of every language: one Unicode form, no invisible characters, ASCII digits."""

from __future__ import annotations

import re
import unicodedata

from amtts_core.text.rules import Stage, Substitution, Translation, Whole

_INVISIBLE = "\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_ORDINARY = frozenset({*map(chr, range(0x20, 0x7F)), *map(chr, range(0x1200, 0x139A)), *"\n«»‘’‚“”"})
_SUBSCRIPTS = {0x2080 + digit: str(digit) for digit in range(10)}
_CONTROL = "\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"


def nfc(text: str) -> str:
    """Canonical composition; never NFKC, which would change letters that the writer chose."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match[0]))


def unicode_stage() -> Stage:
    """Deletes invisible, private-use and control characters, then composes, then makes every digit ASCII."""
    return Stage(
        "unicode",
        (
            Substitution("invisible", re.compile(f"[{_INVISIBLE}{_PRIVATE}]"), lambda _m: ""),
            Substitution("control", re.compile(f"[{_CONTROL}]"), lambda _m: " "),
            Whole("nfc", nfc),
            Substitution("foreign-digit", re.compile(r"[^\D0-9]"), _ascii_digit),
            Translation("subscript", _SUBSCRIPTS),
        ),
        ordinary=_ORDINARY,
    )
