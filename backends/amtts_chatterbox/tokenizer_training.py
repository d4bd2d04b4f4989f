"""Trains a tokenizer in Chatterbox' format: a Hugging Face file, [STOP] 0, [UNK] 1, [SPACE] 2, [START] 255.

The pieces come from the same trainer as those of amtts' own tokenizers, with every Ethiopic letter forced in; none
crosses a space. `fidel` spells each letter as a consonant and a vowel, as `amtts extend-vocab --add cv` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from amtts_chatterbox.special_tokens import SPACE, START, STOP, UNK
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.fidel import BYTES, check_fidel_size
from amtts_core.tokenizers.published.hf_surgery import add_merges, added_token, spell_letters, vowel_token
from amtts_core.tokenizers.published.symbols import SPACE_MARK
from amtts_core.tokenizers.sentencepiece import piece_scores, train_model
from amtts_core.tokenizers.settings import SPECIALS

T = TypeVar("T", bound=TextTokenizer)
_FIRST = (STOP, UNK, SPACE)
_START = 255
_SPACE_PIECES = 1
"""Pieces of a model over words that Chatterbox' file does not take: ▁, for which it has [SPACE]."""
_PLACEHOLDER = "[PLACEHOLDER_{}]"


def train(
    kind: str,
    texts: Iterable[str],
    *,
    vocab_size: int | None,
    byte_fallback: bool,
    seed: int,
    build: Callable[[dict[str, Any]], T],
) -> T:
    """A tokenizer for `texts`. Errors as in `amtts_core.tokenizers.factory.train_tokenizer`.

    Args:
        kind: "fidel", "unigram", "bpe" or "char".
        texts: normalized; not read by "fidel".
        vocab_size: exact number of ids.
        byte_fallback: bytes for what the vocabulary lacks.
        seed: of the sample of a large corpus.
        build: makes the tokenizer of a file's content.
    """
    if kind == "fidel":
        signs = [*fidel_alphabet.consonants(), *(sign for sign in fidel_alphabet.PLAIN if sign != " ")]
        vowels = [vowel_token(vowel) for vowel in fidel_alphabet.VOWELS]
        names = [*vowels, *signs, *(BYTES if byte_fallback else ())]
        data = _file("BPE", [(name, 0.0) for name in names], byte_fallback=byte_fallback)
        data["added_tokens"] += [
            added_token(name, data["model"]["vocab"][name], special=False) for name in vowels
        ]
        spell_letters(data)
        return check_fidel_size(build(data), vocab_size)
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
        add_merges(data["model"], [piece for piece, _ in ranked])
    return build(data)


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
    rows += [(START, 0.0), *pieces[_START - len(_FIRST) :]]
    ids = {name: number for number, (name, _) in enumerate(rows)}
    settings: dict[str, Any]
    if model == "Unigram":
        settings = {"type": "Unigram", "unk_id": ids[UNK], "vocab": [list(row) for row in rows]}
    else:
        settings = {
            "type": "BPE",
            "dropout": None,
            "unk_token": UNK,
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
        "added_tokens": [added_token(name, ids[name], special=True) for name in (*_FIRST, START)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": settings | {"byte_fallback": byte_fallback},
    }
