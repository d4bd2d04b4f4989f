"""Adds symbols to a Hugging Face BPE file: behind the last id, or at the ids of tokens that no text can reach.

New characters need only be in the vocabulary. Longer pieces also need merges; those come after all existing ones and
produce strings that hold a new character, so that existing text keeps its tokens.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amtts_core.contract.tokenizer_format import Letters
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import VOWELS, spellings
from amtts_core.tokenizers.published.hf_file import open_tokenizer
from amtts_core.tokenizers.published.symbols import SPACE_MARK
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary, size_of

_TAG = re.compile(r"\[[^\[\]]+\]")


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """What a model's own program does with text before the file reads it. Default: nothing.

    Attributes:
        program: its name, for messages.
        normalize: text -> text.
        names: of the steps of `normalize`, for messages.
    """

    program: str = "the model"
    normalize: Callable[[str], str] = str
    names: str = ""


@dataclass(frozen=True, kw_only=True)
class HfChange:
    """An extended file.

    Attributes:
        data: its content.
        added: new token -> id.
        left_out: symbol that was not added -> reason.
        replaced: removed token -> id that a new one has now.
    """

    data: dict[str, Any]
    added: dict[str, int]
    left_out: dict[str, str]
    replaced: dict[str, int]


def vowel_token(symbol: str) -> str:
    """A vowel symbol's token in the file: `[+a]`, because plain `+a` occurs in old text (`1+a`)."""
    return f"[{symbol}]"


def unreachable(data: dict[str, Any], rules: TextRules) -> dict[str, int]:
    """Tokens that no text yields after the program's rules and the merges; tags and added tokens do not count.

    In BPE a token occurs in some text exactly where it is the whole encoding of its own string.
    """
    tokenizer = open_tokenizer(data)
    added = {token["content"] for token in data.get("added_tokens") or ()}
    found = {}
    for name, number in data["model"]["vocab"].items():
        if name in added or _TAG.fullmatch(name) or name == data["model"].get("unk_token"):
            continue
        if rules.normalize(name) != name or tokenizer.encode(name, add_special_tokens=False).ids != [number]:
            found[name] = number
    return found


def change_vocabulary(
    data: dict[str, Any],
    symbols: Sequence[str],
    *,
    letters: Letters = "whole",
    tags: Sequence[str] = (),
    reuse: bool = False,
    pad_to: int = 0,
    rules: TextRules | None = None,
) -> HfChange:
    """The file with `symbols` in it; symbols that it has already are passed over.

    Args:
        data: content of the existing file; stays as it is. Spaces are a token of their own in it.
        symbols: wanted tokens; longer ones may hold ▁ for a space.
        letters: "cv" also rewrites every Ethiopic letter as its consonant and vowel tokens.
        tags: tokens in brackets that are looked for in text before all rules, such as [am].
        reuse: give symbols the ids of unreachable tokens instead of ids behind the last one.
        pad_to: size to fill up to with placeholder tokens; 0 fills nothing.
        rules: of the program that reads the file.

    Raises:
        AmttsError: more symbols than unreachable tokens, or more ids than `pad_to`.
    """
    rules = rules or TextRules()
    old = hf_vocabulary(data)
    wanted, left_out = _wanted(symbols, old, letters, rules)
    tags = [tag for tag in tags if tag not in old]
    room = unreachable(data, rules) if reuse else None
    while True:
        change = _build(data, [*tags, *wanted], tags, letters=letters, room=room, pad_to=pad_to)
        failed = _unreached(change, set(tags), letters)
        if not failed:
            return HfChange(data=change.data, added=change.added, left_out=left_out, replaced=change.replaced)
        left_out |= dict.fromkeys(failed, "the merges never yield it")
        wanted = [name for name in wanted if name not in failed]


def _wanted(
    symbols: Sequence[str], old: dict[str, int], letters: Letters, rules: TextRules
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
            left_out[symbol] = f"{rules.program} writes a space as a token of its own"
        elif rules.normalize(name) != name:
            left_out[symbol] = f"{rules.names} write it otherwise"
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
    room: dict[str, int] | None,
    pad_to: int,
) -> HfChange:
    new = copy.deepcopy(data)
    model = new["model"]
    # The library counts on from the model's tokens to number an added one that the model lacks: it would move.
    model["vocab"] |= {token["content"]: token["id"] for token in new.get("added_tokens") or ()}
    size = size_of(hf_vocabulary(data))
    replaced: dict[str, int] = {}
    if room is not None:
        replaced = _make_room(data, room, len(names))
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


def _make_room(data: dict[str, Any], dead: dict[str, int], count: int) -> dict[str, int]:
    """`count` of the unreachable tokens, first those that no merge names."""
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
    """A token that is looked for before the merges; vowels after the letters were spelled out, tags before."""
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
    spelled = set(spellings()) if letters == "cv" else set()
    failed = []
    for name, number in change.added.items():
        if name in spelled:
            ids = tokenizer.encode(name, add_special_tokens=False).ids
            if number not in ids:
                failed.append(name)
        elif tokenizer.encode(name, add_special_tokens=False).ids != [number]:
            failed.append(name)
    return failed
