"""`amtts synthesize`: text to speech with a checkpoint that needs nothing else."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, ExecutorName, Json, Lexicon
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from torch import Tensor

    from amtts.voice import Voice
    from amtts_core.synthesis.batch.rows import Row


_VERSION = re.compile(r"\.v?\d+")  # out.v2 is a folder
_TERMINATED = 143
_REMOTE = {"server", "out", "text", "file", "voice", "speaker", "speed", "seed", "json"}
"""Options that speaking through a server has."""


def synthesize(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Audio file (.wav .flac .ogg .opus .mp3 .m4a .ulaw .alaw), a folder: one file a line or row, or - : "
            "WAV to standard output while it is spoken.",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Run or checkpoint folder, or org/name on the Hugging Face hub."),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            help="URL of an `amtts serve` that speaks in place of a checkpoint; --voice names its voice.",
        ),
    ] = "",
    text: Annotated[list[str] | None, typer.Argument(help="What to say; without it, standard input.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="File of texts: .txt, .csv .tsv (id|text|speaker|voice|out), .jsonl, .srt .vtt, .md, .html, .ssml, "
            ".epub.",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format", help="Format of the files in a folder: wav, flac, ogg, opus, mp3, m4a, ulaw, alaw."
        ),
    ] = "wav",
    speed: Annotated[float, typer.Option("--speed", help="1 is the voice's own pace; 0.25 to 4.")] = 1.0,
    pitch: Annotated[
        float, typer.Option("--pitch", help="Semitones above the voice's own pitch, or below; -12 to 12.")
    ] = 0.0,
    pitch_range: Annotated[
        float, typer.Option("--pitch-range", help="Width of the contour: 1 is the voice's own, 0 a monotone.")
    ] = 1.0,
    question_rise: Annotated[
        float,
        typer.Option("--question-rise", help="Semitones by which the end of a question rises; -12 to 12."),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same audio.")] = 0,
    speaker: Annotated[str, typer.Option("--speaker", help="Speaker of a checkpoint with several.")] = "",
    voice: Annotated[
        str, typer.Option("--voice", help="Recording to speak like, or a voice kept with the checkpoint.")
    ] = "",
    sentence_pause: Annotated[
        float | None, typer.Option("--sentence-pause", help="Seconds between sentences; default 0.35.")
    ] = None,
    paragraph_pause: Annotated[
        float | None, typer.Option("--paragraph-pause", help="Seconds between paragraphs; default 0.7.")
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option("--sample-rate", help="Rate of the audio, Hz, e.g. 8000; default the voice's."),
    ] = None,
    loudness: Annotated[
        float | None,
        typer.Option("--loudness", help="Loudness of the audio, LUFS, e.g. -16; default the voice's."),
    ] = None,
    encoding: Annotated[
        str, typer.Option("--encoding", help="Coding of .wav files: pcm16, pcm24, float, mulaw or alaw.")
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
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", help="Speak the rows that can be spoken; exit code 1 where others are left."
        ),
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Write into a folder that holds other files; none is replaced.")
    ] = False,
    executor: ExecutorName = "local",
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, help="Processes that speak a batch; 0 uses every core.")
    ] = 1,
    assignments: Assignments = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    json: Json = False,
) -> None:
    """Speak text. Long text is cut at sentence ends and joined with pauses.

    Blank lines end paragraphs; a text may hold [pause:1.5s] and SSML (break, prosody rate, sub, say-as, phoneme).
    A folder keeps speech.jsonl, what was guessed, cut or left out of each row; run again, the same command speaks
    only what is missing.

    Example: amtts synthesize --checkpoint run "ሰላም ለዓለም።" --out hello.wav

    Example: amtts synthesize --checkpoint run --file lines.csv --out spoken --format mp3
    """
    if server or checkpoint is None:
        _through_server(
            context, server, checkpoint, _read_text(text or [], file), out, voice, speaker, speed, seed
        )
        return
    from amtts_cli.checked_speech import CheckedSpeech
    from amtts_cli.speaking import Speaking, check_listener
    from amtts_core.audio.save import FORMATS, AudioOptions, check_audio_name

    _end_tidily()
    streamed = str(out) == "-"
    a_folder = out.is_dir() and out.suffix.lower() not in FORMATS
    one_file = not streamed and bool(out.suffix) and not a_folder and not _VERSION.fullmatch(out.suffix)
    audio = AudioOptions(sample_rate=sample_rate, loudness=loudness, encoding=encoding)
    ending = _ending(format)
    target = None
    if streamed:
        check_listener()
        _refuse_for_pipes(guard, timestamps, sample_rate, loudness, encoding)
    elif one_file:
        check_audio_name(out)
        audio.check(out.suffix.lower())
        _refuse_inputs(out, file, lexicon, Path(voice) if voice else None)
    elif out.exists() and not out.is_dir():
        raise AmttsError(f"{out} is a file without an audio ending; known endings: {' '.join(FORMATS)}")
    else:
        from amtts_core.synthesis.batch.folder import SpeechFolder

        audio.check(ending)
        target = SpeechFolder(out, beside=beside)
    live = streamed and not text and file is None
    rows = [] if live else _read_rows(text or [], file, as_lines=target is not None)
    source = _source(checkpoint, device, assignments, lexicon, vocoder, voice)
    loaded = source.load()
    if attention is not None:
        _show(loaded, "\n".join(row.text for row in rows), attention, seed=seed, speaker=speaker)
    checks = CheckedSpeech.open(
        guard,
        tries=guard_tries,
        max_cer=guard_cer,
        timestamps=timestamps,
        language=loaded.language,
        device=device,
    )
    how: dict[str, Any] = {"speed": speed, "seed": seed, "pitch": pitch, "pitch_range": pitch_range}
    how |= {"question_rise": question_rise} if question_rise else {}  # others keep the speech they have made
    pauses = {"sentence_pause": sentence_pause, "paragraph_pause": paragraph_pause}
    how |= {name: value for name, value in pauses.items() if value is not None}
    speaking = Speaking(source, checks, speaker=speaker, how=how, audio=audio)
    if streamed:
        texts = _lines_as_they_come() if live else iter(["\n\n".join(row.text for row in rows)])
        try:
            speaking.to_pipe(texts)
        except BrokenPipeError:
            console.log("nobody listens any more")
        return
    if target is None:
        bad = [row for row in rows if row.problem]
        if bad and not skip_bad:
            from amtts_core.synthesis.batch.run import refuse_bad

            refuse_bad(bad, str(file))
        rows = [row for row in rows if not row.problem]
        if rows and rows[0].start is not None:
            speaking.captions_to_file(rows, out)
        else:
            speaking.to_file(rows, out)
        left = len(bad)
    else:
        left = speaking.to_folder(
            rows,
            target,
            ending=ending,
            skip_bad=skip_bad,
            executor=executor,
            jobs=jobs,
            settings=_depends_on(source, loaded, how | {"speaker": speaker}, audio, checks),
        )
    if left or (strict and checks.doubtful):
        raise typer.Exit(1)


def _through_server(
    context: typer.Context,
    server: str,
    checkpoint: Path | None,
    text: str,
    out: Path,
    voice: str,
    speaker: str,
    speed: float,
    seed: int,
) -> None:
    """Speaks with a running `amtts serve`; what only a checkpoint here can do is refused."""
    from amtts_cli.remote import remote_voice

    if not server or checkpoint is not None:
        raise AmttsError(
            "the voice is that of --checkpoint or that of --server: give one of them",
            remedy="Example: amtts synthesize --checkpoint run TEXT --out hello.wav",
        )
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name not in _REMOTE and source is not None and source.name == "COMMANDLINE":
            raise AmttsError(
                f"{parameter.opts[0]} needs a voice on this machine; with --server it has no effect"
            )
    remote = remote_voice(server, voice)
    if str(out) == "-":
        from amtts_cli.speaking import check_listener

        check_listener()
        for piece in remote.stream(text, speaker=speaker, speed=speed, seed=seed):
            console.out_bytes(piece)
        return
    remote.save(text, out, speaker=speaker, speed=speed, seed=seed)
    console.result({"files": [{"path": str(out)}], "server": server}, lines=[str(out)])


def _end_tidily() -> None:
    """SIGTERM ends as Ctrl-C does: what was spoken is kept and reported."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(_TERMINATED)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)


def _ending(format: str) -> str:
    from amtts_core.audio.save import FORMATS
    from amtts_core.errors import nearest

    ending = f".{format.lower().lstrip('.')}"
    if ending not in FORMATS:
        known = [name.lstrip(".") for name in FORMATS]
        raise AmttsError(f"--format '{format}' is unknown{nearest(format, known)}; known: {', '.join(known)}")
    return ending


def _refuse_for_pipes(
    guard: str | None, timestamps: str, sample_rate: int | None, loudness: float | None, encoding: str
) -> None:
    if guard is not None or timestamps:
        raise AmttsError(
            "--guard and --timestamps need whole sentences; --out - hands speech over before they end",
            remedy="Give a file: --out speech.wav",
        )
    if sample_rate is not None or loudness is not None or encoding:
        raise AmttsError(
            "--out - hands over 16-bit WAV as the voice speaks it; --sample-rate, --loudness and --encoding are for "
            "files",
            remedy="Give a file: --out speech.wav",
        )


def _refuse_inputs(out: Path, *inputs: Path | None) -> None:
    """An input is never replaced by the output."""
    for path in inputs:
        if path is not None and path.exists() and out.exists() and path.samefile(out):
            raise AmttsError(f"--out {out} is an input of this command", remedy="Choose another --out")


def _read_rows(arguments: list[str], file: Path | None, *, as_lines: bool) -> list[Row]:
    """What is to be spoken; `as_lines`: a row a line of plain text."""
    from amtts_core.synthesis.batch.read import kind_of, read_rows, rows_of_lines
    from amtts_core.synthesis.batch.rows import Row

    if arguments and file:
        raise AmttsError("give either a text or --file, not both")
    if file is not None and kind_of(file) != "lines":
        return read_rows(file)
    words = _read_text(arguments, file)
    if as_lines:
        return rows_of_lines(words)
    return [Row(id=file.stem if file else "text", text=words, place="the text")]


def _read_text(arguments: list[str], file: Path | None) -> str:
    from amtts_core.synthesis.batch.read import read_file
    from amtts_core.text.decoding import decode_text

    if file is not None:
        words = decode_text(read_file(file), source=str(file))
    elif arguments:
        words = " ".join(arguments)  # words without quotation marks around them are one text
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


def _lines_as_they_come() -> Iterator[str]:
    """Lines of standard input; each is spoken before the next one is waited for."""
    from amtts_core.text.decoding import decode_text

    if sys.stdin.isatty():
        raise AmttsError("no text to speak", remedy="Give it as an argument, with --file, or through a pipe")
    found = False
    for number, line in enumerate(sys.stdin.buffer, 1):
        words = decode_text(line, source=f"standard input, line {number}")
        if words.strip():
            found = True
            yield words
    if not found:
        raise AmttsError("the text is empty", remedy="Give at least one sentence")


def _source(
    checkpoint: Path,
    device: str,
    assignments: list[str] | None,
    lexicon: Path | None,
    vocoder: str | None,
    voice: str,
) -> Any:
    from json import dumps

    from amtts.batch import VoiceSource
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
    return VoiceSource(
        source=str(checkpoint),
        device=device,
        voice=voice,
        vocoder=vocoder or "",
        lexicon=str(lexicon) if lexicon else "",
        settings=dumps(settings),
    )


def _depends_on(source: Any, voice: Voice, how: dict[str, Any], audio: Any, checks: Any) -> dict[str, Any]:
    """Everything besides its row that the speech of a batch depends on; another weights file is another voice."""
    from hashlib import blake2b

    from amtts_core.checkpoints.folders import find_checkpoint

    def digest(path: Path) -> str:
        return blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.is_file() else ""

    named = {name: getattr(source, name) for name in ("voice", "vocoder", "settings")}
    files = {
        "weights": find_checkpoint(voice.folder) / "files.json",
        "lexicon": Path(source.lexicon or "."),
        "recording": Path(source.voice or "."),
    }
    contents = {name: digest(path) for name, path in files.items()}
    return (
        named | contents | how | {"audio": repr(audio), "guard": repr(checks.settings), "form": checks.form}
    )


def _show(voice: Voice, words: str, folder: Path, *, seed: int, speaker: str) -> None:
    """Writes one picture a stretch of speech: time to the right, text upwards."""
    from amtts_core.training.figures import save_picture

    figures: list[tuple[str, Tensor]] = voice.synthesizer.attention(words, seed=seed, speaker=speaker)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (said, picture) in enumerate(figures, 1):
            path = folder / f"{number:04d}.png"
            save_picture(path, picture, scale=4)
            console.log(f"{path}: {said}")
    except OSError as error:
        raise AmttsError(f"figures cannot be written into {folder}: {error.strerror or error}") from None
