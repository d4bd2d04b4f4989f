"""What is heard of other clips, as batches, and what a checkpoint remembers of its speakers: so it needs no w2v-bert.

B items, V speakers, N latents, D channels, T frames of w2v-bert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.audio.io import read_audio
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.learner import AllReduce
from amtts_core.contract.reference_audio import FeatureExtractor, PromptEncoder
from amtts_core.contract.reference_audio import PromptFeatures as Clip
from amtts_core.contract.types import Features
from amtts_core.errors import AmttsError, CheckpointError
from amtts_indextts2.codec import NAME
from amtts_indextts2.config import IndexTTS2Config
from amtts_indextts2.w2v_bert import RATE, W2vBert, open_w2v_bert

if TYPE_CHECKING:
    from amtts_indextts2.network import IndexTTS2Gpt

CONDITIONERS = ("speaker.", "emotion.")
"""Beginnings of the names of the parameters that hear clips."""
FORGET = 0.02
"""Share of a voice that a step renews, where the encoders learn."""


def prompts_of(clips: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
    """What the items of a batch hear, as tensors; empty where nothing is heard.

    Returns:
        `heard_latents` (B, N, D) and `heard_emotion` (B, D) of condensed clips, or `heard_frames` (B, T, 1024), padded
        with zeros, and `heard_lengths` (B,).
    """
    if not any(clips):
        return {}
    if "latents" in clips[0]:
        return {
            "heard_latents": torch.from_numpy(np.stack([clip["latents"] for clip in clips])),
            "heard_emotion": torch.from_numpy(np.concatenate([clip["emotion"] for clip in clips])),
        }
    frames = [torch.from_numpy(clip["frames"]) for clip in clips]
    return {
        "heard_frames": nn.utils.rnn.pad_sequence(frames, batch_first=True),
        "heard_lengths": torch.tensor([len(rows) for rows in frames]),
    }


def _listener(config: IndexTTS2Config) -> W2vBert:
    return open_w2v_bert(config.voice_model, config.voice_statistics, config.voice_layer)


def prompt_extractor(config: IndexTTS2Config) -> FeatureExtractor | None:
    """`frames` (T, 1024) float32 of a clip; None with a table of speakers."""
    if config.conditioning == "table":
        return None
    listener = _listener(config)
    return FeatureExtractor(
        f"{NAME}-voice", listener.key, RATE, lambda waveform: Features(arrays={"frames": listener(waveform)})
    )


def _own_listener(network: IndexTTS2Gpt, config: IndexTTS2Config) -> W2vBert:
    """The w2v-bert that the network's voices were heard with."""
    listener, known = _listener(config), network.voices.source_key
    if known not in ("", listener.key):
        raise AmttsError(
            f"this network has learnt to hear with the w2v-bert {known[:12]}, "
            f"{config.voice_model} with its statistics is {listener.key[:12]}",
            remedy="Name what it was trained with: --set model.voice_model=PATH --set model.voice_statistics=FILE",
        )
    return listener


def heard_voice(network: IndexTTS2Gpt, config: IndexTTS2Config) -> Tensor:
    """The voice of the recording `config.voice_clip` (1, N, D), emotion included; heard once.

    Raises:
        AmttsError: the network hears no clips, or the recording or w2v-bert cannot be read or is another one.
    """
    if config.conditioning == "table":
        raise AmttsError(
            f"model.voice_clip is {config.voice_clip}, and this network has a table of speakers and hears no clips",
            remedy="Leave it out, or train with model.conditioning=conformers",
        )
    known = network.voices.heard
    if known is None or known[0] != config.voice_clip:
        waveform = read_audio(Path(config.voice_clip), sample_rate=RATE)
        frames = torch.from_numpy(_own_listener(network, config)(waveform))[None].to(network.voices.latents)
        latents, emotion = network.hear(frames, torch.tensor([frames.shape[1]], device=frames.device))
        known = network.voices.heard = (config.voice_clip, latents + emotion[:, None])
    return known[1].to(network.voices.latents.device)


def condenser_of(network: IndexTTS2Gpt) -> PromptEncoder | None:
    """What the encoders make of a clip: `latents` (N, D) and `emotion` (1, D); None where they learn.

    Raises:
        AmttsError: its voices were heard with another w2v-bert.
    """
    network.voices.source_key = _own_listener(network, network.config).key
    open_w2v_bert.cache_clear()  # all is heard; training has better use for its memory
    if any(parameter.requires_grad for parameter in network.conditioners()):
        return None
    own = {name: value for name, value in network.state_dict().items() if name.startswith(CONDITIONERS)}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def make(clip: Clip) -> Clip:
        network.to(device)  # a step for nobody where it is there already
        frames = torch.from_numpy(clip["frames"])[None].to(device)
        latents, emotion = network.hear(frames, torch.tensor([frames.shape[1]], device=device))
        return {"latents": latents[0].cpu().numpy(), "emotion": emotion.cpu().numpy()}

    return PromptEncoder(weights_fingerprint(own), make)


def adapted_to(config: IndexTTS2Config, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's weights for these settings: a table of speakers can begin as the voices of one that hears clips.

    Raises:
        CheckpointError: it is the other way round.
    """
    if config.conditioning == "conformers" and "voices.latents" not in weights:
        raise CheckpointError(
            "model.conditioning is 'conformers', and the weights it starts from have a table of speakers, no encoders",
            remedy="Leave it at 'table', or start from published weights or a run with encoders",
        )
    if config.conditioning == "conformers" or "voices.latents" not in weights:
        return dict(weights)
    rows = weights["voices.latents"] + weights["voices.emotion"][:, None]
    left = (*CONDITIONERS, "voices.")
    kept = {name: value for name, value in weights.items() if not name.startswith(left)}
    return {**kept, "speaker_table.weight": rows.flatten(1)}


class VoiceTable(nn.Module):
    """Mean latents and mean emotion of each speaker's clips. Buffers only; no gradient moves them.

    Args:
        count: speakers V.
        num_latents: N.
        dim: D.
    """

    latents: Tensor
    emotion: Tensor
    source: Tensor
    """sha256 of the w2v-bert that the clips were heard with, see `W2vBert.key`; zero: none yet."""

    def __init__(self, count: int, num_latents: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("latents", torch.zeros(count, num_latents, dim))
        self.register_buffer("emotion", torch.zeros(count, dim))
        self.register_buffer("source", torch.zeros(32, dtype=torch.uint8))
        self.begin_step()

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
    def remember(self, clips: Iterable[tuple[int, Clip]]) -> None:
        """Each speaker's voice becomes the mean of these clips; speakers without one keep theirs."""
        sums: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
        for speaker, clip in clips:
            count, latents, emotion = sums.get(speaker, (0, np.float64(0), np.float64(0)))
            sums[speaker] = (count + 1, latents + clip["latents"], emotion + clip["emotion"][0])
        for speaker, (count, latents, emotion) in sums.items():
            self.latents[speaker] = torch.from_numpy(latents / count).to(self.latents)
            self.emotion[speaker] = torch.from_numpy(emotion / count).to(self.emotion)

    def begin_step(self) -> None:
        """Forgets the clips of an unfinished step, and what encoders of before it heard."""
        self.heard: tuple[str, Tensor] | None = None  # a recording and its voice (1, N, D), see `heard_voice`
        self._met = torch.zeros(len(self.latents), 1 + self.latents[0].numel() + self.emotion.shape[1])

    @torch.no_grad()
    def meet(self, speakers: Tensor, latents: Tensor, emotion: Tensor) -> None:
        """Clips of this step, (B, N, D) and (B, D), where the encoders learn."""
        rows = torch.cat([torch.ones_like(emotion[:, :1]), latents.flatten(1), emotion], dim=1)
        self._met = self._met.to(rows.device, torch.float32).index_add(0, speakers, rows.float())

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """Voices move towards the mean of the step's clips; a new one becomes it."""
        met = self._met.to(self.latents.device)
        all_reduce.sum(met)
        heard = met[:, 0] > 0
        if bool(heard.any()):
            mean = met[heard, 1:] / met[heard, :1]
            known = (self.latents[heard].flatten(1) != 0).any(dim=1, keepdim=True)
            own = torch.cat([self.latents[heard].flatten(1), self.emotion[heard]], dim=1)
            moved = torch.where(known, own.lerp(mean, FORGET), mean)
            size = self.latents[0].numel()
            self.latents[heard] = moved[:, :size].unflatten(1, self.latents.shape[1:])
            self.emotion[heard] = moved[:, size:]
        self.begin_step()
