"""Voices of recordings: features of w2v-bert, encoded once where the encoders do not learn.

B items, N latents, D channels, T frames of w2v-bert.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amtts_core.audio.io import read_audio
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.reference_audio import FeatureExtractor, PromptEncoder, PromptFeatures
from amtts_core.contract.types import Features
from amtts_core.errors import AmttsError
from amtts_indextts2.config import IndexTTS2Config
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.voices import CONDITIONERS
from amtts_indextts2.w2v_bert import RATE, W2vBert, open_w2v_bert


def prompt_extractor(config: IndexTTS2Config) -> FeatureExtractor | None:
    """`frames` (T, 1024) float32 of a recording; None with a table of speakers."""
    if config.conditioning == "table":
        return None
    features = _features_of(config)
    return FeatureExtractor(
        "indextts2-voice",
        features.key,
        RATE,
        lambda waveform: Features(arrays={"frames": features(waveform)}),
    )


def _features_of(config: IndexTTS2Config) -> W2vBert:
    return open_w2v_bert(config.voice_model, config.voice_statistics, config.voice_layer)


def _own_features(network: IndexTTS2Gpt, config: IndexTTS2Config) -> W2vBert:
    """The w2v-bert whose features the network's encoders were trained on."""
    features, known = _features_of(config), network.voices.source_key
    if known not in ("", features.key):
        raise AmttsError(
            f"this network was trained on features of the w2v-bert {known[:12]}, "
            f"{config.voice_model} with its statistics is {features.key[:12]}",
            remedy="Name what it was trained with: --set model.voice_model=PATH --set model.voice_statistics=FILE",
        )
    return features


def _encode(network: IndexTTS2Gpt, frames: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frames (T, 1024) of one clip -> latents (1, N, D) and emotion (1, D)."""
    batch = torch.from_numpy(frames)[None].to(device)
    return network.encode_clips(batch, torch.tensor([batch.shape[1]], device=device))


def voice_of_recording(network: IndexTTS2Gpt, config: IndexTTS2Config) -> Tensor:
    """The voice of the recording `config.voice_clip` (1, N, D), emotion included; encoded once.

    Raises:
        AmttsError: the network has no encoders, or the recording or w2v-bert cannot be read or is another one.
    """
    if config.conditioning == "table":
        raise AmttsError(
            f"model.voice_clip is {config.voice_clip}; this network has a table of speakers and no encoder of clips",
            remedy="Leave it out, or train with model.conditioning=conformers",
        )
    voices = network.voices
    if voices.recorded is None or voices.recorded[0] != config.voice_clip:
        waveform = read_audio(Path(config.voice_clip), sample_rate=RATE)
        latents, emotion = _encode(network, _own_features(network, config)(waveform), voices.latents.device)
        voices.recorded = (config.voice_clip, latents + emotion[:, None])
    return voices.recorded[1].to(voices.latents.device)


def prompt_encoder(network: IndexTTS2Gpt) -> PromptEncoder | None:
    """The frozen encoders: a recording becomes `latents` (N, D), `emotion` (1, D); None where they are trained.

    Raises:
        AmttsError: its voices are of the features of another w2v-bert.
    """
    network.voices.source_key = _own_features(network, network.config).key
    open_w2v_bert.cache_clear()  # all clips are read; training has better use for its memory
    if any(parameter.requires_grad for parameter in network.encoder_parameters()):
        return None
    own = {name: value for name, value in network.state_dict().items() if name.startswith(CONDITIONERS)}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def encode(clip: PromptFeatures) -> PromptFeatures:
        network.to(device)  # does nothing where it is there already
        latents, emotion = _encode(network, clip["frames"], device)
        return {"latents": latents[0].cpu().numpy(), "emotion": emotion.cpu().numpy()}

    return PromptEncoder(weights_fingerprint(own), encode)
