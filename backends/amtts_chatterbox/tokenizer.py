"""Chatterbox' tokenizer: a Hugging Face `tokenizers` file, BPE over characters, spaces written [SPACE].

Special ids of the published files: [STOP] 0, [UNK] 1, [SPACE] 2, [START] 255. The multilingual model lower-cases,
decomposes (NFKD) and puts a language tag in front; all three leave Ethiopic letters as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from amtts_chatterbox.special_tokens import SPACE, START, STOP, UNK
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import Addition, Encode, ExtendedTokenizer, TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import consonants
from amtts_core.tokenizers.published.hf_file import (
    check_ids_as_read,
    is_hf_file,
    open_tokenizer,
    read_hf_vocabulary,
)
from amtts_core.tokenizers.published.hf_surgery import TextRules, change_vocabulary
from amtts_core.tokenizers.published.symbols import compose_letters
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary, read_json, size_of
from amtts_core.tokenizers.settings import damaged, read_model, write_model

REQUIRED = (UNK, SPACE)
ENGLISH = "[en]"
"""Language tag that every multilingual file has."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_PUBLISHED = {START: 255, STOP: 0}
"""Ids of the marks around a text, which the network puts there, for files that do not name them."""


def lower_and_decompose(text: str) -> str:
    """What the multilingual model does with a text before it encodes."""
    return unicodedata.normalize("NFKD", text.lower())


RULES = TextRules(program="Chatterbox", normalize=lower_and_decompose, names="lower-casing and NFKD")


class HfJsonTokenizer:
    """See the module.

    Args:
        data: the file's content.
        language: tag put before every text, "am" for [am]; empty puts none.
        lower: lower-case and decompose first, as the multilingual model does.

    Raises:
        ValueError: `data` is no such tokenizer, or lacks a special token or the tag.
    """

    kind = "hf-json"

    def __init__(self, data: dict[str, Any], *, language: str = "", lower: bool = True) -> None:
        self.data = data
        self.language = language
        self.lower = lower
        self._tokenizer = open_tokenizer(data)
        self._vocabulary = hf_vocabulary(data)
        missing = [name for name in REQUIRED if name not in self._vocabulary]
        if language and f"[{language}]" not in self._vocabulary:
            missing.append(f"[{language}]")
        if missing:
            raise ValueError(f"it has no token {', '.join(missing)}")
        self.unk_id = self._vocabulary[UNK]
        self.bos_id = self._vocabulary.get(START, _PUBLISHED[START])
        self.eos_id = self._vocabulary.get(STOP, _PUBLISHED[STOP])
        self.pad_id = self._vocabulary.get("[PAD]", self.eos_id)

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return size_of(self._vocabulary)

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`; a language tag comes first where one is set."""
        if self.lower:
            text = lower_and_decompose(text)
        if self.language:
            text = f"[{self.language}]{text}"
        text = text.encode("utf-8", errors="replace").decode("utf-8")
        return list(self._tokenizer.encode(text.replace(" ", SPACE)).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`. Consonant and vowel symbols come back as letters."""
        names = self.symbols()
        skipped = {self.bos_id, self.eos_id, self.pad_id, self._vocabulary.get(f"[{self.language}]", -1)}
        shown = {self.unk_id: "⁇", self._vocabulary[SPACE]: " "}
        parts = (
            shown.get(number, names[number])
            for number in ids
            if number not in skipped and number < len(names)
        )
        if not self.data["model"].get("byte_fallback"):
            return compose_letters("".join(parts))
        return compose_letters(b"".join(map(_bytes, parts)).decode("utf-8", errors="replace"))

    def symbols(self) -> list[str]:
        """See `TextTokenizer`; an id without a token shows as `[ROW n]`."""
        names = {number: name for name, number in self._vocabulary.items()}
        return [names.get(number, f"[ROW {number}]") for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        settings = {"vocab_size": self.vocab_size, "language": self.language, "lower": self.lower}
        write_model(folder, self.kind, self._serialized(), settings)

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        settings = json.dumps([self.kind, self.language, self.lower]).encode()
        return hashlib.sha256(settings + b"\0" + self._serialized()).hexdigest()

    def _serialized(self) -> bytes:
        return json.dumps(self.data, ensure_ascii=False, sort_keys=True).encode("utf-8")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to worker processes as the file's content."""
        return (_rebuild, (self.data, self.language, self.lower))


def _bytes(token: str) -> bytes:
    """UTF-8 of a token; that of a byte token is the byte."""
    found = _BYTE.fullmatch(token)
    return bytes([int(found[1], 16)]) if found else token.encode("utf-8", errors="replace")


def _rebuild(data: dict[str, Any], language: str, lower: bool) -> HfJsonTokenizer:
    return HfJsonTokenizer(data, language=language, lower=lower)


def load(folder: Path, settings: dict[str, Any]) -> HfJsonTokenizer:
    """The stored tokenizer."""
    model = read_model(folder, settings)
    try:
        return HfJsonTokenizer(
            json.loads(model),
            language=str(settings.get("language", "")),
            lower=bool(settings.get("lower", True)),
        )
    except ValueError as fault:
        raise damaged(folder, str(fault)) from None


def add_symbols(tokenizer: HfJsonTokenizer, addition: Addition) -> tuple[TextTokenizer, dict[str, str]]:
    """See `amtts_core.tokenizers.registry`.

    Raises:
        AmttsError: it is a unigram model.
    """
    if tokenizer.data["model"].get("type", "BPE") != "BPE":
        raise AmttsError(f"tokenizers of kind {tokenizer.kind!r} cannot grow")
    change = change_vocabulary(tokenizer.data, addition.symbols, letters=addition.letters, rules=RULES)
    grown = HfJsonTokenizer(change.data, language=tokenizer.language, lower=tokenizer.lower)
    return grown, change.left_out


def check(data: dict[str, Any], path: Path) -> None:
    """Refuses a file that is not a tokenizer of Chatterbox.

    Raises:
        AmttsError: unreadable, another model than BPE, or without Chatterbox' special tokens.
    """
    if data["model"].get("type", "BPE") != "BPE":
        raise AmttsError(
            f"tokenizer {path} has a model of type {data['model'].get('type')!r}; Chatterbox has BPE"
        )
    try:
        HfJsonTokenizer(data)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is not one of Chatterbox: {fault}") from None
    check_ids_as_read(data, path)


def open_file(path: Path, *, language: str = "") -> HfJsonTokenizer:
    """See `Open`; a file with the tag [en] is that of the multilingual model, which lower-cases."""
    data = read_json(path)
    known = {token["content"] for token in data.get("added_tokens") or ()}
    try:
        return HfJsonTokenizer(data, language=language, lower=ENGLISH in known)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is not one of Chatterbox: {fault}") from None


def extend_file(
    path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str
) -> ExtendedTokenizer:
    """See `Extend`."""
    data = read_json(path)
    check(data, path)
    change = change_vocabulary(
        data,
        addition.symbols,
        letters=addition.letters,
        tags=[f"[{language}]"] if language else [],
        reuse=reuse,
        pad_to=pad_to,
        rules=RULES,
    )
    old = read_hf_vocabulary(path)
    return ExtendedTokenizer(
        old=old,
        new=hf_vocabulary(change.data),
        same_as={},
        consonants=consonants() if addition.letters == "cv" else (),
        left_out=change.left_out,
        encode_old=_encode(data, lower=reuse),
        encode_new=_encode(change.data, lower=reuse),
        texts=tuple(name for name in data["model"]["vocab"] if name != SPACE),
        tokenizer=HfJsonTokenizer(change.data, language=language, lower=reuse or ENGLISH in old),
        files={path.name: json.dumps(change.data, ensure_ascii=False, indent=2).encode("utf-8")},
    )


def _encode(data: dict[str, Any], *, lower: bool) -> Encode:
    """The file as Chatterbox reads it; with `lower` after the rules that make tokens unreachable."""
    tokenizer = open_tokenizer(data)

    def encode(text: str) -> list[int]:
        if lower:
            text = lower_and_decompose(text)
        return list(tokenizer.encode(text.replace(" ", SPACE)).ids)

    return encode


def _train(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> TextTokenizer:
    from amtts_chatterbox.tokenizer_training import train

    return train(
        kind,
        texts,
        vocab_size=vocab_size,
        byte_fallback=byte_fallback,
        seed=seed,
        build=partial(HfJsonTokenizer, lower=False),
    )


FORMAT = TokenizerFormat(
    description="a Hugging Face tokenizer",
    file_names=("tokenizer.json", "grapheme_mtl_merged_expanded_v1.json"),
    recognizes=is_hf_file,
    read_vocabulary=read_hf_vocabulary,
    open=open_file,
    extend=extend_file,
    train=_train,
)
