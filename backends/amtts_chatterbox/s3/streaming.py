"""Codes to speech while they come: chunk by chunk, joined without a click.

Attention of the flow looks everywhere, so a chunk is computed with the same prompt, up to two seconds of what was
before, and three codes of what follows. Noise belongs to frames, not to chunks. Where two chunks meet, their mels are
blended over a few frames; the vocoder sees one mel, with the context it needs on both sides and one running phase, so
its waveform is that of the whole mel at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.s3.flow_encoder import LOOK_AHEAD, UPSAMPLING
from amtts_chatterbox.s3.noise import source_noise, source_phase
from amtts_chatterbox.s3.reference_voice import ReferenceVoice
from amtts_chatterbox.s3.speaking import S3Speech, Spoken, faded
from amtts_chatterbox.s3.vocoder import CONTEXT, HOP, PITCH_REACH
from amtts_chatterbox.s3.weights import refuse_codes

FIRST, LARGEST = 25, 100
"""Codes of the first chunk and of the largest: 1 s and 4 s. Each is twice as long as the one before."""
BEFORE = 50
"""Codes before a chunk that are computed with it."""
BLENDED = 6
"""Frames over which two chunks become one."""


class VocoderStream:
    """A mel that grows to a waveform that grows with it; the samples are those of the whole mel at once."""

    def __init__(self, speech: S3Speech, seed: int) -> None:
        self._speech, self._vocoder, self._seed = speech, speech.network.vocoder, seed
        self._phase = source_phase(seed)[None].to(speech.device)
        self._mel: Tensor | None = None
        self._first = 0  # frame that `_mel` begins with
        self._made = 0  # frames that became sound
        self._pitch = torch.zeros(0, device=speech.device)  # of the frames before those that may still change
        self._turned: Tensor | None = None  # cycles of the harmonics before frame `_first`

    def add(self, mel: Tensor, *, last: bool = False) -> Tensor:
        """Samples (T,) that are certain now that frames (80, L) have come."""
        self._mel = mel if self._mel is None else torch.cat([self._mel, mel], dim=1)
        known = self._first + self._mel.shape[1]
        ready = known if last else known - CONTEXT
        if ready <= self._made:
            return mel.new_zeros(0)
        pitch = self._vocoder.pitch(self._mel[None])
        old = self._pitch[self._first :]
        pitch[0, : len(old)] = old
        certain = known if last else known - PITCH_REACH
        fresh = pitch[0, len(old) : certain - self._first]
        self._pitch = torch.cat([self._pitch, fresh])
        noise = source_noise(self._seed, first=self._first, count=self._mel.shape[1])[None].to(mel.device)
        source = self._vocoder.source(pitch, self._phase, noise, self._turned)
        wave = self._speech.decode(self._mel[None], source)[0]
        out = wave[(self._made - self._first) * HOP : (ready - self._first) * HOP]
        self._made = ready
        first = max(self._first, ready - CONTEXT)
        passed = self._pitch[self._first : first]
        self._turned = self._vocoder.turns(passed[None], self._turned)
        self._mel, self._first = self._mel[:, first - self._first :], first
        return out


class MelStream:
    """Codes that come to a mel that grows; what was handed over stays."""

    def __init__(self, speech: S3Speech, voice: ReferenceVoice, seed: int) -> None:
        self._speech, self._voice, self._seed = speech, voice, seed
        self._codes: list[int] = []
        self._given = 0  # frames handed over
        self._held: Tensor | None = None  # frames of the last chunk that will be blended

    def add(self, codes: list[int], *, last: bool = False) -> Tensor | None:
        """Frames (80, L) that follow from further codes; None where there are none yet.

        Raises:
            AmttsError: one of them is no code.
        """
        if codes:
            refuse_codes(torch.tensor(codes))
        self._codes += codes
        count = len(self._codes)
        if count <= (0 if last else LOOK_AHEAD):
            return None
        begin = max(0, self._given // UPSAMPLING - BEFORE)
        utterance = Spoken(torch.tensor(self._codes[begin:]), self._voice, self._seed)
        more = not last
        (mel,) = self._speech.mels([utterance], first=begin, more_follows=more)
        fresh = mel[:, self._given - UPSAMPLING * begin :]
        if self._held is not None and self._held.shape[1]:
            width = min(self._held.shape[1], fresh.shape[1])
            share = torch.arange(1, width + 1, device=fresh.device) / (width + 1)
            blended = self._held[:, :width] * (1 - share) + fresh[:, :width] * share
            fresh = torch.cat([blended, fresh[:, width:]], dim=1)
        keep = min(BLENDED, fresh.shape[1]) if more else 0
        out = fresh[:, : fresh.shape[1] - keep]
        self._held = fresh[:, fresh.shape[1] - keep :]
        self._given += out.shape[1]
        return out if out.shape[1] else None


def chunks(pieces: Iterable[list[int]]) -> Iterator[tuple[list[int], bool]]:
    """Codes in chunks of 1 to 4 s, and whether a chunk is the last."""
    waiting: list[int] = []
    size = FIRST
    for piece in pieces:
        waiting += piece
        while len(waiting) > size + LOOK_AHEAD:  # so that the last chunk is never empty
            yield waiting[:size], False
            waiting = waiting[size:]
            size = min(2 * size, LARGEST)
    yield waiting, True


@torch.inference_mode()
def stream_speech(
    speech: S3Speech, pieces: Iterable[list[int]], voice: ReferenceVoice, *, seed: int = 0
) -> Iterator[np.ndarray]:
    """Waveforms (T,) at 24 kHz of codes as they come; joined they are the speech.

    A speech of at most one chunk is exactly what `S3Speech.speak` makes of it.

    Args:
        speech: speaks.
        pieces: codes, some at a time.
        voice: on the network's device.
        seed: of all random numbers.
    """
    mels, vocoder = MelStream(speech, voice, seed), VocoderStream(speech, seed)
    begun = False
    for codes, last in chunks(pieces):
        mel = mels.add(codes, last=last)
        if mel is None:
            continue
        wave = vocoder.add(mel, last=last)
        if len(wave):
            wave = wave if begun else faded(wave[None])[0]
            begun = True
            yield wave.float().cpu().numpy()
