"""What `amtts synthesize` does with a loaded voice: one file, a folder of files, captions, or a stream."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amtts.batch import RowWorker, VoiceSource, reading_report
from amtts_cli import console
from amtts_cli.checked_speech import CheckedSpeech, for_the_engine
from amtts_cli.guesses import listed, warn_of_guesses
from amtts_core.audio.save import AudioOptions, AudioWriter
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts.voice import Voice
    from amtts_core.synthesis.batch.folder import SpeechFolder
    from amtts_core.synthesis.batch.rows import Row
    from amtts_core.synthesis.batch.run import Task

_SHOWN_NOTES = 10


@dataclass
class Speaking:
    """How texts are spoken.

    Attributes:
        source: of the voice.
        checks: recognizers that check and time the speech.
        speaker: of texts that name none.
        how: further arguments of `Voice.speak`.
        audio: how speech becomes a file.
    """

    source: VoiceSource
    checks: CheckedSpeech
    speaker: str = ""
    how: dict[str, Any] = field(default_factory=dict)
    audio: AudioOptions = field(default_factory=AudioOptions)

    @property
    def voice(self) -> Voice:
        """The voice of texts that name none."""
        return self.source.load()

    def check(self, row: Row) -> None:
        """Raises what speaking a row would raise, without speaking."""
        voice = self.source.load(row.voice)
        voice.check(row.text)
        voice.synthesizer.backend.speakers.id_of(row.speaker or self.speaker)

    # ---- one file ----

    def to_file(self, rows: Sequence[Row], path: Path) -> None:
        """Speaks rows one after another into a file, which is written as they are spoken."""
        for row in rows:
            self.check(row)
        began = time.monotonic()
        if self.checks.is_used:
            report, seconds = self._checked_file(rows, path)
        else:
            report, seconds = self._growing_file(rows, path)
        result = {
            "path": str(path),
            "seconds": f"{seconds:.2f}",
            "text": "\n".join(row.text for row in rows).strip(),
        }
        self._report([result | report], seconds, time.monotonic() - began)

    def _checked_file(self, rows: Sequence[Row], path: Path) -> tuple[dict[str, Any], float]:
        if any(row.speaker or row.voice for row in rows):
            raise AmttsError(
                "--guard and --timestamps into one file need one speaker", remedy="Choose a folder for --out"
            )
        text = "\n\n".join(row.text for row in rows)
        how = {"speaker": self.speaker, **self.how}
        spoken, checked = self.checks.speak(self.voice, text, path, **how)
        with AudioWriter(path, spoken.sample_rate, options=self.audio) as writer:
            writer.write(spoken.samples)
        report = reading_report(spoken)
        warn_of(report)
        return report | checked, spoken.duration

    def _growing_file(self, rows: Sequence[Row], path: Path) -> tuple[dict[str, Any], float]:
        parts = [self._making(row) for row in rows]
        total, done, samples = sum(part.total for part in parts), 0, 0
        rate = self.voice.sample_rate
        writer = AudioWriter(path, rate, options=self.audio)
        try:
            with console.progress() as progress:
                task = progress.add_task("speaking", total=total, note="")
                for number, making in enumerate(parts):
                    for sound in making:
                        writer.write(sound)
                        samples += len(sound)
                        note = f"{samples / rate:.0f} s of speech"
                        progress.update(task, completed=done + making.done, note=note)
                    done += making.total
                    if number < len(parts) - 1:
                        writer.write(np.zeros(round(self._pause() * rate), dtype=np.float32))
        except (KeyboardInterrupt, SystemExit):
            partial = writer.keep_partial()
            if partial is not None:
                console.log(
                    f"{samples / rate:.1f} s of speech, {done + making.done} of {total} sentences, are in {partial}"
                )
            raise
        except BaseException:
            writer.discard()
            raise
        writer.finish()
        report = _joined([self._row_report(row, making) for row, making in zip(rows, parts, strict=True)])
        warn_of(report)
        return report, samples / rate

    def _making(self, row: Row) -> Any:
        synthesizer = self.source.load(row.voice).synthesizer
        return synthesizer.making(
            row.text,
            speaker=row.speaker or self.speaker,
            **for_the_engine({name: value for name, value in self.how.items() if name != "speaker"}),
        )

    def _row_report(self, row: Row, making: Any) -> dict[str, Any]:
        reading = self.source.load(row.voice).synthesizer.read(row.text)
        report: dict[str, Any] = {}
        counts = {"guesses": reading.guesses, "unread": making.unread, "left_out": reading.left_out}
        report |= {name: dict(found) for name, found in counts.items() if found}
        if making.notes:
            report["notes"] = [{"text": text, "note": note} for text, note in making.notes]
        return report

    def _pause(self) -> float:
        return float(for_the_engine(self.how)["pauses"].paragraph)

    # ---- captions ----

    def captions_to_file(self, rows: Sequence[Row], path: Path) -> None:
        """Speaks captions into their times."""
        from amtts_core.synthesis.batch.captions import speak_captions

        for row in rows:
            self.check(row)
        began, reports = time.monotonic(), []
        speed = float(self.how.get("speed", 1.0))
        with console.progress() as progress:
            task = progress.add_task("speaking", total=len(rows), note="")

            def speak(row: Row, pace: float) -> np.ndarray:
                how = self.how | {"speed": min(4.0, speed * pace)}
                spoken = self.source.load(row.voice).speak(
                    row.text, speaker=row.speaker or self.speaker, **how
                )
                reports.append(reading_report(spoken))
                progress.update(task, note=row.id)
                return spoken.samples

            timed = speak_captions(rows, speak, self.voice.sample_rate)
        with AudioWriter(path, self.voice.sample_rate, options=self.audio) as writer:
            writer.write(timed.waveform)
        warn_of(_joined(reports))
        for caption in timed.rows:
            if "over" in caption or "late" in caption:
                late = f", begins {caption['late']} s late" if "late" in caption else ""
                over = f", runs {caption['over']} s over its time" if "over" in caption else ""
                console.warn(f"caption {caption['id']}{late}{over}: {str(caption['text'])[:40]}")
        hurried = sum("pace" in caption for caption in timed.rows)
        if hurried:
            console.log(f"{hurried} of {len(timed.rows)} captions are spoken faster to fit their times")
        seconds = len(timed.waveform) / self.voice.sample_rate
        result = {"path": str(path), "seconds": f"{seconds:.2f}", "captions": timed.rows}
        self._report([result | _joined(reports)], seconds, time.monotonic() - began)

    # ---- a folder ----

    def to_folder(
        self,
        rows: Sequence[Row],
        folder: SpeechFolder,
        *,
        ending: str,
        skip_bad: bool,
        executor: str,
        jobs: int,
        source: str = "",
        settings: Mapping[str, Any],
    ) -> int:
        """Speaks a file a row; the number of rows that could not be spoken."""
        from amtts_core.synthesis.batch.run import plan, refuse_bad, speak_batch

        tasks, bad = plan(rows, folder.folder, ending=ending, settings=settings, check=self.check)
        if not skip_bad or not tasks:
            refuse_bad(bad, source)
        for row in bad:
            console.warn(f"{row.place} is not spoken: {row.problem}")
        check_room(rows, folder.folder, self.voice.sample_rate)
        worker = RowWorker(
            source=self.source, speaker=self.speaker, how=self.how, audio=self.audio, skip_bad=skip_bad
        )
        run = (
            self._run_here(worker)
            if executor == "local" and jobs == 1
            else self._run_many(worker, executor, jobs)
        )
        began, spoken = time.monotonic(), 0.0
        with folder, console.progress() as progress:
            bar = progress.add_task("speaking", total=len(tasks), note="")

            def on_row(record: dict[str, Any], reused: bool) -> None:
                nonlocal spoken
                spoken += 0.0 if reused else float(record.get("seconds", 0))
                progress.update(bar, advance=1, note=record["file"])

            try:
                result = speak_batch(tasks, folder, run, bad=bad, on_row=on_row)
            except (KeyboardInterrupt, SystemExit):
                there = sum(folder.done(task.file, task.key) is not None for task in tasks)
                console.log(
                    f"{there} of {len(tasks)} are spoken in {folder.folder}; the same command goes on"
                )
                raise
        for record in result.records[: len(tasks)]:
            for note in record.get("notes", ())[:_SHOWN_NOTES]:
                console.warn(f"{record['file']}: {note['text'][:40]!r}: {note['note']}")
        warn_of(_joined([{k: v for k, v in record.items() if k != "notes"} for record in result.records]))
        shown: list[dict[str, Any]] = []
        for record in result.records:
            line = {name: value for name, value in record.items() if name not in ("key", "order", "bytes")}
            if "file" in record:
                line["path"] = str(folder.folder / record["file"])
                line["seconds"] = f"{float(record.get('seconds', 0)):.2f}"
            shown.append(line)
        took = time.monotonic() - began
        self._report(shown, result.seconds, took, spoken=spoken, reused=result.reused)
        return len(result.bad)

    def _run_here(self, worker: RowWorker) -> Any:
        def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, Mapping[str, Any]]]:
            for task in tasks:
                if not self.checks.is_used:
                    yield task, worker(task)
                    continue
                how = {"speaker": task.row.speaker or self.speaker, **self.how}
                voice = self.source.load(task.row.voice)
                spoken, checked = self.checks.speak(voice, task.row.text, task.path, **how)
                with AudioWriter(task.path, spoken.sample_rate, options=self.audio) as writer:
                    writer.write(spoken.samples)
                yield task, {"seconds": round(spoken.duration, 3), **reading_report(spoken), **checked}

        return run

    def _run_many(self, worker: RowWorker, executor: str, jobs: int) -> Any:
        from amtts_core.corpus.executors import choose_executor

        if self.checks.is_used:
            raise AmttsError(
                "--guard and --timestamps work in one process", remedy="Leave --jobs and --executor out"
            )
        run_ordered = choose_executor(executor, together=1)
        return lambda tasks: run_ordered(worker, ((task, None) for task in tasks), jobs=jobs)

    def _report(
        self,
        rows: list[dict[str, Any]],
        seconds: float,
        took: float,
        *,
        spoken: float | None = None,
        reused: int = 0,
    ) -> None:
        """Prints the result; `spoken` seconds of `seconds` were made now, all of them where it is None."""
        spoken = seconds if spoken is None else spoken
        factor = took / spoken if spoken else 0.0
        lines = []
        for row in rows:
            if row.get("problem"):
                lines.append(
                    f"{row.get('path') or row.get('place') or row.get('id')}  not spoken: {row['problem']}"
                )
            else:
                lines.append(f"{row['path']}  {row['seconds']} s")
        kept = f", {reused} files were there already" if reused else ""
        lines.append(f"{spoken:.1f} s of speech in {took:.1f} s (real-time factor {factor:.3f}){kept}")
        console.result(
            {
                "files": rows,
                "seconds": round(seconds, 2),
                "real_time_factor": round(factor, 4),
                "sample_rate": self.audio.sample_rate or self.voice.sample_rate,
                "reused": reused,
            },
            lines=lines,
        )

    # ---- a stream ----

    def to_pipe(self, texts: Iterator[str]) -> None:
        """Writes WAV to standard output, piece by piece, each text as it comes."""
        from amtts_core.audio.pcm import to_pcm16
        from amtts_core.audio.save import endless_wav_header, wav_header

        began, first, samples = time.monotonic(), 0.0, 0
        rate = self.voice.sample_rate
        reports: list[dict[str, Any]] = []
        for number, text in enumerate(texts):
            spoken = self.voice.stream(text, speaker=self.speaker, **self.how)
            if number and samples:
                pause = np.zeros(round(self._pause() * rate), dtype=np.float32)
                console.out_bytes(to_pcm16(pause).tobytes())
                samples += len(pause)
            for piece in spoken:
                if not samples:
                    console.out_bytes(endless_wav_header(rate))
                    first = time.monotonic() - began
                console.out_bytes(to_pcm16(piece).tobytes())
                samples += len(piece)
            notes = [{"text": sentence, "note": note} for sentence, note in spoken.notes]
            reports.append(
                {"unread": dict(spoken.unread), "guesses": dict(self.voice.guesses(text)), "notes": notes}
            )
        console.rewrite_start(wav_header(rate, samples))
        warn_of(_joined(reports))
        took = time.monotonic() - began
        console.log(f"{samples / rate:.1f} s of speech in {took:.1f} s, first sound after {first:.2f} s")


def check_room(rows: Sequence[Row], folder: Path, rate: int) -> None:
    """Refuses a batch that the disk has no room for, by the number of its letters.

    Raises:
        AmttsError: names both sizes.
    """
    import shutil

    above = next(f for f in (folder.absolute(), *folder.absolute().parents) if f.is_dir())
    needed = int(sum(len(row.text) for row in rows) / 15 * rate * 2)  # at most 15 letters a second
    free = shutil.disk_usage(above).free
    if needed > free:
        raise AmttsError(
            f"{folder}: the speech needs about {needed / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free",
            remedy="Free space, or choose another --out",
        )


def warn_of(report: Mapping[str, Any]) -> None:
    """Warns of what was guessed, not known, left out, cut off or tried again."""
    warn_of_guesses(Counter(report.get("guesses", {})))
    if unread := Counter(report.get("unread", {})):
        shown = ", ".join(f"{c!r} x {n}" for c, n in unread.most_common(10))
        console.warn(f"not in the audio, this voice never learned them: {shown}")
    if left_out := Counter(report.get("left_out", {})):
        console.warn(f"left out, as no text: {listed(left_out)}")
    for note in report.get("notes", [])[:_SHOWN_NOTES]:
        console.warn(f"{note['text'][:40]!r}: {note['note']}")


def _joined(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The reports of several texts as one, counts added up."""
    out: dict[str, Any] = {}
    for name in ("guesses", "unread", "left_out"):
        if total := sum((Counter(one.get(name, {})) for one in reports), Counter()):
            out[name] = dict(total)
    if notes := [note for one in reports for note in one.get("notes", ())]:
        out["notes"] = notes
    return out


def check_listener() -> None:
    """Refuses to write sound to a terminal or between the lines of a result."""
    if console.wants_json() or sys.stdout.isatty():
        where = "--json goes there as well" if console.wants_json() else "it is a terminal"
        raise AmttsError(
            f"--out - writes sound to standard output, and {where}",
            remedy="Pipe it into a player: amtts synthesize … --out - | aplay",
        )
