"""A checkpoint's tokenizer as the file that stock Chatterbox reads, where the two can be made to agree.

Stock Chatterbox takes a Hugging Face `tokenizers` file and writes spaces as [SPACE] before it encodes. A tokenizer
that came with published weights is such a file already. `fidel` becomes one: its letters are replaced by private
characters, one for a consonant and one for a vowel, and every symbol keeps its id. The two agree on every text but
those with private characters (U+E000 on) or with the names of marks such as [STOP], which stock Chatterbox reads as
marks.
"""

from __future__ import annotations

from typing import Any

from amtts_chatterbox.tokenizer import SPACE, START, STOP, UNK, HfJsonTokenizer
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.fidel import FidelTokenizer
from amtts_core.tokenizers.published.hf_file import open_tokenizer

_PRIVATE = 0xE000
"""First private character: symbol n of a spelling is written as the character n further on."""


def stock_tokenizer(tokenizer: TextTokenizer) -> dict[str, Any] | None:
    """The content of the file, None for a kind whose texts it could not encode alike (SentencePiece)."""
    if isinstance(tokenizer, HfJsonTokenizer):
        return tokenizer.data
    if not isinstance(tokenizer, FidelTokenizer):
        return None
    data = _of_fidel(tokenizer)
    return data if agrees(tokenizer, data) else None


def agrees(tokenizer: TextTokenizer, data: dict[str, Any]) -> bool:
    """Whether both encode every symbol and letter, alone and among others, and unknown characters alike."""
    stock = open_tokenizer(data)
    units = [*fidel_alphabet.spellings(), *fidel_alphabet.PLAIN, "€", "字", "\U0001f600", "é"]
    units += [s for s in tokenizer.symbols() if not (s.startswith("<") and s.endswith(">"))]
    texts = [*units, "".join(units), " ".join(units), " ".join(reversed(units)), ""]
    return all(stock.encode(t.replace(" ", SPACE)).ids == tokenizer.encode(t) for t in texts)


def _of_fidel(tokenizer: FidelTokenizer) -> dict[str, Any]:
    symbols = tokenizer.symbols()
    ids = {symbol: number for number, symbol in enumerate(symbols)}
    parts = [s for s in symbols if s in fidel_alphabet.VOWELS or s in fidel_alphabet.consonants()]
    written = {part: chr(_PRIVATE + number) for number, part in enumerate(parts)}
    spelled = {
        letter: "".join(written[part] for part in spelling)
        for letter, spelling in fidel_alphabet.spellings().items()
        if all(part in written for part in spelling)
    }
    marks = {
        START: tokenizer.bos_id,
        STOP: tokenizer.eos_id,
        UNK: tokenizer.unk_id,
        "[PAD]": tokenizer.pad_id,
        SPACE: ids[" "],
    }
    named = set(marks.values())
    vocabulary = {written.get(s, s): number for s, number in ids.items() if number not in named} | marks
    longer = sorted((s for s in vocabulary if len(s) > 1 and s not in marks and not _is_byte(s)), key=len)
    added = [*marks, *longer]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary[name],
                "content": name,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for name in sorted(added, key=vocabulary.__getitem__)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"String": letter}, "content": content}
                for letter, content in spelled.items()
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": UNK,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": any(map(_is_byte, symbols)),
            "vocab": vocabulary,
            "merges": [],
        },
    }


def _is_byte(symbol: str) -> bool:
    return len(symbol) == 6 and symbol.startswith("<0x") and symbol.endswith(">")
