"""Compare how long a voice speaks single words with how long eSpeak NG does: does it stop where the word ends?

    python examples/corpus/check_lengths.py --checkpoint RUN

Speaks words of heldout.txt (or of --words FILE, one a line) with a voice that was trained on eSpeak speech, cuts the
silence off both, and prints the ratio of the lengths. Exits with 1 if a word takes more than --most times its true
length. Needs amtts, and eSpeak NG as make_corpus.py does.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy
from corpus_text import CorpusError
from corpus_voice import ENGINES, Utterance, choose_engine

from amtts_core.audio.trim import find_speech
from amtts_core.errors import AmttsError
from amtts_core.synthesis.engine import Synthesizer

HERE = Path(__file__).resolve().parent
WORD = re.compile(r"[\u1200-\u135A]+")


def seconds(samples: numpy.ndarray, rate: int) -> float:
    """Length of the speech in a recording, the silence at its ends cut off."""
    if not len(samples):
        return 0.0
    found = find_speech(samples, rate, below=40.0, margin=0.0)
    return (found.end - found.begin) / rate


def chosen_words(path: Path, count: int) -> list[str]:
    """`count` different words of at least two letters, evenly spread over a text."""
    found = list(
        dict.fromkeys(word for word in WORD.findall(path.read_text(encoding="utf-8")) if len(word) > 1)
    )
    if not found:
        raise CorpusError(f"{path} has no Amharic word")
    step = max(1, len(found) // count)
    return found[::step][:count]


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="run or checkpoint of the voice")
    parser.add_argument("--words", type=Path, default=HERE / "heldout.txt", help="text to take words from")
    parser.add_argument("--count", type=int, default=50, help="words (default 50)")
    parser.add_argument("--most", type=float, default=1.5, help="largest ratio that passes (default 1.5)")
    parser.add_argument("--end", default="።", help="mark after each word (default ።; may be empty)")
    options = parser.parse_args(argv)
    try:
        words = chosen_words(options.words, options.count)
        engine = ENGINES[choose_engine("auto")]()
        voice = Synthesizer.from_checkpoint(options.checkpoint)
        rows = []
        for word in words:
            text = word + options.end
            true, rate = engine.speak(Utterance(Path(), text, "am", 150, 50))
            wanted = seconds(numpy.frombuffer(true, dtype="<i2") / 32768, rate)
            speech = voice.speak(text)
            rows.append((seconds(speech.waveform, speech.sample_rate) / wanted, wanted, word))
    except (CorpusError, AmttsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows.sort()
    for ratio, wanted, word in (*rows[:3], *rows[-3:]):
        print(f"{ratio:.2f} of {wanted:.2f} s  {word}")
    ratios = numpy.array([row[0] for row in rows])
    beyond = int((ratios > options.most).sum())
    print(
        f"{len(rows)} words: median {numpy.median(ratios):.2f}, least {ratios.min():.2f}, most {ratios.max():.2f} "
        f"times their true length; {beyond} beyond {options.most:g}"
    )
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
