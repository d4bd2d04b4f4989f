"""What `--help` shows: options by subject, whole first sentences, plain types. And what the shell offers as values.

Plain text in 80 columns, without rich: `amtts --help` stays quick.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from amtts_cli.completion import complete_values

_OPTIONS = {
    "Data": """
        --data --recordings --manifest --file --text --audio-root --columns --speakers --references
        --language --lexicon --license --consent-note --repeated-text --check-transcripts --channel --trim
        --margin --max-clipped --doubtful --max-rejected --min-duration --max-duration --by --val --test
        --copy --renormalize --same-speakers --wavs --copies --limit --feedback --codes --mels-from
        --encoded --old-data --old-text --max-samples --fold-homophones --to --players --public-list
        --minutes --collect
    """,
    "Model": """
        --checkpoint --backend --preset --tokenizer --codec --weights --voice --speaker --vocoder --server
        --revision --kind --vocab-size --byte-fallback --max-unk --num-codebooks --add --init --mode
        --pad-to --language-tag --old-checkpoint --old-tokenizer --recognizer --reference --system --name
    """,
    "Training": """
        --from --max-steps --start --max-epochs --resume --from-scratch --overfit --auto-batch
        --overfit-steps --max-rise
    """,
    "Speech": """
        --speed --pitch --pitch-range --question-rise --sentence-pause --paragraph-pause --guard
        --guard-tries --guard-cer --strict
    """,
    "Measures": "--metrics --listening-test --listening-kind --listening-texts --max-cer",
    "Server": """
        --host --port --wyoming --wyoming-host --allow-host --cors --keys --per-key --active --waiting
        --batch --deadline --drain --idle --max-loaded --replicas --max-characters --log-texts --folder
        --auth-file --max-upload
    """,
    "Output": """
        --out --format --sample-rate --loudness --encoding --timestamps --attention --beside --skip-bad
        --half --private --embed-audio --explain --json --force --dry-run --check --schema --verify
        --measure
    """,
    "Settings and machine": """
        --config --set --device --seed --jobs --executor --num-shards --shard-index --batch-seconds
        --precision
    """,
    "General": "--verbose --yes --version --install-completion --show-completion --help",
}
PANELS: dict[str, tuple[str, ...]] = {
    subject: tuple(options.split()) for subject, options in _OPTIONS.items()
}
"""Subject -> options, in the order of the help. `_ABOUT_DATA` aside, an option has one subject in every command."""
_ABOUT_DATA = {
    ("prepare", "--from"),
    ("prepare", "--speaker"),
    ("new", "--from"),
    ("new", "--speaker"),
    ("align", "--speaker"),
}
"""(command, option) that say what recordings are, where other commands have a start or a voice under that name."""

_SUBJECT_OF = {option: subject for subject, options in PANELS.items() for option in options}
_TYPES = (
    (re.compile(r"<(int|float)( range)?>|\b(INTEGER|FLOAT)( RANGE)?(?=$|\s)"), "NUMBER"),
    (re.compile(r"<(list\[)?str\]?>"), "TEXT"),
    (re.compile(r"<(list\[)?[Pp]ath\]?>"), "PATH"),
)
_LARGE = re.compile(r"(; |\[)(0<=)?x<=\d{12,}(?=\])")
_LEAST = re.compile(r"\bx>=([\d.]+)")
_BETWEEN = re.compile(r"\b([\d.]+)<=x<=([\d.]+)")
_SENTENCE = re.compile(r"^(.+?[.!?])(?=\s|$)", re.DOTALL)


def subject_of(parameter: Any, command: str = "") -> str:
    """The heading that an option of a command stands under; empty for one that no heading has."""
    if any((command, name) in _ABOUT_DATA for name in parameter.opts):
        return "Data"
    return next((_SUBJECT_OF[name] for name in parameter.opts if name in _SUBJECT_OF), "")


def first_sentence(text: str) -> str:
    """The first sentence of a help text, whole."""
    flat = " ".join((text or "").split("\n\n")[0].split())
    found = _SENTENCE.match(flat)
    return found.group(1) if found else flat


def _plain(record: tuple[str, str]) -> tuple[str, str]:
    what, description = record
    for pattern, word in _TYPES:
        what = pattern.sub(word, what)
    description = _LARGE.sub("", description).removesuffix("  ]")
    description = _LEAST.sub(r"\1 or more", description)
    return what, _BETWEEN.sub(r"\1 to \2", description).strip()


def _format_options(command: Any, context: Any, formatter: Any) -> None:
    rows: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            argument = parameter.param_type_name == "argument"
            heading = "Arguments" if argument else subject_of(parameter, command.name or "") or "Options"
            rows.setdefault(heading, []).append(_plain(record))
    for heading in ("Arguments", "Options", *PANELS):
        if heading in rows:
            with formatter.section(heading):
                formatter.write_dl(rows[heading])


class Command(TyperCommand):
    """A command whose help is grouped and whose values the shell completes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            complete_values(self.name or "", parameter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options under their subjects."""
        _format_options(self, ctx, formatter)


class Group(TyperGroup):
    """A group whose commands are described by a whole sentence each."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options under their subjects, then the commands."""
        _format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Every command with the first sentence of its help."""
        rows = [
            (name, first_sentence(command.help or ""))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
