"""What `prepare` does to a corpus: every choice in one model, stored with the corpus it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from amtts_core.errors import ConfigError, nearest
from amtts_core.text.settings import NormalizerSettings
from amtts_core.units import Decibels, Hertz, Seconds

PROCESSING_VERSION = 4
"""Raise it when the same settings make other audio or text, so that old results are not taken for new ones."""

_JUDGEMENT = ("val", "test", "max_rejected", "repeated_text", "pace", "min_pace", "max_pace") + (
    "fit",
    "columns",
    "channel",
    "license",
    "consent_note",
)
"""Fields that do not change what is made of a clip: they say which clips are kept, where they go and whose they are, or
change the clip itself as the source is read."""

ROLES = (
    "audio",
    "text",
    "spoken",
    "speaker",
    "start",
    "end",
    "duration",
    "language",
    "channel",
    "split",
    "name",
)
"""What a column of a table can be, for `columns`."""
_SIDES = {"left": 0, "right": 1}


class PrepareSettings(BaseModel):
    """Settings of `amtts prepare`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sample_rate: Hertz = Field(22050, ge=8000, le=192_000, description="rate of the written audio, Hz")
    high_pass: float = Field(
        40.0, ge=0, lt=400, description="high-pass corner, Hz; 0 removes only the DC offset"
    )
    trim: bool = Field(True, description="cut silence at both ends")
    trim_level: Decibels = Field(40.0, ge=10, le=80, description="silence is this far under the speech, dB")
    trim_margin: Seconds = Field(0.05, ge=0, le=5, description="silence kept at both ends, s")
    loudness: Decibels = Field(-23.0, ge=-60, le=0, description="target loudness, LUFS")
    peak: Decibels = Field(-1.0, ge=-20, le=0, description="highest peak, dBFS; wins over the loudness")
    min_duration: Seconds = Field(0.3, ge=0, description="shorter speech is rejected, s after trimming")
    max_duration: Seconds = Field(20.0, gt=0, description="longer speech is rejected, s after trimming")
    max_source_duration: Seconds = Field(300.0, gt=0, description="longer files are rejected undecoded, s")
    silence: Decibels = Field(
        -60.0, ge=-120, le=0, description="a clip whose loud frames are lower is silent, dBFS"
    )
    max_clipped: float = Field(0.005, ge=0, le=1, description="largest share of clipped samples")
    min_snr: Decibels = Field(
        0.0, ge=0, description="lower estimates of the signal-to-noise ratio are rejected, dB; 0 is off"
    )
    max_silence: float = Field(
        1.0, gt=0, le=1, description="largest share of the source clip that is silence at its ends; 1 is off"
    )
    min_bandwidth: float = Field(
        0.0, ge=0, description="clips without content up to this frequency are rejected, Hz; 0 is off"
    )
    min_letters_per_second: float = Field(
        0.0, ge=0, description="slower clips are rejected, letters per second of speech; 0 is off"
    )
    max_letters_per_second: float = Field(
        100.0, gt=0, description="faster clips are rejected, letters per second of speech"
    )
    pace: Literal["off", "flag", "reject"] = Field(
        "flag", description="what is done about clips far off their speaker's median pace"
    )
    fit: Literal["reject", "flag"] = Field(
        "reject", description="what is done about captions that do not follow the voice of their recording"
    )
    min_pace: float = Field(0.55, ge=0, le=1, description="slowest pace, times the speaker's median")
    max_pace: float = Field(1.7, ge=1, description="fastest pace, times the speaker's median")
    min_script: float = Field(
        0.2, ge=0, le=1, description="least share of the written letters that are of the language's script"
    )
    max_text: int = Field(1000, gt=0, description="longer texts are rejected, characters")
    repeated_text: bool = Field(False, description="keep a sentence that its speaker has said before")
    speaker: str = Field("", description="speaker of rows that name none")
    columns: dict[str, str] = Field(
        default_factory=dict, description="role -> number or name of a column of the source's table"
    )
    channel: str = Field(
        "", description="channel of every recording: left, right or a number from 1; empty mixes them"
    )
    license: str = Field("", description="license of the recordings that name none")
    consent_note: str = Field("", description="how the speakers agreed to the use of their voices")
    val: float = Field(0.05, ge=0, lt=1, description="share of the sentences that go to the validation split")
    test: float = Field(0.05, ge=0, lt=1, description="share of the sentences that go to the test split")
    max_rejected: float = Field(
        0.3, ge=0, le=1, description="largest share of rejected clips; above it the run fails"
    )
    normalizer: NormalizerSettings = Field(
        default_factory=NormalizerSettings, description="how text is normalized"
    )

    @field_validator("channel")
    @classmethod
    def _known_channel(cls, value: str) -> str:
        if value and value not in _SIDES and not (value.isdigit() and int(value) > 0):
            raise ValueError("expected left, right or a number from 1")
        return value

    @field_validator("columns")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = [role for role in value if role not in ROLES]
        if unknown:
            raise ValueError(f"unknown {unknown[0]}{nearest(unknown[0], ROLES)}; known: {', '.join(ROLES)}")
        return value

    @property
    def channel_number(self) -> int | None:
        """The channel, from 0; None mixes all."""
        if not self.channel:
            return None
        return _SIDES[self.channel] if self.channel in _SIDES else int(self.channel) - 1

    @model_validator(mode="after")
    def _consistent(self) -> PrepareSettings:
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave nothing to train on")
        if self.min_duration >= self.max_duration:
            raise ValueError(
                f"min_duration {self.min_duration:g} is not below max_duration {self.max_duration:g}"
            )
        return self

    def processing_hash(self) -> str:
        """A digest of the fields that change what is made of a clip."""
        fields = self.model_dump(mode="json", exclude=set(_JUDGEMENT))
        text = json.dumps([PROCESSING_VERSION, fields], sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Field name, old and new value of each field that differs; sections are followed into."""
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}", before, after


def resolve_settings(values: dict[str, Any], *, overrides: dict[str, Any] | None = None) -> PrepareSettings:
    """Validates everything at once.

    Args:
        values: nested values.
        overrides: nested values that win.

    Raises:
        ConfigError: lists every fault, unknown keys with the nearest name.
    """
    merged = dict(values)
    for key, value in (overrides or {}).items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    try:
        return PrepareSettings.model_validate(merged)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            where = ".".join(str(part) for part in fault["loc"])
            if fault["type"] == "extra_forbidden":
                section = NormalizerSettings if fault["loc"][0] == "normalizer" else PrepareSettings
                faults.append(f"{where}: unknown{nearest(str(fault['loc'][-1]), section.model_fields)}")
            else:
                message = fault["msg"].removeprefix("Value error, ")
                faults.append(f"{where}: {message}, got {fault['input']!r}" if where else message)
        raise ConfigError("settings of prepare: " + "; ".join(faults)) from None


_ALIASES = {
    "normalized": "spoken",
    "normalised": "spoken",
    "id": "name",
    "offset": "start",
    "lang": "language",
}


def parse_columns(written: str) -> dict[str, str]:
    """Roles and columns of `audio=1,text=3,speaker=name`.

    Raises:
        ConfigError: a part has another form.
    """
    out: dict[str, str] = {}
    for part in filter(None, map(str.strip, written.split(","))):
        role, sign, column = (piece.strip() for piece in part.partition("="))
        if not sign or not role or not column:
            raise ConfigError(
                f"--columns {written}: {part!r} is not of the form role=column", remedy="audio=1,text=2"
            )
        out[_ALIASES.get(role, role)] = column
    return out
