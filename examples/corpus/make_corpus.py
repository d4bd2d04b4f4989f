#!/usr/bin/env python3
"""Make a synthetic Amharic speech corpus with eSpeak NG.

Without options it makes the bundled corpus again (sentences.txt, voice `am`, 150 words a minute) into --out.
With --text it speaks any text file, with --minutes and --voices it makes hours of it:

    python make_corpus.py --out /tmp/again
    python make_corpus.py --text my_sentences.txt --minutes 120 --voices am,am+f3 --out /tmp/big

The result is OUT/audio/NNN.ogg (22050 Hz, mono) and OUT/metadata.csv with the columns audio_file|text, and
|speaker_name when several voices speak. The same text and options give the same bytes, and a second run keeps
the files that are already there. Each file carries its sentence, voice and eSpeak version as tags.

eSpeak NG (GPL-3) is used here as a tool: the program `espeak-ng` when it is on PATH, else the library of the
pip package espeakng-loader, in a process for each sentence. The amtts package neither imports nor contains
it. The voice is synthetic: good for demos and tests, not a model of human speech.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from corpus_text import CorpusError, read_sentences
from corpus_voice import ENGINES, Utterance, Voice, check_voices, choose_engine

HERE = Path(__file__).resolve().parent
PACES = (1.0, 0.92, 1.08, 0.96, 1.04)  # with --minutes: one pass over the text by every voice at each pace


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
    from corpus_audio import encode

    content = encode(samples, rate, tags, utterance.path.suffix[1:])
    part = utterance.path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, utterance.path)
    return len(samples) / 2 / rate, True


def plan(sentences: list[str], options: argparse.Namespace) -> list[Utterance]:
    """Lists the files in order: all sentences by one voice, then by the next; then all at another pace."""
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


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"cannot make the folder {path} ({error}); give another --out") from error


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
    add("--text", type=Path, default=HERE / "sentences.txt", help="one sentence a line, or a table")
    add("--column", help="speak this column of --text, a table with a header and tabs (or |) between columns")
    add(
        "--minutes",
        type=bounded(float, 0, 1e6),
        default=0.0,
        help="stop when this much audio is there, going over the text again with the next voice and then at"
        " other paces if needed; 0: every sentence once by each voice (default)",
    )
    add("--voices", type=voice_list, default=["am"], help="eSpeak voices, for example am,am+f3 (default am)")
    add("--wpm", type=bounded(int, 80, 450), default=150, help="words a minute (default 150)")
    add("--pitch", type=bounded(int, 0, 99), default=50, help="0 to 99 (default 50)")
    add("--format", choices=("ogg", "flac"), default="ogg", help="Ogg Vorbis (default) or FLAC")
    add("--jobs", type=bounded(int, 1, 64), default=min(4, os.cpu_count() or 1), help="sentences at a time")
    add(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="the espeak-ng program, the library of espeakng-loader, or the first that is there (default)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, or 2 for a mistake of the caller."""
    options = parse_options(argv)
    try:
        sentences = read_sentences(options.text, options.column)
        options.engine = choose_engine(options.engine)
        if importlib.util.find_spec("soundfile") is None:
            raise CorpusError("the package soundfile is not installed; run `pip install soundfile numpy`")
        make_folder(options.out / "audio")
        print(f"{len(sentences)} sentences, eSpeak NG {options.engine}, voices {', '.join(options.voices)}")
        done, total, new = run(plan(sentences, options), options)
        write_metadata(done, options)
        report(done, total, new, options)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
