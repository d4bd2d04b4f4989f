"""IndexTTS2's tokenizer: a SentencePiece model with start 0, stop 1 and unknown 2, and pieces put behind its last id.

A new piece holds a character that no old piece has, and no new score is below the lowest old one of a unigram model,
so that old text is cut exactly as before. IndexTTS2 upper-cases text and puts spaces around Chinese characters first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import VOWELS, spellings
from amtts_core.tokenizers.published.sentencepiece_proto import parse_model
from amtts_core.tokenizers.published.symbols import SPACE_MARK, Letters, unspelt
from amtts_core.tokenizers.settings import MODEL_FILE, damaged, write_settings

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

_NORMAL, _USER_DEFINED, _UNUSED = 1, 4, 5
_UNIGRAM, _WORD = 1, 3
PLACEHOLDER = "<unused_{}>"


@dataclass(frozen=True, kw_only=True)
class SentencePieceChange:
    """A changed model, the ids of its new pieces, and what was left out and why."""

    model: bytes
    added: dict[str, int]
    left_out: dict[str, str]


class ForeignSentencePiece:
    """See the module.

    Args:
        model: the serialised model.
        letters: "cv" spells every Ethiopic letter with a consonant and a vowel piece before it encodes.

    Raises:
        ValueError: not a SentencePiece model, or its special ids are not 0, 1 and 2.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes, *, letters: Letters = "whole") -> None:
        self.model = model
        self.letters: Letters = letters
        self._processor = open_model(model)
        specials = (self._processor.bos_id(), self._processor.eos_id(), self._processor.unk_id())
        if specials != (0, 1, 2):
            raise ValueError(f"its start, stop and unknown ids are {specials}, IndexTTS2 has (0, 1, 2)")
        self.bos_id, self.eos_id, self.unk_id = specials
        self.pad_id = self.eos_id

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`. Upper-casing is the caller's: Ethiopic has no case."""
        if self.letters == "cv":
            text = "".join("".join(_named(part) for part in spellings().get(sign, (sign,))) for sign in text)
        return list(self._processor.encode(text.encode("utf-8", errors="replace").decode("utf-8")))

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`. Consonant and vowel pieces come back as letters."""
        text = str(self._processor.decode([number for number in ids if number < self.vocab_size]))
        return unspelt(text) if self.letters == "cv" else text

    def symbols(self) -> list[str]:
        """See `TextTokenizer`."""
        return [self._processor.id_to_piece(number) for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(self.model)
        sha256 = hashlib.sha256(self.model).hexdigest()
        settings = {"vocab_size": self.vocab_size, "letters": self.letters, "sha256": sha256}
        write_settings(folder, self.kind, settings)

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(f"{self.kind} {self.letters}".encode() + b"\0" + self.model).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to worker processes as the serialised model."""
        return (_rebuild, (self.model, self.letters))


def _rebuild(model: bytes, letters: Letters) -> ForeignSentencePiece:
    return ForeignSentencePiece(model, letters=letters)


def _named(symbol: str) -> str:
    """A vowel's piece: `[+a]`, because plain `+a` occurs in old text (`1+a`)."""
    return f"[{symbol}]" if symbol in VOWELS else symbol


def open_model(model: bytes) -> SentencePieceProcessor:
    """The official implementation on a serialised model.

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
    model: bytes, symbols: Iterable[str], *, letters: Letters = "whole", language: str = "", pad_to: int = 0
) -> SentencePieceChange:
    """The model with `symbols` behind its last piece; those that it has already are passed over.

    Args:
        model: the old model.
        symbols: wanted pieces in the order of their importance; a space is written ▁.
        letters: "cv" names vowel symbols so that no old text holds them.
        language: adds the tag `[language]`, always a piece of its own.
        pad_to: size to fill up to with unused pieces; 0 fills nothing.

    Raises:
        AmttsError: more pieces than `pad_to`.
    """
    proto = parse_model(model)
    old = {piece.piece for piece in proto.pieces}
    known = set("".join(piece.piece for piece in proto.pieces if piece.type in (_NORMAL, _USER_DEFINED)))
    wanted: dict[str, None] = {f"[{language}]": None} if language else {}
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


def load(folder: Path, settings: dict[str, Any]) -> ForeignSentencePiece:
    """The stored tokenizer."""
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as fault:
        raise damaged(folder, f"{MODEL_FILE}: {fault.strerror}") from None
    if settings.get("sha256") != hashlib.sha256(model).hexdigest():
        raise damaged(
            folder, f"{MODEL_FILE} does not have the SHA-256 that {settings.get('sha256')!s:.12} names"
        )
    try:
        return ForeignSentencePiece(model, letters="cv" if settings.get("letters") == "cv" else "whole")
    except ValueError as fault:
        raise damaged(folder, str(fault)) from None
