"""Single characters with the tokens they are spelt with, for engines that look one character up after another.

Such engines know no Amharic: every character that the normalizer would have changed to a single other one (homophones,
full stops) is spelt like that one.
"""

from __future__ import annotations

from collections.abc import Collection

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.text.normalizer import Normalizer

SIGNS = [chr(code) for code in (*range(0x1200, 0x1380), *range(0x2D80, 0x2DDF))] + list(" .,?!;:-'\"")
_WORD_SPACE = "፡"
SAMPLE = "ሰላም ለዓለም፣ ጤና ይስጥልኝ። ጧት ቋንቋ ኧረ?"


def letter_table(
    tokenizer: TextTokenizer, *, what: str, untrained: Collection[int] | None = None
) -> dict[str, list[int]]:
    """Character -> token ids, for each that the tokenizer can spell.

    Args:
        tokenizer: of the voice.
        what: the engine, for the message.
        untrained: tokens that training never met: no character is spelt with one, so that the engine reports it.

    Raises:
        AmttsError: the tokenizer's tokens of a text are not those of its characters.
    """
    normalize = Normalizer()
    table: dict[str, list[int]] = {}
    for sign in SIGNS:
        tokens = tokenizer.encode(folded_sign(sign, normalize))
        if tokens and {tokenizer.unk_id, *(untrained or ())}.isdisjoint(tokens):
            table[sign] = tokens
    text = normalize(SAMPLE)
    spelt = [token for sign in text for token in table.get(sign) or tokenizer.encode(sign)]
    if tokenizer.encode(text) != spelt:
        raise AmttsError(
            f"{what} reads one character after another; tokenizer '{tokenizer.kind}' joins characters to tokens",
            remedy="Train on a tokenizer made with: amtts tokenize --kind fidel",
        )
    return table


def folded_sign(sign: str, normalize: Normalizer) -> str:
    """What the normalizer makes of one character between words; the character itself if that is no single one.

    The word space of the Ethiopic script becomes a space.
    """
    before, after = "ሰላም", "ነው"
    gap = "" if sign == _WORD_SPACE else " "
    made = normalize(f"{before}{sign}{gap}{after}")
    if not (made.startswith(before) and made.endswith(after)):
        return sign
    middle = made[len(before) : len(made) - len(after)].removesuffix(gap)
    if not middle.strip():
        return " " if sign in (" ", _WORD_SPACE) else sign
    return middle.strip() if len(middle.strip()) == 1 else sign
