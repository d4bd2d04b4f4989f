"""The three foreign tokenizer formats behind one face: open, extend, compare with the old one, write.

What differs between the families' files is here and in `amtts_core.tokenizers.published`; `extend` sees only `Edited`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.families import Family
from amtts_core.finetune.vocab.old_text import Encode
from amtts_core.tokenizers.fidel_alphabet import consonants
from amtts_core.tokenizers.published import hf_json, hf_surgery, sentencepiece_model, vits_vocab
from amtts_core.tokenizers.published.additions import Addition
from amtts_core.tokenizers.published.mapping import load_vocab_mapping, tokenizer_file
from amtts_core.tokenizers.published.symbols import SPACE_MARK
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary, read_json

_ASCII_MARKS = (".", ",", "?", "!", "-", "'", " ")
"""Marks that normalised Amharic may hold besides its own; published VITS lists lack most."""


@dataclass(frozen=True, kw_only=True)
class Edited:
    """An old tokenizer and what became of it.

    Attributes:
        old: token string -> id before.
        new: token string -> id after.
        same_as: new token -> old token whose row it takes.
        consonants: new tokens that stand for a consonant alone.
        left_out: wanted symbols that were not added, with the reason.
        encoders: raw old and new encoding; they must agree on old text.
        texts: old token strings as they occur in text.
        tokenizer: the new one as amtts uses it.
        files: name -> content of the new files in the family's own format.
    """

    old: dict[str, int]
    new: dict[str, int]
    same_as: dict[str, str]
    consonants: tuple[str, ...]
    left_out: dict[str, str]
    encoders: tuple[Encode, Encode]
    texts: tuple[str, ...]
    tokenizer: TextTokenizer
    files: dict[str, bytes]


def open_tokenizer_file(path: Path, family: Family) -> Path:
    """The tokenizer file of a family.

    Raises:
        AmttsError: missing, or the tokenizer of another family.
    """
    found = tokenizer_file(path)
    if found.kind != family.tokenizer:
        kinds = {"hf-json": "a Hugging Face tokenizer", "sentencepiece": "a SentencePiece model",
                 "vits": "a VITS vocab.json", "amtts": "an amtts tokenizer", "fidel": "an amtts tokenizer"}  # fmt: skip
        raise AmttsError(
            f"tokenizer {path} is {kinds[found.kind]}; backend '{family.name}' has {kinds[family.tokenizer]}"
        )
    return found.path


def edit(
    path: Path, family: Family, addition: Addition, *, reuse: bool, pad_to: int, language: str
) -> Edited:
    """The tokenizer at `path` with the addition in it.

    Raises:
        AmttsError: it does not fit the family, or the addition does not fit into it.
    """
    editors: Mapping[str, Callable[..., Edited]] = {
        "hf-json": _edit_hf,
        "sentencepiece": _edit_sentencepiece,
        "vits": _edit_vits,
    }
    edited = editors[family.tokenizer](path, addition, reuse=reuse, pad_to=pad_to, language=language)
    if len(edited.new) == len(edited.old) and set(edited.new) == set(edited.old):
        left_out = dict(edited.left_out)
        if left_out:
            name, reason = next(iter(left_out.items()))
            what = f"{len(left_out)} of {len(addition.symbols)} symbols cannot be added, such as {name!r}: {reason}"
        else:
            what = f"it already has every symbol of --add {addition.source[:60]}"
        raise AmttsError(
            f"nothing to add to tokenizer {path} ({len(edited.old)} tokens): {what}",
            remedy="" if left_out else "This vocabulary is already extended; train from its checkpoint",
        )
    return edited


def _edit_hf(path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str) -> Edited:
    data = read_json(path)
    hf_json.check(data, path)
    change = hf_surgery.change_vocabulary(
        data, addition.symbols, letters=addition.letters, language=language, reuse=reuse, pad_to=pad_to
    )
    old = load_vocab_mapping(path)
    lower = reuse or "[en]" in old
    texts = tuple(name for name in data["model"]["vocab"] if name != hf_json.SPACE)
    return Edited(
        old=old,
        new=hf_vocabulary(change.data),
        same_as={},
        consonants=_alone(addition),
        left_out=change.left_out,
        encoders=(_hf_encode(data, lower=reuse), _hf_encode(change.data, lower=reuse)),
        texts=texts,
        tokenizer=hf_json.HfJsonTokenizer(change.data, language=language, lower=lower),
        files={path.name: json.dumps(change.data, ensure_ascii=False, indent=2).encode("utf-8")},
    )


def _hf_encode(data: dict[str, Any], *, lower: bool) -> Encode:
    tokenizer = hf_json.open_tokenizer(data)

    def encode(text: str) -> list[int]:
        if lower:
            text = unicodedata.normalize("NFKD", text.lower())
        return list(tokenizer.encode(text.replace(" ", hf_json.SPACE)).ids)

    return encode


def _edit_sentencepiece(path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str) -> Edited:
    model = path.read_bytes()
    old = load_vocab_mapping(path)
    try:
        sentencepiece_model.ForeignSentencePiece(model)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is not one of IndexTTS2: {fault}") from None
    if sentencepiece_model.is_of_words(model):
        raise AmttsError(f"tokenizer {path} is a model of whole words, to which letters cannot be added")
    change = sentencepiece_model.append_pieces(
        model, addition.symbols, letters=addition.letters, language=language, pad_to=pad_to
    )
    tokenizer = sentencepiece_model.ForeignSentencePiece(change.model, letters=addition.letters)
    before, after = (sentencepiece_model.open_model(content).encode for content in (model, change.model))
    return Edited(
        old=old,
        new={piece: number for number, piece in enumerate(tokenizer.symbols())},
        same_as={},
        consonants=_alone(addition),
        left_out=change.left_out,
        encoders=(before, after),
        texts=tuple(piece.replace(SPACE_MARK, " ") for piece in old if not piece.startswith("<")),
        tokenizer=tokenizer,
        files={path.name: change.model},
    )


def _edit_vits(path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str) -> Edited:
    if language:
        raise AmttsError(f"--lang-tag {language}: VITS has no language tags", remedy="Leave --lang-tag out")
    old = load_vocab_mapping(path)
    wide = addition.source in ("fidel", "cv", "uroman") or addition.letters == "cv"
    front_end: vits_vocab.FrontEnd = "cv" if addition.letters == "cv" else "fidel"
    if addition.source == "uroman":
        front_end = "uroman"
    symbols = () if front_end == "cv" else addition.symbols
    change = vits_vocab.extend_list(
        old,
        [*symbols, *(_ASCII_MARKS if wide and front_end != "uroman" else ())],
        front_end=front_end,
        pad_to=pad_to,
    )
    stored = path.parent / "tokenizer_config.json"
    settings = read_json(stored) if stored.is_file() else {}
    tokenizer = vits_vocab.VitsVocabulary(
        change.vocabulary, front_end=front_end, language=str(settings.get("language") or "amh")
    )
    return Edited(
        old=old,
        new=change.vocabulary,
        same_as=change.same_as,
        consonants=tuple(vits_vocab.CONTRASTS) if front_end == "cv" else (),
        left_out=change.left_out,
        encoders=(_characters(old, old), _characters(change.vocabulary, old)),
        texts=tuple(name for name in old if len(name) == 1),
        tokenizer=tokenizer,
        files={
            path.name: (json.dumps(change.vocabulary, ensure_ascii=False, indent=2) + "\n").encode("utf-8"),
            "tokenizer_config.json": (
                json.dumps({**settings, **tokenizer.stock_settings()}, ensure_ascii=False, indent=2) + "\n"
            ).encode("utf-8"),
        },
    )


def _characters(vocabulary: Mapping[str, int], old: Mapping[str, int]) -> Encode:
    """As the stock tokenizer read lower-cased text, without blanks: what the old list lacks is dropped."""
    return lambda text: [vocabulary[sign] for sign in text.lower() if sign in old and sign in vocabulary]


def _alone(addition: Addition) -> tuple[str, ...]:
    return consonants() if addition.letters == "cv" else ()
