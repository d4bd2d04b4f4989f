"""What `amtts new` remembers and runs: a voice's folder with its answers, its settings and its commands.

The commands are those of the program itself, called one after the other in this process: what `commands.sh` holds is
what was run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amtts_cli import console
from amtts_core.errors import AmttsError, command

STATE, SETTINGS, SCRIPT = "new.json", "config.yaml", "commands.sh"
_MADE_BY = "amtts new"
_SCRATCH = "scratch"
_OPTIONS = ("columns", "speaker", "importer", "audio_root", "channel", "license", "consent_note")


@dataclass
class Answers:
    """What a person said, kept for the next time.

    Attributes:
        recordings: absolute paths of the sources.
        columns: roles of a table's columns, as `--columns` takes them.
        speaker, language, audio_root, channel, license, consent_note, importer: as options of `amtts prepare`.
        start: "base", "scratch", or weights.
        text: the sentence that is spoken at the end.
    """

    recordings: list[str]
    columns: str = ""
    speaker: str = ""
    language: str = "am"
    audio_root: str = ""
    channel: str = ""
    license: str = ""
    consent_note: str = ""
    importer: str = ""
    start: str = ""
    text: str = "ሰላም ለዓለም።"


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: prepare, tokenize, train or speak.
        words: of the command, with its paths inside of the voice's folder relative to that.
        inside: which of the words are such paths.
    """

    name: str
    words: tuple[str, ...]
    inside: frozenset[str] = frozenset()

    def line(self) -> str:
        """For a shell in the voice's folder."""
        return command("amtts", *self.words)

    def arguments(self, folder: Path) -> list[str]:
        """For this process, wherever it stands."""
        return [str(folder / word) if word in self.inside else word for word in self.words]


@dataclass
class NewVoice:
    """The folder of a voice that is being made.

    Attributes:
        folder: of the voice.
        answers: what a person said.
        done: names of the steps that are done.
    """

    folder: Path
    answers: Answers
    done: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path) -> NewVoice | None:
        """What an earlier `amtts new` began here; None for a folder that can be begun.

        Raises:
            AmttsError: a file, or a folder of something else.
        """
        if folder.exists() and not folder.is_dir():
            raise AmttsError(
                f"{folder} is a file; expected a folder to make the voice in", remedy="Choose another name"
            )
        try:
            stored = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if stored["made_by"] == _MADE_BY:
                return cls(folder, Answers(**stored["answers"]), list(stored["done"]))
            raise ValueError("made by another program")
        except FileNotFoundError:
            if folder.is_dir() and any(folder.iterdir()):
                raise AmttsError(
                    f"{folder} is not empty and was not begun by `amtts new`", remedy="Choose another name"
                ) from None
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AmttsError(
                f"{folder / STATE} cannot be read ({error})",
                remedy=f"Go on by hand with {folder / SCRIPT}, or choose another name",
            ) from None

    def refuse_other(self, given: Mapping[str, object]) -> None:
        """Refuses answers that differ from those this voice was begun with.

        Raises:
            AmttsError: names the first one.
        """
        for name, value in given.items():
            before = getattr(self.answers, name)
            if value and value != before:
                shown = [" ".join(v) if isinstance(v, list) else str(v) for v in (before, value)]
                raise AmttsError(
                    f"{self.folder} was begun with --{name.replace('_', '-')} '{shown[0]}', now it is '{shown[1]}'",
                    remedy="Leave the option out to go on, or choose another name for a new voice",
                )

    def steps(self) -> list[Step]:
        """The commands from recordings to speech."""
        answers, steps = self.answers, []
        options: list[str] = []
        for name in _OPTIONS:
            option = {"importer": "--from"}.get(name, f"--{name.replace('_', '-')}")
            if value := getattr(answers, name):
                options += [option, value]
        if answers.language != "am":
            options += ["--language", answers.language]
        steps.append(Step("prepare", ("prepare", *answers.recordings, "--out", "data", *options), _OWN))
        training: tuple[str, ...] = ("train", "--config", SETTINGS, "--data", "data", "--out", "run")
        if answers.start == _SCRATCH:
            steps.append(Step("tokenize", ("tokenize", "--data", "data"), _OWN))
        else:
            training += ("--from", answers.start)
        steps.append(Step("train", training, _OWN))
        words = ("synthesize", "--checkpoint", "run", answers.text, "--out", "hello.wav")
        steps.append(Step("speak", words, _OWN))
        return steps

    def begin(self, settings: Mapping[str, Any], said: Iterable[str]) -> None:
        """Makes the folder: answers, settings and commands.

        Args:
            settings: nested settings of the run.
            said: lines about them, for the head of the settings file.

        Raises:
            AmttsError: it cannot be written.
        """
        text = "".join(f"# {line}\n" for line in said) + settings_text(settings)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / SETTINGS).write_text(text, encoding="utf-8")
            (self.folder / SCRIPT).write_text(self._script(), encoding="utf-8")
            (self.folder / SCRIPT).chmod(0o755)
            self._write_state()
        except OSError as error:
            raise AmttsError(f"cannot write {error.filename or self.folder}: {error.strerror}") from None

    def run(self) -> None:
        """Runs what is not done yet.

        Raises:
            AmttsError: a step cannot be done; what is done is kept.
            SystemExit: a step was interrupted, with its exit code.
        """
        for step in self.steps():
            if step.name in self.done:
                console.log(f"{step.name}: done before")
                continue
            arguments = self._resumed() if step.name == "train" and self._has_begun() else None
            console.log(f"$ {step.line()}")
            code = _call(arguments or step.arguments(self.folder))
            if code:
                sys.exit(code)
            self.done.append(step.name)
            self._write_state()

    def _has_begun(self) -> bool:
        return any((self.folder / "run" / "checkpoints").glob("step-*"))

    def _resumed(self) -> list[str]:
        folder = self.folder
        return ["train", "--data", str(folder / "data"), "--out", str(folder / "run"), "--resume"]

    def _script(self) -> str:
        head = (
            "#!/bin/sh",
            "# What `amtts new` ran to make this voice, in this order; each can be run by hand.",
            "# Other settings: change config.yaml, and choose another --out for the training.",
            'set -e\ncd "$(dirname "$0")"',
        )
        return "\n".join((*head, *(step.line() for step in self.steps()))) + "\n"

    def _write_state(self) -> None:
        from amtts_core.storage.atomic import replace_text

        state = {"made_by": _MADE_BY, "answers": asdict(self.answers), "done": self.done}
        replace_text(self.folder / STATE, json.dumps(state, ensure_ascii=False, indent=1) + "\n")


_OWN = frozenset(("data", "run", "hello.wav", SETTINGS))


def _call(arguments: Sequence[str]) -> int:
    """Runs a command of this program; its exit code."""
    from amtts_cli.app import app

    aside = contextlib.redirect_stdout(sys.stderr) if console.wants_json() else contextlib.nullcontext()
    with aside:
        code = app(args=list(arguments), prog_name="amtts", standalone_mode=False)
    return code if isinstance(code, int) else 0


def settings_text(settings: Mapping[str, Any]) -> str:
    """Nested settings as YAML, for `amtts train --config`."""
    import yaml

    return yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False)


def absolute(path: str) -> str:
    """A path that means the same from any folder.

    Raises:
        AmttsError: there is no such file or folder.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise AmttsError(
            f"--recordings {path} does not exist",
            remedy="Give a folder with recordings, a table, a video with subtitles beside it, or an archive",
        )
    return os.path.abspath(found)


def clear_away(folder: Path) -> None:
    """Deletes what looking at an archive left in a folder that no voice was begun in."""
    from amtts_core.corpus.unpacked import remove_unpacked

    if (folder / STATE).exists():
        return
    remove_unpacked(folder / "data")
    for empty in (folder / "data", folder):
        with contextlib.suppress(OSError):
            empty.rmdir()
