"""What `amtts synthesize` does beside speaking: a recognizer that checks each sentence, and word times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_cli import console
from amtts_core.errors import AmttsError, nearest

if TYPE_CHECKING:
    from amtts.speech import Speech
    from amtts.voice import Voice
    from amtts_core.contract.recognizer import FrameRecognizer, Recognizer
    from amtts_core.evaluation.guard import GuardSettings


def for_the_engine(how: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Voice.speak` as those of `Synthesizer.speak`."""
    from amtts.voice import pauses_of
    from amtts_core.synthesis.engine import Tone

    kept = {name: value for name, value in how.items() if name in ("speed", "seed", "speaker")}
    tone = Tone(how.get("pitch", 0.0), how.get("pitch_range", 1.0), how.get("question_rise", 0.0))
    return kept | {"tone": tone, "pauses": pauses_of(how.get("sentence_pause"), how.get("paragraph_pause"))}


@dataclass
class CheckedSpeech:
    """Speaks, checks and times.

    Attributes:
        guard: reads each sentence; None does not check.
        settings: when a sentence is spoken again.
        aligner: finds the words; None writes no times.
        form: of the word times: srt, vtt or json.
        doubtful: sentences that even their best try left doubtful, so far.
    """

    guard: Recognizer | None = None
    settings: GuardSettings | None = None
    aligner: FrameRecognizer | None = None
    form: str = ""
    doubtful: int = field(default=0)

    @classmethod
    def open(
        cls, guard: str | None, *, tries: int, max_cer: float, timestamps: str, language: str, device: str
    ) -> CheckedSpeech:
        """Opens the recognizers that are asked for.

        Raises:
            AmttsError: an unknown format of times, or a recognizer that cannot be used.
        """
        if guard is None and not timestamps:
            return cls()
        from amtts_core.contract.recognizer_registry import frame_recognizer, open_recognizer
        from amtts_core.evaluation.guard import GuardSettings
        from amtts_core.evaluation.subtitle_files import FORMATS

        if timestamps and timestamps not in FORMATS:
            raise AmttsError(
                f"--timestamps '{timestamps}' is unknown{nearest(timestamps, FORMATS)}; known: {', '.join(FORMATS)}"
            )
        return cls(
            guard=None if guard is None else open_recognizer(guard, device=device),
            settings=GuardSettings(tries=tries, max_cer=max_cer, language=language),
            aligner=frame_recognizer(guard or "", device=device) if timestamps else None,
            form=timestamps,
        )

    @property
    def is_used(self) -> bool:
        """Speech is checked or timed."""
        return self.guard is not None or self.aligner is not None

    def speak(self, voice: Voice, text: str, path: Path, **how: Any) -> tuple[Speech, dict[str, Any]]:
        """Speaks a text; writes its word times beside `path`; returns what goes onto its row."""
        row: dict[str, Any] = {}
        if self.guard is None:
            speech = voice.speak(text, **how)
        else:
            from amtts.voice import speech_of
            from amtts_core.evaluation.guard import speak_guarded

            guarded = speak_guarded(
                voice.synthesizer, text, self.guard, settings=self.settings, **for_the_engine(how)
            )
            speech = speech_of(guarded.speech, voice.synthesizer.read(text))
            row["tries"] = sum(sentence.tries for sentence in guarded.sentences)
            row["doubtful"] = [
                {"text": s.text, "recognized": s.hypothesis, "cer": round(s.cer, 4), "problem": s.problem}
                for s in guarded.doubtful
            ]
            self.doubtful += len(guarded.doubtful)
            for sentence in guarded.doubtful:
                console.warn(f"{path}: doubtful: {sentence.text!r}: {sentence.problem}")
        if self.aligner is not None:
            row["timestamps"] = str(self._write_times(self.aligner, voice, text, speech, path))
        return speech, row

    def _write_times(
        self, aligner: FrameRecognizer, voice: Voice, text: str, speech: Speech, path: Path
    ) -> Path:
        from amtts_core.evaluation.subtitle_files import write_captions
        from amtts_core.evaluation.timestamps import written_captions
        from amtts_core.storage.atomic import replace_text

        captions = written_captions(
            aligner,
            speech.samples,
            speech.sample_rate,
            written=voice.synthesizer.written(text),
            spoken=speech.text,
            normalize=voice.synthesizer.normalizer,
        )
        beside = path.with_suffix(f".{self.form}")
        beside.parent.mkdir(parents=True, exist_ok=True)
        replace_text(beside, write_captions(captions, form=self.form))
        return beside
