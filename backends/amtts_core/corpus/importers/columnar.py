"""Rows of columnar files (parquet, arrow) as clips: which column is which, and what its values are.

Audio is a struct of `bytes` and `path` or of `array` and `sampling_rate`, plain bytes, a list of samples, or a path.
Runs in a process of its own (see `hf_parquet`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.sound import ForeignSound, opened
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, ReadOptions
from amtts_core.corpus.importers.column_names import (
    AUDIO_NAMES,
    NAMES,
    SPOKEN_NAMES,
    TAG_NAMES,
    TEXT_NAMES,
    has_word_of,
    plain_name,
    unit_in_name,
)
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.importers.record import is_language, read_channel
from amtts_core.corpus.importers.times import Scale, is_cut_out, read_time, span_of
from amtts_core.errors import AmttsError
from amtts_core.text.script import script_share

LARGEST_AUDIO = 64 << 20
"""Bytes of one audio file; 300 s of 48 kHz stereo wav have 55 MiB."""
_RATES = ("sampling_rate", "sample_rate", "sr", "rate")
_ARRAYS = ("array", "samples", "waveform", "audio_array")
_FLEURS = {"raw_transcription", "transcription", "num_samples"}
_FLOAT, _PCM = 3, 1  # format codes of WAV


@dataclass(frozen=True)
class Schema:
    """The roles of a file's columns.

    Attributes:
        roles: role -> name of the column.
        tags: name of a tag -> name of the column.
        rate: column of the sample rate of samples that stand in a column of their own; empty where there is none.
        scale: of the times.
        fleurs: several people read each sentence, and none is named.
        unused: names of the columns that are not used.
    """

    roles: Mapping[str, str]
    tags: Mapping[str, str]
    rate: str
    scale: Scale
    fleurs: bool
    unused: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """Names of all columns that are read."""
        return list(
            dict.fromkeys([*self.roles.values(), *self.tags.values(), *([self.rate] if self.rate else [])])
        )

    def describe(self) -> str:
        """The columns' roles, in one line."""
        summary = ", ".join(
            f"{name} is the {_ROLE_NAMES.get(role, role)}" for role, name in self.roles.items()
        )
        return summary + (f"; not used: {', '.join(self.unused[:12])}" if self.unused else "")


_ROLE_NAMES = {"spoken": "normalized text", "name": "id"}


def read_schema(
    fields: Mapping[str, Any],
    where: str,
    peek: Callable[[list[str]], Mapping[str, list[str]]],
    options: ReadOptions,
) -> Schema:
    """The roles of the columns, by their names, their types and what the first rows hold.

    Args:
        fields: name -> Arrow type of each column.
        where: the file, for people.
        peek: the first values of some columns of text.
        options: what a person says.

    Raises:
        AmttsError: it has no column of audio or of text.
    """
    import pyarrow

    plain = {name: plain_name(name) for name in fields}
    texts = [n for n, t in fields.items() if pyarrow.types.is_string(t) or pyarrow.types.is_large_string(t)]
    roles: dict[str, str] = {}
    for role, said in options.columns.items():
        if said not in fields:
            raise AmttsError(
                f"--columns {role}={said}: {where} has the columns {', '.join(list(fields)[:30])}"
            )
        roles[role] = said
    if "audio" not in roles and (audio := _audio_column(fields, plain)):
        roles["audio"] = audio
    if "text" not in roles and (text := _text_column(plain, texts, roles, peek, options.language)):
        roles["text"] = text
    for role in ("audio", "text"):
        if role not in roles:
            known = AUDIO_NAMES if role == "audio" else TEXT_NAMES
            raise AmttsError(
                f"{where} has no {role} column: it has {', '.join(list(fields)[:20])}; known names: {', '.join(known)}",
                remedy=f"Say which it is: --columns {role}=NAME",
            )
    rate = next((name for name, own in plain.items() if own in _RATES), "")
    for role in ("spoken", "speaker", "start", "end", "duration", "language", "channel"):
        free = [name for known in NAMES[role] for name, own in plain.items() if own == known]
        free = [name for name in free if name not in roles.values() and not _is_nested(fields[name])]
        if role == "language":
            free = [name for name in free if name in texts]
        if free and role not in roles:
            roles[role] = free[0]
    name = next((name for name, own in plain.items() if own in ("id", "utt_id", "utterance_id", "key")), "")
    if name and name not in roles.values():
        roles["name"] = name
    tags = {tag: n for tag in (*TAG_NAMES, "locale") for n, own in plain.items() if own == tag and n in texts}
    used = {
        *roles.values(),
        *tags.values(),
        rate,
        *(n for n, own in plain.items() if own in ("split", "subset")),
    }
    fleurs = set(plain.values()) >= _FLEURS and "speaker" not in roles
    timed = [roles[role] for role in ("start", "end") if role in roles]
    unit = next(filter(None, map(unit_in_name, timed)), "s")
    scale = Scale(0.001, "ms") if unit == "ms" else Scale()
    return Schema(roles, tags, rate, scale, fleurs, [n for n in fields if n not in used])


def _is_nested(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_nested(kind))


def _audio_column(fields: Mapping[str, Any], plain: Mapping[str, str]) -> str:
    import pyarrow

    def is_sound(kind: Any) -> bool:
        kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        if pyarrow.types.is_struct(kind):
            return bool({field.name for field in kind} & {"bytes", "path", *_ARRAYS})
        return bool(
            pyarrow.types.is_binary(kind)
            or pyarrow.types.is_large_binary(kind)
            or pyarrow.types.is_list(kind)
        )

    names = [n for known in (*AUDIO_NAMES, *_ARRAYS) for n, own in plain.items() if own == known]
    names += [n for n in fields if n not in names and has_word_of("audio", n)]
    sounds = [n for n in names if is_sound(fields[n])] or [n for n in fields if is_sound(fields[n])]
    return next(iter([*sounds, *names]), "")


def _text_column(
    plain: Mapping[str, str],
    texts: Sequence[str],
    roles: Mapping[str, str],
    peek: Callable[[list[str]], Mapping[str, list[str]]],
    language: str,
) -> str:
    free = [name for name in texts if name not in roles.values()]
    known = [n for name in (*TEXT_NAMES, *SPOKEN_NAMES) for n in free if plain[n] == name]
    if "raw_transcription" in (own := [plain[n] for n in known]) and "transcription" in own:
        known.insert(0, known.pop(own.index("raw_transcription")))  # FLEURS: the other one has no punctuation
    known += [n for n in free if n not in known and has_word_of("text", n)]
    if len(known) == 1:
        return known[0]
    shares = {n: script_share("".join(values), language) for n, values in peek(known or free).items()}
    own_script = [n for n in (known or free) if shares.get(n, 0.0) >= 0.5]
    if known:
        return (own_script or known)[0]
    return own_script[0] if len(own_script) == 1 else ""


@dataclass(frozen=True)
class RowMaker:
    """Makes clips of the rows of one file.

    Attributes:
        schema: of the file.
        path: of the file.
        locator: finds recordings that rows name.
        options: what a person says.
    """

    schema: Schema
    path: Path
    locator: AudioLocator
    options: ReadOptions

    def entry(self, scalars: Mapping[str, Any], where: str) -> Clip | Fault:
        """The clip of a row of Arrow scalars, or what is wrong with it."""
        roles = self.schema.roles
        row = {role: _text(scalars[name]) for role, name in roles.items() if role != "audio"}
        said, speaker = row.get("text") or row.get("spoken", ""), row.get("speaker", "")
        data, named, finding = read_audio(scalars[roles["audio"]], scalars.get(self.schema.rate))
        inside = self.locator.relative(self.path)
        label = named or row.get("name") or f"{Path(inside).stem}-{where.rsplit(':', 1)[-1].zfill(6)}"
        common: dict[str, Any] = {"where": where, "text": said, "speaker": speaker}
        finding = self._foreign(row) or finding
        if finding is not None:
            return Fault(finding=finding, source=label, **common)
        span = self._span(scalars)
        if data and not isinstance(span, str) and self._is_cut(span, data):
            span = 0.0, None
        channel = read_channel(row.get("channel", ""), first=0)
        for problem in (span, channel):
            if isinstance(problem, str):
                finding = Finding(rule="malformed-line", reason=f"the row {problem}")
                return Fault(finding=finding, source=label, **common)
        more: dict[str, Any] = {
            "spoken": row.get("spoken", ""),
            "start": span[0],
            "end": span[1],
            "length": self._length(scalars),
            "channel": self.options.channel if self.options.channel is not None else channel,
            "distinct": self.schema.fleurs and not speaker,
            "tags": {tag: value for tag, name in self.schema.tags.items() if (value := _text(scalars[name]))},
        }
        if data:
            stem = os.path.splitext(label.replace("\\", "/").rsplit("/", 1)[-1])[0] if named else label
            return Clip(path=self.path, source=f"{inside}:{label}", data=data, name=stem, **common, **more)
        found = self.locator.find(named)
        if isinstance(found, Finding):
            return Fault(finding=found, source=label, **common)
        return Clip(path=found, source=self.locator.relative(found), **common, **more)

    def _foreign(self, row: Mapping[str, str]) -> Finding | None:
        language, wanted = row.get("language", ""), self.options.language
        if not language or is_language(language, wanted):
            return None
        reason = f"its language is {language!r}, wanted is {wanted!r}"
        return Finding(rule="other-language", reason=reason, value=language, threshold=wanted)

    def _span(self, scalars: Mapping[str, Any]) -> Any:
        roles = self.schema.roles
        if "start" not in roles and "end" not in roles:
            return 0.0, None
        times = [
            read_time(scalars[roles[role]].as_py() if role in roles else None, self.schema.scale)
            for role in ("start", "end", "duration")
        ]
        return span_of(*times)

    def _is_cut(self, span: tuple[float, float | None], data: bytes) -> bool:
        """True where the times say where in another recording the row's own, which is just as long, was cut out."""
        start, end = span
        if start == 0.0 or end is None:
            return False
        try:
            with opened(self.path, data) as sound:
                length = sound.total / sound.rate if sound.total else None
        except (AudioError, ForeignSound, soundfile.SoundFileError, OSError):
            return False
        return length is not None and is_cut_out(start, end, length)

    def _length(self, scalars: Mapping[str, Any]) -> float | None:
        """Of the whole recording, as the row says."""
        roles = self.schema.roles
        if self.options.fit != "reject" or "duration" not in roles or "start" in roles or "end" in roles:
            return None
        scale = Scale(0.001, "ms") if unit_in_name(roles["duration"]) == "ms" else Scale()
        length = read_time(scalars[roles["duration"]].as_py(), scale)
        return length if isinstance(length, float) and length > 0 else None


def _text(scalar: Any) -> str:
    value = scalar.as_py()
    if isinstance(value, bool) or value is None or isinstance(value, (bytes, dict, list)):
        return ""
    return str(value).strip()


def read_audio(scalar: Any, rate: Any = None) -> tuple[bytes, str, Finding | None]:
    """Content and name of a row's audio; the content is copied only after its size is known.

    Args:
        scalar: an Arrow scalar of any of the forms.
        rate: the sample rate of samples that stand in a column of their own.
    """
    import pyarrow

    scalar = scalar.value if isinstance(scalar, pyarrow.DictionaryScalar) else scalar
    named, content, samples = "", scalar, None
    if isinstance(scalar, pyarrow.StructScalar):
        fields = {field.name for field in scalar.type}
        content = scalar["bytes"] if "bytes" in fields and scalar.is_valid else None
        if "path" in fields and scalar.is_valid:
            named = str(scalar["path"].as_py() or "")
        array = next((name for name in _ARRAYS if name in fields), "")
        if array and scalar.is_valid and (content is None or not content.is_valid):
            samples = scalar[array]
            rate = next((scalar[name] for name in _RATES if name in fields), rate)
    elif isinstance(scalar, (pyarrow.ListScalar, pyarrow.LargeListScalar)):
        samples, content = scalar, None
    elif pyarrow.types.is_string(scalar.type) or pyarrow.types.is_large_string(scalar.type):
        return b"", str(scalar.as_py() or ""), None
    if samples is not None and samples.is_valid:
        return _wav(samples, rate, named)
    buffer = content.as_buffer() if content is not None and hasattr(content, "as_buffer") else None
    if buffer is None:
        lacking = Finding(
            rule="missing-file", reason="the row has neither audio bytes nor samples nor a path"
        )
        return b"", named, None if named else lacking
    if buffer.size > LARGEST_AUDIO:
        return b"", named, _too_large(buffer.size)
    if not buffer.size:
        return b"", named, Finding(rule="unreadable", reason="is empty (0 bytes)")
    return buffer.to_pybytes(), named, None


def _too_large(size: int) -> Finding:
    reason = f"the audio has {size} bytes, at most {LARGEST_AUDIO} are read"
    return Finding(rule="too-large", reason=reason, value=size, threshold=LARGEST_AUDIO)


def _wav(samples: Any, rate: Any, named: str) -> tuple[bytes, str, Finding | None]:
    """Samples in a list as the content of a WAV file."""
    hertz = rate.as_py() if rate is not None else None
    if not isinstance(hertz, (int, float)) or not 0 < hertz < 1e6:
        return b"", named, Finding(rule="unreadable", reason=f"its samples have no sample rate: {hertz!r}")
    values = samples.values
    if hasattr(values, "values"):  # channels, each a list of samples
        channels = len(values)
        flat = values.values if values.null_count == 0 else None
        if channels == 0 or flat is None or len(flat) % channels:
            return b"", named, Finding(rule="unreadable", reason="its channels have different lengths")
        array = np.asarray(flat).reshape(channels, -1)
        array = array.T if channels < 16 else array  # (samples, channels), or so already
    else:
        array = np.asarray(values)[:, None]
    if array.nbytes > LARGEST_AUDIO:
        return b"", named, _too_large(array.nbytes)
    if not array.size or array.dtype.kind not in "iuf":
        return b"", named, Finding(rule="unreadable", reason="holds no samples")
    kind, width = (_PCM, 2) if array.dtype == np.int16 else (_FLOAT, 4)
    if kind == _FLOAT:
        scale = 2.0**31 if array.dtype == np.int32 else 1.0
        array = (array / scale).astype(np.float32)
    data = np.ascontiguousarray(array).tobytes()
    channels = array.shape[1]
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", len(data) + 36, b"WAVE", b"fmt ", 16, kind, channels, int(hertz)),
        *(int(hertz) * channels * width, channels * width, 8 * width, b"data", len(data)),
    )
    return head + data, named, None
