"""What an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass

from amtts_core.errors import AmttsError, nearest

METRICS = ("text", "quality", "speaker", "prosody", "signal", "alignment")
"""text: CER and WER by a recognizer. quality: DistillMOS and DNSMOS. speaker: similarity to the recordings. prosody:
spectrum, pitch and length against the recordings. signal: level, clipping, silence. alignment: pauses, word times."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Settings of `evaluate`.

    Attributes:
        metrics: groups of `METRICS`.
        required: groups that fail where a package is missing; the others are skipped with the reason.
        recognizer: see `open_recognizer`; empty for the one that comes along.
        language: of the texts.
        device: where networks compute.
        batch: utterances that are in memory at a time.
        seed: of the bootstrap.
    """

    metrics: tuple[str, ...] = METRICS
    required: tuple[str, ...] = ()
    recognizer: str = ""
    language: str = "am"
    device: str = "cpu"
    batch: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise AmttsError(
                    f"--metrics: unknown '{name}'{nearest(name, METRICS)}; known: {', '.join(METRICS)}"
                )
