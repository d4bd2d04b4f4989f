"""Mels that a voice predicts for recordings it knows the text of, in place of the recordings' own.

A vocoder that has learnt from recordings' mels alone meets smoother ones when a voice speaks. These are aligned with
the recording by the voice itself (teacher forcing), so the recording stays what the vocoder has to make of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.contract.reference_audio import FeatureExtractor
from amtts_core.contract.registry import list_backends
from amtts_core.corpus.manifest import Utterance
from amtts_core.errors import AmttsError


def with_predicted_mels(extractor: FeatureExtractor, backend: Backend[Any], voice: Path) -> FeatureExtractor:
    """The extractor of a vocoder with the mels that the checkpoint `voice` predicts, as the feature `mel`.

    Raises:
        AmttsError: the backend learns from no mels, the checkpoint predicts none, or its mels are other ones.
    """
    reader = backend.spec.mel_input
    if reader is None:
        raise AmttsError(
            f"data.mels_from {voice}: backend '{backend.spec.name}' is no vocoder and learns from no predicted mels",
            remedy="Leave --mels-from out",
        )
    checkpoint = read_checkpoint(voice)
    speaker = checkpoint.load_backend()
    declared = speaker.spec.mel_prediction
    if declared is None:
        able = [
            entry.name for entry in list_backends() if entry.spec is not None and entry.spec.mel_prediction
        ]
        raise AmttsError(
            f"data.mels_from {voice}: a checkpoint of backend '{speaker.spec.name}' predicts no mels",
            remedy=f"Name a checkpoint of {' or '.join(able)}",
        )
    predictor = declared.of(speaker)
    wrong = reader.of(backend).input_mel_format().differences(predictor.predicted_mel_format())
    if wrong:
        what, ours, theirs = wrong[0]
        raise AmttsError(
            f"data.mels_from {voice} predicts mels with {what} {theirs}, the vocoder learns {what} {ours}",
            remedy="Set model.mel of the vocoder to that of the voice",
        )

    def predicted(utterance: Utterance, waveform: np.ndarray) -> dict[str, np.ndarray]:
        tokens = speaker.tokenizer.encode(utterance.spoken_text())
        name = utterance.speaker if utterance.speaker in speaker.speakers else ""
        return {"mel": predictor.predict_mel(tokens, waveform, speaker=speaker.speakers.id_of(name))}

    made_by = f"{checkpoint.folder.resolve()}|{checkpoint.info.step}|{checkpoint.info.dataset_hash}"
    return replace(extractor, key=f"{extractor.key}|{made_by}", extract_more=predicted)
