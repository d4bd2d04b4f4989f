"""English words in Amharic letters, as loans are written: the phones say which consonants and vowels there are, the
spelling which vowel an unstressed one becomes (`Canada` ካናዳ, `Johnson` ጆንሰን, `application` አፕሊኬሽን).
"""

from __future__ import annotations

from functools import lru_cache

from amtts_core.text.amharic.pronunciations import VOWELS, phones
from amtts_core.text.ethiopic import order_of, to_order

Pair = tuple[str, str]
"""A phone and the letters that spell it."""

CONSONANTS = {
    "b": "ብ", "C": "ች", "d": "ድ", "D": "ዝ", "f": "ፍ", "g": "ግ", "h": "ህ", "J": "ጅ", "k": "ክ", "l": "ል", "m": "ም",
    "n": "ን", "N": "ንግ", "p": "ፕ", "r": "ር", "s": "ስ", "S": "ሽ", "t": "ት", "T": "ዝ", "v": "ቭ", "w": "ው", "y": "ይ",
    "z": "ዝ", "Z": "ዥ",
}  # fmt: skip
_SPELLINGS = {
    "b": "b bb", "C": "ch tch t c", "d": "d dd ed", "D": "th", "f": "f ff ph gh", "g": "g gg gh gu",
    "h": "h wh", "J": "j g dg dj gg d", "k": "k c ck cc ch q kk cq", "l": "l ll", "m": "m mm", "n": "n nn kn gn pn",
    "N": "ng n", "p": "p pp", "r": "r rr wr rh", "s": "s ss c sc st ps z", "S": "sh ti ci si ssi s ch sch c t x",
    "T": "th t", "t": "t tt th ed", "v": "v vv f", "w": "w wh u o", "y": "y i j", "z": "z zz s ss x",
    "Z": "si s g j z ti",
}  # fmt: skip
_OPTIONS = {phone: tuple(spellings.split()) for phone, spellings in _SPELLINGS.items()}
_DOUBLE = {
    "ks": "x",
    "gz": "x",
    "kS": "x",
    "yU": ("u", "ew", "eu", "ue", "eau"),
    "y@": "u",
    "yu": "u",
    "yR": ("ur",),
}
_VOWEL_LETTERS = frozenset("aeiouy")
_TAILS = frozenset("wrh")
_SILENT = frozenset("ehgkwbptlus")
_NEVER = 99.0


@lru_cache(maxsize=4096)
def align(word: str, sounds: str) -> tuple[Pair, ...]:
    """Pairs each phone with the letters that spell it, at the least cost; silent letters go unpaired."""
    width = len(sounds) + 1
    best: list[float] = [_NEVER] * ((len(word) + 1) * width)
    came: list[tuple[int, int] | None] = [None] * len(best)
    best[0] = 0.0
    for place in range(len(word) + 1):
        for sound in range(width):
            here = best[place * width + sound]
            if here >= _NEVER:
                continue
            for letters, count, cost in _steps(word, place, sounds, sound):
                target = (place + letters) * width + sound + count
                if here + cost < best[target]:
                    best[target] = here + cost
                    came[target] = (letters, count)
    pairs: list[Pair] = []
    place, sound = len(word), len(sounds)
    while place or sound:
        step = came[place * width + sound]
        assert step is not None
        place, sound = place - step[0], sound - step[1]
        if step[1]:
            pairs.append((sounds[sound : sound + step[1]], word[place : place + step[0]]))
    return tuple(reversed(pairs))


def _steps(word: str, place: int, sounds: str, sound: int) -> list[tuple[int, int, float]]:
    """Ways to go on from a place: letters read, phones read, cost."""
    steps: list[tuple[int, int, float]] = []
    left = len(word) - place
    if left:
        steps.append((1, 0, 0.6 if word[place] in _SILENT else 1.5))
    if sound == len(sounds):
        return steps
    phone = sounds[sound]
    steps.append((0, 1, 1.2 if phone == "@" else 2.5))
    if pair := _DOUBLE.get(sounds[sound : sound + 2]):
        steps += [(len(spelling), 2, 0.1) for spelling in pair if word.startswith(spelling, place)]
    if phone not in VOWELS:
        for spelling in _OPTIONS[phone]:
            if word.startswith(spelling, place):
                steps.append((len(spelling), 1, 0.0 if spelling[0] == phone.lower() else 0.1))
        return steps
    if left and word[place] in _VOWEL_LETTERS:
        for count in range(1, min(left, 4) + 1):
            letters = word[place : place + count]
            if letters[-1] in _VOWEL_LETTERS:
                steps.append((count, 1, 0.05 * count))
            elif letters[-1] == "w" and count > 1:
                steps.append((count, 1, 0.0 if phone in "oWcUua" else 0.6))
            elif letters[-1] == "r" and phone == "R":
                steps.append((count, 1, 0.0))
                if word[place + count : place + count + 1] in ("r", "e"):
                    steps.append((count + 1, 1, 0.05))
            else:
                break
    elif left and phone == "R" and word[place] == "r":
        steps.append((2 if word.startswith("re", place) else 1, 1, 0.2))
    return steps


_PLAIN = {"A": 4, "c": 7, "e": 5, "i": 3, "Y": 3, "u": 2, "U": 2, "o": 7, "F": 5}
_BY_LETTER = {"a": 4, "e": 1, "i": 3, "o": 7, "u": 1, "y": 3}
_GLIDES = {"I": (4, "ይ"), "W": (4, "ው"), "O": (7, "ይ")}
_ROUNDED = frozenset("ኵጕ")
_ALONE = {1: "ኧ", 2: "ኡ", 3: "ኢ", 4: "አ", 5: "ኤ", 6: "እ", 7: "ኦ"}


def vowel(phone: str, letters: str, *, before: str, after: str, place: int, last: bool) -> tuple[int, str]:
    """The order that a vowel gives its consonant, and a consonant that it brings along (`time` ታይም).

    Args:
        phone: the vowel.
        letters: how it is spelled.
        before: the phones before it.
        after: the phones after it.
        place: where it stands in the word.
        last: nothing but consonants follows it.
    """
    only = last and _first(before)
    if (letters == "ay" and phone in "YFe") or (letters == "ey" and phone in "Fe"):
        return 5, "ይ"
    if phone in _GLIDES:
        return _GLIDES[phone]
    if phone == "@":
        return _schwa(letters, before=before, after=after, last=last), ""
    if phone == "^":
        return _open_u(letters, after=after, only=only, first=place == 0), ""
    if phone == "R" and before[-1:] == "y" and letters == "ur" and after and not _first(before):
        return 2, "ር"
    if phone == "R":
        return _before_r(letters, before=before, after=after, last=last), "ር"
    if phone == "e" and letters == "e" and before[-1:] == "m" and after[:2] == "nt" and not _first(before):
        return 1, ""
    if (
        phone == "e"
        and letters == "a"
        and before
        and after[:1] == "r"
        and after[1:2] in VOWELS
        and after != "riN"
    ):
        return 4, ""
    if phone in "ie" and letters == "e" and place == 0 and after[:1] in ("n", "m"):
        return 3, ""
    if phone == "i" and letters == "e" and place == 0 and after[:2] in ("ks", "gz"):
        return 5, ""
    if phone == "i" and letters in ("e", "a", "ai", "ei") and before:
        return (1 if after == "s" else 5 if after[:1] in ("t", "J", "z", "k") else 3), ""
    if phone == "e" and after == "s" and before[-1:] in ("r", "s", "l") and not only:
        return 1, ""
    if phone == "a":
        return (7 if letters in ("o", "au", "aw", "ou", "oa", "ow") or before[-1:] == "w" else 4), ""
    if phone == "F":
        return 5, "ይ" if letters in ("ai", "ei", "eigh", "aigh") else ""
    if phone == "o" and letters == "ow":
        return 7, "ው"
    if phone == "U" and letters in ("ew", "eu", "iew"):
        return 3, "ው"
    return _PLAIN[phone], ""


def _first(before: str) -> bool:
    """True where no vowel stands before."""
    return not any(sound in VOWELS for sound in before)


def _before_r(letters: str, *, before: str, after: str, last: bool) -> int:
    """`server` ሰርቨር, `solar` ሶላር, `information` ኢንፎርሜሽን."""
    if "a" in letters and "e" not in letters:
        return 4
    return 7 if letters.startswith("or") and not last and before[-1:] != "w" else 1


def _open_u(letters: str, *, after: str, only: bool, first: bool) -> int:
    """The vowel of `cup` ካፕ; in longer words it is mostly written as in `number` ነምበር."""
    if only or first or after[:2] in ("kt", "kS") or letters in ("oo", "ou"):
        return 4
    return 4 if letters == "o" and after[:1] in ("D", "v", "m") else 1


def _schwa(letters: str, *, before: str, after: str, last: bool) -> int:
    """The unstressed vowel sounds as it is spelled; there is none in `-tion` and before an l or m without a letter."""
    if not letters or letters in ("le", "io", "iou", "eo"):
        return 6
    if letters == "e":
        if after[:1] == "d" and before[-1:] in ("t", "d") and len(after) == 1:
            return 6
        open_syllable = len(after) > 1 and after[0] not in VOWELS and after[1] in VOWELS
        return 5 if open_syllable or (after in ("t", "ts", "k", "l") and before[-1:] not in ("n", "v")) else 1
    if letters == "a" and (after[:1] == "J" or after in ("t", "ts")):
        return 5
    if letters == "u" and not before:
        return 4
    if letters == "o" and last and after[:1] in ("n", "m"):
        return 1
    if letters == "u" and after[:2] in ("kt", "kS"):
        return 4
    if letters in ("ia", "ea"):
        return 4
    if letters in ("ou", "iou"):
        return 1
    return 5 if letters in ("ai", "ei") else _BY_LETTER.get(letters[0], 1)


def write(pairs: tuple[Pair, ...]) -> str:
    """Amharic letters for aligned phones."""
    flat: list[Pair] = []
    for sounds, letters in pairs:
        flat += [(sounds, letters)] if len(sounds) == 1 else [(sounds[0], letters[:1]), (sounds[1], letters)]
    spoken = "".join(sound for sound, _ in flat)
    out: list[str] = []
    for place, (phone, letters) in enumerate(flat):
        before, after = spoken[:place], spoken[place + 1 :]
        if phone == "y" and _is_plain_u(out, before, after, letters):
            continue
        if phone == "@" and before[-1:] == "y" and letters == "u" and out and place > 1:
            phone = "u"
        if phone not in VOWELS:
            _add_consonant(out, phone, letters, before=before, after=after)
            continue
        if phone == "@" and letters == "o" and flat[place - 1][1].endswith("i") and before[-1:] != "y":
            letters = "io"  # nation: the letters of the consonant took the i
        last = not any(sound in VOWELS for sound in after)
        order, brought = vowel(phone, letters, before=before, after=after, place=place, last=last)
        _add_vowel(out, order, joins=not before or before[-1] not in VOWELS or before[-1] in "IWOR")
        out += [brought] if brought else []
    return "".join(out)


def _is_plain_u(out: list[str], before: str, after: str, letters: str) -> bool:
    """The glide that is spoken and not written: `popular` ፖፑላር, `manual` ማኑዋል."""
    if not out or letters not in ("u", "") or before[-1:] in VOWELS:
        return False
    return (
        after[:1] == "@"
        or (after[:1] == "R" and len(after) > 1)
        or (after[:1] in ("u", "U") and (after[1:2] in VOWELS or after[1:2] == "w"))
    )


def _add_vowel(out: list[str], order: int, *, joins: bool) -> None:
    if not out:
        out.append(_ALONE[order])
    elif order == 6:
        return
    elif not joins and out[-1][-1] not in "ይውር":
        out.append(to_order("ው" if order_of(out[-1][-1]) in (2, 7) else "ይ", order))
    elif out[-1][-1] in _ROUNDED:
        out[-1] = out[-1][:-1] + to_order(out[-1][-1], 4 if order == 7 else order)
    else:
        out[-1] = out[-1][:-1] + to_order(out[-1][-1], order)


def _add_consonant(out: list[str], phone: str, letters: str, *, before: str, after: str) -> None:
    written = CONSONANTS[phone]
    if phone == "N" and after[:1] in ("k", "g"):
        written = "ን"
    elif phone == "T" and not before:
        written = "ት"
    elif phone == "z" and letters == "s" and not after:
        written = "ስ"
    elif phone == "w" and before[-1:] in ("k", "g"):
        if after[:1] in tuple("aAcoeF^"):
            out[-1] = "ኵ" if before[-1] == "k" else "ጕ"
            return
        out[-1] = to_order(out[-1], 2)
    elif phone == "y" and out and after[:1] in tuple("UuR@") and before[-1] not in VOWELS:
        out[-1] = out[-1][:-1] + to_order(out[-1][-1], 3)
    out.append(written)


@lru_cache(maxsize=16384)
def read_english(word: str) -> str | None:
    """A lower-case English word in Amharic letters; None where its pronunciation is not known."""
    sounds = phones(word)
    return None if sounds is None else write(align(word, sounds))
