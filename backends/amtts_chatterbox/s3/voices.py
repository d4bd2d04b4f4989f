"""Who speaks: a recording, or `conds.pt` as Chatterbox saves it, to all that T3 and S3Gen need of a speaker.

Of a recording the stretch with the most voice is taken, cut on S3Gen's grid of 40 ms and brought to one loudness; T3
gets up to six seconds from the same place, and its speaker vector the whole.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.front_ends import VOICE_RATE
from amtts_chatterbox.s3.estimator import MELS
from amtts_chatterbox.s3.front_ends import long_log_mel
from amtts_chatterbox.s3.reference_voice import GRID, ReferenceVoice, embed_reference
from amtts_chatterbox.s3.speaker_encoder import VECTOR
from amtts_chatterbox.s3.tokenizer import CODES, tokenize
from amtts_chatterbox.s3.vocoder import RATE
from amtts_chatterbox.s3.weights import S3Network
from amtts_chatterbox.voice_encoder import VoiceEncoder
from amtts_core.audio.activity import voiced_by_energy
from amtts_core.audio.io import read_audio, resample
from amtts_core.audio.loudness import to_loudness
from amtts_core.audio.trim import FRAME, frame_levels
from amtts_core.errors import AmttsError
from amtts_core.storage.torch_files import load_torch_file
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)

SHORTEST, ADVISED, LONGEST = 0.4, 3.0, 120.0
"""Seconds of a recording: fewer are refused, fewer are warned of, more are not read."""
PROMPT: Seconds = 6.0
"""Of speech that T3 is prompted with at most; 15 s in Turbo and Nano."""
LOUDNESS, CEILING = -27.0, -1.0
"""LUFS that references are brought to, as the original does for its newer weights, and dBFS of their peaks at most."""
CONDITIONS = ".pt"
WHAT = "voice"


@dataclass(frozen=True)
class SpeakerVoice:
    """What is known of a speaker.

    Attributes:
        reference: for S3Gen.
        speaker: T3's speaker vector (E,), None where no voice encoder was there.
        prompt: speech codes for T3, at most 6 s.
    """

    reference: ReferenceVoice
    speaker: Tensor | None
    prompt: list[int]


def content_key(path: Path) -> str:
    """sha256 of a file.

    Raises:
        AmttsError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise AmttsError(
            f"{WHAT} {path} cannot be read: {error.strerror}",
            remedy="Give a recording of the speaker, or conds.pt",
        ) from None


def read_voice(
    path: Path,
    network: S3Network,
    encoder: VoiceEncoder | None,
    *,
    seconds: Seconds,
    prompt: Seconds = PROMPT,
) -> SpeakerVoice:
    """The voice of a recording or of a `.pt` file that Chatterbox saved.

    Args:
        path: an audio file, or conds.pt.
        network: makes codes and x-vector.
        encoder: makes T3's speaker vector; None makes none.
        seconds: of the recording that S3Gen is prompted with.
        prompt: seconds that T3 is prompted with at most.

    Raises:
        AmttsError: unreadable, too short, or silent.
    """
    if path.suffix == CONDITIONS:
        voice = read_conditions(path)
        kept = int(seconds * RATE / GRID)
        return SpeakerVoice(shortened(voice.reference, kept), voice.speaker, voice.prompt)
    whole = read_audio(path, sample_rate=RATE, duration=None)
    return voice_of(whole, network, encoder, seconds=seconds, prompt=prompt, source=f"{WHAT} {path}")


def voice_of(
    waveform: np.ndarray,
    network: S3Network,
    encoder: VoiceEncoder | None,
    *,
    seconds: Seconds,
    prompt: Seconds = PROMPT,
    source: str = "the recording",
) -> SpeakerVoice:
    """The voice of a waveform (T,) at 24 kHz, see `read_voice`."""
    samples = np.nan_to_num(waveform[: round(LONGEST * RATE)].astype(np.float32, copy=False))
    if len(samples) < SHORTEST * RATE:
        raise AmttsError(
            f"{source} has {len(waveform) / RATE:.2f} s, a voice needs at least {SHORTEST:g} s, better 5 to 10",
            remedy="Give a longer recording of the speaker",
        )
    if float(np.abs(samples).max()) < 1e-4:
        raise AmttsError(f"{source} holds no sound", remedy="Give a recording in which the speaker speaks")
    if len(samples) < ADVISED * RATE:
        logger.warning(
            "%s has %.1f s; a voice of less than %g s is a guess", source, len(samples) / RATE, ADVISED
        )
    samples = to_loudness(samples, RATE, target=LOUDNESS, ceiling=CEILING).samples
    begin = best_stretch(samples, seconds=seconds)
    cut = samples[begin : begin + round(seconds * RATE)]
    cut = cut[: len(cut) // GRID * GRID]
    device = network.flow.encoder_proj.weight.device
    reference = embed_reference(network, torch.from_numpy(np.ascontiguousarray(cut)).to(device))
    low = torch.from_numpy(np.ascontiguousarray(resample(samples, RATE, VOICE_RATE))).to(device)
    start = round(begin * VOICE_RATE / RATE)
    mel = long_log_mel(low[start : start + round(prompt * VOICE_RATE)])
    speaker = None if encoder is None else encoder.embed(low.cpu()).clone()
    return SpeakerVoice(reference, speaker, tokenize(network.tokenizer, [mel])[0].tolist())


def best_stretch(samples: np.ndarray, *, seconds: Seconds) -> int:
    """First sample of the `seconds` with the most voiced frames; the earliest of the best, a multiple of 40 ms."""
    spare = len(samples) - round(seconds * RATE)
    if spare <= 0:
        return 0
    voiced = voiced_by_energy(frame_levels(samples, RATE)).astype(np.int64)
    passed = np.concatenate([[0], np.cumsum(voiced)])
    step, width = round(GRID / RATE / FRAME), round(seconds / FRAME)
    starts = np.arange(0, spare // GRID + 1) * step
    ends = np.minimum(starts + width, len(voiced))
    return int(np.argmax(passed[ends] - passed[np.minimum(starts, len(voiced))])) * GRID


def shortened(reference: ReferenceVoice, codes: int) -> ReferenceVoice:
    """The first codes of a reference and their frames, two of each; its embedding stays that of the whole."""
    kept = min(codes, len(reference.codes), len(reference.mel) // 2)
    return ReferenceVoice(reference.codes[:kept], reference.mel[: 2 * kept], reference.embedding)


def read_conditions(path: Path) -> SpeakerVoice:
    """The voice in a `conds.pt` of Chatterbox.

    Raises:
        AmttsError: unreadable, or it holds something else; names the entry.
    """
    content_key(path)
    stored = load_torch_file(path, what=WHAT)
    try:
        parts: Mapping[str, Any] = stored["gen"]
        spoken: Mapping[str, Any] = stored["t3"]
        reference = ReferenceVoice(
            _codes(parts["prompt_token"], "gen.prompt_token", path),
            _rows(parts["prompt_feat"], MELS, "gen.prompt_feat", path),
            _rows(parts["embedding"], VECTOR, "gen.embedding", path)[0],
        )
        prompt = spoken["cond_prompt_speech_tokens"]
        vector = spoken["speaker_emb"]
    except (KeyError, TypeError, IndexError) as error:
        raise AmttsError(
            f"{WHAT} {path} is no conds.pt of Chatterbox: it lacks {error}",
            remedy="Give a recording, or conds.pt as Chatterbox saves it",
        ) from None
    if len(reference.mel) < 2 or not len(reference.codes):
        raise AmttsError(f"{WHAT} {path} holds an empty reference")
    speaker = None if vector is None else _rows(vector, 0, "t3.speaker_emb", path)[0]
    codes = [] if prompt is None else _codes(prompt, "t3.cond_prompt_speech_tokens", path).tolist()
    return SpeakerVoice(shortened(reference, len(reference.codes)), speaker, codes)


def _tensor(stored: Any, name: str, path: Path) -> Tensor:
    try:
        return torch.as_tensor(stored)
    except (TypeError, ValueError, RuntimeError):
        raise AmttsError(f"{WHAT} {path}: {name} is {type(stored).__name__}, expected numbers") from None


def _codes(stored: Any, name: str, path: Path) -> Tensor:
    """(P,) int64; whole numbers that a caller has cast to floats count as well."""
    flat = _tensor(stored, name, path).reshape(-1)
    if flat.is_complex() or flat.dtype == torch.bool or not bool((flat == flat.round()).all()):
        raise AmttsError(f"{WHAT} {path}: {name} holds no whole numbers")
    flat = flat.long()
    if len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) < CODES:
        raise AmttsError(
            f"{WHAT} {path}: {name} ranges from {int(flat.min())} to {int(flat.max())}, expected 0 to {CODES - 1}"
        )
    return flat


def _rows(stored: Any, width: int, name: str, path: Path) -> Tensor:
    """(rows, width) float32; width 0 takes any."""
    tensor = _tensor(stored, name, path)
    width = width or (tensor.shape[-1] if tensor.ndim else 1)
    if not tensor.numel() or tensor.shape[-1:] != (width,) or not tensor.is_floating_point():
        raise AmttsError(
            f"{WHAT} {path}: {name} has shape {list(tensor.shape)}, expected numbers (…, {width})"
        )
    if not bool(tensor.isfinite().all()):
        raise AmttsError(f"{WHAT} {path}: {name} holds a number that is not finite")
    return tensor.reshape(-1, width).float()


def write_conditions(path: Path, voice: SpeakerVoice, *, emotion: float = 0.5) -> Path:
    """Writes a voice as Chatterbox does; the file appears whole or not at all.

    Raises:
        AmttsError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        torch.save(conditions_of(voice, emotion=emotion), temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise AmttsError(
            f"{WHAT} {path} cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from None
    return path


def conditions_of(voice: SpeakerVoice, *, emotion: float = 0.5) -> dict[str, Any]:
    """What `conds.pt` holds of a voice; stock Chatterbox reads it when it is saved by `torch.save`."""
    reference = voice.reference.to(torch.device("cpu"))
    vector = torch.zeros(256) if voice.speaker is None else voice.speaker.cpu()
    return {
        "t3": {
            "speaker_emb": vector[None].clone(),
            "clap_emb": None,
            "cond_prompt_speech_tokens": torch.tensor([voice.prompt], dtype=torch.long),
            "cond_prompt_speech_emb": None,
            "emotion_adv": torch.full((1, 1, 1), emotion),
        },
        "gen": {
            "prompt_token": reference.codes[None].clone(),
            "prompt_token_len": torch.tensor([len(reference.codes)]),
            "prompt_feat": reference.mel[None].clone(),
            "prompt_feat_len": None,
            "embedding": reference.embedding[None].clone(),
        },
    }
