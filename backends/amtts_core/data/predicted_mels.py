"""Mels that a voice predicts for recordings it knows the text of, in place of the recordings' own.

A vocoder that has learnt from recordings' mels alone meets smoother ones when a voice speaks. These are aligned with
the recording by the voice itself (teacher forcing), so the recording stays what the vocoder has to make of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.backend import Backend, LearnsFromMels, PredictsMels
from amtts_core.corpus.manifest import Utterance
from amtts_core.data.features import Recipe
from amtts_core.errors import AmttsError


def with_predicted_mels(recipe: Recipe, backend: Backend, voice: Path) -> Recipe:
    """The recipe of a vocoder with the mels that the checkpoint `voice` predicts, as the feature `mel`.

    Raises:
        AmttsError: the backend learns from no mels, the checkpoint predicts none, or its mels are other ones.
    """
    if not isinstance(backend, LearnsFromMels):
        raise AmttsError(
            f"data.mels_from {voice}: backend '{backend.spec.name}' is no vocoder and learns from no predicted mels",
            remedy="Leave --mels-from out",
        )
    checkpoint = read_checkpoint(voice)
    speaker = checkpoint.load_backend()
    if not isinstance(speaker, PredictsMels):
        raise AmttsError(
            f"data.mels_from {voice}: a checkpoint of backend '{speaker.spec.name}' predicts no mels",
            remedy="Name a checkpoint of chatterbox-mel",
        )
    wrong = backend.mel_format.differences(speaker.mel_format)
    if wrong:
        what, ours, theirs = wrong[0]
        raise AmttsError(
            f"data.mels_from {voice} predicts mels with {what} {theirs}, the vocoder learns {what} {ours}",
            remedy="Set model.mel of the vocoder to that of the voice",
        )
    tokenizer = speaker.text_tokenizer
    known = set(checkpoint.info.speakers)

    def predicted(utterance: Utterance, waveform: np.ndarray) -> dict[str, np.ndarray]:
        assert tokenizer is not None
        tokens = tokenizer.encode(utterance.spoken_text())
        name = utterance.speaker if utterance.speaker in known else ""
        return {"mel": speaker.predict_mel(tokens, waveform, speaker=name)}

    made_by = f"{checkpoint.folder.resolve()}|{checkpoint.info.step}|{checkpoint.info.dataset_hash}"
    return replace(recipe, key=f"{recipe.key}|{made_by}", more=predicted)
