"""Evaluate: voices measured as a job, their reports, a listening test and what its listeners answered."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.speak import SHIPPED, source_of
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.errors import AmttsError

LISTENING = "listening"
KINDS = ("mos", "ab", "mushra")
_LARGEST_PAGE = 64 << 20


def build(studio: Studio) -> None:
    """Makes the tab."""
    say = studio.say
    from amtts_core.evaluation.settings import METRICS

    with gr.Row():
        voice = folders(studio, "run", label=say("speak.voice"), first=[SHIPPED])
        other = folders(studio, "run", label=say("evaluate.other"), first=[SHIPPED], empty=True)
        data = folders(studio, "corpus", label=say("train.data"), info=say("evaluate.data_info"), empty=True)
    with gr.Row():
        limit = gr.Number(
            0, label=say("evaluate.limit"), info=say("evaluate.limit_info"), precision=0, minimum=0
        )
        public = gr.Checkbox(
            True, label=say("evaluate.public"), info=say("evaluate.public_info"), min_width=240
        )
        metrics = gr.CheckboxGroup(
            list(METRICS), value=list(METRICS), label=say("evaluate.metrics"), min_width=280
        )
    with gr.Row():
        kind = gr.Dropdown(
            ["", *KINDS], value="", label=say("evaluate.listening"), info=say("evaluate.listening_info")
        )
        texts = gr.Number(20, label=say("evaluate.texts"), precision=0, minimum=1)
        out = gr.Textbox(
            studio.workspace.free_name("evaluation"), label=say("evaluate.out"), info=say("evaluate.out_info")
        )

    def start(
        voice: str,
        other: str | None,
        data: str | None,
        limit: float,
        public: bool,
        metrics: list[str],
        kind: str | None,
        texts: float,
        out: str,
    ) -> str:
        workspace = studio.workspace
        target = workspace.name(workspace.path(out, what=say("evaluate.out")))
        words = ["evaluate", "--out", target]
        for name in filter(None, (voice, other)):
            words += ["--checkpoint", source_of(studio, name)]
        if data:
            test = workspace.existing(f"{data}/test.jsonl", what=say("train.data"))
            words += ["--manifest", workspace.name(test), "--limit", str(int(limit))]
        words += ["--public-list" if public else "--no-public-list"]
        if not data and not public:
            raise AmttsError(
                "there is no text to speak",
                remedy=f"Choose a corpus, or switch on '{say('evaluate.public')}'",
            )
        if not metrics:
            raise AmttsError("nothing is measured", remedy=f"Choose one of: {', '.join(METRICS)}")
        words += ["--metrics", ",".join(metrics)]
        if kind:
            words += ["--listening-test", f"{target}/{LISTENING}", "--listening-kind", kind]
            words += ["--listening-texts", str(int(texts))]
        title = say("evaluate.title", voices=", ".join(filter(None, (voice, other))), out=target)
        job = studio.jobs.start("evaluate", [words], title=title, out=target)
        gr.Info(say("started", id=job.id))
        return job.id

    hidden = gr.State("")
    gr.Button(say("evaluate.go"), variant="primary", elem_id="evaluate-go").click(
        told(start),
        [voice, other, data, limit, public, metrics, kind, texts, out],
        hidden,
        api_name="evaluate",
    )
    job_panel(studio, "evaluate")
    _build_reports(studio)


def _build_reports(studio: Studio) -> None:
    say = studio.say
    gr.Markdown(f"### {say('evaluate.reports')}")
    chosen = folders(studio, "evaluation", label=say("evaluate.report_of"))
    with gr.Row():
        show = gr.Button(say("evaluate.show"), size="sm", elem_id="evaluate-show")
        listen = gr.Button(say("evaluate.listen"), size="sm")
    page = gr.HTML("", label=say("evaluate.reports"), elem_id="evaluate-page")
    answers = gr.File(
        label=say("evaluate.answers"),
        file_count="multiple",
        file_types=[".json"],
        type="filepath",
        height=110,
    )
    scores = gr.HTML("", label=say("evaluate.scores"))

    def report(name: str | None) -> str:
        return framed(studio, name, "report.html")

    def listening(name: str | None) -> str:
        return framed(studio, name, f"{LISTENING}/listening.html")

    def score(name: str | None, files: list[str] | None) -> str:
        return scores_of(studio, name or "", files or [])

    show.click(told(report), chosen, page, api_name="evaluation_report")
    listen.click(told(listening), chosen, page, api_name="listening_test")
    answers.upload(told(score), [chosen, answers], scores, api_name="listening_scores")


def framed(studio: Studio, name: str | None, file: str) -> str:
    """A page of an evaluation in a frame that cannot reach the studio.

    Raises:
        AmttsError: there is none, or it is too large for a frame.
    """
    what = studio.say("evaluate.report_of")
    folder = studio.workspace.existing(name or "", what=what)
    path = studio.workspace.existing(f"{studio.workspace.name(folder)}/{file}", what=what)
    if path.stat().st_size > _LARGEST_PAGE:
        raise AmttsError(f"{name}/{file} has {path.stat().st_size >> 20} MiB", remedy="Open the file itself")
    text = path.read_text(encoding="utf-8")
    return (
        f'<iframe class="page" title="{html.escape(path.name)}" sandbox="allow-scripts allow-downloads" '
        f'srcdoc="{html.escape(text)}"></iframe>'
    )


def scores_of(studio: Studio, name: str, files: list[str]) -> str:
    """What the listeners of a test answered, as HTML.

    Raises:
        AmttsError: there is no such test, or an answer that does not belong to it.
    """
    from amtts_core.evaluation.listening.score import score

    key = f"{name}/{LISTENING}/listening-key.json"
    path = studio.workspace.existing(key, what=studio.say("evaluate.report_of"))
    found: Any = score(path, [Path(file) for file in files])
    lines = [studio.say("evaluate.listeners", count=len(found.listeners), left_out=len(found.left_out))]
    lines += [
        f"{system}: {e.value:.2f} [{e.low:.2f}, {e.high:.2f}], n = {e.count}"
        for system, e in found.systems.items()
    ]
    lines += [
        f"{p.first} {p.first_chosen} : {p.second_chosen} {p.second}, = {p.ties}, p = {p.p_value:.4f}"
        for p in found.preferences
    ]
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"
