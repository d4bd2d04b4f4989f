"""Praat's TextGrid and ELAN's .eaf: which tiers hold the words, and whose they are."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.corpus.subtitles.labels import add_cue
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text
from amtts_core.text.script import script_share
from amtts_core.units import Seconds

_PHRASE = 1.6  # words in a label, on average; fewer make a tier of words
_SAME_TIME: Seconds = 0.05
_GENERIC = frozenset(
    (
        "utterance",
        "utterances",
        "text",
        "texts",
        "transcription",
        "transcript",
        "word",
        "words",
        "utt",
        "utts",
        "sent",
        "phrase",
        "phrases",
        "segment",
        "segments",
        "ipu",
        "trans",
        "trs",
        "labels",
        "sentence",
        "sentences",
    )
    + (
        "orth",
        "ort",
        "orthography",
        "default",
        "ref",
        "tx",
        "annotation",
        "phrase",
        "phrases",
        "segment",
        "segments",
    )
    + ("label", "labels", "mau", "tier", "speech", "content", "amharic", "phones", "phonemes")
)
"""Names of tiers that are nobody's."""


@dataclass(frozen=True)
class Tier:
    """One layer of annotations: start, end and text of each."""

    name: str
    speaker: str
    segments: Sequence[tuple[Seconds, Seconds, str]]

    @property
    def words(self) -> float:
        """Mean number of words in a label."""
        filled = [text.split() for _, _, text in self.segments if text.strip()]
        return sum(map(len, filled)) / len(filled) if filled else 0.0


def read_annotations(path: Path, *, language: str = "am") -> tuple[Track, str]:
    """The stretches with text of an annotation file, and which tiers they are from, for people.

    Args:
        path: of a .TextGrid or .eaf file.
        language: code of the language of the texts.

    Raises:
        AmttsError: its reader is not installed, or it is damaged, or no tier holds text of the language.
    """
    tiers = _textgrid(path) if path.suffix.lower() == ".textgrid" else _eaf(path)
    chosen, summary = choose_tiers(tiers, language)
    if not chosen:
        names = ", ".join(tier.name for tier in tiers) or "none"
        raise AmttsError(f"{path.name}: no tier holds text of language '{language}'; tiers: {names}")
    track = Track([], exact=True, words=all(tier.words < _PHRASE for tier in chosen))
    rows = sorted((start, end, text, tier.speaker) for tier in chosen for start, end, text in tier.segments)
    for number, (start, end, text, speaker) in enumerate(rows, 1):
        add_cue(track, Cue(number, start, end, text, speaker=speaker))
    return track, summary


def choose_tiers(tiers: Sequence[Tier], language: str) -> tuple[list[Tier], str]:
    """The tiers that hold what is said, one a speaker, and a line about them.

    A tier of phrases is preferred to one of words, and of tiers with the same times the first is taken.
    """
    own = [t for t in tiers if script_share("".join(text for _, _, text in t.segments), language) >= 0.5]
    phrases = [tier for tier in own if tier.words >= _PHRASE] or own
    chosen: list[Tier] = []
    for tier in phrases:
        if not any(_same_times(tier, other) for other in chosen):
            chosen.append(tier)
    chosen = [Tier(t.name, _speaker(t, several=len(chosen) > 1), t.segments) for t in chosen]
    summary = "tier " + ", ".join(t.name + (f" (speaker {t.speaker})" if t.speaker else "") for t in chosen)
    unused = [tier.name for tier in tiers if tier.name not in {t.name for t in chosen}]
    return chosen, summary + (f"; not used: {', '.join(unused[:12])}" if unused else "")


def _same_times(left: Tier, right: Tier) -> bool:
    starts = [start for start, _, text in right.segments if text.strip()]
    own = [start for start, _, text in left.segments if text.strip()]
    near = sum(any(abs(start - other) <= _SAME_TIME for other in starts) for start in own[:200])
    return bool(own) and near >= 0.8 * len(own[:200])


def _speaker(tier: Tier, *, several: bool) -> str:
    if tier.speaker:
        return tier.speaker
    name = re.sub(r"\s*-\s*(?:words|phones)$", "", tier.name).strip()  # "abebe - words" of forced aligners
    plain = re.sub(r"[\W\d_]+", "", name).casefold()
    return "" if plain in _GENERIC and not several else name


def _needs(module: str, path: Path, what: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise AmttsError(
            f"{path.name} is {what}, and its reader is not installed",
            remedy="Install it with: pip install 'amtts[import]'",
        )


def _textgrid(path: Path) -> list[Tier]:
    _needs("praatio", path, "a TextGrid of Praat")
    from praatio import textgrid
    from praatio.data_classes.interval_tier import IntervalTier
    from praatio.utilities.errors import PraatioException

    with path.open("rb") as handle:
        if handle.read(16).startswith(b"ooBinaryFile"):
            raise AmttsError(f"{path.name} is a binary TextGrid", remedy="Save it in Praat as text")
    text = decode_text(path.read_bytes(), source=path.name)
    try:
        with (
            tempfile.TemporaryDirectory() as folder
        ):  # the reader loses the last label where no line end follows it
            copy = Path(folder) / "copy.TextGrid"
            copy.write_text(text.rstrip() + "\n", encoding="utf-8")
            grid = textgrid.openTextgrid(
                str(copy), False, reportingMode="silence", duplicateNamesMode="rename"
            )
    except (
        PraatioException,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OSError,
        AssertionError,
    ):
        raise AmttsError(f"{path.name} is a damaged TextGrid", remedy="Save it in Praat again") from None
    return [
        Tier(tier.name, "", [(float(e.start), float(e.end), e.label) for e in tier.entries])
        for tier in grid.tiers
        if isinstance(tier, IntervalTier)
    ]


def _eaf(path: Path) -> list[Tier]:
    """The tiers of ELAN's XML; read here, as the reader on PyPI refuses files that other programs write."""
    data = path.read_bytes()
    if b"<!ENTITY" in data:
        raise AmttsError(f"{path.name} defines entities, which no file of ELAN does")
    try:
        document = ElementTree.fromstring(data)
        return list(_eaf_tiers(document))
    except (ElementTree.ParseError, ValueError, KeyError):
        raise AmttsError(f"{path.name} is a damaged file of ELAN", remedy="Save it in ELAN again") from None


def _eaf_tiers(document: ElementTree.Element) -> Iterator[Tier]:
    slots = {
        slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) / 1000
        for slot in document.iter("TIME_SLOT")
        if "TIME_VALUE" in slot.attrib
    }
    times: dict[str, tuple[Seconds, Seconds]] = {}
    for entry in document.iter("ALIGNABLE_ANNOTATION"):
        start, end = slots.get(entry.attrib["TIME_SLOT_REF1"]), slots.get(entry.attrib["TIME_SLOT_REF2"])
        if start is not None and end is not None:
            times[entry.attrib["ANNOTATION_ID"]] = start, end
    parents = {e.attrib["ANNOTATION_ID"]: e.attrib["ANNOTATION_REF"] for e in document.iter("REF_ANNOTATION")}
    for tier in document.iter("TIER"):
        segments = []
        for entry in (*tier.iter("ALIGNABLE_ANNOTATION"), *tier.iter("REF_ANNOTATION")):
            identity = entry.attrib["ANNOTATION_ID"]
            for _ in range(len(parents)):  # an annotation of another one has its times
                if identity in times or identity not in parents:
                    break
                identity = parents[identity]
            if identity in times:
                segments.append((*times[identity], entry.findtext("ANNOTATION_VALUE") or ""))
        yield Tier(tier.attrib["TIER_ID"], tier.attrib.get("PARTICIPANT", "").strip(), segments)


def media_of(path: Path) -> list[str]:
    """Names of the recordings that an .eaf file names, as they are written there."""
    try:
        head = path.read_bytes()[: 1 << 16].decode("utf-8", "replace")
    except OSError:
        return []
    return re.findall(r'(?:RELATIVE_)?MEDIA_URL="([^"]+)"', head)
