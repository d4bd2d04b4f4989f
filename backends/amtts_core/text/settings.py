"""The switches of the normalizer, one per stage or choice; stored with a corpus and with a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from amtts_core.errors import AmttsError, nearest


class NormalizerSettings(BaseModel, extra="forbid"):
    """What the normalizer does to a text. The defaults suit a model that is trained on folded spelling."""

    language: str = Field(default="am", description="code of the language pack, for example am or ti")
    unicode: bool = Field(
        default=True, description="NFC, invisible characters deleted, foreign digits made ASCII"
    )
    markup: bool = Field(
        default=True,
        description="HTML tags and entities, Markdown marks and terminal codes taken out of the text and counted",
    )
    emoji: Literal["drop", "keep"] = Field(
        default="drop", description="emoji and pictures of the same kind: left out and counted, or kept"
    )
    lexicon: dict[str, str] = Field(
        default_factory=dict, description="the user's own readings, word to reading; they win over every rule"
    )
    punctuation: bool = Field(default=True, description="bring punctuation to the language's own marks")
    brackets: Literal["pause", "delete"] = Field(default="pause", description="what a bracket becomes")
    slash: Literal["pause", "or"] = Field(
        default="pause",
        description="what a slash between two full words becomes: a pause or the word for 'or'",
    )
    abbreviations: bool = Field(default=True, description="spell abbreviations out, prefix and suffix kept")
    numbers: bool = Field(default=True, description="numbers, dates, times, money and phone numbers as words")
    explicit_one: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="the word 'one' before hundred, thousand, million; auto: bare only for exactly 100",
    )
    decimals: Literal["digits", "number"] = Field(
        default="digits", description="digits after the point one by one, or as a number where there are two"
    )
    year_style: Literal["cardinal", "hundreds"] = Field(
        default="cardinal", description="1984 as 'one thousand nine hundred ...' or as 'nineteen hundred ...'"
    )
    percent: str = Field(default="", description="the word for percent; empty takes the language's default")
    negative: str = Field(default="", description="the word for minus; empty takes the language's default")
    clock: Literal["as-written", "from-24h"] = Field(
        default="as-written",
        description="read the clock as written, or convert 24-hour input to the Ethiopian clock",
    )
    ethiopian_year_limit: int = Field(
        default=2018, description="a date with a later year and no calendar mark is taken as Gregorian"
    )
    digits_from: int = Field(
        default=9,
        ge=1,
        description="inside a sentence, a bare number of this many digits is read digit by digit",
    )
    latin: bool = Field(default=True, description="Latin words by lexicon, acronyms by letter names")
    latin_words: Literal["spell", "keep"] = Field(
        default="spell",
        description="a Latin word of no lexicon: written in the language's letters by rule, or kept",
    )
    hashtags: Literal["read", "words", "drop"] = Field(
        default="read",
        description="#tags and @names: with the word for the sign, the words alone, or left out and counted",
    )
    addresses: Literal["read", "drop"] = Field(
        default="read", description="web and mail addresses and file names: read, or left out and counted"
    )
    typos: bool = Field(default=True, description="mend typing slips that do not change the pronunciation")
    fold_homophones: bool = Field(
        default=True,
        description="one letter per sound; off for checkpoints that keep the letters apart, such as MMS",
    )
    fold_labialised: bool = Field(
        default=True, description="rounded first and sixth order letters to the plain row"
    )
    join_labialised: bool = Field(
        default=False,
        description="write two-letter spellings of rounded letters as one; changes some real words",
    )
    strip_gemination_marks: bool = Field(
        default=True, description="delete U+135D to U+135F; keep them for the G2P"
    )
    mark_gemination: bool = Field(
        default=False,
        description="write U+135F behind every long consonant that the list or a rule knows, so that a model can "
        "learn length as one symbol; marks that are in the text stay",
    )

    @property
    def keeps_marks(self) -> bool:
        """True where a normalized text may hold marks of length."""
        return self.mark_gemination or not self.strip_gemination_marks


def read_settings(values: Mapping[str, Any]) -> NormalizerSettings:
    """Settings by name.

    Raises:
        AmttsError: a name or a value is not known; all faults in one line.
    """
    known = NormalizerSettings.model_fields
    for name in values:
        if name not in known:
            raise AmttsError(
                f"{name!r} is no setting of the normalizer{nearest(name, known)}",
                remedy=f"Choose from: {', '.join(known)}",
            )
    try:
        return NormalizerSettings.model_validate(dict(values))
    except ValidationError as fault:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}={e['input']}: {e['msg']}" for e in fault.errors())
        raise AmttsError(f"these settings cannot be used: {faults}") from fault
