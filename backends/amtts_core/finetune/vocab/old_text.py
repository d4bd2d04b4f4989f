"""Texts of the old languages that must keep their ids, and the comparison of old and new tokenizer on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

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
Encode = Callable[[str], Sequence[int]]


def sample_texts(tokens: Sequence[str], *, seed: int, count: int = 200) -> list[str]:
    """The built-in samples and strings put together from old tokens.

    Args:
        tokens: old token strings as they occur in text.
        seed: draws the strings.
        count: how many strings are drawn.
    """
    source = random.Random(seed)
    drawn = ["".join(source.choices(tokens, k=source.randint(1, 12))) for _ in range(count)] if tokens else []
    return [*SAMPLES, *drawn]


def encode_both(
    texts: Sequence[str], encoders: tuple[Encode, Encode], moved: Mapping[int, int]
) -> list[tuple[list[int], list[int]]]:
    """Ids of every text before and after.

    Args:
        texts: in the old languages.
        encoders: the old tokenizer's encoding and the new one's.
        moved: old id -> new id of the same token, where they differ.

    Raises:
        AmttsError: a text is cut into other tokens than before; names it, and nothing is written.
    """
    pairs = []
    for text in texts:
        before, after = (list(encode(text)) for encode in encoders)
        if [moved.get(number, number) for number in before] != after:
            raise AmttsError(
                f"the new tokenizer reads old text otherwise: {text!r} was {before[:8]}, is {after[:8]}; "
                "nothing was written"
            )
        pairs.append((before, after))
    return pairs
