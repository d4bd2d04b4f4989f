"""What is said in a caption: markup, sounds and names of speakers are taken off, or the caption is no speech at all."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from amtts_core.corpus.subtitles.cue import Cue, Track

_TAG = re.compile(r"<[^<>\n]{0,200}>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^<>\n]{1,60})>")
_STYLE = re.compile(r"\{\\[^{}]*\}|\\[Nnh]")
_SOUND = re.compile(r"[\[［][^\[\]［］]*[\]］]|\*[^*]+\*")
_BRACKETED = re.compile(r"^\s*[(（].*[)）]\s*$")
_MUSIC = re.compile(r"[♪♫♬♩]")
_DASH = re.compile(r"^\s*(?:[-–—‐‑]\s*|>{2,3}\s*)(?=\S)")
_SECOND_DASH = re.compile(r"\S\s+[-–—]\s+\S")
_LABEL = re.compile(r"^\s*(?P<name>[^\W\d_][^:፦፥。.!?።]{0,30}?)\s*(?:፦|[:：](?=\s|$))\s*")
_PROGRAM = r"(?:speaker|spk|sprecher|ተናጋሪ)[\s_-]*[A-Z\d]{1,3}"
_DIARIZED = re.compile(rf"^\s*[\[(（]\s*(?P<name>{_PROGRAM})\s*[\])）]\s*[:：፦]?\s*", re.IGNORECASE)
_BRACKETED_NAME = re.compile(r"^\s*[\[(（](?P<name>[^\W\d_][^\[\]()（）:：]{0,30})[\])）]\s*[:：፦]\s*")
_BARE = re.compile(r"^\s*(?P<name>SPEAKER_\d+)\s+(?=\S)")
_PROGRAMS_LABEL = re.compile(
    rf"^\s*(?P<name>{_PROGRAM}(?=\s*[:：፦])|SPEAKER_\d+)\s*[:：፦]?\s*", re.IGNORECASE
)
_ANNOUNCING = frozenset(
    ("አለ", "አለች", "አሉ", "አልኩ", "አልሁ", "አልን", "ብሎ", "ብላ", "ብለው", "ብዬ", "ሲል", "ስትል", "ሲሉ", "እንዲህ")
    + ("እንደሚከተለው", "የሚከተሉት", "የሚከተለው", "ናቸው", "ነው", "ማለትም", "ለምሳሌ", "ጥያቄ", "መልስ")
)
"""Words before a `፦` that announce what follows and are spoken themselves."""
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")


def clean_track(track: Track) -> Track:
    """The same track with each caption's words only; captions without words are dropped."""
    kept = []
    for cue in track.cues:
        cleaned = _clean(cue)
        if isinstance(cleaned, Cue):
            kept.append(cleaned)
        else:
            track.drop(cue, *cleaned)
    return replace(track, cues=kept)


def _clean(cue: Cue) -> Cue | tuple[str, str]:
    """The cue, or rule and reason why it is no speech of one person."""
    voices = _VOICE.findall(cue.text)
    text = _STYLE.sub(lambda match: " " if match[0] in ("\\N", "\\n", "\\h") else "", cue.text)
    text = html.unescape(_TAG.sub("", text))
    text = _INVISIBLE.sub("", _TAG.sub("", text)).replace("\u00a0", " ")
    lines = [_plain_label(line.strip()) for line in text.split("\n") if line.strip()]
    if not lines:
        return "empty-text", "the caption has no text"
    if _MUSIC.search(text):
        return "not-speech", f"it is sung or music: {' '.join(lines)[:60]}"
    spoken = [" ".join(_without_sounds(line).split()) for line in lines]
    spoken = [line for line in spoken if any(character.isalnum() for character in line)]
    if not spoken:
        return "not-speech", f"it describes a sound: {' '.join(lines)[:60]}"
    dashed = [bool(_DASH.match(line)) for line in spoken]
    dialog = any(dash and _SECOND_DASH.search(line[1:]) for dash, line in zip(dashed, spoken, strict=True))
    if dialog or sum(dashed) > 1 or len(set(voices)) > 1 or any(">>" in line[2:] for line in spoken):
        return "two-speakers", "the caption holds the words of several speakers"
    spoken = [_DASH.sub("", line) for line in spoken]
    labels = [match for line in spoken if (match := _LABEL.match(line)) and _is_name(match["name"])]
    labels = [match for match in labels if match.end() < len(match.string) or match.string != spoken[-1]]
    if len({match["name"] for match in labels}) > 1:
        return "two-speakers", "the caption holds the words of several speakers"
    speaker = labels[0]["name"].strip() if labels else (voices[0].strip() if voices else "")
    if labels and labels[0].string != spoken[0]:
        return "two-speakers", "a second speaker starts inside the caption"
    if labels:
        spoken[0] = spoken[0][labels[0].end() :]
    words = " ".join(spoken).strip()
    if not any(character.isalnum() for character in words):
        return "empty-text", "the caption has no words"
    return replace(cue, text=words, speaker=speaker or cue.speaker)


def _plain_label(line: str) -> str:
    """A line with `[SPEAKER_00]:`, `(speaker 0)` or `[አበበ]:` at its start written as `SPEAKER_00: `."""
    match = _DIARIZED.match(line) or _BRACKETED_NAME.match(line) or _BARE.match(line)
    return f"{match['name'].strip()}: {line[match.end() :]}" if match else line


def split_label(text: str) -> tuple[str, str]:
    """The speaker that a program put in front of a text, as in `SPEAKER_00: `, and the text; "" where there is none."""
    line = _plain_label(text.strip())
    match = _PROGRAMS_LABEL.match(line)
    return (match["name"].strip(), line[match.end() :].strip()) if match else ("", text)


def _is_name(written: str) -> bool:
    """False for words that announce a quotation or a list, which are spoken: `እንዲህ አለ፦`."""
    words = written.split()
    return 0 < len(words) <= 3 and words[-1] not in _ANNOUNCING


def _without_sounds(line: str) -> str:
    """A line without `[ሙዚቃ]`; round brackets are a sound only where they are all of the line."""
    if _BRACKETED.match(line):
        return ""
    return _SOUND.sub(" ", line)
