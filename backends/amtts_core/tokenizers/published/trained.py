"""Trains a tokenizer in the format of a published family, with the special ids that its network expects.

sentencepiece   IndexTTS2: a SentencePiece model, start 0, stop 1, unknown 2
hf-json         Chatterbox: a Hugging Face file, [STOP] 0, [UNK] 1, [SPACE] 2, [START] 255; pieces never cross a space

What is learnt comes from the same trainer as the tokenizers of amtts, with every Ethiopic letter forced in. `fidel`
spells each letter as a consonant and a vowel, as `amtts extend-vocab --add cv` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.fidel import BYTES
from amtts_core.tokenizers.published import hf_json, hf_surgery
from amtts_core.tokenizers.published.sentencepiece_model import ForeignSentencePiece
from amtts_core.tokenizers.published.symbols import SPACE_MARK
from amtts_core.tokenizers.sentencepiece import (
    INDEXTTS2_IDS,
    fidel_model,
    piece_scores,
    train_model,
)
from amtts_core.tokenizers.settings import SPECIALS

T = TypeVar("T", bound=TextTokenizer)
_FIRST = (hf_json.STOP, hf_json.UNK, hf_json.SPACE)
_START = 255
_SPACE_PIECES = 1
"""Pieces of a model over words that Chatterbox' file does not take: ▁, for which it has [SPACE]."""
_PLACEHOLDER = "[PLACEHOLDER_{}]"


def train(
    layout: str, kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> TextTokenizer:
    """A tokenizer for `texts`. Arguments and errors as in `amtts_core.tokenizers.factory.train_tokenizer`.

    Args:
        layout: "sentencepiece" or "hf-json".
        kind: "fidel", "unigram", "bpe" or "char".
        texts: normalised; not read by "fidel".
        vocab_size: exact number of ids.
        byte_fallback: bytes for what the vocabulary lacks.
        seed: draws the sample of a large corpus.
    """
    makers: dict[str, Callable[..., TextTokenizer]] = {"sentencepiece": _indextts2, "hf-json": _chatterbox}
    return makers[layout](kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed)


def _indextts2(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> ForeignSentencePiece:
    if kind != "fidel":
        model = train_model(
            kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed, ids=INDEXTTS2_IDS
        )
        return ForeignSentencePiece(model)
    vowels = [f"[{vowel}]" for vowel in fidel_alphabet.VOWELS]
    tokenizer = ForeignSentencePiece(fidel_model(vowels, byte_fallback=byte_fallback), letters="cv")
    return _sized(tokenizer, vocab_size)


def _chatterbox(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> hf_json.HfJsonTokenizer:
    if kind == "fidel":
        signs = [*fidel_alphabet.consonants(), *(sign for sign in fidel_alphabet.PLAIN if sign != " ")]
        vowels = [hf_surgery.vowel_token(vowel) for vowel in fidel_alphabet.VOWELS]
        names = [*vowels, *signs, *(BYTES if byte_fallback else ())]
        data = _file("BPE", [(name, 0.0) for name in names], byte_fallback=byte_fallback)
        data["added_tokens"] += [
            hf_surgery.added_token(name, data["model"]["vocab"][name], special=False) for name in vowels
        ]
        hf_surgery.spell_letters(data)
        return _sized(hf_json.HfJsonTokenizer(data, lower=False), vocab_size)
    model = train_model(
        kind,
        _words(texts),
        vocab_size=vocab_size,
        byte_fallback=byte_fallback,
        seed=seed,
        uncounted=_SPACE_PIECES,
    )
    pieces = [
        (piece, score)
        for piece, score in piece_scores(model)
        if piece not in SPECIALS and SPACE_MARK not in piece
    ]
    data = _file("Unigram" if kind == "unigram" else "BPE", pieces, byte_fallback=byte_fallback)
    if kind == "bpe":
        longer = [(piece, score) for piece, score in pieces if len(piece) > 1 and piece not in BYTES]
        ranked = sorted(longer, key=lambda item: -item[1])  # the highest score merges first
        hf_surgery.add_merges(data["model"], [piece for piece, _ in ranked])
    return hf_json.HfJsonTokenizer(data, lower=False)


def _words(texts: Iterable[str]) -> Iterator[str]:
    """What the file's own pre-tokenizer makes of the texts: words and runs of marks."""
    from tokenizers import pre_tokenizers

    split = pre_tokenizers.Whitespace().pre_tokenize_str
    for text in texts:
        for word, _ in split(text.encode("utf-8", errors="replace").decode("utf-8")):
            yield word


def _file(model: str, pieces: Sequence[tuple[str, float]], *, byte_fallback: bool) -> dict[str, Any]:
    """The content of a Hugging Face file with the special ids of Chatterbox and these pieces in their order.

    Where there are fewer than 255 ids before [START], placeholders that no text yields fill up to it.
    """
    rows = [(name, 0.0) for name in _FIRST] + list(pieces[: _START - len(_FIRST)])
    rows += [(_PLACEHOLDER.format(number), 0.0) for number in range(len(rows), _START)]
    rows += [(hf_json.START, 0.0), *pieces[_START - len(_FIRST) :]]
    ids = {name: number for number, (name, _) in enumerate(rows)}
    settings: dict[str, Any]
    if model == "Unigram":
        settings = {"type": "Unigram", "unk_id": ids[hf_json.UNK], "vocab": [list(row) for row in rows]}
    else:
        settings = {
            "type": "BPE",
            "dropout": None,
            "unk_token": hf_json.UNK,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": ids,
            "merges": [],
        }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            hf_surgery.added_token(name, ids[name], special=True) for name in (*_FIRST, hf_json.START)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": settings | {"byte_fallback": byte_fallback},
    }


def _sized(tokenizer: T, vocab_size: int | None) -> T:
    if vocab_size is not None and vocab_size != tokenizer.vocab_size:
        raise AmttsError(
            f"vocabulary size {vocab_size}: the fidel tokenizer of this backend always has "
            f"{tokenizer.vocab_size} symbols",
            remedy="Leave --vocab-size out, or choose --kind unigram, bpe or char",
        )
    return tokenizer
