"""Texts of other languages, and the check that they keep their token ids."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from amtts_core.contract.tokenizer_format import Encode
from amtts_core.errors import AmttsError

SAMPLES = (
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "HELLO WORLD! 1+a = b, 3:30 [ok] (ok)...",
    "Größe, façade, señor, čaj, żółw; naïve – “quoted”",
    "今天天气很好,我们去公园吧。",
    "你好 WORLD,123",
    "مرحبا بالعالم، كيف حالك؟",
    "Привет, мир! Съешь ещё этих мягких булок.",
    "नमस्ते दुनिया",
    "こんにちは、世界。カタカナ",
    "안녕하세요 세계",
    "שלום עולם",
    "Γειά σου κόσμε",
)


def sample_texts(tokens: Sequence[str], *, seed: int, count: int = 200) -> list[str]:
    """The built-in samples, and random sequences of tokens.

    Args:
        tokens: existing tokens as they occur in text.
        seed: of the random sequences.
        count: number of random sequences.
    """
    source = random.Random(seed)
    drawn = ["".join(source.choices(tokens, k=source.randint(1, 12))) for _ in range(count)] if tokens else []
    return [*SAMPLES, *drawn]


def encode_both(
    texts: Sequence[str], encoders: tuple[Encode, Encode], moved: Mapping[int, int]
) -> list[tuple[list[int], list[int]]]:
    """Ids of every text before and after.

    Args:
        texts: in other languages.
        encoders: of the old tokenizer and the new one.
        moved: old id -> new id of the same token, where they differ.

    Raises:
        AmttsError: a text has other tokens than before; names it.
    """
    pairs = []
    for text in texts:
        before, after = (list(encode(text)) for encode in encoders)
        if [moved.get(number, number) for number in before] != after:
            raise AmttsError(
                f"token ids of existing text changed: {text!r} was {before[:8]}, is {after[:8]}; nothing was written"
            )
        pairs.append((before, after))
    return pairs
