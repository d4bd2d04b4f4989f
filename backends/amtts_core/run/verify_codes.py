"""Looks at stored codes again: are they what the codec makes of the audio, and what does it make of them?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from amtts_core.audio.io import resample
from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.codec.store import CodeStore
from amtts_core.contract.codec import CodecIdentity, SpeechCodec
from amtts_core.corpus.manifest import read_manifest
from amtts_core.data.features import load_utterance
from amtts_core.errors import AmttsError
from amtts_core.units import Decibels


@dataclass(frozen=True)
class Verification:
    """One utterance decoded from its stored codes.

    Attributes:
        id: of the utterance.
        equal: share of stored codes that encoding the audio alone gives again.
        snr: signal over error, dB; says little where the codec keeps no phase (mel-codes).
        mel_distance: mean absolute difference of natural-log mels.
    """

    id: str
    equal: float
    snr: Decibels
    mel_distance: float

    @property
    def ok(self) -> bool:
        """Nearly all codes come again (another machine may round a tie the other way) and the audio is finite."""
        return self.equal >= 0.98 and bool(np.isfinite([self.snr, self.mel_distance]).all())


@torch.inference_mode()
def verify_codes(
    store: CodeStore, manifest: Path, codec: SpeechCodec, *, count: int, device: str = "cpu"
) -> list[Verification]:
    """Checks `count` utterances spread over the manifest.

    Raises:
        AmttsError: the store was made by another codec, or has none of the manifest's utterances.
    """
    store.identity.require(CodecIdentity.of(codec), what=str(store.folder))
    known = [u for u in read_manifest(manifest) if not store.problem(u.id)]
    if not known:
        raise AmttsError(f"code store {store.folder} has codes of no utterance of {manifest}")
    picked = np.unique(np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int))
    mel = _mel_config(codec.sample_rate)
    out = []
    for index in picked.tolist():
        utterance = known[index]
        wave = torch.from_numpy(load_utterance(utterance, manifest, codec.sample_rate))[None].to(device)
        stored = torch.from_numpy(store.get(utterance.id).astype(np.int64)).T[None].to(device)
        again = codec.encode(wave)
        same = again.shape == stored.shape
        spoken = _spoken(codec, stored, utterance.audio_path(manifest))[:, : wave.shape[1]].cpu()
        decoded = wave[:, : spoken.shape[1]].cpu()
        error = (spoken - decoded).pow(2).sum().clamp(min=1e-12)
        distance = (log_mel(spoken, mel) - log_mel(decoded, mel)).abs().mean()
        out.append(
            Verification(
                id=utterance.id,
                equal=float((again == stored).float().mean()) if same else 0.0,
                snr=float(10 * torch.log10(decoded.pow(2).sum().clamp(min=1e-12) / error)),
                mel_distance=float(distance),
            )
        )
    return out


def _spoken(codec: SpeechCodec, codes: torch.Tensor, recording: Path) -> torch.Tensor:
    """Codes (1, K, L) as sound (1, T) at the codec's rate; a codec that needs a voice takes the recording's own."""
    decoder = codec.voice_decoder
    if decoder is None:
        return codec.decode(codes)
    (wave,) = decoder.speak([codes[0, 0]], decoder.voice(recording))
    return torch.from_numpy(resample(wave.numpy(), decoder.speech_rate, codec.sample_rate))[None]


def _mel_config(sample_rate: int) -> MelConfig:
    return MelConfig(sample_rate=sample_rate, fmax=min(8000.0, sample_rate / 2))
