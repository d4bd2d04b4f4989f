"""Where the speech of an evaluation comes from: a checkpoint that speaks, a folder of another system, recordings."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr

from amtts_core.audio.decoded import AudioError, Decoded
from amtts_core.audio.io import decode
from amtts_core.audio.save import write_audio
from amtts_core.errors import AmttsError
from amtts_core.evaluation.items import TestItem
from amtts_core.storage.atomic import replace_text
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.units import Hertz, Seconds

logger = logging.getLogger(__name__)
AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".opus")
RECORDINGS = "recordings"
COPIES = "copies"


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """The speech of one item.

    Attributes:
        item: what was to be said.
        waveform: (T,) float32.
        rate: Hz.
        path, start, duration: where it is on disk; a duration of 0 means the whole file.
        took: seconds that speaking it took; None where that is not known.
        unread: characters that the voice could not read.
    """

    item: TestItem
    waveform: np.ndarray
    rate: Hertz
    path: Path
    start: Seconds = 0.0
    duration: Seconds = 0.0
    took: Seconds | None = None
    unread: str = ""


class System(Protocol):
    """A source of speech."""

    name: str
    """Unique in an evaluation; names its folder."""
    where: str
    """Where its speech comes from, for messages."""

    @property
    def description(self) -> dict[str, Any]:
        """What the report says of it."""
        ...

    def spoken(self, items: Sequence[TestItem]) -> Iterator[Spoken]:
        """The speech of those items that it has, in order; items without speech are left out with a warning."""
        ...


class RecordedSystem:
    """The recordings of the items: the floor of every metric."""

    name, where = RECORDINGS, "the manifest"

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": RECORDINGS}

    def spoken(self, items: Sequence[TestItem]) -> Iterator[Spoken]:
        for item in items:
            if item.audio is not None:
                decoded = read_file(item.audio, start=item.offset, duration=item.duration or None)
                yield Spoken(
                    item=item,
                    waveform=decoded.samples,
                    rate=decoded.sample_rate,
                    path=item.audio,
                    start=item.offset,
                    duration=item.duration,
                )


class CopySystem:
    """Copies of the recordings through the vocoder (or codec, or decoder) of a voice: the most that it can reach.

    Args:
        checkpoint: the voice.
        out: where audio goes.
        name: of the system.
        device: where it copies.

    Raises:
        AmttsError: the voice cannot copy a recording.
    """

    def __init__(self, checkpoint: Path, out: Path, *, name: str, device: str = "cpu") -> None:
        from amtts_core.checkpoints.checkpoint import read_checkpoint

        self.name, self.where, self._out, self._device = name, str(checkpoint), out, device
        self._arguments = (checkpoint, out, name, device)
        found = read_checkpoint(checkpoint)
        self._backend = found.load_backend()
        self._backend.network.to(device)
        spec = self._backend.spec
        if spec.copy_synthesis is None and spec.speech_codes is None:
            raise AmttsError(
                f"backend '{spec.name}' of {found.folder} cannot copy a recording",
                remedy="Leave out --copies",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the checkpoint itself, once."""
        return _opened_copies, self._arguments

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": COPIES, "folder": self.where, "backend": self._backend.spec.name}

    def spoken(self, items: Sequence[TestItem]) -> Iterator[Spoken]:
        for item in items:
            if item.audio is not None:
                decoded = read_file(item.audio, start=item.offset, duration=item.duration or None)
                waveform, rate = self._copy(decoded.samples, decoded.sample_rate)
                path = self._out / f"{item.id}.flac"
                write_audio(path, waveform, rate)
                yield Spoken(item=item, waveform=waveform, rate=rate, path=path)

    def _copy(self, samples: np.ndarray, rate: Hertz) -> tuple[np.ndarray, Hertz]:
        backend = self._backend
        if (copies := backend.spec.copy_synthesis) is not None:
            return copies.of(backend).copy_synthesis(
                at_rate(samples, rate, backend.sample_rate)
            ), backend.sample_rate
        import torch

        assert backend.spec.speech_codes is not None
        codec = backend.spec.speech_codes.of(backend).speech_codec()
        wave = torch.from_numpy(at_rate(samples, rate, codec.sample_rate))[None].to(self._device)
        with torch.inference_mode():
            return codec.decode(codec.encode(wave))[0].float().cpu().numpy(), codec.sample_rate


class FolderSystem:
    """Audio files named by the items' ids, from any system.

    Args:
        folder: holds ID.wav (or .flac, .ogg, .mp3).
        name: of the system.

    Raises:
        AmttsError: no folder.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        if not folder.is_dir():
            raise AmttsError(f"--wavs {folder} is no folder", remedy="Put the speech there as ID.wav")
        self.name, self._folder, self.where = name, folder, f"--wavs {folder}"

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "folder", "folder": str(self._folder)}

    def has_any(self, items: Sequence[TestItem]) -> bool:
        """Whether there is a file for one of the items."""
        return any(self._file(item) is not None for item in items)

    def spoken(self, items: Sequence[TestItem]) -> Iterator[Spoken]:
        found = [(item, self._file(item)) for item in items]
        missing = [item.id for item, path in found if path is None]
        if missing and len(missing) < len(items):
            logger.warning(
                "%s: %d texts have no file, the first is %s.wav", self.name, len(missing), missing[0]
            )
        for item, path in found:
            if path is None:
                continue
            decoded = read_file(path)
            yield Spoken(item=item, waveform=decoded.samples, rate=decoded.sample_rate, path=path)

    def _file(self, item: TestItem) -> Path | None:
        return next((p for e in AUDIO_ENDINGS if (p := self._folder / f"{item.id}{e}").is_file()), None)


class CheckpointSystem:
    """A checkpoint that speaks the items; what it has spoken stays on disk and is not spoken again.

    Args:
        checkpoint: folder of a checkpoint or run.
        out: where audio goes.
        name: of the system.
        device: where it speaks.
        seed: of its sampling.
        speaker: a speaker for all items; empty takes the item's own where the checkpoint has it, else the first.
    """

    def __init__(
        self, checkpoint: Path, out: Path, *, name: str, device: str = "cpu", seed: int = 0, speaker: str = ""
    ) -> None:
        from amtts_core.checkpoints.checkpoint import read_checkpoint

        self.name, self._out, self._seed, self._speaker = name, out, seed, speaker
        self.checkpoint = read_checkpoint(checkpoint)
        self.where = str(self.checkpoint.folder)
        self._arguments = (self.checkpoint.folder, out, name, device, seed, speaker)
        self.synthesizer = Synthesizer.from_checkpoint(self.checkpoint.folder, device=device)
        self._seal = json.loads((self.checkpoint.folder / "files.json").read_text(encoding="utf-8"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the checkpoint itself, once."""
        return _opened, self._arguments

    @property
    def description(self) -> dict[str, Any]:
        info = self.checkpoint.info
        return {
            "kind": "checkpoint",
            "folder": str(self.checkpoint.folder),
            "backend": info.backend,
            "step": info.step,
            "sample_rate": info.sample_rate,
            "metrics": info.metrics,
            "started_from": info.started_from,
        }

    def spoken(self, items: Sequence[TestItem]) -> Iterator[Spoken]:
        self._out.mkdir(parents=True, exist_ok=True)
        for item in items:
            path, note = self._out / f"{item.id}.flac", self._out / f"{item.id}.json"
            kept = _note_of(note)
            made = self._made_from(item)
            if not (kept.get("made_from") == made and path.is_file()):
                try:
                    kept = self._speak(item, path) | {"made_from": made}
                except AmttsError as fault:
                    logger.warning("%s: %s is not spoken: %s", self.name, item.id, fault)
                    continue
                replace_text(note, json.dumps(kept, ensure_ascii=False))
            decoded = read_file(path)
            yield Spoken(
                item=item,
                waveform=decoded.samples,
                rate=decoded.sample_rate,
                path=path,
                took=kept.get("took"),
                unread=kept.get("unread", ""),
            )

    def _speak(self, item: TestItem, path: Path) -> dict[str, Any]:
        began = time.perf_counter()
        speech = self.synthesizer.speak(item.text, seed=self._seed, speaker=self._speaker_of(item))
        took = time.perf_counter() - began
        write_audio(path, speech.waveform, speech.sample_rate)
        return {"took": took, "unread": "".join(sorted(speech.unread))}

    def _speaker_of(self, item: TestItem) -> str:
        return self._speaker or (item.speaker if item.speaker in self.checkpoint.info.speakers else "")

    def _made_from(self, item: TestItem) -> dict[str, Any]:
        """What the audio depends on."""
        weights = self._seal.get("model.safetensors")
        return {"text": item.text, "weights": weights, "seed": self._seed, "speaker": self._speaker_of(item)}

    def first_sound(self, item: TestItem) -> Seconds:
        """Seconds until the first piece of an item's speech is there, spoken as a stream."""
        began = time.perf_counter()
        next(iter(self.synthesizer.stream(item.text, seed=self._seed, speaker=self._speaker_of(item)).pieces))
        return time.perf_counter() - began


@lru_cache(maxsize=2)
def _opened(checkpoint: Path, out: Path, name: str, device: str, seed: int, speaker: str) -> CheckpointSystem:
    return CheckpointSystem(checkpoint, out, name=name, device=device, seed=seed, speaker=speaker)


@lru_cache(maxsize=2)
def _opened_copies(checkpoint: Path, out: Path, name: str, device: str) -> CopySystem:
    return CopySystem(checkpoint, out, name=name, device=device)


def _note_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_file(path: Path, *, start: Seconds = 0.0, duration: Seconds | None = None) -> Decoded:
    """A file, or a stretch of it, at its own rate.

    Raises:
        AudioError: missing or unreadable; names the file.
    """
    try:
        return decode(path, start=start, duration=duration)
    except AudioError as error:
        raise AudioError(f"audio file {path}: {error.message}") from None


def at_rate(waveform: np.ndarray, rate: Hertz, wanted: Hertz) -> np.ndarray:
    """A waveform (T,) at another rate, float32."""
    samples = waveform.astype(np.float32)
    return samples if rate == wanted else soxr.resample(samples, rate, wanted).astype(np.float32)
