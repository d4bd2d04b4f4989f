"""Addresses, file names, hashtags and @names: what a text of the web holds besides words."""

from __future__ import annotations

import re
from urllib.parse import unquote

from amtts_core.text.amharic.affixes import following_space, joint
from amtts_core.text.amharic.latin_words import is_listed, lexicon, read, spell
from amtts_core.text.amharic.numbers import digit_words
from amtts_core.text.amharic.pronunciations import listed
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.residue import LEFT_OUT
from amtts_core.text.rules import Rule, Substitution
from amtts_core.text.settings import NormalizerSettings

_ENDINGS = (
    "com|org|net|gov|edu|info|biz|app|dev|news|online|shop|site|store|tech|live|media|link|xyz|me|io|ai|co|tv|ly|gg|gl|"
    "be|et|er|ke|uk|us|de|fr|ru|cn|in|za|ug|tz|dj|so|sd|ae|sa|eg|eu|ca|au|jp|it|es|nl|se|no|ch|to|fm|int|mil|name|pro"
)
_FILES = "pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|mp3|mp4|wav|zip|rar|txt|csv|html?|apk|exe|py"
_PATH = r"(?:[/?#](?:[A-Za-z0-9_./?=&%#~+@!:;,-]*[A-Za-z0-9_/=&%#~+-])?)?"
_HOST = r"(?:[A-Za-z0-9_-]{1,63}\.){1,8}"
ADDRESS = re.compile(
    rf"(?:https?|ftp)://(?:{_HOST}[A-Za-z]{{2,12}}|[A-Za-z0-9-]{{1,63}})(?::[0-9]{{2,5}})?{_PATH}"
    rf"|www\.{_HOST}[A-Za-z]{{2,12}}{_PATH}"
    rf"|[A-Za-z0-9_.+-]{{1,64}}@{_HOST}[A-Za-z]{{2,12}}"
    rf"|(?<![A-Za-z0-9@._-])(?:[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}\.){{1,8}}(?:{_ENDINGS})(?![A-Za-z0-9-]|\.[A-Z]){_PATH}"
    rf"|(?<![A-Za-z0-9@.])[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}\.(?i:{_FILES})(?![A-Za-z0-9])"
)
_ADDRESS_SIGN = re.compile(r"[A-Za-z0-9_]\.[A-Za-z]|://")
_SCHEME = re.compile("^(?:https?|ftp)://")
_PIECE = re.compile(rf"[A-Za-z]+|[0-9]+|[{LETTER}]+|[^A-Za-z0-9]")
_SIGNS = {
    ".": "ዶት", "@": "አት", "/": "ስላሽ", "-": "ዳሽ", "_": "አንደርስኮር", "?": "ጥያቄ ምልክት", "=": "እኩል", "&": "ኤንድ",
    "#": "ሃሽ", "%": "ፐርሰንት", ":": "ኮሎን", "+": "ፕላስ", "~": "ቲልድ",
}  # fmt: skip
HASHTAG = "ሃሽታግ"
_TAG = re.compile(r"#(?=[^\W\d_])(?P<words>\w+)")
_NAME = re.compile(r"(?<![\w.])@(?=[A-Za-z])(?P<words>[A-Za-z0-9_]{2,40})")
_INITIALS = frozenset(("abc", "api", "url", "src", "img", "php", "aspx"))
_SOUNDED = re.compile("[aeiouy]")
_CHANGES_CASE = re.compile("[a-z][A-Z]{1,2}(?![a-z]{2})")
_WORDLIKE = re.compile("[^aeiou]*[aeiou]+[^aeiou]+")


def _piece(piece: str) -> str:
    """A run of letters of an address: a word that is known, or letter names."""
    lower = piece.lower()
    if len(piece) <= 2:
        return lexicon()[lower] if lower == "tv" else spell(piece)
    if piece in _INITIALS:
        return spell(piece)
    if is_listed(lower):
        return read(lower).text
    if len(piece) > 3:
        found = read(lower)
        return (
            found.text
            if found.known or _SOUNDED.search(lower) and not _CHANGES_CASE.search(piece)
            else spell(piece)
        )
    return read(lower).text if listed(lower) and _WORDLIKE.fullmatch(lower) else spell(piece)


def say_address(address: str) -> str:
    """`info@ebc.et` ኢንፎ አት ኢ ቢ ሲ ዶት ኢ ቲ; what stands before `//` is not read."""
    plain = _SCHEME.sub("", address).rstrip("/")
    if "%" in plain:
        plain = unquote(plain, errors="ignore")
    spoken: list[str] = []
    for piece in _PIECE.findall(plain):
        if piece[0].isdigit() and piece.isdigit():
            spoken.append(digit_words(piece))
        elif piece.isascii() and piece.isalpha():
            spoken.append(_piece(piece))
        elif piece in _SIGNS:
            spoken.append(_SIGNS[piece])
        elif piece[0].isalpha():
            spoken.append(piece)
    return " ".join(spoken)


def address_rule(settings: NormalizerSettings) -> Rule:
    """Web and mail addresses and file names."""

    def read_address(match: re.Match[str]) -> str:
        if settings.addresses == "drop":
            return " "
        return joint(match.string, match.start()) + say_address(match[0]) + following_space(match)

    name = LEFT_OUT if settings.addresses == "drop" else "address"
    return Substitution(name, ADDRESS, read_address, needs=".:", guard=_ADDRESS_SIGN)


def tag_rules(settings: NormalizerSettings) -> tuple[Rule, ...]:
    """`#AddisAbaba` ሃሽታግ አዲስ አበባ, `@user_name` አት ዩዘር ኔም: the words apart."""

    def tag(match: re.Match[str]) -> str:
        if settings.hashtags == "drop":
            return " "
        words = match["words"].replace("_", " ")
        return (f" {HASHTAG} " if settings.hashtags == "read" else " ") + words + " "

    def name(match: re.Match[str]) -> str:
        if settings.hashtags == "drop":
            return " "
        return joint(match.string, match.start()) + "አት " + match["words"].replace("_", " ").strip()

    left_out = settings.hashtags == "drop"
    return (
        Substitution(LEFT_OUT if left_out else "hashtag", _TAG, tag, needs="#"),
        Substitution(LEFT_OUT if left_out else "name", _NAME, name, needs="@"),
    )
