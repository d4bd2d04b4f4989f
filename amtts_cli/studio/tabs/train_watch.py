"""The runs as they go: curves, samples to hear, what they look at, the machine, the queue; pause, continue, resume."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from amtts_cli.studio.jobs import TRAINING
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import EVERY, told
from amtts_core.errors import AmttsError

_ROUNDS = 3  # rounds of samples that are shown, the newest first
_GIB = 2**30
_MAIN = ("total",)


def build_watch(studio: Studio) -> None:
    """Makes the part of the Train tab that shows runs."""
    say = studio.say
    gr.Markdown(f"### {say('train.runs')}")
    run = gr.Dropdown(
        [], label=say("train.watch"), info=say("train.watch_info"), elem_id="train-watch", filterable=False
    )
    with gr.Row():
        pause = gr.Button(say("train.pause"), size="sm")
        go_on = gr.Button(say("train.go_on"), size="sm")
        resume = gr.Button(say("train.resume"), size="sm", elem_id="train-resume")
    machine = gr.HTML(machine_line(studio), label=say("train.machine"), elem_id="train-machine")
    curves = gr.HTML("", label=say("train.curves"), elem_id="train-curves")
    samples = gr.HTML("", label=say("train.samples"), elem_id="train-samples")
    seen, job_seen, heard_seen = gr.State(""), gr.State(""), gr.State("")

    def look(chosen: str | None, before: str, job_before: str, heard_before: str) -> tuple[Any, ...]:
        job = studio.jobs.latest("train")
        names = list(dict.fromkeys([*([job.out] if job else []), *studio.workspace.find("run")]))
        job_now = job.id if job else ""
        if chosen not in names or (job_now != job_before and job is not None):
            chosen = names[0] if names else None  # a training that was started since is what one wants to see
        busy = machine_line(studio)
        now = f"{chosen}{_written(studio, chosen)}{names}"
        if now == before:
            return gr.skip(), busy, gr.skip(), gr.skip(), before, job_now, heard_before
        box = gr.update(choices=names, value=chosen)
        drawn, heard = (curves_of(studio, chosen), samples_of(studio, chosen)) if chosen else ("", "")
        played = gr.skip() if heard == heard_before else heard  # what a person listens to goes on
        return box, busy, drawn, played, now, job_now, heard

    def send_word(chosen: str | None, word: str, told_as: str) -> None:
        from amtts_core.training.control_file import send

        folder = studio.workspace.existing(chosen or "", what=say("train.watch"))
        send(folder, word)
        gr.Info(say(told_as, run=chosen))

    def again(chosen: str | None) -> None:
        gr.Info(say("started", id=resume_training(studio, chosen or "")))

    pause.click(told(lambda chosen: send_word(chosen, "pause", "train.paused")), run, api_name="pause")
    go_on.click(told(lambda chosen: send_word(chosen, "go", "train.goes_on")), run, api_name="continue")
    resume.click(told(again), run, api_name="resume")
    shown = [run, machine, curves, samples, seen, job_seen, heard_seen]
    asked = [run, seen, job_seen, heard_seen]
    gr.Timer(EVERY).tick(look, asked, shown, show_progress="hidden", api_visibility="private")
    run.input(look, asked, shown, show_progress="hidden", api_visibility="private")


def resume_training(studio: Studio, name: str) -> str:
    """Starts a job that goes on with a run that was stopped; returns the job's id.

    Raises:
        AmttsError: there is no such run, it does not say what it learned from, or it is being trained.
    """
    say, workspace = studio.say, studio.workspace
    run = workspace.existing(name, what=say("train.watch"))
    data = _data_of(studio, run)
    words = ["train", "--data", data, "--out", workspace.name(run), "--resume"]
    title = say("train.resume_title", out=workspace.name(run))
    return studio.jobs.start("train", [words], title=title, out=workspace.name(run), lane=TRAINING).id


def _data_of(studio: Studio, run: Path) -> str:
    """The corpus with which a job of the studio began a run."""
    name = studio.workspace.name(run)
    for job in studio.jobs.list("train"):
        for words in job.commands:
            if job.out == name and "--data" in words:
                return words[words.index("--data") + 1]
    raise AmttsError(
        f"run '{name}' was not started by this studio, so its corpus is not known",
        remedy=f"In a terminal: amtts train --data CORPUS --out {name} --resume",
    )


def machine_line(studio: Studio) -> str:
    """Processors, memory, GPUs and the queue as HTML."""
    say, now = studio.say, studio.machine.read()
    parts = [
        say("train.cpu", cores=now.cores, busy=now.busy),
        say("train.memory", used=now.used / _GIB, total=now.total / _GIB),
    ]
    parts += [
        say("train.gpu", name=gpu.name, busy=gpu.busy, used=gpu.used / _GIB, total=gpu.total / _GIB)
        for gpu in now.gpus
    ] or [say("train.no_gpu")]
    waiting = [job.title for job in studio.jobs.list() if job.state == "queued"]
    if waiting:
        parts.append(say("train.queue", titles=", ".join(reversed(waiting))))
    return '<ul class="machine">' + "".join(f"<li>{html.escape(part)}</li>" for part in parts) + "</ul>"


def curves_of(studio: Studio, name: str) -> str:
    """Losses and learning rate of a run as charts."""
    from amtts_core.training.report.curves import chart
    from amtts_core.training.report.history import read_history

    history = read_history(studio.workspace.path(name))
    found = [key.split("/", 1)[1] for key in history.curves if key.startswith(("train/", "val/"))]
    names = [key for key in dict.fromkeys(found) if not key.startswith("grad_norm")]
    names.sort(key=lambda key: (key not in _MAIN, key.startswith("learning_rate"), key))
    charts = []
    for key in names:
        lines = {
            stage: history.curves[f"{stage}/{key}"]
            for stage in ("train", "val")
            if f"{stage}/{key}" in history.curves
        }
        charts.append(chart(key, lines, fold=True, marks=history.marks))
    head = f"<p><b>{html.escape(name)}</b>: {html.escape(studio.say('train.step', step=history.step))}</p>"
    return f'{head}<div class="curves">{"".join(charts)}</div>'


def samples_of(studio: Studio, name: str) -> str:
    """The newest samples of a run, each with the pictures beside it."""
    from amtts_core.training.report.history import read_history

    history = read_history(studio.workspace.path(name))
    steps = sorted((step for step, said in history.samples.items() if said), reverse=True)[:_ROUNDS]
    rows = [
        f'<li><b>{html.escape(studio.say("train.step", step=step))}</b> <span lang="am">{html.escape(text)}</span>'
        f'<audio controls preload="metadata" src="{_url(path)}" aria-label="{html.escape(text)}"></audio>'
        f"{_pictures(path) if step == steps[0] else ''}</li>"
        for step in steps
        for text, path in history.samples[step]
        if path.is_file()
    ]
    return f'<ul class="samples">{"".join(rows)}</ul>' if rows else ""


def _pictures(sample: Path) -> str:
    return "".join(
        f'<figure><img src="{_url(path)}" alt="{html.escape(path.stem)}">'
        f"<figcaption>{html.escape(path.stem.removeprefix(f'{sample.stem}-'))}</figcaption></figure>"
        for path in sorted(sample.parent.glob(f"{sample.stem}-*.png"))
    )


def _url(path: Path) -> str:
    """Address of a file of the workspace, relative to the page; anew when it was written anew."""
    return f"gradio_api/file={quote(str(path.resolve()))}?{path.stat().st_mtime_ns}"


def _written(studio: Studio, name: str | None) -> int:
    """When a run last wrote a line."""
    metrics = studio.workspace.root / (name or "") / "metrics.jsonl"
    return metrics.stat().st_mtime_ns if name and metrics.is_file() else 0
