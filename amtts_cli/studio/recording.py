"""What the Record tab does: sheets of sentences, the level of a recording, recordings kept beside their texts."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from amtts_cli.studio.workspace import Workspace
from amtts_core.audio.clipping import flat_share
from amtts_core.audio.io import decode
from amtts_core.audio.loudness import loudness
from amtts_core.errors import AmttsError, command
from amtts_core.storage.atomic import replace_text
from amtts_core.text.decoding import decode_text
from amtts_core.units import Decibels, Hertz, Seconds

EARLIER = ".earlier"
"""Folder of takes that were recorded again; importers pass over hidden folders."""
_MOST = 2000  # sentences of a sheet
_LONGEST_TEXT = 500
LONGEST: Seconds = 300.0
_CLIPPED = 0.001
_QUIET: Decibels = -40.0
_SILENT: Decibels = -60.0
_SHORT: Seconds = 0.3


@dataclass(frozen=True)
class Level:
    """How loud a recording is.

    Attributes:
        seconds: its length.
        peak: of its samples, dBFS.
        loudness: LUFS.
        clipped: share of samples at full scale or in flat tops.
        verdict: good, clipped, quiet, silent or short.
    """

    seconds: Seconds
    peak: Decibels
    loudness: Decibels
    clipped: float
    verdict: str


@dataclass(frozen=True)
class Sheet:
    """Sentences to record.

    Attributes:
        folder: holds NAME.txt for each, and NAME.wav once it is recorded.
        names: in the order of reading.
    """

    folder: Path
    names: tuple[str, ...]

    @classmethod
    def open(cls, workspace: Workspace, name: str) -> Sheet:
        """The sheet in a folder of the workspace.

        Raises:
            AmttsError: there is none.
        """
        folder = workspace.existing(name, what="sheet")
        names = tuple(sorted(path.stem for path in folder.glob("*.txt") if not path.name.startswith(".")))
        if not names:
            raise AmttsError(
                f"'{name}' holds no sentence (NAME.txt)", remedy="Make one with: amtts feedback collect"
            )
        return cls(folder, names)

    def text(self, name: str) -> str:
        """The sentence of a name.

        Raises:
            AmttsError: it is gone, or no text.
        """
        path = self.folder / f"{name}.txt"
        try:
            return " ".join(decode_text(path.read_bytes(), source=path.name).split())
        except OSError as error:
            raise AmttsError(f"{path.name} cannot be read: {error.strerror}") from None

    def recording(self, name: str) -> Path | None:
        """What was recorded of a sentence; None where nothing was."""
        path = self.folder / f"{name}.wav"
        return path if path.is_file() else None

    @property
    def recorded(self) -> int:
        """Sentences with a recording."""
        return sum(self.recording(name) is not None for name in self.names)

    def first_open(self) -> int:
        """Position of the first sentence without a recording, 0 where all have one."""
        return next((n for n, name in enumerate(self.names) if self.recording(name) is None), 0)

    def keep(self, name: str, samples: np.ndarray, rate: Hertz) -> Path:
        """Writes a recording beside its text; an earlier one is moved aside, none is lost.

        Args:
            name: of the sentence.
            samples: (T,) float32.
            rate: of the samples.

        Raises:
            AmttsError: there is no such sentence, or it cannot be written.
        """
        if name not in self.names:
            raise AmttsError(f"'{name}' is not on this sheet")
        target = self.folder / f"{name}.wav"
        part = self.folder / f".{name}.part.wav"
        try:
            soundfile.write(part, np.clip(samples, -1, 1), rate, subtype="PCM_16")
            if target.exists():
                aside = self.folder / EARLIER
                aside.mkdir(exist_ok=True)
                number = 1
                while (aside / f"{name}-{number}.wav").exists():
                    number += 1
                target.rename(aside / f"{name}-{number}.wav")
            part.replace(target)
        except (OSError, soundfile.SoundFileError) as error:
            raise AmttsError(f"{target.name} cannot be written: {error}", remedy="Free space") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return target


def sheets(workspace: Workspace) -> list[str]:
    """Folders of the workspace that hold sentences to record, the newest first."""
    found = []
    for depth in ("*", "*/*"):
        for folder in workspace.root.glob(depth):
            inside = folder.is_dir() and not any(
                part.startswith(".") for part in folder.relative_to(workspace.root).parts
            )
            if inside and not folder.is_symlink() and next(folder.glob("*.txt"), None) is not None:
                found.append(folder)
    found.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    return [workspace.name(folder) for folder in found]


def make_sheet(workspace: Workspace, name: str, text: str) -> Sheet:
    """A sheet of one's own sentences.

    Args:
        workspace: to make it in.
        name: of its folder.
        text: a sentence a line.

    Raises:
        AmttsError: no sentence, too many or too long ones, or the name is taken.
    """
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        raise AmttsError("the list is empty", remedy="Write a sentence a line")
    if len(lines) > _MOST:
        raise AmttsError(f"the list has {len(lines)} lines, at most {_MOST} make a sheet")
    for number, line in enumerate(lines, 1):
        if len(line) > _LONGEST_TEXT:
            raise AmttsError(
                f"line {number} has {len(line)} characters, at most {_LONGEST_TEXT} are read at once",
                remedy="Cut it at the ends of its sentences",
            )
    folder = workspace.new(name, what="name of the sheet")
    folder.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(lines, 1):
        replace_text(folder / f"{number:03}.txt", line + "\n")
    return Sheet.open(workspace, workspace.name(folder))


def collect_sheet(workspace: Workspace, evaluation: str, name: str, *, minutes: float) -> Sheet:
    """A sheet of what a voice says worst, as `amtts feedback collect` chooses it.

    Args:
        workspace: to make it in.
        evaluation: folder of `amtts evaluate`, with its report.json.
        name: of the new sheet's folder.
        minutes: of recording at most.

    Raises:
        AmttsError: no such report, nothing was wrong, or the name is taken.
    """
    from amtts_core.evaluation.corrections import choose, read_rows, write_sheet

    if not minutes or minutes <= 0:
        raise AmttsError(f"{minutes or 0:g} minutes of recording; expected more than 0")
    report = workspace.existing(evaluation, what="evaluation") / "report.json"
    folder = workspace.new(name, what="name of the sheet")
    write_sheet(choose(read_rows(report), minutes=minutes), folder)
    return Sheet.open(workspace, workspace.name(folder))


def measured(path: Path) -> tuple[np.ndarray, Hertz, Level]:
    """A recording that was made or uploaded: samples, (T,) float32, their rate, and how loud it is.

    Raises:
        AmttsError: no sound, or too long.
    """
    decoded = decode(path, max_duration=LONGEST)
    samples, rate = decoded.samples, decoded.sample_rate
    return samples, rate, level_of(samples, rate, full_scale=decoded.full_scale)


def level_of(samples: np.ndarray, rate: Hertz, *, full_scale: float = 0.0) -> Level:
    """How loud samples are, (T,) float32.

    Args:
        samples: of a recording.
        rate: of the samples.
        full_scale: share of the samples of its file at full scale.
    """
    seconds = len(samples) / rate
    peak = float(np.max(np.abs(samples))) if len(samples) else 0.0
    peak_db = 20 * math.log10(max(peak, 1e-6))
    loud = loudness(samples, rate)
    clipped = max(full_scale, flat_share(samples))
    if peak_db < _SILENT or loud < _SILENT - 10:
        verdict = "silent"
    elif seconds < _SHORT:
        verdict = "short"
    elif clipped > _CLIPPED:
        verdict = "clipped"
    elif loud < _QUIET:
        verdict = "quiet"
    else:
        verdict = "good"
    return Level(seconds, peak_db, loud, clipped, verdict)


def train_command(workspace: Workspace, sheet: Sheet) -> str:
    """The command that learns from a sheet."""
    return command(
        *("amtts", "train", "--from", "VOICE", "--feedback", workspace.name(sheet.folder)),
        *("--data", "CORPUS", "--out", "NEW"),
    )
