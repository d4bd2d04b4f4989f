"""amtts from Python: load a voice and speak, read text, and make voices.

>>> import amtts
>>> amtts.normalize("በ1984 ዓ.ም. 27 ብር ከፈለ።")
'በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት አመተ ምህረት ሀያ ሰባት ብር ከፈለ።'
>>> amtts.phonemize("ሰላም")
'səlam'

    voice = amtts.load("run")                       # a run, a checkpoint, or org/name on the Hugging Face hub
    speech = voice.speak("ሰላም ለዓለም።")
    speech.save("hello.wav")

What stands in `__all__` is the public interface; it follows semantic versioning. Importing the package loads nothing
until one of these names is used, and text functions load no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amtts.making import evaluate, prepare, tokenize, train
    from amtts.speech import Speech, SpeechStream, Word
    from amtts.voice import Voice, load
    from amtts_core.errors import AmttsError
    from amtts_core.text.api import normalize, phonemize

    __version__: str

__all__ = [
    "AmttsError",
    "Speech",
    "SpeechStream",
    "Voice",
    "Word",
    "evaluate",
    "load",
    "normalize",
    "phonemize",
    "prepare",
    "tokenize",
    "train",
]

_MODULES = {
    "AmttsError": "amtts_core.errors",
    "Speech": "amtts.speech",
    "SpeechStream": "amtts.speech",
    "Voice": "amtts.voice",
    "Word": "amtts.speech",
    "evaluate": "amtts.making",
    "load": "amtts.voice",
    "normalize": "amtts_core.text.api",
    "phonemize": "amtts_core.text.api",
    "prepare": "amtts.making",
    "tokenize": "amtts.making",
    "train": "amtts.making",
}


def __getattr__(name: str) -> Any:
    """Loads the module that holds a public name when the name is first used."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("amtts")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
