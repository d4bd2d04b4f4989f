"""Amharic and Tigrinya text as people write it, made ready to be read aloud. Needs no other part of amtts, no torch.

Language-neutral machinery is here, one folder of tables and rules per language below. What stands in `__all__` is the
public interface; importing the package loads nothing until one of these names is used.

>>> from amtts_core.text import Normalizer, NormalizerSettings, normalize, phonemize, split_sentences
>>> normalize("ዶ/ር አበበ በ1984 ዓ.ም. 27 ብር ከፈለ፡፡")
'ዶክተር አበበ በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት አመተ ምህረት ሀያ ሰባት ብር ከፈለ።'
>>> Normalizer(NormalizerSettings(emoji="keep"))("የGoogle 😀")
'የጉግል 😀'
>>> split_sentences("ሰላም። ደህና ነህ?")
['ሰላም።', 'ደህና ነህ?']
>>> phonemize("ሰላም")
'səlam'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amtts_core.text.api import normalize, phonemize
    from amtts_core.text.language import PACKS, get_language
    from amtts_core.text.lexicon import read_lexicon
    from amtts_core.text.normalizer import Normalizer
    from amtts_core.text.rules import FiredRule
    from amtts_core.text.sentences import split_sentences
    from amtts_core.text.settings import NormalizerSettings

__all__ = [
    "PACKS",
    "FiredRule",
    "Normalizer",
    "NormalizerSettings",
    "get_language",
    "normalize",
    "phonemize",
    "read_lexicon",
    "split_sentences",
]

_MODULES = {
    "PACKS": "language",
    "FiredRule": "rules",
    "Normalizer": "normalizer",
    "NormalizerSettings": "settings",
    "get_language": "language",
    "normalize": "api",
    "phonemize": "api",
    "read_lexicon": "lexicon",
    "split_sentences": "sentences",
}


def __getattr__(name: str) -> Any:
    """Loads the module that holds a public name when the name is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
