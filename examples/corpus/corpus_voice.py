"""How make_corpus.py reaches eSpeak NG: the program `espeak-ng`, or the library in espeakng-loader.

Both run in a process of their own for each sentence: eSpeak NG keeps state from one sentence to the next, and
the result would depend on the order.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus_text import CorpusError

SPEAK_WITH_LIBRARY = Path(__file__).resolve().with_name("speak_with_library.py")


@dataclass(frozen=True)
class Utterance:
    """One file to make."""

    path: Path
    text: str
    voice: str
    wpm: int
    pitch: int

    @property
    def settings(self) -> str:
        return f"voice {self.voice}, {self.wpm} words a minute, pitch {self.pitch}"


def output_of(command: list[str], given: str = "") -> bytes:
    """Runs a command to its end and returns its output."""
    done = subprocess.run(command, input=given.encode(), capture_output=True)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip() or "no message"
        raise CorpusError(f"eSpeak NG failed ({words}); try another --engine or --voices")
    return done.stdout


class ProgramVoice:
    """Speaks with the program `espeak-ng`."""

    def __init__(self) -> None:
        found = re.search(r"\d+(\.\d+)+", output_of(["espeak-ng", "--version"]).decode())
        self.version = found.group() if found else "unknown"

    def voices(self) -> tuple[set[str], set[str]]:
        """Returns the names of the languages and of the variants."""
        rows = output_of(["espeak-ng", "--voices"]).decode().splitlines()[1:]
        variants = re.findall(r"!v/(\S+)", output_of(["espeak-ng", "--voices=variant"]).decode())
        return {row.split()[1] for row in rows if row.strip()}, set(variants)

    def speak(self, utterance: Utterance) -> tuple[bytes, int]:
        """Returns 16-bit mono samples and their rate in Hz."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "speech.wav"
            how = ["-v", utterance.voice, "-s", str(utterance.wpm), "-p", str(utterance.pitch), "-b", "1"]
            output_of(["espeak-ng", *how, "-w", str(target), "--stdin"], utterance.text)
            with wave.open(str(target)) as sound:
                return sound.readframes(sound.getnframes()), sound.getframerate()


class LibraryVoice:
    """Speaks with the library of espeakng-loader, by the script speak_with_library.py."""

    version = "unknown"

    def __init__(self) -> None:
        import espeakng_loader

        self.library, self.data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()

    def voices(self) -> tuple[set[str], set[str]]:
        """Returns the names of the languages and of the variants."""
        data = Path(self.data)
        variants = {path.name for path in (data / "voices" / "!v").iterdir()}
        return {path.name for path in (data / "lang").rglob("*") if path.is_file()}, variants

    def speak(self, utterance: Utterance) -> tuple[bytes, int]:
        """Returns 16-bit mono samples and their rate in Hz."""
        command = [sys.executable, "-I", "-S", str(SPEAK_WITH_LIBRARY), self.library, self.data]
        how = [utterance.voice, str(utterance.wpm), str(utterance.pitch)]
        head, _, samples = output_of([*command, *how], utterance.text).partition(b"\n")
        rate, self.version = head.decode().split()
        return samples, int(rate)


Voice = ProgramVoice | LibraryVoice
ENGINES: dict[str, Callable[[], Voice]] = {"program": ProgramVoice, "library": LibraryVoice}


def choose_engine(wanted: str) -> str:
    """Names the way to eSpeak NG: the one wanted, or for `auto` the program before the library."""
    here = {
        "program": shutil.which("espeak-ng") is not None,
        "library": importlib.util.find_spec("espeakng_loader") is not None,
    }
    for engine in ENGINES:
        if here[engine] and wanted in ("auto", engine):
            return engine
    missing = {"program": "the program espeak-ng is not", "library": "the package espeakng-loader is not"}
    what = missing.get(wanted, "neither the program espeak-ng nor the package espeakng-loader is")
    raise CorpusError(f"{what} installed; run `pip install espeakng-loader` or install the program espeak-ng")


def check_voices(voice: Voice, wanted: list[str]) -> None:
    """Refuses a voice that eSpeak NG does not have; by itself it would take another one in silence."""
    languages, variants = voice.voices()
    for name in wanted:
        language, plus, variant = name.partition("+")
        if language not in languages or (plus and variant not in variants):
            known = " ".join(sorted(variants))
            raise CorpusError(f"eSpeak NG has no voice {name!r}; give am, or am+VARIANT with one of: {known}")
