"""The CTC network as a `FrameRecognizer`, from a checkpoint or run folder, or from the weights that come along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.checkpoints.folders import find_checkpoint
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.recognizer import Emissions, Transcript
from amtts_core.errors import AmttsError, CheckpointError
from amtts_recognizers.ctc.backend import NAME, CtcBackend
from amtts_recognizers.ctc.decode import Spelling, best_path, collapsed
from amtts_recognizers.ctc.learner import LEAST_PRIOR

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "synthetic-am"
"""Weights for speech in the manner of eSpeak NG's Amharic voice; they read no human speech."""
TOGETHER = 30.0
"""Seconds of audio that are recognized as one batch, and the longest piece that a longer recording is cut into."""
OVERLAP = 1.0
"""Seconds of context at both ends of such a piece."""
SILENCE = 0.1
"""Seconds of silence after what is read: the cut edge of trimmed speech is read as a letter otherwise."""
QUIET = 1e-4
"""Peak under which a recording is silence."""


class CtcRecognizer:
    """Recognizes and aligns with one network.

    Args:
        backend: in evaluation mode.
        name: for people.
    """

    def __init__(self, backend: CtcBackend, *, name: str) -> None:
        self.name = name
        self.sample_rate = backend.sample_rate
        self._backend, self._tokenizer = backend, backend.tokenizer
        state = {k: v for k, v in backend.network.state_dict().items() if torch.is_tensor(v)}
        self.identity = f"ctc2:{weights_fingerprint(state)[:16]}:{backend.tokenizer.fingerprint()[:8]}"
        self._spelling = Spelling.of(backend.tokenizer)
        self._space = next((n for n, s in enumerate(self._tokenizer.symbols()) if s in (" ", "▁")), None)

    @classmethod
    def reads(cls, source: str) -> bool:
        """True for a checkpoint or run folder of the backend `recognizer`."""
        try:
            find_checkpoint(Path(source))
        except CheckpointError:
            return False
        return read_checkpoint(Path(source)).info.backend == NAME

    @classmethod
    def open(cls, source: str, *, device: str = "cpu") -> CtcRecognizer:
        """See `RecognizerClass`."""
        folder = Path(source) if source else SHIPPED
        checkpoint = read_checkpoint(folder)
        if checkpoint.info.backend != NAME:
            raise AmttsError(
                f"{folder} is a checkpoint of backend '{checkpoint.info.backend}', expected '{NAME}'",
                remedy="Train one with: amtts train --backend recognizer --data DIR --out DIR",
            )
        backend = checkpoint.load_backend()
        assert isinstance(backend, CtcBackend)
        backend.network.to(device)
        return cls(backend, name=f"ctc ({folder.name})")

    def symbol_ids(self, word: str) -> list[int]:
        """See `FrameRecognizer`."""
        return [
            token
            for token in self._tokenizer.encode(word)
            if token in self._backend.audible and token != self._space
        ]

    def best_path(self, emissions: Emissions) -> list[int]:
        """See `FrameRecognizer`."""
        return best_path(emissions.log_probs, self._spelling, blank=emissions.blank)

    def text_of(self, symbols: Sequence[int]) -> str:
        """See `FrameRecognizer`."""
        return self._tokenizer.decode(list(symbols))

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """See `Recognizer`."""
        silence = round(SILENCE * self.sample_rate)
        padded = [np.pad(waveform, (0, silence)) for waveform in waveforms]
        return [
            self._read(waveform, found)
            for waveform, found in zip(waveforms, self._posteriors(padded), strict=True)
        ]

    def _read(self, waveform: np.ndarray, log_probs: Tensor) -> Transcript:
        if not len(waveform) or float(np.abs(waveform).max()) < QUIET:
            return Transcript(text="", confidence=1.0)
        blank = self._tokenizer.pad_id
        path = best_path(log_probs.numpy(), self._spelling, blank=blank)
        text = self._tokenizer.decode(collapsed(path, blank=blank))
        chosen = log_probs.gather(1, torch.tensor(path)[:, None])[:, 0].exp()
        said = chosen[torch.tensor(path) != blank]
        confidence = float((said if len(said) else chosen).mean())
        return Transcript(text=" ".join(text.split()), confidence=confidence)

    def emissions(self, waveforms: Sequence[np.ndarray]) -> list[Emissions]:
        """See `FrameRecognizer`. Label priors are divided out as in training; a space counts as blank."""
        prior = self._backend.network.prior.cpu().clamp(min=LEAST_PRIOR).log()
        weight, blank = self._backend.config.prior_weight, self._tokenizer.pad_id
        out = []
        for log_probs in self._posteriors(waveforms):
            scaled = (log_probs - weight * prior).log_softmax(-1)
            if self._space is not None:
                scaled[:, blank] = torch.logaddexp(scaled[:, blank], scaled[:, self._space])
            out.append(
                Emissions(
                    log_probs=scaled.numpy(), frame_seconds=self._backend.config.frame_seconds, blank=blank
                )
            )
        return out

    @torch.inference_mode()
    def _posteriors(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """Log-probabilities (L, V) of each waveform; long ones are read in pieces with context."""
        cut = [_pieces(len(waveform), self.sample_rate) for waveform in waveforms]
        sources = [(w, piece) for w, pieces in zip(waveforms, cut, strict=True) for piece in pieces]
        found: list[Tensor] = [torch.empty(0)] * len(sources)
        order = sorted(range(len(sources)), key=lambda number: sources[number][1].length)
        for batch in _batches(order, [piece.length / self.sample_rate for _, piece in sources]):
            for number, log_probs in zip(batch, self._batch([sources[n] for n in batch]), strict=True):
                found[number] = log_probs
        parts = iter(found)
        return [torch.cat([next(parts) for _ in pieces]) for pieces in cut]

    def _batch(self, sources: Sequence[tuple[np.ndarray, _Piece]]) -> list[Tensor]:
        config, network = self._backend.config, self._backend.network
        shortest = config.mel.n_fft
        mels = []
        for waveform, piece in sources:
            cut = np.ascontiguousarray(waveform[piece.start : piece.start + piece.length], dtype=np.float32)
            mels.append(self._backend.features(np.pad(cut, (0, max(0, shortest - len(cut))))).arrays["mel"])
        longest = max(len(mel) for mel in mels)
        padded = torch.zeros(len(mels), longest, config.mel.n_mels)
        for row, mel in enumerate(mels):
            padded[row, : len(mel)] = torch.from_numpy(mel)
        lengths = torch.tensor([len(mel) for mel in mels])
        device = next(network.parameters()).device
        log_probs = network(padded.to(device), lengths.to(device)).cpu()
        frames, samples = network.num_frames(lengths).tolist(), config.mel.hop * config.stride
        out = []
        for row, (_, piece) in enumerate(sources):
            first = piece.before // samples
            last = frames[row] if not piece.after else first + piece.own // samples
            out.append(log_probs[row, first:last])
        return out


class _Piece:
    """A stretch of a waveform in samples: `own` is what is kept of it, `before` and `after` are context."""

    def __init__(self, start: int, own: int, *, before: int, after: int) -> None:
        self.start, self.own, self.before, self.after = start - before, own, before, after
        self.length = before + own + after


def _pieces(samples: int, rate: int) -> list[_Piece]:
    """Cuts at whole seconds, so that frames join without a gap."""
    longest, context = int(TOGETHER * rate), int(OVERLAP * rate)
    if samples <= longest + context:
        return [_Piece(0, samples, before=0, after=0)]
    out = []
    for start in range(0, samples, longest):
        own = min(longest, samples - start)
        before, after = min(context, start), min(context, samples - start - own)
        out.append(_Piece(start, own, before=before, after=after))
    return out


def _batches(order: Sequence[int], seconds: Sequence[float]) -> Iterator[list[int]]:
    """Indices in groups of at most `TOGETHER` seconds, padding included; at least one each."""
    group: list[int] = []
    for number in order:
        if group and (len(group) + 1) * max(seconds[number], seconds[group[-1]]) > TOGETHER:
            yield group
            group = []
        group.append(number)
    if group:
        yield group
