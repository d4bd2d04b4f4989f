"""Import: recordings with their texts come in; how they were read is shown and corrected; a dataset is made."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from amtts_cli.studio.importing import (
    KINDS,
    ROLES,
    Undecided,
    chosen_columns,
    look,
    prepare_command,
    read_ledger,
    take_uploads,
)
from amtts_cli.studio.sounds import clip_list
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.corpus.importers.columns import Columns
from amtts_core.corpus.look import SourceLook

_WIDEST = 60  # characters of a cell
_LANGUAGES = ("am", "ti")


def build(studio: Studio) -> None:
    """Makes the tab."""
    say, workspace = studio.say, studio.workspace

    def take(files: list[str] | None) -> tuple[Any, Any]:
        name = take_uploads(workspace, files or [], largest=studio.largest_upload)
        gr.Info(say("import.taken", name=name))
        return name, None

    def show(source: str, speaker: str, language: str) -> tuple[Any, ...]:
        return looked(source, "", speaker, language)

    def correct(
        source: str, speaker: str, language: str, found: Columns | None, *roles: Any
    ) -> tuple[Any, ...]:
        given = {role: _number(value) for role, value in zip(ROLES, roles, strict=True)}
        return looked(source, chosen_columns(given, found), speaker, language)

    def correct_by_name(source: str, columns: str, speaker: str, language: str) -> tuple[str, str]:
        found = look(workspace, source, columns=columns, speaker=speaker, language=language)
        if isinstance(found, Undecided):
            return found.problem, ""
        return summary(studio, found), "\n".join(clip.text for clip in found.first)

    def looked(source: str, columns: str, speaker: str, language: str) -> tuple[Any, ...]:
        found = look(workspace, source, columns=columns, speaker=speaker, language=language)
        if isinstance(found, Undecided):
            told_ = f'<p class="warn" role="alert">{html.escape(found.problem)}</p>'
            rows, read, clips = found.rows, None, ""
        else:
            told_, read = summary(studio, found), found.columns
            rows, clips = found.rows or _names(read), clip_list(workspace, found.first)
        table = table_html(studio, rows, read) if rows else ""
        choices = _choices(rows)
        boxes = [_box(role, choices, read) for role in ROLES]
        ready = gr.update(interactive=not isinstance(found, Undecided))
        shown = gr.update(visible=bool(rows))
        return told_, table, shown, clips, columns, read, ready, *boxes

    def start(
        source: str,
        name: str,
        columns: str,
        speaker: str,
        language: str,
        license: str,
        consent: str,
        check: bool,
    ) -> str:
        command = prepare_command(
            workspace,
            source,
            name,
            columns=columns,
            speaker=speaker,
            language=language,
            license=license,
            consent_note=consent,
            check_transcripts=check,
        )
        out = command[3]
        job = studio.jobs.start(
            "prepare", [command], title=say("import.job", source=source, out=out), out=out
        )
        gr.Info(say("started", id=job.id))
        return job.id

    def ledger(corpus: str | None) -> str:
        return ledger_html(studio, corpus) if corpus else ""

    def follow(shown: str) -> tuple[Any, Any, str]:
        """Shows the ledger of the dataset that was made last, as soon as it is there."""
        job = studio.jobs.latest("prepare")
        if job is None or not job.over or job.id == shown:
            return gr.skip(), gr.skip(), shown
        if not (workspace.root / job.out).is_dir():
            return gr.skip(), gr.skip(), job.id
        return job.out, ledger_html(studio, job.out), job.id

    gr.Markdown(say("import.intro"))
    with gr.Row():
        files = gr.File(
            label=say("import.files"),
            file_count="multiple",
            file_types=list(KINDS),
            elem_id="import-files",
            height=150,
        )
        with gr.Column():
            source = gr.Textbox(
                label=say("import.source"),
                info=say("import.source_info"),
                elem_id="import-source",
                max_length=1000,
            )
            with gr.Row():
                speaker = gr.Textbox(
                    label=say("import.speaker"), info=say("import.speaker_info"), max_length=200
                )
                language = gr.Dropdown(list(_LANGUAGES), value="am", label=say("import.language"))
            see = gr.Button(say("import.look"), variant="primary", elem_id="import-look")
    told_box = gr.HTML("", elem_id="import-summary")
    found, columns = gr.State(None), gr.State("")
    with gr.Accordion(say("import.columns"), open=True, visible=False) as panel:
        table = gr.HTML("", elem_classes=["wide"], elem_id="import-table")
        with gr.Row(elem_classes=["roles"]):
            roles = [
                gr.Dropdown(
                    [],
                    label=say(f"import.role.{role}"),
                    elem_id=f"import-role-{role}",
                    min_width=150,
                    allow_custom_value=False,
                )
                for role in ROLES
            ]
        again = gr.Button(say("import.again"), elem_id="import-again")
    clips = gr.HTML("", elem_id="import-clips")
    with gr.Row():
        name = gr.Textbox(label=say("import.name"), value="data", elem_id="import-name", max_length=200)
        license = gr.Textbox(label=say("import.license"), placeholder="CC-BY-4.0", max_length=200)
        consent = gr.Textbox(label=say("import.consent"), info=say("import.consent_info"), max_length=500)
    check = gr.Checkbox(label=say("import.check"), info=say("import.check_info"))
    make = gr.Button(say("import.make"), variant="primary", interactive=False, elem_id="import-make")
    timer = job_panel(studio, "prepare")
    gr.Markdown(f"### {say('import.ledger')}")
    corpus = folders(studio, "corpus", label=say("import.ledger_of"))
    left_out = gr.HTML("", elem_classes=["wide"], elem_id="import-ledger")

    last = gr.State("")
    files.upload(told(take), files, [source, files], api_name="import_take")
    outputs = [told_box, table, panel, clips, columns, found, make, *roles]
    asked = [source, speaker, language]
    see.click(told(show), asked, outputs, api_visibility="private")
    again.click(told(correct), [*asked, found, *roles], outputs, api_visibility="private")
    filled = [source, name, columns, speaker, language, license, consent, check]
    make.click(told(start), filled, None, api_visibility="private")
    corpus.change(told(ledger), corpus, left_out, show_progress="hidden", api_visibility="private")
    timer.tick(told(follow), last, [corpus, left_out, last], show_progress="hidden", api_visibility="private")
    gr.api(told(correct_by_name), api_name="import_look")
    gr.api(told(start), api_name="import_prepare")


def summary(studio: Studio, look: SourceLook) -> str:
    """How a source was read, as HTML: the line of `amtts prepare`, counts, minutes, what is wrong."""
    say = studio.say
    about = "" if look.exact else f"{say('import.about')} "
    people = f" · {say('import.speakers', count=len(look.speakers))}" if look.speakers else ""
    head = say("import.found", clips=look.clips, minutes=f"{about}{look.seconds / 60:.1f}")
    parts = [f"<p><b>{html.escape(head)}{html.escape(people)}</b></p>"]
    parts.append(f"<p>{html.escape(look.summary)}</p>")
    if look.faults:
        faults = ", ".join(f"{count} {rule}" for rule, count in look.faults.most_common())
        parts.append(f'<p class="warn">{html.escape(say("import.faults"))} {html.escape(faults)}</p>')
    parts += [f'<p class="warn">{html.escape(warning)}</p>' for warning in look.warnings]
    return "".join(parts)


def table_html(studio: Studio, rows: Sequence[Sequence[str]], columns: Columns | None) -> str:
    """The first rows of a table below what each column was read as."""
    say = studio.say
    count = max(map(len, rows))
    by_column = {column: role for role, column in columns.roles.items()} if columns else {}
    heads = []
    for number in range(count):
        role = by_column.get(number, "")
        word = say(f"import.role.{role}") if role in ROLES else role or say("import.unused")
        heads.append(f"<th{'' if role else ' class=unused'}>{number + 1} · {html.escape(word)}</th>")
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_short(cell))}</td>" for cell in row) + "</tr>"
        for row in rows[:6]
    )
    return f'<table class="plain"><thead><tr>{"".join(heads)}</tr></thead><tbody>{body}</tbody></table>'


def ledger_html(studio: Studio, corpus: str) -> str:
    """What a corpus left out and why, as HTML."""
    say = studio.say
    counts, rows = read_ledger(studio.workspace.existing(corpus))
    if not counts:
        return f"<p>{html.escape(say('import.nothing_left_out'))}</p>"
    told_ = ", ".join(f"{count} {rule}" for rule, count in counts.most_common())
    heads = "".join(
        f"<th>{html.escape(say(f'import.ledger.{key}'))}</th>" for key in ("where", "rule", "text")
    )
    body = "".join(
        f"<tr><td>{html.escape(str(row.get('where', '')))}</td>"
        f"<td><b>{html.escape(str(row.get('rule', '')))}</b><br>{html.escape(str(row.get('reason', '')))}</td>"
        f"<td>{html.escape(_short(str(row.get('text', ''))))}</td></tr>"
        for row in rows
    )
    more = counts.total() - len(rows)
    rest = f"<p>{html.escape(say('import.more', count=more))}</p>" if more > 0 else ""
    return (
        f"<p>{html.escape(told_)}</p>"
        f'<table class="plain"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{rest}'
    )


def _short(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"


def _names(columns: Columns | None) -> Sequence[Sequence[str]]:
    """The header alone, for manifests whose rows are no cells."""
    return [list(columns.names)] if columns is not None and columns.names else []


def _choices(rows: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    """Columns as they are chosen: number and what stands in their first row; 0 for none."""
    count = max(map(len, rows), default=0)
    first = list(rows[0]) + [""] * count if rows else []
    return [("–", 0), *((f"{number + 1} · {first[number][:24]}", number + 1) for number in range(count))]


def _box(role: str, choices: list[tuple[str, int]], columns: Columns | None) -> Any:
    found = columns.roles.get(role) if columns else None
    return gr.update(choices=choices, value=0 if found is None else found + 1)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
