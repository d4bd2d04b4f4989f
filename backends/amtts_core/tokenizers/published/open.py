"""Any tokenizer file as amtts uses it: its own folders, and the three published formats as they are."""

from __future__ import annotations

from pathlib import Path

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.published.hf_json import HfJsonTokenizer
from amtts_core.tokenizers.published.mapping import tokenizer_file
from amtts_core.tokenizers.published.sentencepiece_model import ForeignSentencePiece
from amtts_core.tokenizers.published.vits_vocab import VitsVocabulary
from amtts_core.tokenizers.published.vocabulary import read_json


def open_any_tokenizer(path: Path) -> TextTokenizer:
    """The tokenizer at `path`.

    Args:
        path: a file or a folder, see `tokenizer_file`.

    Raises:
        AmttsError: there is none, or not one of the families.
    """
    found = tokenizer_file(path)
    try:
        if found.kind == "hf-json":
            data = read_json(found.path)
            known = {token["content"] for token in data.get("added_tokens") or ()}
            return HfJsonTokenizer(data, lower="[en]" in known)
        if found.kind == "sentencepiece":
            return ForeignSentencePiece(found.path.read_bytes())
        if found.kind == "vits":
            return VitsVocabulary(read_json(found.path), front_end="uroman")
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is of no family that is known here: {fault}") from None
    return load_tokenizer(found.path)
