"""Chatterbox' tokenizer: a Hugging Face `tokenizers` file, BPE over characters, spaces written [SPACE].

Special ids of the published files: [STOP] 0, [UNK] 1, [SPACE] 2, [START] 255. The multilingual model lower-cases,
decomposes (NFKD) and puts a language tag in front; all three leave Ethiopic letters as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.published.symbols import unspelt
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary, size_of
from amtts_core.tokenizers.settings import MODEL_FILE, damaged, write_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE, UNK, START, STOP = "[SPACE]", "[UNK]", "[START]", "[STOP]"
REQUIRED = (UNK, SPACE)
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_PUBLISHED = {START: 255, STOP: 0}
"""Ids of the marks around a text, which the network puts there, for files that do not name them."""


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
            text = unicodedata.normalize("NFKD", text.lower())
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
            return unspelt("".join(parts))
        return unspelt(b"".join(map(_bytes, parts)).decode("utf-8", errors="replace"))

    def symbols(self) -> list[str]:
        """See `TextTokenizer`; an id without a token shows as `[ROW n]`."""
        names = {number: name for name, number in self._vocabulary.items()}
        return [names.get(number, f"[ROW {number}]") for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        model = self._serialised()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(model)
        write_settings(
            folder,
            self.kind,
            {
                "vocab_size": self.vocab_size,
                "language": self.language,
                "lower": self.lower,
                "sha256": hashlib.sha256(model).hexdigest(),
            },
        )

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        settings = json.dumps([self.kind, self.language, self.lower]).encode()
        return hashlib.sha256(settings + b"\0" + self._serialised()).hexdigest()

    def _serialised(self) -> bytes:
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


def open_tokenizer(data: dict[str, Any]) -> Tokenizer:
    """The official implementation on the file's content; a text is always cut alike (no dropout).

    Raises:
        ValueError: it refuses the content.
    """
    from tokenizers import Tokenizer

    if data["model"].get("dropout"):
        data = {**data, "model": {**data["model"], "dropout": None}}
    try:
        return Tokenizer.from_str(json.dumps(data, ensure_ascii=False))
    except Exception as fault:  # noqa: BLE001 - the library raises plain Exception
        raise ValueError(f"Hugging Face tokenizers cannot read it ({fault})") from None


def load(folder: Path, settings: dict[str, Any]) -> HfJsonTokenizer:
    """The stored tokenizer."""
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as fault:
        raise damaged(folder, f"{MODEL_FILE}: {fault.strerror}") from None
    if settings.get("sha256") != hashlib.sha256(model).hexdigest():
        raise damaged(
            folder, f"{MODEL_FILE} does not have the SHA-256 that {settings.get('sha256')!s:.12} names"
        )
    try:
        return HfJsonTokenizer(
            json.loads(model),
            language=str(settings.get("language", "")),
            lower=bool(settings.get("lower", True)),
        )
    except ValueError as fault:
        raise damaged(folder, str(fault)) from None


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
        named = hf_vocabulary(data)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is not one of Chatterbox: {fault}") from None
    read = open_tokenizer(data).get_vocab(with_added_tokens=True)
    for name, number in named.items():
        if read.get(name) != number:
            raise AmttsError(
                f"tokenizer {path} is damaged: it gives {name!r} id {number}, Hugging Face tokenizers reads "
                f"{read.get(name)}",
                remedy="Take the file that came with the weights, or save it again with the tokenizers library",
            )
