"""Character tables of exports: one code point an id, and other spellings of the same sound as further lines.

The engines that read these tables know no Amharic: they look one character up after another. So every character that
the normaliser would have changed to a single other one (homophones, full stops) points to that one's id.
"""

from __future__ import annotations

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.text.normalizer import Normalizer
from amtts_vits.export.hugging_face import characters

_ASCII_MARKS = ".,?!;:-'\""
_GEEZ_MARKS = "።፣፤፥፦፧፡"


def character_table(tokenizer: TextTokenizer, *, what: str) -> dict[str, int]:
    """Single code point -> id, spellings of the same sound included; the blank is not in it.

    Raises:
        AmttsError: the tokenizer writes a letter with several symbols, or through Latin spelling.
    """
    table = characters(tokenizer)
    if table is None or getattr(tokenizer, "front_end", "fidel") != "fidel":
        raise AmttsError(
            f"{what} reads one symbol a character; tokenizer '{tokenizer.kind}' spells letters with several",
            remedy="Train on a tokenizer made with: amtts tokenize --kind char",
        )
    own = {sign: row for sign, row in table.items() if len(sign) == 1 and row != 0}
    normalize = Normalizer()
    out = dict(own)
    for sign in [*own, *_ASCII_MARKS, *_GEEZ_MARKS]:
        folded = _folded(sign, normalize)
        if folded in own:
            out[sign] = own[folded]
    for geez, ascii_mark in zip("።፣፧፡", ".,? ", strict=True):
        if geez not in out and ascii_mark in out:
            out[geez] = out[ascii_mark]
    return out


def _folded(sign: str, normalize: Normalizer) -> str:
    """What the normaliser makes of one character inside a sentence; the character itself if that is no single one."""
    before, after = "ሰላም", " ነው"
    made = normalize(before + sign + after)
    if made.startswith(before) and made.endswith(after):
        middle = made[len(before) : -len(after)]
        return middle if len(middle) == 1 else sign
    return sign
