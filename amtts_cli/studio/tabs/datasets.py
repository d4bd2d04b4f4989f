"""Datasets: browse and hear, correct, keep or reject; a new version, merge, split; quality, consent and license."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from amtts_cli.studio.datasets import (
    PAGE,
    SHOWS,
    Row,
    audio_of,
    correct,
    counts,
    decide,
    merge_command,
    page_of,
    provenance_of,
    report_of,
    rows_of,
    split_command,
    spoken,
)
from amtts_cli.studio.sounds import player
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.corpus.report.build import PAGE as REPORT
from amtts_core.errors import AmttsError

_COLUMNS = ("number", "id", "text", "speaker", "seconds", "split", "decision")
_WIDTHS: list[str | int] = ["6%", "15%", "43%", "11%", "6%", "8%", "11%"]
_KEYS = """() => {
  if (window.studioDatasetKeys) return;
  window.studioDatasetKeys = true;
  const buttons = {k: 'keep', r: 'reject', s: 'save', arrowleft: 'previous', arrowright: 'next'};
  document.addEventListener('keydown', event => {
    const at = event.target;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (at.closest('input, textarea, select, [contenteditable=true], [role=tab], [role=listbox], audio')) return;
    const panel = document.getElementById('datasets-editor');
    if (!panel || panel.offsetParent === null) return;
    if (event.key === ' ') {
      if (at.closest('button, a')) return;
      const sound = document.querySelector('#datasets-sound audio');
      if (!sound) return;
      if (sound.paused) sound.play(); else sound.pause();
      event.preventDefault();
      return;
    }
    const name = buttons[event.key.toLowerCase()];
    const button = name && document.getElementById('datasets-' + name);
    if (button) { button.click(); event.preventDefault(); }
  });
}"""


def build(studio: Studio) -> None:
    """Makes the tab."""
    say, workspace = studio.say, studio.workspace

    def folder(corpus: str | None) -> Path:
        if not corpus:
            raise AmttsError(say("none_yet"))
        return workspace.existing(corpus, what="dataset")

    def listed(corpus: str | None, query: str, show: str, page: float | None) -> tuple[Any, ...]:
        if not corpus:
            return [], say("none_yet"), 1, []
        rows = rows_of(folder(corpus), query=query or "", show=show)
        shown, number, pages = page_of(rows, int(page or 1))
        line = (
            say("datasets.rows", count=len(rows), page=number, pages=pages) if rows else say("datasets.none")
        )
        return [_cells(studio, row) for row in shown], line, number, [row.utterance.id for row in rows]

    def fresh(corpus: str | None, query: str, show: str) -> tuple[Any, ...]:
        return (*listed(corpus, query, show, 1), *nobody(), version_line(corpus))

    def nobody() -> tuple[Any, ...]:
        return "", f"<p>{html.escape(say('datasets.choose_first'))}</p>", "", "", ""

    def version_line(corpus: str | None) -> str:
        if not corpus:
            return ""
        rejected, corrected = counts(folder(corpus))
        if not rejected and not corrected:
            return say("datasets.nothing")
        return say("datasets.version_info", rejected=rejected, corrected=corrected)

    def open_row(corpus: str | None, identity: str, autoplay: bool) -> tuple[Any, ...]:
        place = folder(corpus)
        row = _row(place, identity)
        sound = player(audio_of(place, row), row.text)
        if autoplay:
            sound = sound.replace('preload="none"', "autoplay")
        return row.utterance.id, _head(studio, row), sound, row.text, spoken(place, row)

    def choose(
        corpus: str | None, ids: list[str], page: float, autoplay: bool, event: gr.SelectData
    ) -> tuple[Any, ...]:
        place = event.index[0] if isinstance(event.index, list | tuple) else event.index
        position = (int(page) - 1) * PAGE + int(place)
        if position >= len(ids):
            raise AmttsError(say("datasets.choose_first"))
        return open_row(corpus, ids[position], autoplay)

    def step(by: int) -> Any:
        def go(
            corpus: str | None, query: str, show: str, ids: list[str], current: str, autoplay: bool
        ) -> tuple[Any, ...]:
            target = _neighbour(ids, current, by)
            page = ids.index(target) // PAGE + 1
            return (*listed(corpus, query, show, page), *open_row(corpus, target, autoplay))

        return go

    def keep_or_not(keep: bool) -> Any:
        def act(
            corpus: str | None,
            query: str,
            show: str,
            page: float,
            ids: list[str],
            current: str,
            autoplay: bool,
        ) -> tuple[Any, ...]:
            place = folder(corpus)
            decide(place, _row(place, _chosen(current)), keep=keep)
            following = _neighbour(ids, current, 1)
            number = ids.index(following) // PAGE + 1 if following in ids else page
            shown = listed(corpus, query, show, number)
            # a filter may not hold the row any more; the next one is shown all the same
            return (*shown, *open_row(corpus, following, autoplay), version_line(corpus))

        return act

    def save(
        corpus: str | None, query: str, show: str, page: float, current: str, text: str
    ) -> tuple[Any, ...]:
        place = folder(corpus)
        correct(place, _row(place, _chosen(current)), text)
        gr.Info(say("datasets.saved"))
        return (*listed(corpus, query, show, page), *open_row(corpus, current, False), version_line(corpus))

    def _chosen(current: str) -> str:
        if not current:
            raise AmttsError(say("datasets.choose_first"))
        return current

    def _row(place: Path, identity: str) -> Row:
        found = next((row for row in rows_of(place) if row.utterance.id == _chosen(identity)), None)
        if found is None:
            raise AmttsError(f"'{identity}' is not in this dataset any more", remedy="Choose another row")
        return found

    def _neighbour(ids: list[str], current: str, by: int) -> str:
        if not ids:
            raise AmttsError(say("datasets.none"))
        if current not in ids:
            return ids[0]
        return ids[min(max(0, ids.index(current) + by), len(ids) - 1)]

    def merge(corpora: list[str], name: str, same: bool, rate: float | None) -> None:
        begin(
            "merge", merge_command(workspace, corpora, name, same_speakers=same, sample_rate=rate or 0), name
        )

    def version(corpus: str | None, name: str) -> None:
        begin("merge", merge_command(workspace, [corpus] if corpus else [], name), name)

    def split(corpus: str | None, val: float, test: float, by: str) -> None:
        command = split_command(workspace, corpus or "", val=val, test=test, by=by)
        begin("split", command, command[1])

    def begin(kind: str, command: list[str], out: str) -> None:
        job = studio.jobs.start(kind, [command], title=" ".join(command[:4]), out=out)
        gr.Info(say("started", id=job.id))

    def facts(corpus: str | None) -> tuple[str, Any]:
        if not corpus:
            return "", gr.update(visible=False)
        place = folder(corpus)
        page = place / REPORT
        there = page.is_file()
        return report_html(studio, place), gr.update(visible=there, value=str(page) if there else None)

    gr.Markdown(say("datasets.intro"))
    with gr.Row():
        corpus = folders(studio, "corpus", label=say("datasets.corpus"))
        corpus.elem_id = "datasets-corpus"
        query = gr.Textbox(
            label=say("datasets.search"),
            info=say("datasets.search_info"),
            max_length=200,
            elem_id="datasets-search",
        )
        show = gr.Radio(
            [(say(f"datasets.show.{name}"), name) for name in SHOWS], value="all", label=say("datasets.show")
        )
    with gr.Row(elem_classes=["pager"]):
        line = gr.Markdown("", elem_id="datasets-line")
        page = gr.Number(
            value=1,
            minimum=1,
            precision=0,
            label=say("datasets.page"),
            min_width=90,
            scale=0,
            elem_id="datasets-page",
        )
    with gr.Column(elem_id="datasets-scroll"):
        table = gr.Dataframe(
            headers=[say(f"datasets.col.{name}") for name in _COLUMNS],
            datatype="str",
            interactive=False,
            column_widths=_WIDTHS,
            wrap=True,
            max_height=380,
            label=say("datasets.table"),
            elem_id="datasets-table",
        )
    ids, current = gr.State([]), gr.State("")
    with gr.Group(elem_id="datasets-editor"):
        head = gr.HTML(f"<p>{html.escape(say('datasets.choose_first'))}</p>", elem_id="datasets-head")
        sound = gr.HTML("", elem_id="datasets-sound", label=say("datasets.sound"))
        text = gr.Textbox(label=say("datasets.text"), lines=2, max_length=2000, elem_id="datasets-text")
        read = gr.Textbox(label=say("datasets.spoken"), interactive=False, lines=1)
        with gr.Row(elem_classes=["keys"]):
            back = gr.Button(say("datasets.previous"), size="sm", elem_id="datasets-previous", min_width=100)
            keep = gr.Button(say("datasets.keep"), size="sm", elem_id="datasets-keep", min_width=100)
            reject = gr.Button(
                say("datasets.reject"), size="sm", variant="stop", elem_id="datasets-reject", min_width=100
            )
            store = gr.Button(
                say("datasets.save"), size="sm", variant="primary", elem_id="datasets-save", min_width=100
            )
            forward = gr.Button(say("datasets.next"), size="sm", elem_id="datasets-next", min_width=100)
        autoplay = gr.Checkbox(label=say("datasets.autoplay"), value=True, info=say("datasets.keys"))
    with gr.Accordion(say("datasets.version"), open=False):
        told_version = gr.Markdown("")
        with gr.Row():
            new_name = gr.Textbox(label=say("datasets.new_name"), value="data-2", max_length=200)
            write = gr.Button(say("datasets.write"), variant="primary", elem_id="datasets-write")
    with gr.Accordion(say("datasets.merge"), open=False):
        which = gr.Dropdown(
            workspace.find("corpus"),
            multiselect=True,
            label=say("datasets.merge_which"),
            allow_custom_value=True,
        )
        with gr.Row():
            merged_name = gr.Textbox(label=say("datasets.new_name"), value="merged", max_length=200)
            rate = gr.Number(value=0, minimum=0, precision=0, label=say("datasets.rate"))
            same = gr.Checkbox(label=say("datasets.same_speakers"))
        do_merge = gr.Button(say("datasets.do_merge"))
    with gr.Accordion(say("datasets.split"), open=False):
        with gr.Row():
            val = gr.Number(value=0.05, minimum=0, maximum=0.9, step=0.01, label=say("datasets.val"))
            test = gr.Number(value=0.05, minimum=0, maximum=0.9, step=0.01, label=say("datasets.test"))
            by = gr.Radio(
                [(say("datasets.by.sentence"), "sentence"), (say("datasets.by.speaker"), "speaker")],
                value="sentence",
                label=say("datasets.by"),
            )
        do_split = gr.Button(say("datasets.do_split"))
    with gr.Accordion(say("datasets.report"), open=True):
        quality = gr.HTML("", elem_classes=["wide"], elem_id="datasets-report")
        whole = gr.DownloadButton(say("datasets.report.file"), visible=False, size="sm")
    job_panel(studio, "merge", "split", lines=12)

    seen = [table, line, page, ids]
    opened = [current, head, sound, text, read]
    filters = [corpus, query, show]
    for event in (corpus.change, query.submit, show.change):
        event(
            told(fresh),
            filters,
            [*seen, *opened, told_version],
            show_progress="hidden",
            api_visibility="private",
        )
    corpus.change(told(facts), corpus, [quality, whole], show_progress="hidden", api_visibility="private")
    page.submit(told(listed), [*filters, page], seen, show_progress="hidden", api_visibility="private")
    page.input(told(listed), [*filters, page], seen, show_progress="hidden", api_visibility="private")
    table.select(
        told(choose), [corpus, ids, page, autoplay], opened, show_progress="hidden", api_visibility="private"
    )
    for button, by_ in ((back, -1), (forward, 1)):
        button.click(
            told(step(by_)),
            [*filters, ids, current, autoplay],
            [*seen, *opened],
            show_progress="hidden",
            api_visibility="private",
        )
    for button, keeps in ((keep, True), (reject, False)):
        button.click(
            told(keep_or_not(keeps)),
            [*filters, page, ids, current, autoplay],
            [*seen, *opened, told_version],
            show_progress="hidden",
            api_visibility="private",
        )
    store.click(
        told(save),
        [*filters, page, current, text],
        [*seen, *opened, told_version],
        show_progress="hidden",
        api_visibility="private",
    )
    which.focus(
        lambda: gr.update(choices=workspace.find("corpus")),
        None,
        which,
        queue=False,
        api_visibility="private",
    )
    do_merge.click(told(merge), [which, merged_name, same, rate], None, api_name="datasets_merge")
    write.click(told(version), [corpus, new_name], None, api_name="datasets_version")
    do_split.click(told(split), [corpus, val, test, by], None, api_name="datasets_split")
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(
            told(fresh),
            filters,
            [*seen, *opened, told_version],
            show_progress="hidden",
            api_visibility="private",
        )
        blocks.load(told(facts), corpus, [quality, whole], show_progress="hidden", api_visibility="private")
        blocks.load(None, None, None, js=_KEYS)


def _cells(studio: Studio, row: Row) -> list[str]:
    decision = ""
    if not row.edit.keep:
        decision = f"✗ {studio.say('datasets.rejected')}"
    elif row.edit.text:
        decision = f"✎ {studio.say('datasets.corrected')}"
    elif row.flags:
        decision = f"⚠ {', '.join(row.flags)}"
    said = row.utterance
    return [str(row.number), said.id, row.text, said.speaker, f"{said.duration:.1f}", row.split, decision]


def _head(studio: Studio, row: Row) -> str:
    said, say = row.utterance, studio.say
    marks = [*row.flags]
    if row.edit.text:
        marks.append(say("datasets.corrected"))
    if not row.edit.keep:
        marks.append(say("datasets.rejected"))
    state = f' <b class="warn">{html.escape(", ".join(marks))}</b>' if marks else ""
    parts = " · ".join(part for part in (said.speaker, f"{said.duration:.1f} s", row.split) if part)
    return f'<p role="status"><b>{row.number}. {html.escape(said.id)}</b> {html.escape(parts)}{state}</p>'


def report_html(studio: Studio, corpus: Path) -> str:
    """Quality, consent and license of a dataset as HTML."""
    say = studio.say
    stated = provenance_of(corpus)
    missing = say("datasets.report.not_stated")
    licenses = ", ".join(missing if name == "not stated" else name for name in stated.licenses) or missing
    notes = "; ".join(stated.consent_notes) or missing
    parts = [
        f"<p><b>{html.escape(say('datasets.report.license'))}</b>: {html.escape(licenses)}<br>"
        f"<b>{html.escape(say('datasets.report.consent'))}</b>: {html.escape(notes)}</p>"
    ]
    report = report_of(corpus)
    if report is None:
        return f"<p>{html.escape(say('datasets.report.none'))}</p>{parts[0]}"
    figures = [
        (f"{report.seconds / 60:.1f}", say("datasets.report.minutes")),
        (str(report.kept), say("datasets.report.kept")),
        (str(report.rejected), say("datasets.report.rejected")),
        (str(max(1, report.speaker_count)), say("datasets.report.speakers")),
        (str(report.letters_seen), say("datasets.report.letters", count=len(report.letters))),
    ]
    figures += [(str(size.utterances), name) for name, size in report.splits.items()]
    parts.insert(
        0,
        '<div class="figures">'
        + "".join(f"<div><b>{number}</b><span>{html.escape(word)}</span></div>" for number, word in figures)
        + "</div>",
    )
    parts += [f'<p class="warn">{html.escape(warning)}</p>' for warning in report.warnings]
    if report.worst:
        items = "".join(
            f"<li>{player(corpus / one.audio, one.text)}<span>{html.escape(one.text)}<br>"
            f"<small>{html.escape(one.id)}: {html.escape('; '.join(one.reasons))}</small></span></li>"
            for one in report.worst[:5]
            if one.reasons
        )
        if items:
            parts.append(f'<p>{html.escape(say("datasets.report.worst"))}</p><ol class="clips">{items}</ol>')
    return "".join(parts)
