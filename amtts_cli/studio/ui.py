"""Pieces that several tabs share: mistakes as one line, lists of what is there, the panel of a job."""

from __future__ import annotations

import functools
import html
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from amtts_cli.studio.jobs import Job
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.workspace import Kind
from amtts_core.errors import AmttsError

EVERY = 2.0
"""Seconds between looks at a job."""


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose `AmttsError` is shown as one line. A bug stays one: its traceback goes to the terminal.

    Works for functions and for generators. What was shown before stays.
    """

    def shown(error: AmttsError) -> gr.Error:
        return gr.Error(html.escape(str(error), quote=False), duration=None, print_exception=False)

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*arguments: Any, **named: Any) -> Any:
            try:
                yield from function(*arguments, **named)
            except AmttsError as error:
                raise shown(error) from None

        return generator

    @functools.wraps(function)
    def plain(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except AmttsError as error:
            raise shown(error) from None

    return plain


def folders(
    studio: Studio, kind: Kind, *, label: str, info: str = "", first: Sequence[str] = (), empty: bool = False
) -> gr.Dropdown:
    """A list of the workspace's folders of a kind, looked for anew whenever a page is opened or the list is focused.

    Args:
        studio: whose workspace.
        kind: of folders.
        label: of the component.
        info: below the label.
        first: choices before those of the workspace, such as "base".
        empty: whether nothing may be chosen.
    """

    def choices() -> list[str]:
        return [*([""] if empty else []), *first, *studio.workspace.find(kind)]

    def look(value: str | None) -> Any:
        found = choices()
        kept = value if value and value in found else ("" if empty else next(iter(found), None))
        return gr.update(choices=found, value=kept)

    found = choices()
    box = gr.Dropdown(
        found, value=None if not found else found[0], label=label, info=info or None, allow_custom_value=True
    )
    box.focus(look, box, box, show_progress="hidden", queue=False, api_visibility="private")
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(look, box, box, show_progress="hidden", queue=False, api_visibility="private")
    return box


def job_line(studio: Studio, job: Job | None) -> str:
    """State of a job as HTML: a word, what it does, how long."""
    say = studio.say
    if job is None:
        return f'<div class="job job-none">{html.escape(say("no_job"))}</div>'
    code = f" ({job.exit_code})" if job.state == "failed" else ""
    return (
        f'<div class="job job-{job.state}" role="status"><b>{html.escape(say(f"state.{job.state}"))}{code}</b> '
        f"<span>{html.escape(job.title)}</span> <small>{job.id} · {lasted(job)}</small></div>"
    )


def lasted(job: Job) -> str:
    """How long a job runs or ran, such as 1:05; empty before it starts."""
    if not job.started:
        return ""
    seconds = int((job.ended or time.time()) - job.started)
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def job_panel(studio: Studio, *kinds: str, lines: int = 30) -> gr.Timer:
    """State, log and Stop of the newest job of these kinds, whichever browser or studio started it.

    Returns:
        the timer that looks; `timer.tick(...)` adds what else should follow the job.
    """
    say = studio.say

    def look(before: str) -> tuple[Any, Any, Any, str]:
        job = studio.jobs.latest(*kinds)
        line = job_line(studio, job)
        tail = studio.jobs.tail(job.id, lines) if job else ""
        now = f"{line}\n{tail}"
        if now == before:
            return gr.skip(), gr.skip(), gr.skip(), before
        return line, tail, gr.update(interactive=job is not None and not job.over), now

    def stop() -> None:
        job = studio.jobs.latest(*kinds)
        if job is None or job.over:
            raise AmttsError(say("no_job"))
        studio.jobs.stop(job.id)
        gr.Info(say("stopping", id=job.id))

    with gr.Group():
        state = gr.HTML(job_line(studio, None), label=say("state"), elem_classes=["job-state"])
        button = gr.Button(say("stop"), variant="stop", interactive=False, size="sm")
        log = gr.Textbox(label=say("log"), lines=6, max_lines=14, interactive=False, elem_classes=["log"])
    seen = gr.State("")
    button.click(told(stop), api_visibility="private")
    timer = gr.Timer(EVERY)
    timer.tick(look, seen, [state, log, button, seen], show_progress="hidden", api_visibility="private")
    return timer
