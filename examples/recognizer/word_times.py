"""Word times of `amtts align` in a long recording, against those that eSpeak NG gives while it speaks.

python examples/corpus/compose_sentences.py --count 950 --seed 4711 --out text.txt
python examples/recognizer/word_times.py make text.txt hour           # hour.flac, hour.txt, hour.json
amtts align hour.flac hour.txt --out hour-cut
python examples/recognizer/word_times.py score hour.json hour-cut/words.json
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
from pathlib import Path

import numpy as np
import soundfile
import soxr

from amtts_core.text.normalizer import Normalizer

RATE = 16_000
WITHIN = 0.05
WORD = 1
"""Type of the event at the start of a word, `espeakEVENT_WORD`."""
_END_PAUSE, _UTF8, _RETRIEVAL = 0x1000, 1, 2


class Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


def speak(text: str, pace: int) -> tuple[np.ndarray, int, dict[int, float]]:
    """Speech (T,), its rate, and the start in seconds of the word at each character; once in a process."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    pieces: list[bytes] = []
    starts: dict[int, float] = {}

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
    def receive(samples, count, events):  # type: ignore[no-untyped-def]
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        number = 0
        while events[number].type:
            if events[number].type == WORD:
                starts[events[number].text_position - 1] = events[number].audio_position / 1000
            number += 1
        return 0

    rate = library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 1)
    library.espeak_SetSynthCallback(receive)
    if library.espeak_SetVoiceByName(b"am"):
        raise SystemExit("eSpeak NG has no voice 'am'")
    library.espeak_SetParameter(1, pace, 0)
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | _END_PAUSE, None, None)
    library.espeak_Synchronize()
    return np.frombuffer(b"".join(pieces), np.int16).astype(np.float32) / 32768, rate, starts


def make(text: Path, out: Path, seconds: float) -> None:
    """Writes a recording of at most so many seconds, its text, and [word, start] of each word."""
    normalize, random = Normalizer(), np.random.default_rng(0)
    parts: list[np.ndarray] = []
    said: list[str] = []
    truth: list[tuple[str, float | None]] = []
    length = 0
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for line in text.read_text(encoding="utf-8").splitlines():
            sentence = normalize(line)
            words = sentence.split()
            if len(words) < 2 or length > seconds * RATE:
                continue
            waveform, rate, starts = pool.apply(speak, (sentence, int(random.integers(135, 170))))
            waveform = soxr.resample(waveform, rate, RATE).astype(np.float32)
            place = 0
            for word in words:
                truth.append((word, length / RATE + starts[place] if place in starts else None))
                place += len(word) + 1
            said.append(sentence)
            pause = np.zeros(int(random.uniform(0, 0.6) * RATE), np.float32)
            parts += [waveform, pause]
            length += len(waveform) + len(pause)
    soundfile.write(out.with_suffix(".flac"), np.concatenate(parts), RATE)
    out.with_suffix(".txt").write_text("\n".join(said) + "\n", encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(truth, ensure_ascii=False), encoding="utf-8")
    print(f"{length / RATE / 60:.1f} min, {len(said)} sentences, {len(truth)} words")


def score(truth: Path, found: Path) -> None:
    """Prints how far the word starts are from the truth."""
    wanted = json.loads(truth.read_text(encoding="utf-8"))
    times = json.loads(found.read_text(encoding="utf-8"))
    if len(wanted) != len(times):
        raise SystemExit(f"{len(times)} words have times, {len(wanted)} were said")
    errors = np.array(
        [time["start"] - start for (_, start), time in zip(wanted, times, strict=True) if start is not None]
    )
    low, median, high = np.percentile(errors, [2.5, 50, 97.5])
    print(
        f"{len(errors)} words, {100 * (abs(errors) <= WITHIN).mean():.1f} % within {WITHIN:g} s, median {median:.3f}, "
        f"mean absolute {abs(errors).mean():.3f}, 2.5 % {low:.3f}, 97.5 % {high:.3f} s"
    )


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "score"))
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--minutes", type=float, default=59)
    options = parser.parse_args()
    if options.what == "make":
        make(options.first, options.second, 60 * options.minutes)
    else:
        score(options.first, options.second)


if __name__ == "__main__":
    main()
