"""Many texts with one voice, in this process or in many: what a worker speaks and reports of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from amtts_core.audio.save import AudioOptions, AudioWriter
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts.speech import Speech
    from amtts.voice import Voice
    from amtts_core.synthesis.batch.run import Task


@dataclass(frozen=True, kw_only=True)
class VoiceSource:
    """How a voice is loaded, picklable; see `amtts.load`."""

    source: str
    device: str = "cpu"
    voice: str = ""
    vocoder: str = ""
    lexicon: str = ""
    settings: str = "{}"
    revision: str = ""

    def load(self, voice: str = "") -> Voice:
        """The voice, loaded once in a process; `voice` in place of its own recording."""
        return _loaded(self, voice or self.voice)


@lru_cache(maxsize=4)
def _loaded(source: VoiceSource, voice: str) -> Voice:
    import json

    from amtts.voice import load

    return load(
        source.source,
        device=source.device,
        voice=voice or None,
        vocoder=source.vocoder or None,
        lexicon=source.lexicon or None,
        settings=json.loads(source.settings),
        revision=source.revision or None,
    )


@dataclass(frozen=True, kw_only=True)
class RowWorker:
    """Speaks rows of a batch, in whatever process it is.

    Attributes:
        source: of the voice.
        speaker: of rows that name none.
        how: further arguments of `Voice.speak`.
        audio: how speech becomes a file.
        skip_bad: a row that cannot be spoken is reported; else it is an error.
    """

    source: VoiceSource
    speaker: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)
    audio: AudioOptions = AudioOptions()
    skip_bad: bool = False

    def __call__(self, task: Task) -> dict[str, Any]:
        """Writes the file of a task and gives its report."""
        try:
            speech = self.speak(task)
        except AmttsError as fault:
            if not self.skip_bad:
                raise AmttsError(f"{task.row.place}: {fault.message}", remedy=fault.remedy) from None
            return {"problem": str(fault)}
        with AudioWriter(task.path, speech.sample_rate, options=self.audio) as writer:
            writer.write(speech.samples)
        return {"seconds": round(speech.duration, 3), **reading_report(speech)}

    def speak(self, task: Task, on_progress: Callable[[int, int], None] | None = None) -> Speech:
        """The speech of a task."""
        voice = self.source.load(task.row.voice)
        return voice.speak(
            task.row.text, speaker=task.row.speaker or self.speaker, on_progress=on_progress, **self.how
        )


def reading_report(speech: Speech) -> dict[str, Any]:
    """What there is to report of a speech: what was guessed, not known, left out, cut or tried again."""
    report: dict[str, Any] = {}
    for name, counts in (
        ("guesses", speech.guesses),
        ("unread", speech.unread),
        ("left_out", speech.left_out),
    ):
        if counts:
            report[name] = dict(counts)
    if speech.notes:
        report["notes"] = [{"text": text, "note": note} for text, note in speech.notes]
    return report
