"""The trained network as a `Vocoder`: whole, or in pieces that join exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.audio.mel import LOG_FLOOR
from amtts_core.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import CheckpointError
from amtts_vocoders.neural.learner import TrainableVocoder
from amtts_vocoders.neural.network import VocoderNetwork
from amtts_vocoders.neural.plain import PlainVocoder
from amtts_vocoders.neural.source import NOISE_SAMPLES, cycles_of, cycles_within

BACKEND = "vocoder"
BLOCK = 32
"""Frames whose pitch is read together."""
FIRST, LONGEST = 12, 192
"""Frames of the first piece of a stream and, after doubling, of the longest."""


class NeuralVocoder:
    """A network of the backend `vocoder`."""

    name = "vocoder"
    needs_weights = True

    def __init__(
        self, network: VocoderNetwork, *, license: str = "", checkpoint: Checkpoint | None = None
    ) -> None:
        self.network = network.eval()
        self._checkpoint = checkpoint
        self.mel = network.config.mel.format
        self.license = license or "as its training data"

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """A checkpoint or run folder of the backend `vocoder`."""
        heads = [path / "checkpoint.json", *sorted((path / "checkpoints").glob("*/checkpoint.json"))]
        for head in heads:
            try:
                values = json.loads(head.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            return isinstance(values, dict) and values.get("backend") == BACKEND
        return False

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> NeuralVocoder:
        """The network of a checkpoint or of a run's best one."""
        assert path is not None
        checkpoint = read_checkpoint(path)
        if checkpoint.info.backend != BACKEND:
            raise CheckpointError(
                f"checkpoint {checkpoint.folder} is of backend '{checkpoint.info.backend}', expected '{BACKEND}'"
            )
        network = checkpoint.load_backend().network
        assert isinstance(network, TrainableVocoder)
        return cls(network.speaker, license=checkpoint.info.base_weights_license, checkpoint=checkpoint)

    def to(self, device: torch.device | str) -> NeuralVocoder:
        """Moves the network."""
        self.network.to(device)
        return self

    def module(self) -> PlainVocoder:
        """The network in real arithmetic."""
        return PlainVocoder(self.network)

    def save(self, folder: Path) -> None:
        """A checkpoint without training state and discriminators.

        Raises:
            CheckpointError: it cannot be written.
        """
        save_slim(self._checkpoint, folder)

    @torch.inference_mode()
    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,); `seed` chooses the noise."""
        log_mel = self._frames(mel)
        hertz, voicing = self.pitch_of(log_mel, 0, log_mel.shape[1])
        config = self.network.config.mel
        cycles = cycles_of(hertz, hop=config.hop, rate=config.sample_rate)
        waveform = self.network.speak(log_mel, hertz, voicing, cycles, self._noise_start(seed, 0))
        return waveform[0].clamp(-1, 1).cpu()

    @torch.inference_mode()
    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """Mel pieces (M, l) -> waveforms (t,): the first when `FIRST` frames and what they depend on are there."""
        spoken = _Stream(self, seed)
        for piece in pieces:
            spoken.take(self._frames(piece))
            yield from spoken.ready()
        yield from spoken.ready(over=True)

    def pitch_of(self, log_mel: Tensor, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Hz and voicing, (1, end - begin) each, of the blocks of `BLOCK` frames from `begin` on.

        Every block is computed with the same shapes, so a stream finds the same bits as the whole: the phase of the
        pulses adds up all that the pitch was before, rounding errors too. Outside of the mel there is silence.

        Args:
            log_mel: (1, L, M) natural log; L beyond `end` by the pitch predictor's context, or the end of the mel.
            begin: first frame, a multiple of `BLOCK`.
            end: last frame.
        """
        context = self.network.pitch.body.context
        found = []
        for start in range(begin, end, BLOCK):
            first, last = start - context, start + BLOCK + context
            seen = log_mel[:, max(0, first) : last]
            missing = (0, 0, max(0, -first), last - max(0, first) - seen.shape[1])
            found.append(self.network.read_pitch(functional.pad(seen, missing, value=math.log(LOG_FLOOR))))
        inner = slice(context, context + BLOCK)
        hertz = torch.cat([one[:, inner] for one, _ in found], dim=1)[:, : end - begin]
        return hertz, torch.cat([one[:, inner] for _, one in found], dim=1)[:, : end - begin]

    def _frames(self, mel: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        return mel.T[None].float().to(device)

    def _noise_start(self, seed: int, frame: int) -> Tensor:
        device = next(self.network.parameters()).device
        return torch.tensor(
            [(seed * 40503 + frame * self.network.config.mel.hop) % NOISE_SAMPLES], device=device
        )


def save_slim(checkpoint: Checkpoint | None, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """What speaking needs of a vocoder's checkpoint, as a checkpoint.

    Args:
        checkpoint: with or without training state.
        folder: new.
        dtype: of the stored tensors; None keeps them.

    Raises:
        CheckpointError: it cannot be written.
    """
    assert checkpoint is not None, "a network that was never stored cannot be copied"
    weights = {k: v for k, v in checkpoint.weights().items() if not k.startswith("discriminators.")}
    if dtype is not None:
        weights = {k: v.to(dtype) for k, v in weights.items()}
    config = {**checkpoint.info.backend_config, "adversarial": False}
    info = checkpoint.info.model_copy(update={"backend_config": config, "lora": {}})
    write_checkpoint(folder, info, weights, tokenizer=None)


class _Stream:
    """State of a stream: mel (1, L, M), pitch of the frames whose surroundings are known, phase at each."""

    def __init__(self, vocoder: NeuralVocoder, seed: int) -> None:
        self._vocoder, self._seed = vocoder, seed
        self._network = vocoder.network
        self._mel: Tensor | None = None
        self._hertz, self._voicing = torch.zeros(1, 0), torch.zeros(1, 0)
        self._starts = torch.zeros(1, 1, dtype=torch.float64)
        self._done, self._size = 0, FIRST

    def take(self, mel: Tensor) -> None:
        """Further frames (1, l, M)."""
        self._mel = mel if self._mel is None else torch.cat([self._mel, mel], dim=1)

    def ready(self, *, over: bool = False) -> Iterator[Tensor]:
        """The waveforms that later frames do not change; with `over` all that is left."""
        if self._mel is None or not self._mel.shape[1]:
            return
        frames = self._mel.shape[1]
        reach = self._network.context
        while True:
            wanted = min(self._done + self._size, frames)
            known = min(-(-(wanted + reach + 1) // BLOCK) * BLOCK, frames)
            if not over and known + self._network.pitch.body.context > frames:
                return
            if self._done >= frames:
                return
            self._read_pitch(known)
            yield self._speak(self._done, wanted, known)
            self._done = wanted
            self._size = min(2 * self._size, LONGEST)

    def _read_pitch(self, until: int) -> None:
        """Extends the exact pitch to `until` frames."""
        have = self._hertz.shape[1]
        if have >= until:
            return
        assert self._mel is not None
        hertz, voicing = self._vocoder.pitch_of(self._mel, have, until)
        self._hertz = torch.cat([self._hertz.to(hertz), hertz], dim=1)
        self._voicing = torch.cat([self._voicing.to(hertz), voicing], dim=1)

    def _speak(self, begin: int, end: int, known: int) -> Tensor:
        """Samples of the frames `begin` to `end`, from a window with all they depend on."""
        assert self._mel is not None
        mel, config = self._mel, self._network.config.mel
        first = max(0, begin - self._network.context)
        last = min(end + self._network.context, known)
        last = last if last == mel.shape[1] else min(last, known - 1)
        hertz, voicing = self._hertz[:, first:last], self._voicing[:, first:last]
        cycles = self._cycles(first, last)
        window = self._network.speak(
            mel[:, first:last], hertz, voicing, cycles, self._vocoder._noise_start(self._seed, first)
        )[0]
        piece = window[(begin - first) * config.hop : (end - first) * config.hop]
        return piece.clamp(-1, 1).cpu()

    def _cycles(self, first: int, last: int) -> Tensor:
        """Periods passed at each sample of the frames `first` to `last`, (1, T)."""
        config = self._network.config.mel
        have = self._starts.shape[1] - 1  # frames whose end is known
        if last > have:
            begin = max(0, have - 1)
            within = cycles_within(self._hertz[:, begin:], hop=config.hop, rate=config.sample_rate)[..., -1]
            new = within[:, have - begin : last - begin]
            ends = self._starts[:, -1:] + new.cumsum(1)
            self._starts = torch.cat([self._starts, ends], dim=1)
        before = max(0, first - 1)
        within = cycles_within(self._hertz[:, before : last + 1], hop=config.hop, rate=config.sample_rate)[
            :, first - before :
        ][:, : last - first]
        return (within + self._starts[:, first:last, None]).flatten(1)
