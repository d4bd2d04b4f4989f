"""Compose thousands of sentences for make_corpus.py, out of the words and letters of sentences.txt.

    python examples/corpus/compose_sentences.py --count 2600 --out composed.txt
    python examples/corpus/make_corpus.py --text composed.txt --out /tmp/big

The sentences mean nothing: a third of the words are real, the others are drawn letter by letter, each letter after
the two before it as often as in real words, so that they are pronounceable and look Amharic. One letter in thirty is
drawn from all syllables alike, so that rare ones occur too. A voice has to learn how letters sound, not which words
there are; for that such text does, and there is as much of it as one likes. The same options give the same text.
Standard library only.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
LETTER_ROWS = (0x1200, 0x1208, 0x1210, 0x1218, 0x1220, 0x1228, 0x1230, 0x1238, 0x1240, 0x1260, 0x1268, 0x1270)
LETTER_ROWS += (
    0x1278,
    0x1280,
    0x1290,
    0x1298,
    0x12A0,
    0x12A8,
    0x12B8,
    0x12C8,
    0x12D0,
    0x12D8,
    0x12E0,
    0x12E8,
)
LETTER_ROWS += (0x12F0, 0x1300, 0x1308, 0x1320, 0x1328, 0x1330, 0x1338, 0x1340, 0x1348, 0x1350)
SYLLABLES = [chr(row + order) for row in LETTER_ROWS for order in range(7)]
LABIALISED = list("ሏሟሯሷሿቋቧቷቿኋኗኟኳዟዷጇጓጧጯጿፏ")
WORD = re.compile(r"[\u1200-\u135A]+")
END = "።"


class Words:
    """Draws words: real ones, and ones made of the letters of real ones.

    Args:
        words: real words, as often as they occur.
        chance: every draw comes from here.
        real: share of real words.
        any_letter: share of letters that are drawn from all syllables alike.
    """

    def __init__(
        self, words: list[str], chance: random.Random, *, real: float = 0.35, any_letter: float = 1 / 30
    ) -> None:
        self._words, self._chance, self._real, self._any = words, chance, real, any_letter
        self._lengths = [len(word) for word in words if len(word) > 1]
        self._after: dict[str, Counter[str]] = defaultdict(Counter)
        for word in words:
            for place, letter in enumerate(word):
                for context in ("^" + word[max(0, place - 2) : place], word[max(0, place - 1) : place]):
                    self._after[context][letter] += 1
        self._common = [letter for word in words for letter in word]

    def draw(self) -> str:
        """One word of at least two letters."""
        if self._chance.random() < self._real:
            word = self._chance.choice(self._words)
            return word if len(word) > 1 else self.draw()
        length, word = self._chance.choice(self._lengths), ""
        while len(word) < length:
            word += self._letter(word)
        return word

    def _letter(self, before: str) -> str:
        if self._chance.random() < self._any:
            return self._chance.choice(SYLLABLES + LABIALISED)
        for context in ("^" + before[-2:], before[-1:]):
            found = self._after.get(context)
            # What follows a context too rarely would only copy real words again.
            if found and found.total() >= 5 and self._chance.random() < 0.8:
                return self._chance.choices(list(found), list(found.values()))[0]
        return self._chance.choice(self._common)


def sentence(words: Words, chance: random.Random) -> str:
    """One sentence of 1 to 11 words with its punctuation."""
    kind = chance.random()
    if kind < 0.05:
        count = 1
    elif kind < 0.10:
        count = 2
    else:
        count = round(chance.triangular(2, 11, 7))
    drawn = [words.draw() for _ in range(count)]
    if count >= 4 and chance.random() < 0.25:
        place = chance.randrange(1, count - 1)
        drawn[place] += "፣"
    end = "?" if chance.random() < 0.1 else "!" if chance.random() < 0.04 else END
    return " ".join(drawn) + end


def compose(text: str, count: int, seed: int) -> list[str]:
    """`count` different sentences, in the order in which they were drawn."""
    chance = random.Random(seed)
    words = Words(WORD.findall(text), chance)
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(sentence(words, chance))
    return list(found)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, or 2 for a mistake of the caller."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write, one sentence a line")
    parser.add_argument("--count", type=int, default=2600, help="sentences (default 2600: about 3 hours)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other sentences (default 1)")
    parser.add_argument(
        "--text", type=Path, default=HERE / "sentences.txt", help="where words and letters come from"
    )
    options = parser.parse_args(argv)
    if options.count < 1:
        print(f"error: --count {options.count} is not 1 or more", file=sys.stderr)
        return 2
    try:
        text = options.text.read_text(encoding="utf-8")
        if len(WORD.findall(text)) < 100:
            print(f"error: {options.text} has fewer than 100 Amharic words to learn from", file=sys.stderr)
            return 2
        options.out.write_text("\n".join(compose(text, options.count, options.seed)) + "\n", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.count} sentences written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
