#!/usr/bin/env python3
"""Make a synthetic Amharic speech corpus with eSpeak NG.

Without options it makes the bundled corpus again (sentences.txt, voice `am`, 150 words a minute) into --out.
With --text it speaks any text file, with --minutes and --voices it makes hours of it:

    python make_corpus.py --out /tmp/again
    python make_corpus.py --text my_sentences.txt --minutes 120 --voices am,am+f3 --out /tmp/big

The result is OUT/audio/NNN.ogg (22050 Hz, mono) and OUT/metadata.csv with the columns audio_file|text, and
|speaker_name when several voices speak. The same text and options give the same bytes, and a second run keeps
the files that are already there. Each file carries its sentence, voice and eSpeak version as tags.

eSpeak NG (GPL-3) is used here as a tool: the program `espeak-ng` when it is on PATH, else the library of the pip
package espeakng-loader, in a process for each sentence. The amtts package neither imports nor contains it. The voice is
synthetic: good for demos and tests, not a model of human speech.
"""
from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACES = (1.0, 0.92, 1.08, 0.96, 1.04)  # one pass over the text and all voices each, when --minutes asks for more
OGG_QUALITY = 0.4
LETTERS = re.compile(r"[\u1200-\u135A]")
ALLOWED = re.compile(r"[\u1200-\u135A ።፣፤፦?!]+")
# The plain letters eSpeak NG has no rule for: it would read out their code points.
UNSPEAKABLE = frozenset("ቐቑቒቓቔቕቖቘቚቛቜቝሇቇኇኯዏዯጏጟፇ")
REWRITES = (("፡፡", "።"), ("::", "።"), ("፥", "፣"), (",", "፣"), (";", "፤"), ("፧", "?"), ("፡", " "))
DROPPED = str.maketrans(dict.fromkeys("«»“”‹›\"'()[]", " "))
ONES = " አንድ ሁለት ሦስት አራት አምስት ስድስት ሰባት ስምንት ዘጠኝ".split(" ")
TENS = " አስር ሃያ ሰላሳ አርባ ሃምሳ ስልሳ ሰባ ሰማንያ ዘጠና".split(" ")
SCALES = ((10**9, "ቢሊዮን"), (10**6, "ሚሊዮን"), (1000, "ሺህ"), (100, "መቶ"))
NUMBER = re.compile(r"[0-9]+|[፩-፼]+")


class CorpusError(Exception):
    """A mistake of the caller, told in one line with its remedy."""


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


# Text ------------------------------------------------------------------------------------------------------------


def number_words(value: int) -> str:
    """Says a whole number from 0 to 999 999 999 999 in Amharic words."""
    if value == 0:
        return "ዜሮ"
    words = []
    for size, name in SCALES:
        count, value = divmod(value, size)
        if count:
            words += [number_words(count), name]
    tens, ones = divmod(value, 10)
    if tens:
        words.append("አስራ" if tens == 1 and ones else TENS[tens])
    if ones:
        words.append(ONES[ones])
    return " ".join(words)


def ethiopic_value(numeral: str) -> int:
    """Reads Ethiopic numerals: ፲፱፻፹፬ is 1984, ፳፻፲፮ is 2016, ፼ is 10000."""
    total, hundreds, group = 0, 0, 0
    for character in numeral:
        code = ord(character) - ord("፩")
        if code < 9:
            group += code + 1
        elif code < 18:
            group += 10 * (code - 8)
        elif character == "፻":
            hundreds, group = hundreds + 100 * (group or 1), 0
        else:  # ፼
            total, hundreds, group = (total + hundreds + group or 1) * 10_000, 0, 0
    return total + hundreds + group


def spell_numbers(text: str) -> str:
    """Writes whole numbers out in words; a prefix such as በ stays bound to the first word."""

    def words(match: re.Match[str]) -> str:
        digits = match.group()
        value = int(digits) if digits.isascii() else ethiopic_value(digits)
        return number_words(value) if value < 10**12 else digits

    return NUMBER.sub(words, text)


def speakable(line: str) -> tuple[str, str]:
    """Brings a line into the form that is spoken and written to metadata.csv.

    Returns:
        The text and an empty reason, or an empty text and the reason why it cannot be spoken.
    """
    for old, new in REWRITES:
        line = line.replace(old, new)
    if re.search(r"[0-9፩-፼][\u1200-\u135A]", line):
        return "", "a number with a suffix"
    if re.search(r"[0-9][.,፣:/-][0-9]", line):
        return "", "a number that is not whole"
    text = re.sub(r" +(?=[።፣፤፦?!])", "", " ".join(spell_numbers(line.translate(DROPPED)).split()))
    strange = sorted({c for c in text if not ALLOWED.fullmatch(c) or c in UNSPEAKABLE})
    if strange:
        return "", f"the character {strange[0]!r} (U+{ord(strange[0]):04X})"
    if not LETTERS.search(text):
        return "", "no Ethiopic letter"
    return text, ""


def read_lines(path: Path, column: str | None) -> list[str]:
    """Reads one sentence a line, or one column of a table (tab or | between columns, with a header)."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read the text file {path} ({error}); give a UTF-8 file to --text") from error
    if column is None:
        return [line for line in content.splitlines() if line.strip()]
    delimiter = "\t" if "\t" in content.split("\n", 1)[0] else "|"
    table = csv.DictReader(io.StringIO(content), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    if column not in (table.fieldnames or ()):
        known = ", ".join(table.fieldnames or ()) or "none"
        raise CorpusError(f"{path} has no column {column!r}; its columns are: {known}")
    return [row[column] for row in table if (row[column] or "").strip()]


def read_sentences(path: Path, column: str | None) -> list[str]:
    """Reads the speakable sentences and prints what was left out and why."""
    kept, reasons = [], Counter[str]()
    for line in read_lines(path, column):
        text, reason = speakable(line)
        if reason:
            reasons[reason] += 1
            print(f"left out ({reason}): {line.strip()[:80]}")
        else:
            kept.append(text)
    if reasons:
        detail = "; ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
        print(f"left out {reasons.total()} of {reasons.total() + len(kept)} lines: {detail}")
    if not kept:
        raise CorpusError(f"{path} has no line that can be spoken; write Amharic sentences in Ethiopic letters")
    return kept


# eSpeak NG -------------------------------------------------------------------------------------------------------


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
        command = [sys.executable, "-I", "-S", str(HERE / "speak_with_library.py"), self.library, self.data]
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
    missing = {"program": "the program espeak-ng is", "library": "the package espeakng-loader is"}
    what = missing.get(wanted, "neither the program espeak-ng nor the package espeakng-loader is")
    raise CorpusError(f"{what} installed; run `pip install espeakng-loader` or install your system's espeak-ng")


# Audio files -----------------------------------------------------------------------------------------------------

REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def ogg_checksum(page: bytes) -> int:
    """Computes the CRC of an Ogg page, whose own checksum field must be zero."""
    crc = zlib.crc32(page.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def fix_serial(ogg: bytes) -> bytes:
    """Gives an Ogg stream the serial number 1; libsndfile draws one by chance, and files would never compare."""
    pages, start = [], 0
    while start < len(ogg):
        segments = ogg[start + 26]
        size = 27 + segments + sum(ogg[start + 27 : start + 27 + segments])
        page = bytearray(ogg[start : start + size])
        page[14:18], page[22:26] = (1).to_bytes(4, "little"), bytes(4)
        page[22:26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
        pages.append(bytes(page))
        start += size
    return b"".join(pages)


def encode(samples: bytes, rate: int, tags: dict[str, str], kind: str) -> bytes:
    """Encodes 16-bit mono samples as Ogg Vorbis or FLAC, with tags."""
    import numpy
    import soundfile

    buffer = io.BytesIO()
    how = {"subtype": "VORBIS", "compression_level": 1 - OGG_QUALITY} if kind == "ogg" else {"subtype": "PCM_16"}
    with soundfile.SoundFile(buffer, "w", rate, 1, format=kind.upper(), **how) as sound:
        for name, value in tags.items():
            setattr(sound, name, value)
        sound.write(numpy.frombuffer(samples, dtype="<i2"))
    return fix_serial(buffer.getvalue()) if kind == "ogg" else buffer.getvalue()


def duration_if_made(utterance: Utterance) -> float:
    """Returns the seconds of a file that a former run made for the same text and settings, else 0."""
    import soundfile

    try:
        with soundfile.SoundFile(utterance.path) as sound:
            same = (sound.title, sound.comment) == (utterance.text, utterance.settings)
            return sound.frames / sound.samplerate if same else 0.0
    except soundfile.LibsndfileError:
        return 0.0


def make(voice: Voice, utterance: Utterance) -> tuple[float, bool]:
    """Makes one file, unless it is there.

    Returns:
        Its length in seconds, and whether it was made now.
    """
    seconds = duration_if_made(utterance)
    if seconds:
        return seconds, False
    samples, rate = voice.speak(utterance)
    if not samples:
        raise CorpusError(f"eSpeak NG said nothing for {utterance.text!r}; take the line out of the text")
    artist = f"eSpeak NG {voice.version} (synthetic voice)"
    tags = {"title": utterance.text, "artist": artist, "comment": utterance.settings}
    content = encode(samples, rate, tags, utterance.path.suffix[1:])
    part = utterance.path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, utterance.path)
    return len(samples) / 2 / rate, True


def check_voices(voice: Voice, wanted: list[str]) -> None:
    """Refuses a voice that eSpeak NG does not have; by itself it would take another one in silence."""
    languages, variants = voice.voices()
    for name in wanted:
        language, plus, variant = name.partition("+")
        if language not in languages or (plus and variant not in variants):
            known = " ".join(sorted(variants))
            raise CorpusError(f"eSpeak NG has no voice {name!r}; give am, or am+VARIANT with one of: {known}")


# The run ---------------------------------------------------------------------------------------------------------


def plan(sentences: list[str], options: argparse.Namespace) -> list[Utterance]:
    """Lists the files in order: all sentences by the first voice, then by the next; then again at another pace."""
    paces = PACES if options.minutes else PACES[:1]
    rounds = [(pace, voice) for pace in paces for voice in options.voices]
    width = max(3, len(str(len(rounds) * len(sentences))))
    utterances = []
    for number, ((pace, voice), text) in enumerate(itertools.product(rounds, sentences), 1):
        path = options.out / "audio" / f"{number:0{width}}.{options.format}"
        utterances.append(Utterance(path, text, voice, round(options.wpm * pace), options.pitch))
    return utterances


def batches(utterances: list[Utterance], size: int) -> Iterator[list[Utterance]]:
    for start in range(0, len(utterances), size):
        yield utterances[start : start + size]


def run(utterances: list[Utterance], options: argparse.Namespace) -> tuple[list[Utterance], float, int]:
    """Makes files in order until the minutes are reached.

    Returns:
        The utterances of the corpus, their seconds together, and how many of them were made now.
    """
    done: list[Utterance] = []
    total, new, wanted = 0.0, 0, 60 * options.minutes or float("inf")
    voice = ENGINES[options.engine]()
    check_voices(voice, options.voices)
    with ThreadPoolExecutor(options.jobs) as pool:
        for batch in batches(utterances, 64):
            for utterance, (seconds, made) in zip(batch, pool.map(partial(make, voice), batch), strict=True):
                if total < wanted:
                    done.append(utterance)
                    total, new = total + seconds, new + made
                elif made:
                    utterance.path.unlink()
            print(f"{len(done)} files, {total / 60:.1f} min", flush=True)
            if total >= wanted:
                break
    return done, total, new


def write_metadata(done: list[Utterance], options: argparse.Namespace) -> None:
    """Writes metadata.csv: audio_file|text, and speaker_name with several voices."""
    speakers = len(options.voices) > 1
    lines = ["audio_file|text|speaker_name" if speakers else "audio_file|text"]
    for utterance in done:
        line = f"{utterance.path.relative_to(options.out).as_posix()}|{utterance.text}"
        lines.append(f"{line}|{utterance.voice}" if speakers else line)
    part = options.out / "metadata.part"
    part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(part, options.out / "metadata.csv")


def report(done: list[Utterance], total: float, new: int, options: argparse.Namespace) -> None:
    """Says what is there, and whether it falls short of the minutes asked for."""
    size = sum(utterance.path.stat().st_size for utterance in done)
    listed = {utterance.path for utterance in done}
    others = sum(path not in listed for path in (options.out / "audio").iterdir())
    print(f"{len(done)} files ({new} new, {len(done) - new} kept), {total / 60:.1f} min, {size / 1e6:.1f} MB")
    print(f"written: {options.out / 'metadata.csv'}")
    if others:
        print(f"{others} other files lie in {options.out / 'audio'}; metadata.csv does not list them")
    if total < 60 * options.minutes:
        raise CorpusError(
            f"the text gave {total / 60:.1f} of {options.minutes:g} minutes with all voices and paces;"
            " give more text to --text or more voices to --voices"
        )


def voice_list(value: str) -> list[str]:
    voices = list(dict.fromkeys(voice.strip() for voice in value.split(",") if voice.strip()))
    if not voices:
        raise argparse.ArgumentTypeError("give at least one voice, for example am,am+f3")
    return voices


def bounded(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """Makes an argparse type for a number within bounds."""

    def parse(value: str) -> float:
        number = kind(value)
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low:g} and {high:g}")
        return number

    parse.__name__ = "number"
    return parse


def parse_options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for audio/ and metadata.csv")
    add("--text", type=Path, default=HERE / "sentences.txt", help="one sentence a line, or a table with --column")
    add("--column", help="speak this column of --text, a table with a header and tabs (or |) between columns")
    add("--minutes", type=bounded(float, 0, 1e6), default=0.0,
        help="stop when this much audio is there, going over the text again with the next voice and then at other"
             " paces if needed; 0: every sentence once by each voice (default)")
    add("--voices", type=voice_list, default=["am"], help="eSpeak voices, for example am,am+f3,am+m3 (default am)")
    add("--wpm", type=bounded(int, 80, 450), default=150, help="words a minute (default 150)")
    add("--pitch", type=bounded(int, 0, 99), default=50, help="0 to 99 (default 50)")
    add("--format", choices=("ogg", "flac"), default="ogg", help="Ogg Vorbis (default) or FLAC")
    add("--jobs", type=bounded(int, 1, 64), default=min(4, os.cpu_count() or 1), help="sentences made at a time")
    add("--engine", choices=("auto", *ENGINES), default="auto",
        help="the espeak-ng program, the library of espeakng-loader, or the first that is there (default)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, or 2 for a mistake of the caller."""
    options = parse_options(argv)
    try:
        sentences = read_sentences(options.text, options.column)
        options.engine = choose_engine(options.engine)
        if importlib.util.find_spec("soundfile") is None:
            raise CorpusError("the package soundfile is not installed; run `pip install soundfile numpy`")
        (options.out / "audio").mkdir(parents=True, exist_ok=True)
        print(f"{len(sentences)} sentences, eSpeak NG as {options.engine}, voices {', '.join(options.voices)}")
        done, total, new = run(plan(sentences, options), options)
        write_metadata(done, options)
        report(done, total, new, options)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
