"""A tokenizer for transformers that writes several symbols a letter, which its `VitsTokenizer` cannot.

Every letter becomes private-use characters, one a symbol with the blank before it; what has no symbol is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from amtts_vits.batches import BLANK

_FIRST = 0xE000
_PRIVATE = "\ue000-\uf8ff"


def write_letters(table: Mapping[str, Sequence[int]], folder: Path, *, vocab_size: int) -> None:
    """Writes tokenizer.json and tokenizer_config.json, for `AutoTokenizer.from_pretrained`.

    Args:
        table: character -> ids of its symbols.
        folder: exists.
        vocab_size: of the network.

    Raises:
        OSError: a file cannot be written.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    blank = _sign(BLANK)
    made = Tokenizer(models.WordLevel({_sign(row): row for row in range(vocab_size)}, unk_token=blank))
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"[{_PRIVATE}]"), ""),
            *(normalizers.Replace(sign, _written(symbols)) for sign, symbols in table.items()),
            normalizers.Replace(Regex(f"[^{_PRIVATE}]"), ""),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{_PRIVATE}]"), behavior="isolated")
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {blank}", pair=f"$A $B {blank}", special_tokens=[(blank, BLANK)]
    )
    (folder / "tokenizer.json").write_text(made.to_str() + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "pad_token": blank,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _sign(row: int) -> str:
    return chr(_FIRST + row)


def _written(symbols: Sequence[int]) -> str:
    return "".join(_sign(BLANK) + _sign(row) for row in symbols)
