"""Any tokenizer file as amtts uses it: its own folders, and published formats as they are."""

from __future__ import annotations

from pathlib import Path

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.published.mapping import tokenizer_file


def open_any_tokenizer(
    path: Path, *, prefer: TokenizerFormat | None = None, language: str = ""
) -> TextTokenizer:
    """The tokenizer at `path`. Arguments and errors as `tokenizer_file` and `Open`."""
    found = tokenizer_file(path, prefer=prefer)
    return (
        load_tokenizer(found.path)
        if found.format is None
        else found.format.open(found.path, language=language)
    )
