"""The two functions that most users of the text front end need; what is built for them is kept and shared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.text.language import get_language
from amtts_core.text.normalizer import Normalizer
from amtts_core.text.settings import read_settings

_KEPT = 32


def normalize(text: str, *, language: str = "am", **settings: Any) -> str:
    """A text as it is read aloud, in the language's own letters and marks.

    Args:
        text: as people write it; one line or several.
        language: code of the language, `am` or `ti`.
        settings: fields of `NormalizerSettings`, for example `hashtags="drop"`.

    Raises:
        AmttsError: a language or a setting is not known.

    Example:
        >>> normalize("በ2.30 ሰዓት 1.5 ኪ.ሜ. ሮጠ")
        'በሁለት ሰአት ተኩል አንድ ነጥብ አምስት ኪሎ ሜትር ሮጠ'
    """
    return _normalizer(language, settings)(text)


def phonemize(
    text: str, *, language: str = "am", lexicon: Mapping[str, str] | None = None, **settings: Any
) -> str:
    """A text in IPA: normalized, with long consonants (`ː`) by list and rule or by the mark U+135F in the text.

    Args:
        text: as people write it.
        language: code of a language with a pronunciation, `am`.
        lexicon: word to its reading in letters, with U+135F behind long consonants; wins over list and rule.
        settings: fields of `NormalizerSettings`.

    Raises:
        AmttsError: the language has no pronunciation, or a setting is not known.

    Example:
        >>> phonemize("ገና 3 ሰዓት ነው።")
        'ɡəna sost səʔat nəw.'
        >>> phonemize("ገና", lexicon={"ገና": "ገና፟"})
        'ɡənːa'
    """
    pack = get_language(language)
    if pack.to_ipa is None:
        raise AmttsError(f"language {language!r} has no pronunciation in IPA", remedy="Use language='am'")
    settings = {"strip_gemination_marks": False, **settings}
    if lexicon:
        settings["lexicon"] = dict(lexicon)
    return pack.to_ipa(_normalizer(language, settings)(text))


def _normalizer(language: str, settings: dict[str, Any]) -> Normalizer:
    """The normalizer of these settings; lexicons are compared by content."""
    plain = {name: value for name, value in settings.items() if name != "lexicon"}
    readings = tuple(settings.get("lexicon", {}).items())
    return _built(language, tuple(sorted(plain.items())), readings)


@lru_cache(maxsize=_KEPT)
def _built(
    language: str, settings: tuple[tuple[str, Any], ...], readings: tuple[tuple[str, str], ...]
) -> Normalizer:
    return Normalizer(read_settings({"language": language, "lexicon": dict(readings), **dict(settings)}))
