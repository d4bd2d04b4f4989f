"""`amtts new`: from recordings to a voice that speaks, asking what it has to know."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, Json
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts_cli.new_voice import Answers, NewVoice
    from amtts_cli.propose import Proposal
    from amtts_core.corpus.look import SourceLook

_QUESTION = "Where are the recordings? A folder, a table, a video or recording with subtitles beside it, or an archive"
_SHOWN = 3


def new(
    folder: Annotated[Path, typer.Argument(help="Folder of the new voice, such as my-voice.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            "--recordings",
            help="Folder, table, recording or video with subtitles beside it, or archive; may be given again.",
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="What the columns of a table are: audio=1,text=3,speaker=2.")
    ] = "",
    importer: Annotated[
        str, typer.Option("--from", help="Kind of source, as for `amtts prepare`; empty looks.")
    ] = "",
    speaker: Annotated[str, typer.Option("--speaker", help="Speaker of rows that name none.")] = "",
    language: Annotated[str, typer.Option("--language", help="Language of the text; default am.")] = "",
    audio_root: Annotated[
        Path | None, typer.Option("--audio-root", help="Folder with recordings that the source names.")
    ] = None,
    channel: Annotated[
        str, typer.Option("--channel", help="Take one channel: left, right or a number from 1.")
    ] = "",
    license: Annotated[str, typer.Option("--license", help="License of the recordings: CC-BY-4.0.")] = "",
    consent_note: Annotated[
        str, typer.Option("--consent-note", help="How the speakers agreed to the use of their voices.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(
            "--start",
            help="What training begins with: base (the voice that comes along), scratch, or a run or checkpoint; empty "
            "proposes.",
        ),
    ] = "",
    text: Annotated[str, typer.Option("--text", help="The sentence that the voice says at the end.")] = "",
    assignments: Assignments = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take what is proposed.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Print the commands and run none.")] = False,
    json: Json = False,
) -> None:
    """Make a voice of recordings: prepare, tokenize where that is needed, train, and say a sentence.

    Shows how the recordings were read, proposes settings by minutes of speech and by machine, and asks before it
    begins. The folder holds config.yaml, commands.sh with the commands that were run, data, run and hello.wav. Run
    again with the same folder it goes on where it stopped.

    Example: amtts new my-voice --recordings recordings --yes
    """
    from amtts_cli.new_voice import NewVoice, absolute, clear_away

    given: dict[str, Any] = {
        "recordings": [absolute(str(path)) for path in recordings or []],
        "columns": columns,
        "importer": importer,
        "speaker": speaker,
        "language": language,
        "audio_root": absolute(str(audio_root)) if audio_root else "",
        "channel": channel,
        "license": license,
        "consent_note": consent_note,
        "start": _weights(start),
        "text": text,
    }
    voice = NewVoice.open(folder)
    if voice is not None:
        voice.refuse_other(given)
        if assignments:
            raise AmttsError(
                f"--set {assignments[0]}: {folder} has its settings already",
                remedy=f"Change {folder / 'config.yaml'}, or choose another name",
            )
        if dry:
            _print_commands(voice)
            return
        _go_on(voice)
        return
    try:
        voice, proposal, look = _ask(folder, given, yes=yes, dry=dry)
        settings = _settings(proposal, assignments)
        if dry:
            _print_commands(voice, settings)
            return
        if not yes and not _confirm("Make the voice?"):
            console.log("nothing was written")
            return
        voice.begin(settings, [look.summary, proposal.said])
    finally:
        clear_away(folder)
    _go_on(voice)


def _ask(
    folder: Path, given: dict[str, Any], *, yes: bool, dry: bool
) -> tuple[NewVoice, Proposal, SourceLook]:
    """What the voice is made of and how, from options and from a person."""
    from amtts_cli.new_voice import Answers, NewVoice, absolute
    from amtts_cli.propose import Hardware, propose

    people = sys.stdin.isatty() and not yes
    if not given["recordings"]:
        if not people:
            raise AmttsError(
                "`amtts new` needs recordings",
                remedy=f"Example: amtts new {folder} --recordings FOLDER, or run it in a terminal, where it asks",
            )
        said = typer.prompt(_QUESTION, err=True)
        given["recordings"] = [absolute(path) for path in _paths(said)]
    elif not people and not yes and not dry:
        raise AmttsError(
            "nobody can be asked here: standard input is no terminal",
            remedy="Add --yes to begin at once, or --dry-run to see the commands",
        )
    answers = Answers(**{name: value for name, value in given.items() if value})
    look = _look(answers, folder, people=people and not dry)
    if people and not dry and not answers.consent_note:
        answers.consent_note = typer.prompt(
            "How did the speakers agree to the use of their voices? (Enter: not stated)",
            default="",
            show_default=False,
            err=True,
        )
    proposal = propose(look.seconds, Hardware.here(), language=answers.language, start=answers.start)
    answers.start = proposal.start
    console.log(proposal.said)
    for note in proposal.notes:
        console.warn(note)
    return NewVoice(folder, answers), proposal, look


def _paths(said: str) -> list[str]:
    """What a person typed: one path as it is, or several as a shell reads them."""
    whole = said.strip().strip("'\"")
    if Path(whole).expanduser().exists():
        return [whole]
    try:
        return shlex.split(said) or [said]
    except ValueError:
        return [said]


def _weights(start: str) -> str:
    """`--start` as it is kept: a word, or the absolute path of weights."""
    import os

    if start in ("", "base", "scratch"):
        return start
    if not Path(start).exists():
        raise AmttsError(
            f"--start {start} is neither base nor scratch, and no such run or checkpoint exists",
            remedy="Leave it out for a proposal",
        )
    return os.path.abspath(start)


def _look(answers: Answers, folder: Path, *, people: bool) -> SourceLook:
    """Shows how the recordings are read; a person may correct the columns."""
    from amtts_core.corpus.look import look_into
    from amtts_core.corpus.settings import parse_columns, resolve_settings

    good: tuple[SourceLook, str] | None = None
    while True:
        settings = resolve_settings(
            {
                "columns": parse_columns(answers.columns),
                "speaker": answers.speaker,
                "channel": answers.channel,
                "normalizer": {"language": answers.language},
            }
        )
        try:
            look = look_into(
                [Path(path) for path in answers.recordings],
                folder / "data",
                settings,
                importer=answers.importer,
                audio_root=Path(answers.audio_root) if answers.audio_root else None,
                keep=True,
            )
            _tell(look)
            good = look, answers.columns
            if not people or not look.columns:
                return look
        except AmttsError as fault:
            if not people or ("--columns" not in str(fault) and good is None):
                raise
            console.error(str(fault))
        said = _ask_columns()
        if not said and good is not None:
            look, answers.columns = good
            return look
        answers.columns = said


def _ask_columns() -> str:
    """Columns as a person types them; empty for those that were found."""
    said = typer.prompt(
        "Are the columns right? Enter for yes, or say them: audio=1,text=2",
        default="",
        show_default=False,
        err=True,
    ).strip()
    return "" if said.lower() in ("y", "yes", "አዎ") else said.removeprefix("--columns").strip()


def _tell(look: SourceLook) -> None:
    about = "" if look.exact else "about "
    people = f", {len(look.speakers)} speaker(s)" if look.speakers else ""
    console.log(f"read as: {look.summary}")
    console.log(f"{look.clips} clips, {about}{look.seconds / 60:.1f} minutes{people}")
    for clip in look.first[:_SHOWN]:
        console.log(f"  {clip.source}: {clip.text[:100]}")
    if look.faults:
        counts = ", ".join(f"{count} {rule}" for rule, count in look.faults.most_common())
        console.warn(f"{look.faults.total()} entries are no clips: {counts}")
    for warning in look.warnings:
        console.warn(warning)
    if not look.clips:
        raise AmttsError(
            f"no clip can be read: {look.summary}",
            remedy="See why with: amtts prepare RECORDINGS --out DATA, which writes rejected.jsonl",
        )


def _settings(proposal: Proposal, assignments: list[str] | None) -> dict[str, Any]:
    """The settings of the run, checked before anything is written."""
    from amtts_core.config.yaml_files import parse_assignments
    from amtts_core.run.start import StartRequest, resolve_start
    from amtts_core.settings import merged

    settings = merged(dict(proposal.settings), parse_assignments(assignments or []))
    start = None if proposal.start == "scratch" else Path(proposal.start)
    resolve_start(StartRequest(data=Path("data"), run=Path("run"), config=settings, start_from=start))
    return settings


def _confirm(question: str) -> bool:
    return bool(typer.confirm(question, default=True, err=True))


def _print_commands(voice: NewVoice, settings: dict[str, Any] | None = None) -> None:
    """The commands, to be run in the voice's folder, after the settings file that they read."""
    from amtts_cli.new_voice import settings_text

    lines = [step.line() for step in voice.steps()]
    head = [f"# in {voice.folder}, with these settings in config.yaml:"] if settings is not None else []
    head += [f"#   {line}" for line in settings_text(settings).splitlines()] if settings is not None else []
    values: dict[str, Any] = {"folder": str(voice.folder), "commands": lines}
    console.result(values | ({"settings": settings} if settings is not None else {}), lines=[*head, *lines])


def _go_on(voice: NewVoice) -> None:
    voice.run()
    folder = voice.folder
    console.result(
        {"folder": str(folder), "run": str(folder / "run"), "speech": str(folder / "hello.wav")},
        lines=[
            f"the voice is {folder / 'run'}, heard in {folder / 'hello.wav'}; what was run: {folder / 'commands.sh'}"
        ],
    )
