"""Other clips of a speaker as batches, and the voices that a checkpoint remembers, so that it speaks without w2v-bert.

B items, V speakers, N latents, D channels, T frames of w2v-bert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amtts_core.contract.reference_audio import PromptFeatures
from amtts_core.errors import CheckpointError
from amtts_core.speech_lm.speaker_memory import RunningMeans
from amtts_indextts2.config import IndexTTS2Config

CONDITIONERS = ("speaker.", "emotion.")
"""Beginnings of the names of the parameters of the encoders of clips."""


class VoiceMemory(RunningMeans):
    """Mean latents and mean emotion of each speaker's clips.

    Args:
        count: speakers V.
        num_latents: N.
        dim: D.
    """

    latents: Tensor
    emotion: Tensor
    source: Tensor
    """sha256 of the w2v-bert whose features the clips were, see `W2vBert.key`; zero: none yet."""

    def __init__(self, count: int, num_latents: int, dim: int) -> None:
        super().__init__(
            {"latents": torch.zeros(count, num_latents, dim), "emotion": torch.zeros(count, dim)}
        )
        self.register_buffer("source", torch.zeros(32, dtype=torch.uint8))

    def forward(self, speakers: Tensor) -> Tensor:
        """Rows (B,) -> what stands in the prefix (B, N, D)."""
        return self.latents[speakers] + self.emotion[speakers][:, None]

    @property
    def source_key(self) -> str:
        """`source` in hex, empty where it is not known."""
        return bytes(self.source.tolist()).hex() if bool(self.source.any()) else ""

    @source_key.setter
    def source_key(self, key: str) -> None:
        self.source.copy_(torch.tensor(list(bytes.fromhex(key)), dtype=torch.uint8))

    @torch.no_grad()
    def set_means(self, clips: Iterable[tuple[int, PromptFeatures]]) -> None:
        """Each speaker's voice becomes the mean of these clips; speakers without one keep theirs."""
        sums: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
        for speaker, clip in clips:
            count, latents, emotion = sums.get(speaker, (0, np.float64(0), np.float64(0)))
            sums[speaker] = (count + 1, latents + clip["latents"], emotion + clip["emotion"][0])
        for speaker, (count, latents, emotion) in sums.items():
            self.latents[speaker] = torch.from_numpy(latents / count).to(self.latents)
            self.emotion[speaker] = torch.from_numpy(emotion / count).to(self.emotion)

    def begin_step(self) -> None:
        """See `SpeakerMemory`; the encoders may change, so the voice of a recording is encoded again."""
        super().begin_step()
        self.recorded: tuple[str, Tensor] | None = None  # a recording and its voice, see `voice_of_recording`


def prompts_of(clips: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
    """The clips of the items of a batch as tensors; empty where there are none.

    Returns:
        `prompt_latents` (B, N, D) and `prompt_emotion` (B, D) of encoded clips, or `prompt_frames` (B, T, 1024),
        padded with zeros, and `prompt_lengths` (B,).
    """
    if not any(clips):
        return {}
    if "latents" in clips[0]:
        return {
            "prompt_latents": torch.from_numpy(np.stack([clip["latents"] for clip in clips])),
            "prompt_emotion": torch.from_numpy(np.concatenate([clip["emotion"] for clip in clips])),
        }
    frames = [torch.from_numpy(clip["frames"]) for clip in clips]
    return {
        "prompt_frames": pad_sequence(frames, batch_first=True),
        "prompt_lengths": torch.tensor([len(item) for item in frames]),
    }


def adapted_to(config: IndexTTS2Config, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's weights for these settings: a table of speakers can start as the voices of one with encoders.

    Raises:
        CheckpointError: it is the other way round.
    """
    encoders = "voices.latents" in weights
    if config.conditioning == "conformers" and not encoders:
        raise CheckpointError(
            "model.conditioning is 'conformers', and the weights it starts from have a table of speakers, no encoders",
            remedy="Leave it at 'table', or start from published weights or a run with encoders",
        )
    if config.conditioning == "conformers" or not encoders:
        return dict(weights)
    rows = weights["voices.latents"] + weights["voices.emotion"][:, None]
    kept = {name: value for name, value in weights.items() if not name.startswith((*CONDITIONERS, "voices."))}
    return {**kept, "speaker_table.weight": rows.flatten(1)}
