"""What the web and terminals leave in a text: HTML, Markdown, terminal codes, emoji. Knows no language.

It runs before every other stage, on the text as it came. What it takes out is reported as `markup` or `emoji`, so that
`Normalizer.dropped` can count it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache

from amtts_core.text.rules import Rule, Stage, Substitution
from amtts_core.text.settings import NormalizerSettings

MARKUP, EMOJI, LEFT_OUT = "markup", "emoji", "left-out"
DROPPED = (MARKUP, EMOJI, LEFT_OUT)
"""Rules that leave something out."""

_TAGS = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|center|cite|code|col|dd|del|div|dl|dt|em|figure|font|"
    "footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|label|li|link|main|mark|meta|nav|ol|option|p|pre|q|s|"
    "script|section|select|small|span|strike|strong|style|sub|sup|table|tbody|td|textarea|tfoot|th|thead|time|title|tr|"
    "tt|u|ul|var|video|c|v|ruby|rt"
)
HTML_TAGS = frozenset(_TAGS.replace("h[1-6]", "h1|h2|h3|h4|h5|h6").split("|"))
"""Names of the tags that are taken out of a text."""
_BLOCK = re.compile(
    r"</?(?:br|p|div|li|tr|h[1-6]|hr|ul|ol|table|td|th|blockquote|section|article)\b", re.IGNORECASE
)
_TAG = re.compile(
    rf"<(?:/?(?:{_TAGS})(?:\s[^<>]{{0,400}})?/?|!--.{{0,400}}?--|!doctype[^<>]{{0,100}})>", re.IGNORECASE
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CODE_BLOCK = re.compile(r"<(script|style)\b[^<>]{0,400}>[^<]{0,4000}</\1>", re.IGNORECASE)
_ANSI = re.compile("(?:\x1b\\[|\x9b)[0-9;?]{0,20}[A-Za-z]")
_LINK = re.compile(r"!?\[(?P<text>[^\[\]\n]{1,200})\]\((?:https?:|www\.|/|#|mailto:)[^()\s]{1,400}\)")
_IMAGE = re.compile(r"!\[(?P<text>[^\[\]\n]{0,200})\]\([^()\s]{1,400}\)")
_CIRCLED = re.compile("[\u2460-\u2473\u2776-\u2793]")
_STRESS = re.compile(
    r"(?<![\w*_~`])(?P<mark>\*\*\*|\*\*|__|~~|\*|_|`{1,3})(?=\S)(?P<text>[^*_~`\n]{1,400}?\S??)(?P=mark)(?![\w*_~`])"
)
_HEADING = re.compile(r"(?m)^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t>]*(?=\S)|[-*+][ \t]+(?=\S))")
_STRESSED = re.compile(r"(?:^|[^\w*_~`])[*_~`]+\S")
_HEADED = re.compile(r"(?:^|\n)[ \t]{0,3}[#>*+-]")
_LINE = re.compile(r"[=_~*#^|•·]{3,}|(?<!\S)-{3,}(?!\S)|\*{2,}|`{1,3}(?!\w)|(?<!\w)`{1,3}|~~")
_STAR_AFTER = re.compile(r"(?<=[^\W\d])\*(?!\w)|(?<!\w)\*(?=[^\W\d])")
_EMOJI_SET = (
    "\U0001f000-\U0001faff\U0001fb00-\U0001fbff\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u2500-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\u20e3\u00ae\u2122\U000e0020-\U000e007f\u2020\u2021\u203c\u2049\ufffd\u25cc"
)
_EMOJI = re.compile(f"[{_EMOJI_SET}][{_EMOJI_SET}\u200d\ufe0e\ufe0f \t]*")
_BULLETS = frozenset("👉🔹🔸▪▫◾◽●○◆◇■□▶►➡➤✅✔☑📌📍🔴🔵🟢🟡♦⭐★☆✳❖✦➢➣→⇒🔷🔶👇✍📞📲☎🏢💵🏷📣🔗💬⤵➜➔")
_KEYCAP = re.compile("(?<=[0-9])\ufe0f?\u20e3|[*#]\ufe0f?\u20e3")


_CIRCLED_SIGNS = frozenset(map(chr, (*range(0x2460, 0x2474), *range(0x2776, 0x2794))))


def _entity(match: re.Match[str]) -> str:
    text = html.unescape(match[0])
    return " " if text.isspace() else text


def _tag(match: re.Match[str]) -> str:
    if _BLOCK.match(match[0]):
        return "\n" if match[0][1:3].lower() in ("br", "p>", "/p") else " "
    return ""


def _circled(match: re.Match[str]) -> str:
    """`①` is the number 1, the label of an entry."""
    return f" {int(unicodedata.numeric(match[0]))} "


def _emoji(match: re.Match[str]) -> str:
    """A sign that opens the entry of a list is a pause between two of them; any other leaves a space."""
    text, start, end = match.string, match.start(), match.end()
    between = text[max(0, start - 1) : start].isalnum() or text[max(0, start - 2) : start].strip().isalnum()
    bullet = not _BULLETS.isdisjoint(match[0]) and text[end : end + 1].isalnum()
    return " ፣ " if between and bullet else " "


def residue_stage(settings: NormalizerSettings) -> Stage:
    """Entities become their characters; tags, marks of Markdown, terminal codes and emoji go, as the settings say."""
    rules: list[Rule] = []
    signs: set[str] = set()
    if settings.markup:
        rules += [
            Substitution(MARKUP, _ANSI, lambda _m: "", needs="\x1b\x9b"),
            Substitution("entity", _ENTITY, _entity, needs="&"),
            Substitution(MARKUP, _CODE_BLOCK, lambda _m: " ", needs="<&"),
            Substitution(MARKUP, _TAG, _tag, needs="<&"),
            Substitution(MARKUP, _IMAGE, lambda m: m["text"], needs="["),
            Substitution(MARKUP, _LINK, lambda m: m["text"], needs="["),
            Substitution(MARKUP, _STRESS, lambda m: m["text"], needs="*_~`", guard=_STRESSED),
            Substitution(MARKUP, _HEADING, lambda _m: "", needs="#>-*+", guard=_HEADED),
            Substitution(MARKUP, _LINE, lambda _m: " ", needs="=_~*#^|-`•·"),
            Substitution(MARKUP, _STAR_AFTER, lambda _m: "", needs="*"),
        ]
        signs |= set("\x1b\x9b&<[*_~`#>=^|•·-+")
    if settings.emoji == "drop":
        rules += [
            Substitution(EMOJI, _KEYCAP, lambda _m: " ", needs="\u20e3"),
            Substitution("circled-number", _CIRCLED, _circled, needs=_CIRCLED_SIGNS),
            Substitution(EMOJI, _EMOJI, _emoji, needs=_emoji_signs()),
        ]
        signs |= _emoji_signs()
    return Stage("residue", tuple(rules), frozenset(signs))


@cache
def _emoji_signs() -> frozenset[str]:
    ranges = re.findall("(.)-(.)|(.)", _EMOJI_SET)
    return frozenset(
        chr(c) for first, last, one in ranges for c in range(ord(first or one), ord(last or one) + 1)
    )
