"""The tokenizer of VITS and MMS: a list of characters (`vocab.json`), and three front ends that write Amharic with it.

`uroman` spells letters in Latin as the published checkpoints expect; `fidel` has one symbol per letter; `cv` spells
like uroman, with additional symbols for the consonants that uroman confuses (ጠ and ተ, ጨ and ቸ) or lacks (ቨ).
The model puts id 0 between all symbols. In published lists that id is also a letter (`c` for Amharic); in an extended
list it is only the blank, and the letter gets another id.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import Addition, Encode, ExtendedTokenizer, TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import spellings
from amtts_core.tokenizers.published.vocabulary import check_ids, json_object, read_json, refuse_tag, size_of
from amtts_core.tokenizers.settings import damaged, write_settings

BLANK = "<blank>"
FrontEnd = Literal["uroman", "fidel", "cv"]
GEMINATION = "ː"
_BLANKS = "_|~#*\0"
"""Characters that lists put at id 0 for the blank alone; any other there also occurs in text."""
_ASCII_MARKS = (".", ",", "?", "!", "-", "'", " ")
"""Marks that normalized Amharic may hold besides its own; published lists lack most."""
CONTRASTS = {"ጥ": "ጥ", "ጭ": "ጭ", "ጵ": "ጵ", "ጽ": "ጽ", "ፅ": "ጽ", "ቭ": "v"}
"""Consonants, by sixth order letter, that `cv` writes with a symbol of their own."""
NUMERALS = tuple(map(chr, range(0x1369, 0x137D)))
CV_SYMBOLS = (*dict.fromkeys(CONTRASTS.values()), GEMINATION, *NUMERALS)
_MARKS = {"።": ".", "፣": ",", "፤": ",", "፥": ",", "፦": ",", "፧": "?", "፡": " ", "\u135d": "", "\u135e": ""}
_EXTRA_NAMES = ("GLOTTAL ", "PHARYNGEAL ", "SEBATBEIT ")
_CONSONANTS = {"SZ": "S", "TH": "T", "C": "CH"}
_VOWELS = ("A", "U", "I", "AA", "EE", "E", "O")
"""Where uroman departs from the Unicode name of a letter: in the seven orders only, so ሠ is "sa" and ሧ "szwa".
Compared with uroman 1.3.1.1 for every letter of the Ethiopic blocks up to U+AB2F."""


@dataclass(frozen=True, kw_only=True)
class VitsChange:
    """An extended list.

    Attributes:
        vocabulary: symbol -> id.
        added: new symbol -> id.
        same_as: new symbol -> old one whose embedding it copies.
        left_out: symbol that was not added -> reason.
    """

    vocabulary: dict[str, int]
    added: dict[str, int]
    same_as: dict[str, str]
    left_out: dict[str, str]


class VitsVocabulary:
    """See the module. Ids come without the blanks between them; the backend puts those in.

    Args:
        vocabulary: symbol -> id, each one character but for the blank.
        front_end: how text is spelled.
        language: ISO 639-3 code that the stock tokenizer stores.
    """

    kind = "vits"
    pad_id = unk_id = bos_id = eos_id = 0

    def __init__(self, vocabulary: Mapping[str, int], *, front_end: FrontEnd, language: str = "amh") -> None:
        self.vocabulary = dict(vocabulary)
        self.front_end: FrontEnd = front_end
        self.language = language

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return size_of(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`; the blank also stands for what the list cannot write."""
        if self.front_end != "fidel":
            text = spell(text, front_end=self.front_end)
        marks = (sign if sign in self.vocabulary else _MARKS.get(sign, sign) for sign in text)
        return [
            self.vocabulary.get(sign, self.vocabulary.get(sign.lower(), self.unk_id))
            for sign in "".join(marks)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`; spelled text comes back as it was spelled."""
        names = self.symbols()
        return "".join(names[number] for number in ids if 0 < number < len(names))

    def symbols(self) -> list[str]:
        """See `TextTokenizer`."""
        names = {number: name for name, number in self.vocabulary.items()}
        return [names.get(number, f"<row {number}>") for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        write_settings(folder, self.kind, self._settings())

    def _settings(self) -> dict[str, Any]:
        return {"front_end": self.front_end, "language": self.language, "vocabulary": self.vocabulary}

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(json.dumps([self.kind, self._settings()], sort_keys=True).encode()).hexdigest()

    def stock_settings(self) -> dict[str, Any]:
        """What `tokenizer_config.json` says, so that transformers' `VitsTokenizer` reads the list alike."""
        return {
            "tokenizer_class": "VitsTokenizer",
            "add_blank": True,
            "is_uroman": self.front_end == "uroman",
            "language": self.language,
            "normalize": True,
            "pad_token": self.symbols()[0],
            "phonemize": False,
            "unk_token": "<unk>",
        }


def extend_list(
    vocabulary: Mapping[str, int], symbols: Sequence[str], *, front_end: FrontEnd, pad_to: int = 0
) -> VitsChange:
    """The list with `symbols` behind its last id, and a blank that is no letter.

    Args:
        vocabulary: the old list.
        symbols: wanted characters; what the list has already is passed over.
        front_end: `cv` and `uroman` also add the symbols that they need.
        pad_to: size to fill up to with private-use characters; 0 fills nothing.

    Raises:
        AmttsError: more symbols than `pad_to`.
    """
    new = dict(vocabulary)
    same_as: dict[str, str] = {}
    left_out: dict[str, str] = {}
    first = next((name for name, number in vocabulary.items() if number == 0), "")
    wanted = list(CV_SYMBOLS) if front_end == "cv" else []
    if front_end == "cv":  # uroman stays as published
        wanted += sorted(set("".join(_spellings(front_end).values())).difference(wanted))
    if len(first) == 1 and first not in _BLANKS and BLANK not in vocabulary:
        del new[first]
        new = {BLANK: 0, **new}
        same_as = {BLANK: first}
        wanted.insert(0, first)
    added: dict[str, int] = {}
    for symbol in [*wanted, *symbols]:
        if symbol in new:
            continue
        if len(symbol) != 1:
            left_out[symbol] = "the stock tokenizer reads one character at a time"
        elif symbol != symbol.lower():
            left_out[symbol] = "the stock tokenizer lower-cases"
        else:
            new[symbol] = added[symbol] = size_of(new)
    if pad_to and size_of(new) > pad_to:
        raise AmttsError(f"--pad-to {pad_to} is too small: the new vocabulary has {size_of(new)} symbols")
    for number in range(size_of(new), pad_to):
        new[chr(0xE000 + number)] = number
    return VitsChange(vocabulary=new, added=added, same_as=same_as, left_out=left_out)


def spell(text: str, *, front_end: FrontEnd) -> str:
    """Ethiopic letters of a text in Latin, as uroman does; `cv` keeps the contrasts and the gemination mark apart."""
    table = _spellings(front_end)
    return "".join(table.get(sign, sign) for sign in text)


@cache
def _spellings(front_end: FrontEnd) -> dict[str, str]:
    found = {"\u135d": "", "\u135e": "", "\u135f": GEMINATION if front_end == "cv" else ""}
    for letter, (consonant, *_) in spellings().items():
        name = unicodedata.name(letter).removeprefix("ETHIOPIC SYLLABLE ")
        for extra in _EXTRA_NAMES:
            name = name.removeprefix(extra)
        for old, new in _CONSONANTS.items():
            if name.startswith(old) and name[len(old) :] in _VOWELS:
                name = new + name[len(old) :]
                break
        latin = name.lower().replace(" ", "")
        own = CONTRASTS.get(consonant) if front_end == "cv" else None
        found[letter] = own + latin.lstrip("bcdfghjklmnpqrstvxyz") if own else latin
    return found


def load(folder: Path, settings: dict[str, Any]) -> VitsVocabulary:
    """The stored tokenizer."""
    vocabulary, front_end = settings.get("vocabulary"), settings.get("front_end")
    if not isinstance(vocabulary, dict) or front_end not in ("uroman", "fidel", "cv"):
        raise damaged(folder, "its list of symbols or its front end is missing")
    return VitsVocabulary(vocabulary, front_end=front_end, language=str(settings.get("language", "amh")))


def add_symbols(tokenizer: VitsVocabulary, addition: Addition) -> tuple[TextTokenizer, dict[str, str]]:
    """See `amtts_core.tokenizers.registry`."""
    front_end, language = tokenizer.front_end, tokenizer.language
    change = extend_list(tokenizer.vocabulary, addition.symbols, front_end=front_end)
    return VitsVocabulary(change.vocabulary, front_end=front_end, language=language), change.left_out


def is_list(path: Path) -> bool:
    """True for a JSON object whose values are ids."""
    data = json_object(path)
    return bool(data) and all(type(number) is int for number in (data or {}).values())


def read_vocabulary(path: Path) -> dict[str, int]:
    """See `TokenizerFormat`."""
    vocabulary = dict(read_json(path))
    check_ids(vocabulary, path)
    return vocabulary


def open_file(path: Path, *, language: str = "") -> VitsVocabulary:
    """See `Open`; the format has no language tags."""
    refuse_tag(language, path)
    return VitsVocabulary(read_json(path), front_end="uroman")


def extend_file(
    path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str
) -> ExtendedTokenizer:
    """See `Extend`; ids are only added, never reused."""
    if language:
        raise AmttsError(
            f"--language-tag {language}: VITS has no language tags", remedy="Leave --language-tag out"
        )
    old = read_vocabulary(path)
    front_end: FrontEnd = "cv" if addition.letters == "cv" else "fidel"
    if addition.source == "uroman":
        front_end = "uroman"
    # A list that takes in a whole alphabet is to read all marks of normalized text, too.
    with_marks = front_end == "cv" or addition.source == "fidel"
    symbols = () if front_end == "cv" else addition.symbols
    change = extend_list(
        old, [*symbols, *(_ASCII_MARKS if with_marks else ())], front_end=front_end, pad_to=pad_to
    )
    stored = path.parent / "tokenizer_config.json"
    settings = read_json(stored) if stored.is_file() else {}
    tokenizer = VitsVocabulary(
        change.vocabulary, front_end=front_end, language=str(settings.get("language") or "amh")
    )
    return ExtendedTokenizer(
        old=old,
        new=change.vocabulary,
        same_as=change.same_as,
        consonants=tuple(CONTRASTS) if front_end == "cv" else (),
        left_out=change.left_out,
        encode_old=_stock_encoder(old, old),
        encode_new=_stock_encoder(change.vocabulary, old),
        texts=tuple(name for name in old if len(name) == 1),
        tokenizer=tokenizer,
        files={
            path.name: _json(change.vocabulary),
            "tokenizer_config.json": _json({**settings, **tokenizer.stock_settings()}),
        },
    )


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _stock_encoder(vocabulary: Mapping[str, int], old: Mapping[str, int]) -> Encode:
    """As the stock tokenizer reads lower-cased text, without blanks: what the old list lacks is dropped."""
    return lambda text: [vocabulary[sign] for sign in text.lower() if sign in old and sign in vocabulary]


FORMAT = TokenizerFormat(
    description="a VITS vocab.json",
    file_names=("vocab.json",),
    recognizes=is_list,
    read_vocabulary=read_vocabulary,
    open=open_file,
    extend=extend_file,
)
