"""Jobs: everything that runs, waits or ended, whoever started it; logs, and Stop."""

from __future__ import annotations

import html
import time
from dataclasses import asdict
from typing import Any

import gradio as gr

from amtts_cli.studio.jobs import Job
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import EVERY, lasted, told

_LINES = 200


def build(studio: Studio) -> None:
    """Makes the tab."""
    say = studio.say

    def look(chosen: str | None, before: str) -> tuple[Any, Any, Any, str]:
        jobs = studio.jobs.list()
        table = job_table(studio, jobs)
        names = [(f"{job.id} · {job.title}", job.id) for job in jobs]
        chosen = chosen if any(job.id == chosen for job in jobs) else (jobs[0].id if jobs else None)
        tail = studio.jobs.tail(chosen, _LINES) if chosen else ""
        now = table + tail
        if now == before:
            return gr.skip(), gr.skip(), gr.skip(), before
        return table, gr.update(choices=names, value=chosen), tail, now

    def stop(chosen: str | None) -> None:
        job = studio.jobs.stop(chosen or "")
        gr.Info(say("stopping", id=job.id))

    table = gr.HTML(job_table(studio, []), label=say("jobs"), elem_classes=["wide"])
    box = gr.Dropdown([], label=say("jobs.choose"), info=say("jobs.choose_info"))
    button = gr.Button(say("stop"), variant="stop", size="sm")
    log = gr.Textbox(label=say("log"), lines=12, max_lines=24, interactive=False, elem_classes=["log"])
    seen = gr.State("")
    button.click(told(stop), box, api_visibility="private")
    gr.Timer(EVERY).tick(
        look, [box, seen], [table, box, log, seen], show_progress="hidden", api_visibility="private"
    )
    box.input(look, [box, seen], [table, box, log, seen], show_progress="hidden", api_visibility="private")

    def every_job() -> list[dict[str, Any]]:
        return [asdict(job) for job in studio.jobs.list()]

    def stop_job(id: str) -> str:
        return studio.jobs.stop(id).id

    gr.api(every_job, api_name="jobs")
    gr.api(told(stop_job), api_name="stop_job")


def job_table(studio: Studio, jobs: list[Job]) -> str:
    """Jobs as an HTML table."""
    say = studio.say
    if not jobs:
        return f"<p>{html.escape(say('none_yet'))}</p>"
    heads = "".join(
        f"<th>{html.escape(say(key))}</th>"
        for key in ("jobs.id", "jobs.title", "state", "jobs.began", "jobs.took")
    )
    rows = "".join(
        f'<tr><td>{job.id}</td><td>{html.escape(job.title)}</td><td class="job-{job.state}">'
        f"{html.escape(say(f'state.{job.state}'))}</td>"
        f"<td>{time.strftime('%Y-%m-%d %H:%M', time.localtime(job.created))}</td><td>{lasted(job)}</td></tr>"
        for job in jobs
    )
    return f'<table class="plain jobs"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
