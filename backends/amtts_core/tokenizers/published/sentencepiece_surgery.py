"""Adds pieces behind the last id of a SentencePiece model.

A new piece holds a character that no existing piece has, and no new score is below the lowest one of a unigram model,
so that existing text is cut exactly as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amtts_core.contract.tokenizer_format import Letters
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import VOWELS
from amtts_core.tokenizers.published.sentencepiece_proto import parse_model
from amtts_core.tokenizers.published.symbols import SPACE_MARK

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

_NORMAL, _USER_DEFINED, _UNUSED = 1, 4, 5
_UNIGRAM, _WORD = 1, 3
PLACEHOLDER = "<unused_{}>"


@dataclass(frozen=True, kw_only=True)
class SentencePieceChange:
    """An extended model.

    Attributes:
        model: serialized.
        added: new piece -> id.
        left_out: symbol that was not added -> reason.
    """

    model: bytes
    added: dict[str, int]
    left_out: dict[str, str]


def vowel_piece(symbol: str) -> str:
    """A vowel's piece: `[+a]`, because plain `+a` occurs in other text (`1+a`)."""
    return f"[{symbol}]" if symbol in VOWELS else symbol


def open_model(model: bytes) -> SentencePieceProcessor:
    """The official implementation on a serialized model.

    Raises:
        ValueError: not a model.
    """
    from sentencepiece import SentencePieceProcessor

    if not model:
        raise ValueError("not a SentencePiece model (it is empty)")  # SentencePiece would log it itself
    try:
        return SentencePieceProcessor(model_proto=model)
    except (RuntimeError, OSError, TypeError) as fault:
        raise ValueError(f"not a SentencePiece model ({fault})") from None


def is_of_words(model: bytes) -> bool:
    """True for a model that knows whole words only."""
    return bool(parse_model(model).trainer_spec.model_type == _WORD)


def pieces(model: bytes, path: Path) -> list[str]:
    """Every piece in the order of the ids.

    Raises:
        AmttsError: not a SentencePiece model.
    """
    try:
        processor = open_model(model)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is {fault}") from None
    return [processor.id_to_piece(number) for number in range(processor.get_piece_size())]


def append_pieces(
    model: bytes,
    symbols: Iterable[str],
    *,
    letters: Letters = "whole",
    tags: Sequence[str] = (),
    pad_to: int = 0,
) -> SentencePieceChange:
    """The model with `symbols` behind its last piece; those that it has already are passed over.

    Args:
        model: the existing model.
        symbols: wanted pieces in the order of their importance; a space is written ▁.
        letters: "cv" names vowel symbols so that no existing text holds them.
        tags: pieces in brackets that are never cut, such as [am].
        pad_to: size to fill up to with unused pieces; 0 fills nothing.

    Raises:
        AmttsError: more pieces than `pad_to`.
    """
    proto = parse_model(model)
    old = {piece.piece for piece in proto.pieces}
    known = set("".join(piece.piece for piece in proto.pieces if piece.type in (_NORMAL, _USER_DEFINED)))
    wanted: dict[str, None] = dict.fromkeys(tags)
    left_out: dict[str, str] = {}
    for symbol in symbols:
        name = f"[{symbol}]" if letters == "cv" and symbol in VOWELS else symbol.replace(" ", SPACE_MARK)
        if name in old or not name:
            continue
        if set(name) <= known and not (letters == "cv" and symbol in VOWELS):
            left_out[symbol] = "it holds no new character, so it would change how old text is read"
        else:
            wanted[name] = None
    names = [name for name in wanted if name not in old]
    while True:
        changed = _appended(model, names, pad_to=pad_to)
        first = len(proto.pieces)
        added = {name: first + number for number, name in enumerate(names)}
        encode = open_model(changed).encode
        failed = [name for name in names if len(name) > 1 and added[name] not in encode(_in_text(name))]
        if not failed:
            return SentencePieceChange(model=changed, added=added, left_out=left_out)
        left_out |= dict.fromkeys(failed, "no text is cut into it")
        names = [name for name in names if name not in failed]


def _in_text(name: str) -> str:
    """A text that holds the piece: behind an unknown character, so that no space is in front unless it has one."""
    return "\ue000" + name.replace(SPACE_MARK, " ")


def _appended(model: bytes, names: Sequence[str], *, pad_to: int) -> bytes:
    proto = parse_model(model)
    lowest = min((piece.score for piece in proto.pieces if piece.type == _NORMAL), default=0.0)
    unigram = proto.trainer_spec.model_type == _UNIGRAM
    longer = sum(len(name) > 1 for name in names)
    rank = {"long": 0, "single": longer}
    for name in names:
        piece = proto.pieces.add()
        piece.piece = name
        piece.type = _USER_DEFINED if name.startswith("[") and name.endswith("]") else _NORMAL
        if piece.type == _USER_DEFINED:
            piece.score = 0.0
        elif unigram:
            piece.score = _unigram_score(lowest, len(name.strip(SPACE_MARK)))
        else:  # BPE: the highest score merges first, and single characters are what merges start from
            kind = "long" if len(name) > 1 else "single"
            rank[kind] += 1
            piece.score = lowest - rank[kind]
    if pad_to and len(proto.pieces) > pad_to:
        raise AmttsError(f"--pad-to {pad_to} is too small: the new vocabulary has {len(proto.pieces)} pieces")
    for number in range(len(proto.pieces), pad_to):
        piece = proto.pieces.add()
        piece.piece, piece.type, piece.score = PLACEHOLDER.format(number), _UNUSED, 0.0
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return bytes(proto.SerializeToString())


def _unigram_score(lowest: float, length: int) -> float:
    """Not below the lowest old score, which sets the price of an unknown character, and above its characters' sum."""
    return lowest if length <= 1 else max(lowest, lowest * length) + 0.1 * length
