"""Character tables of exports: one code point an id, and other spellings of the same sound as further lines.

The engines that read these tables know no Amharic: they look one character up after another. So every character that
the normalizer would have changed to a single other one (homophones, full stops, the word space) points to that one's
id, and a character whose row never learned has none: the engine reports it.
"""

from __future__ import annotations

from collections.abc import Collection

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.synthesis.letter_table import SIGNS, folded_sign, letter_table
from amtts_core.text.normalizer import Normalizer

_MARKS = tuple(zip("።፣፧፡", ".,? ", strict=True))


def characters(tokenizer: TextTokenizer) -> dict[str, int] | None:
    """Character -> id where each token is one character (specials aside), else None; a space is a space."""
    own: dict[str, int] | None = getattr(tokenizer, "vocabulary", None)
    if own is not None:
        return dict(own)
    symbols = [" " if symbol == "▁" else symbol for symbol in tokenizer.symbols()]
    specials = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    if tokenizer.kind != "char" or any(len(s) > 1 for i, s in enumerate(symbols) if i not in specials):
        return None
    return {symbol: row for row, symbol in enumerate(symbols)}


def with_spellings(table: dict[str, int], *, untrained: Collection[int] | None = None) -> dict[str, int]:
    """A table with further spellings, and without rows that never learned.

    Args:
        table: character -> row, special symbols aside.
        untrained: rows that training never met; None where that is not known.
    """
    normalize, known = Normalizer(), frozenset(untrained or ())
    own = {sign: row for sign, row in table.items() if row not in known}
    out = dict(own)
    for sign in [*table, *SIGNS]:
        folded = folded_sign(sign, normalize)
        if folded in own and (untrained is None or sign not in own):
            out[sign] = own[folded]
    for geez, ascii_mark in _MARKS:
        if geez not in out and ascii_mark in out:
            out[geez] = out[ascii_mark]
    return out


def character_table(
    tokenizer: TextTokenizer, *, what: str, untrained: Collection[int] | None = None
) -> dict[str, list[int]]:
    """Single code point -> its symbols' ids, spellings of the same sound included; the blank is not in it.

    Raises:
        AmttsError: the tokenizer joins characters, or writes through Latin spelling.
    """
    table = characters(tokenizer)
    if table is None or getattr(tokenizer, "front_end", "fidel") != "fidel":
        return letter_table(tokenizer, what=what, untrained=untrained)
    own = {sign: row for sign, row in table.items() if len(sign) == 1 and row != 0}
    return {sign: [row] for sign, row in with_spellings(own, untrained=untrained).items()}
