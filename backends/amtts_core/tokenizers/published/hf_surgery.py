"""Adds symbols to a Hugging Face BPE file: behind the last id, or in the place of tokens that no text can reach.

New characters need only stand in the vocabulary. Longer pieces also need merges; those come after all old ones and
produce strings that hold a new character, so that old text is read exactly as before.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import VOWELS, spellings
from amtts_core.tokenizers.published.hf_json import open_tokenizer
from amtts_core.tokenizers.published.symbols import SPACE_MARK, Letters
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary, size_of

_TAG = re.compile(r"\[[^\[\]]+\]")


@dataclass(frozen=True, kw_only=True)
class HfChange:
    """A changed tokenizer: its content, the ids of the new tokens, what was left out, and what made room."""

    data: dict[str, Any]
    added: dict[str, int]
    left_out: dict[str, str]
    replaced: dict[str, int]


def vowel_token(symbol: str) -> str:
    """A vowel symbol's token in the file: `[+a]`, because plain `+a` occurs in old text (`1+a`)."""
    return f"[{symbol}]"


def unreachable(data: dict[str, Any]) -> dict[str, int]:
    """Tokens that no text yields after lower-casing, NFKD and the merges; tags and added tokens do not count.

    In BPE a token occurs in some text exactly where it is the whole encoding of its own string.
    """
    tokenizer = open_tokenizer(data)
    added = {token["content"] for token in data.get("added_tokens") or ()}
    found = {}
    for name, number in data["model"]["vocab"].items():
        if name in added or _TAG.fullmatch(name) or name == data["model"].get("unk_token"):
            continue
        plain = unicodedata.normalize("NFKD", name.lower())
        if plain != name or tokenizer.encode(name, add_special_tokens=False).ids != [number]:
            found[name] = number
    return found


def change_vocabulary(
    data: dict[str, Any],
    symbols: Sequence[str],
    *,
    letters: Letters = "whole",
    language: str = "",
    reuse: bool = False,
    pad_to: int = 0,
) -> HfChange:
    """The file with `symbols` in it; symbols that it has already are passed over.

    Args:
        data: content of the old file; stays as it is.
        symbols: wanted tokens; longer ones may hold ▁ for a space, which Chatterbox writes as a token of its own.
        letters: "cv" also rewrites every Ethiopic letter as its consonant and vowel tokens.
        language: adds the tag `[language]`.
        reuse: put them in the place of unreachable tokens instead of behind the last id.
        pad_to: size to fill up to with placeholder tokens; 0 fills nothing.

    Raises:
        AmttsError: more symbols than unreachable tokens, or more ids than `pad_to`.
    """
    old = hf_vocabulary(data)
    wanted, left_out = _wanted(symbols, old, letters)
    tags = [f"[{language}]"] if language and f"[{language}]" not in old else []
    while True:
        change = _build(data, [*tags, *wanted], tags, letters=letters, reuse=reuse, pad_to=pad_to)
        failed = _unreached(change, set(tags), letters)
        if not failed:
            return HfChange(data=change.data, added=change.added, left_out=left_out, replaced=change.replaced)
        left_out |= dict.fromkeys(failed, "the merges never yield it")
        wanted = [name for name in wanted if name not in failed]


def _wanted(
    symbols: Sequence[str], old: dict[str, int], letters: Letters
) -> tuple[list[str], dict[str, str]]:
    known = set("".join(name for name in old if not _TAG.fullmatch(name)))
    wanted: dict[str, None] = {}
    left_out: dict[str, str] = {}
    for symbol in symbols:
        name = symbol.strip(SPACE_MARK)
        if letters == "cv" and name in VOWELS:
            name = vowel_token(name)
        if not name or name.isspace() or name in old:
            continue
        if _TAG.fullmatch(name):
            wanted[name] = None
        elif SPACE_MARK in name or " " in name:
            left_out[symbol] = "Chatterbox writes a space as a token of its own"
        elif unicodedata.normalize("NFKD", name.lower()) != name:
            left_out[symbol] = "lower-casing and NFKD write it otherwise"
        elif len(name) > 1 and set(name) <= known:
            left_out[symbol] = "it holds no new character, so it would change how old text is read"
        else:
            wanted[name] = None
    singles = [name for name in wanted if len(name) == 1 or _TAG.fullmatch(name)]
    return [*singles, *(name for name in wanted if name not in set(singles))], left_out


def _build(
    data: dict[str, Any],
    names: Sequence[str],
    tags: Sequence[str],
    *,
    letters: Letters,
    reuse: bool,
    pad_to: int,
) -> HfChange:
    new = copy.deepcopy(data)
    model = new["model"]
    # The library counts on from the model's tokens to number an added one that the model lacks: it would move.
    model["vocab"] |= {token["content"]: token["id"] for token in new.get("added_tokens") or ()}
    size = size_of(hf_vocabulary(data))
    replaced: dict[str, int] = {}
    if reuse:
        replaced = _make_room(data, len(names))
        ids = sorted(replaced.values())
        _drop_tokens(model, set(replaced))
    else:
        ids = list(range(size, size + len(names)))
    added = dict(zip(names, ids, strict=True))
    model["vocab"] |= added
    add_merges(model, [name for name in names if len(name) > 1 and not _TAG.fullmatch(name)])
    for name in names:
        if _TAG.fullmatch(name):
            new.setdefault("added_tokens", []).append(added_token(name, added[name], special=name in tags))
    new["added_tokens"] = sorted(new.get("added_tokens") or [], key=lambda token: token["id"])
    if letters == "cv":
        spell_letters(new)
    if pad_to:
        used = size_of(hf_vocabulary(new))
        if used > pad_to:
            raise AmttsError(f"--pad-to {pad_to} is too small: the new vocabulary has {used} tokens")
        model["vocab"] |= {f"[PLACEHOLDER_{number}]": number for number in range(used, pad_to)}
    return HfChange(data=new, added=added, left_out={}, replaced=replaced)


def _make_room(data: dict[str, Any], count: int) -> dict[str, int]:
    """`count` unreachable tokens, first those that no merge names."""
    dead = unreachable(data)
    if len(dead) < count:
        raise AmttsError(
            f"{count} symbols to place, but only {len(dead)} rows that no text can reach",
            remedy="Use --mode extend, or --add cv, which needs fewer symbols",
        )
    merged = {part for left, right in _merges(data["model"]) for part in (left, right, left + right)}
    order = sorted(dead, key=lambda name: (name in merged, dead[name]))
    return {name: dead[name] for name in order[:count]}


def _drop_tokens(model: dict[str, Any], names: set[str]) -> None:
    for name in names:
        del model["vocab"][name]
    model["merges"] = [
        merge
        for merge, (left, right) in zip(model["merges"], _merges(model), strict=True)
        if not names & {left, right, left + right}
    ]


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """The merges as pairs; files write them as lists or as one string with a space."""
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"])
    return [(left, right) for left, right in pairs]


def add_merges(model: dict[str, Any], pieces: Sequence[str]) -> None:
    """Every way to put a piece together from two tokens, in the order of the pieces."""
    as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
    for piece in pieces:
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in model["vocab"] and right in model["vocab"]:
                model["merges"].append(f"{left} {right}" if as_text else [left, right])


def added_token(name: str, number: int, *, special: bool) -> dict[str, Any]:
    """A token that is looked for before the merges; vowels after the letters were spelt out, tags before."""
    return {
        "id": number,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": not special,
        "special": special,
    }


def spell_letters(data: dict[str, Any]) -> None:
    """Makes the file itself spell each letter, so that any program that reads it does.

    Sixth order letters come first: they also name the consonants that the other rules bring in.
    """
    rules = [
        (letter, "".join(vowel_token(part) if part in VOWELS else part for part in spelling))
        for letter, spelling in spellings().items()
    ]
    rules.sort(key=lambda rule: not rule[1].startswith(rule[0]))
    old = data.get("normalizer")
    steps: list[dict[str, Any]] = [old] if old else []
    steps += [
        {"type": "Replace", "pattern": {"String": letter}, "content": content} for letter, content in rules
    ]
    data["normalizer"] = {"type": "Sequence", "normalizers": steps}


def _unreached(change: HfChange, tags: set[str], letters: Letters) -> list[str]:
    """New tokens that their own string does not encode to."""
    tokenizer = open_tokenizer(change.data)
    spelt = set(spellings()) if letters == "cv" else set()
    failed = []
    for name, number in change.added.items():
        if name in spelt:
            ids = tokenizer.encode(name, add_special_tokens=False).ids
            if number not in ids:
                failed.append(name)
        elif tokenizer.encode(name, add_special_tokens=False).ids != [number]:
            failed.append(name)
    return failed
