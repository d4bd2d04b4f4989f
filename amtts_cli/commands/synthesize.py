"""`amtts synthesize`: text to speech with a checkpoint that needs nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.checked_speech import CheckedSpeech
from amtts_cli.guesses import warn_of_guesses
from amtts_cli.options import Assignments, Json, Lexicon
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from collections import Counter

    from torch import Tensor

    from amtts_core.synthesis.engine import Synthesizer


_VERSION = re.compile(r"\.v?\d+")  # out.v2 is a folder


def synthesize(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint folder or run folder.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Audio file (.wav .flac .ogg .mp3), a folder: one file a line, or - : WAV to standard output while "
            "it is spoken.",
        ),
    ],
    text: Annotated[list[str] | None, typer.Argument(help="What to say; without it, standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Text file, UTF-8.")] = None,
    speed: Annotated[float, typer.Option("--speed", help="1 is the voice's own pace; 0.25 to 4.")] = 1.0,
    pitch: Annotated[
        float, typer.Option("--pitch", help="Semitones above the voice's own pitch, or below; -12 to 12.")
    ] = 0.0,
    pitch_range: Annotated[
        float, typer.Option("--pitch-range", help="Width of the contour: 1 is the voice's own, 0 a monotone.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same audio.")] = 0,
    speaker: Annotated[str, typer.Option("--speaker", help="Speaker of a checkpoint with several.")] = "",
    voice: Annotated[
        str, typer.Option("--voice", help="Recording to speak like, or a voice kept with the checkpoint.")
    ] = "",
    attention: Annotated[
        Path | None,
        typer.Option("--attention", help="Folder for figures of where the speech looks in its text (T3)."),
    ] = None,
    vocoder: Annotated[
        str | None,
        typer.Option(
            "--vocoder", help="What turns its mels into sound: griffin-lim, or a file or folder of weights."
        ),
    ] = None,
    lexicon: Lexicon = None,
    guard: Annotated[
        str | None,
        typer.Option(
            "--guard",
            help="Recognizer that reads each sentence (ctc for the one that comes along): another seed is "
            "tried where it reads something else.",
        ),
    ] = None,
    guard_tries: Annotated[
        int, typer.Option("--guard-tries", min=1, help="Tries of a sentence at most.")
    ] = 4,
    guard_cer: Annotated[
        float, typer.Option("--guard-cer", min=0, help="Share of letters that may be read otherwise.")
    ] = 0.15,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 where --guard leaves a sentence doubtful.")
    ] = False,
    timestamps: Annotated[
        str, typer.Option("--timestamps", help="Write word times beside the audio: srt, vtt or json.")
    ] = "",
    assignments: Assignments = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    json: Json = False,
) -> None:
    """Speak text. Long text is cut at sentence ends and joined with pauses.

    Example: amtts synthesize --checkpoint run "ሰላም ለዓለም።" --out hello.wav
    """
    from amtts_core.audio.save import FORMATS, check_audio_name
    from amtts_core.synthesis.engine import Tone

    streamed = str(out) == "-"
    a_folder = out.is_dir() and out.suffix.lower() not in FORMATS
    one_file = bool(out.suffix) and not a_folder and not _VERSION.fullmatch(out.suffix)
    if streamed:
        _check_listener()
    elif one_file:
        check_audio_name(out)
    elif out.exists() and not out.is_dir():
        raise AmttsError(f"{out} is a file without an audio ending; known endings: {' '.join(FORMATS)}")
    words = _read_text(text or [], file)
    synthesizer = _open(checkpoint, device, assignments, lexicon, vocoder, voice)
    if not (one_file or streamed):
        _check_lines(synthesizer, words)
    warn_of_guesses(synthesizer.guesses(words))
    if attention is not None:
        _show(synthesizer.attention(words, seed=seed, speaker=speaker), attention)
    language = synthesizer.normalizer.settings.language
    checks = CheckedSpeech.open(
        guard, tries=guard_tries, max_cer=guard_cer, timestamps=timestamps, language=language, device=device
    )
    how = {"speed": speed, "seed": seed, "speaker": speaker, "tone": Tone(pitch, pitch_range)}
    if streamed:
        if guard is not None or timestamps:
            raise AmttsError(
                "--guard and --timestamps need whole sentences; --out - hands speech over before they end",
                remedy="Give a file: --out speech.wav",
            )
        _stream(synthesizer, words, how)
        return
    lines = [words] if one_file else [line for line in words.splitlines() if line.strip()]
    paths = [out] if one_file else [out / f"{number:04d}.wav" for number in range(1, len(lines) + 1)]
    _speak_all(synthesizer, lines, paths, checks, how, folder=None if one_file else out)
    if strict and checks.doubtful:
        raise typer.Exit(1)


def _read_text(arguments: list[str], file: Path | None) -> str:
    from amtts_core.text.normalizer import decode_text

    if arguments and file:
        raise AmttsError("give either a text or --file, not both")
    if file is not None:
        try:
            words = decode_text(file.read_bytes(), source=str(file))
        except OSError as error:
            raise AmttsError(f"text file {file}: {error.strerror}") from None
    elif arguments:
        words = "\n".join(arguments)
    elif sys.stdin.isatty():
        raise AmttsError("no text to speak", remedy="Give it as an argument, with --file, or through a pipe")
    else:
        words = decode_text(sys.stdin.buffer.read(), source="standard input")
    if not words.strip():
        raise AmttsError(f"{file or 'the text'} is empty", remedy="Give at least one sentence")
    if any("\ud800" <= character <= "\udfff" for character in words):
        raise AmttsError(
            "the text on the command line is not UTF-8", remedy="Put it in a file and use --file"
        )
    return words


def _check_lines(synthesizer: Synthesizer, words: str) -> None:
    """Refuses a line that cannot be spoken before the first file is written."""
    for number, line in enumerate(words.splitlines(), 1):
        try:
            if line.strip():
                synthesizer.check(line)
        except AmttsError as fault:
            raise AmttsError(f"line {number}: {fault.message}", remedy=fault.remedy) from None


def _open(
    checkpoint: Path,
    device: str,
    assignments: list[str] | None,
    lexicon: Path | None,
    vocoder: str | None,
    voice: str,
) -> Synthesizer:
    import amtts
    from amtts_core.config.yaml_files import parse_assignments

    values = parse_assignments(assignments or [])
    strange = sorted(set(values) - {"model"})
    if strange or not isinstance(values.get("model", {}), dict):
        raise AmttsError(
            f"--set {strange[0] if strange else 'model'}: speaking has only settings of the network",
            remedy="Example: --set model.sampling.temperature=0",
        )
    settings = dict(values.get("model", {}))
    if voice and "voice_clip" in settings:
        raise AmttsError("give the voice once: with --voice, or with --set model.voice_clip=FILE")
    return amtts.load(
        checkpoint,
        device=device,
        voice=voice or None,
        vocoder=vocoder,
        lexicon=lexicon,
        settings=settings,
    ).synthesizer


def _speak_all(
    synthesizer: Synthesizer,
    lines: list[str],
    paths: list[Path],
    checks: CheckedSpeech,
    how: dict[str, Any],
    *,
    folder: Path | None,
) -> None:
    import time

    from amtts_core.audio.save import write_audio

    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    seconds = 0.0
    with console.progress() as progress:
        task = progress.add_task("speaking", total=len(lines), note="")
        for line, path in zip(lines, paths, strict=True):
            speech, checked = checks.speak(synthesizer, line, path, **how)
            write_audio(path, speech.waveform, speech.sample_rate)
            _tell_unread(speech.unread)
            seconds += speech.duration
            said = " ".join(line.replace("|", " ").split())
            rows.append({"path": str(path), "seconds": f"{speech.duration:.2f}", "text": said, **checked})
            progress.update(task, advance=1)
    if folder is not None:
        table = "".join(f"{Path(r['path']).name}|{r['text']}\n" for r in rows)
        (folder / "metadata.csv").write_text("audio_file|text\n" + table, encoding="utf-8")
    took = time.monotonic() - began
    factor = took / max(seconds, 1e-9)
    console.result(
        {
            "files": rows,
            "seconds": round(seconds, 2),
            "real_time_factor": round(factor, 4),
            "sample_rate": synthesizer.sample_rate,
        },
        lines=[
            *(f"{r['path']}  {r['seconds']} s" for r in rows),
            f"{seconds:.1f} s of speech in {took:.1f} s (real-time factor {factor:.3f})",
        ],
    )


def _show(figures: list[tuple[str, Tensor]], folder: Path) -> None:
    """Writes one picture a stretch of speech: time to the right, text upwards."""
    from amtts_core.training.figures import save_picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (said, picture) in enumerate(figures, 1):
            path = folder / f"{number:04d}.png"
            save_picture(path, picture, scale=4)
            console.log(f"{path}: {said}")
    except OSError as error:
        raise AmttsError(f"figures cannot be written into {folder}: {error.strerror or error}") from None


def _check_listener() -> None:
    """Refuses to write sound to a terminal or between the lines of a result."""
    if console.wants_json() or sys.stdout.isatty():
        where = "--json goes there as well" if console.wants_json() else "it is a terminal"
        raise AmttsError(
            f"--out - writes sound to standard output, and {where}",
            remedy="Pipe it into a player: amtts synthesize … --out - | aplay",
        )


def _stream(synthesizer: Synthesizer, words: str, how: dict[str, Any]) -> None:
    """Writes WAV to standard output, piece by piece."""
    import time

    from amtts_core.audio.pcm import to_pcm16
    from amtts_core.audio.save import endless_wav_header

    began, first, samples = time.monotonic(), 0.0, 0
    spoken = synthesizer.stream(words, **how)
    for piece in spoken.pieces:
        if not samples:
            console.out_bytes(endless_wav_header(spoken.sample_rate))
            first = time.monotonic() - began
        console.out_bytes(to_pcm16(piece).tobytes())
        samples += len(piece)
    _tell_unread(spoken.unread)
    took = time.monotonic() - began
    console.log(
        f"{samples / spoken.sample_rate:.1f} s of speech in {took:.1f} s, first sound after {first:.2f} s"
    )


def _tell_unread(unread: Counter[str]) -> None:
    if unread:
        shown = ", ".join(f"{c!r} x {n}" for c, n in unread.most_common(10))
        console.warn(f"not in the audio, this voice never learnt them: {shown}")
