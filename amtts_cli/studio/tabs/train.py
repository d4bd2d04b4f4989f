"""Train: a form made from the settings, a dry run, start and resume; beside it the runs as they go."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from amtts_cli.studio import form
from amtts_cli.studio.jobs import TRAINING, Job
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.speak import SHIPPED, source_of
from amtts_cli.studio.tabs.train_watch import build_watch
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.errors import AmttsError, ConfigError

GPU_FILES = "gpu-"
_FIRST = "chatterbox-mel"
_SHIPPED_FILES = Path(__file__).parents[1] / "assets" / "settings"
_CHECKOUT_FILES = Path(__file__).parents[3] / "examples" / "chatterbox"
KINDS = ("train", "dry-run")


def build(studio: Studio) -> None:
    """Makes the tab."""
    say = studio.say
    from amtts_core.contract.registry import backend_names

    with gr.Accordion(say("train.what"), open=True):
        with gr.Row():
            data = folders(studio, "corpus", label=say("train.data"), info=say("train.data_info"))
            out = gr.Textbox(
                studio.workspace.free_name("run"),
                label=say("train.out"),
                info=say("train.out_info"),
                elem_id="train-out",
            )
            start = folders(
                studio,
                "run",
                label=say("train.start"),
                info=say("train.start_info"),
                first=[SHIPPED],
                empty=True,
            )
        with gr.Row():
            backend = gr.Dropdown(
                backend_names(), value=_FIRST, label=say("train.backend"), info=say("train.backend_info")
            )
            names = presets(_FIRST)
            preset = gr.Dropdown(
                names, value=names[0], label=say("train.preset"), info=say("train.preset_info")
            )
            file = gr.Dropdown(
                list(setting_files(studio)),
                value="",
                label=say("train.file"),
                info=say("train.file_info"),
            )
        with gr.Row():
            tokenizer = folders(
                studio,
                "tokenizer",
                label=say("train.tokenizer"),
                info=say("train.tokenizer_info"),
                empty=True,
            )
            codes = folders(
                studio, "codes", label=say("train.codes"), info=say("train.codes_info"), empty=True
            )
            at_once = gr.Checkbox(False, label=say("train.at_once"), info=say("train.at_once_info"))

    def of_backend(name: str) -> Any:
        found = presets(name)
        return gr.update(choices=found, value=found[0])

    def look_for_files(value: str) -> Any:
        found = list(setting_files(studio))
        return gr.update(choices=found, value=value if value in found else "")

    backend.input(told(of_backend), backend, preset, show_progress="hidden", api_visibility="private")
    file.focus(look_for_files, file, file, show_progress="hidden", api_visibility="private")
    faults = gr.HTML("", label=say("train.faults"), elem_id="train-faults")

    @gr.render(inputs=[backend, preset, file, start])
    def settings(backend_name: str, preset_name: str, file_name: str, start_name: str) -> None:
        try:
            fields = _fields(studio, backend_name, preset_name, file_name, start_name)
        except AmttsError as error:
            gr.HTML(fault_list(say("train.no_form"), error))
            return
        components = _form(studio, fields)
        fixed = [data, out, start, backend, preset, file, tokenizer, codes, at_once]

        def begin(dry: bool, *given: Any) -> str:
            asked, values = given[: len(fixed)], given[len(fixed) :]
            try:
                changed = form.changed(fields, values)
                job = start_training(studio, Asked(*asked), changed, dry=dry)
            except ConfigError as error:
                return fault_list(say("train.faults"), error)
            gr.Info(say("started", id=job.id))
            return ""

        with gr.Row():
            dry = gr.Button(say("train.dry"), elem_id="train-dry")
            go = gr.Button(say("train.go"), variant="primary", elem_id="train-go")
        inputs = [*fixed, *components]
        dry.click(told(lambda *given: begin(True, *given)), inputs, faults)
        go.click(told(lambda *given: begin(False, *given)), inputs, faults)

    def by_api(data: str, out: str, start: str, backend: str, preset: str, settings: dict[str, Any]) -> str:
        asked = Asked(data, out, start, backend, preset)
        return start_training(studio, asked, settings, dry=False).id

    gr.api(told(by_api), api_name="start_training")
    job_panel(studio, *KINDS)
    build_watch(studio)


def presets(backend: str) -> list[str]:
    """Names of a backend's presets, the default first.

    Raises:
        AmttsError: an unknown backend.
    """
    from amtts_core.contract.registry import get_backend

    return list(get_backend(backend).spec.presets)


def setting_files(studio: Studio) -> dict[str, Path | None]:
    """Name -> settings file: none, those by GPU memory, then the .yaml files at the top of the workspace."""
    found: dict[str, Path | None] = {"": None}
    for folder in (_SHIPPED_FILES, _CHECKOUT_FILES):
        found |= {path.stem: path for path in sorted(folder.glob(f"{GPU_FILES}*.yaml"))}
    root = studio.workspace.root
    return found | {path.name: path for path in sorted(root.glob("*.yaml")) if path.is_file()}


@dataclass(frozen=True)
class Asked:
    """What the form asks for besides the settings.

    Attributes:
        data: corpus, a folder of the workspace as the others below.
        out: name of the run to make.
        start: run to start from, or one that comes along; empty for none.
        backend, preset: of a run that starts from nothing.
        file: name of a settings file; empty for none.
        tokenizer, codes: empty for none.
        at_once: whether it does not wait for other trainings.
    """

    data: str
    out: str
    start: str = ""
    backend: str = ""
    preset: str = ""
    file: str = ""
    tokenizer: str = ""
    codes: str = ""
    at_once: bool = False


def start_training(studio: Studio, asked: Asked, values: Mapping[str, Any], *, dry: bool) -> Job:
    """Checks what was asked for and starts it as a job.

    Args:
        studio: whose workspace and jobs.
        asked: folders, backend, start.
        values: path -> value of the settings that differ from their default.
        dry: whether it is only tried.

    Raises:
        ConfigError: faults of the settings, all at once.
        AmttsError: a path that cannot be used, or parts that exclude each other.
    """
    from amtts_core.run.start import StartRequest, resolve_start

    say, workspace = studio.say, studio.workspace
    corpus = workspace.existing(asked.data or "", what=say("train.data"))
    run = (
        workspace.path(asked.out, what=say("train.out"))
        if dry
        else workspace.new(asked.out, what=say("train.out"))
    )
    config = _file(studio, asked.file)
    source = source_of(studio, asked.start) if asked.start else ""
    given = {
        "tokenizer": workspace.existing(asked.tokenizer, what=say("train.tokenizer"))
        if asked.tokenizer
        else None,
        "codes": workspace.existing(asked.codes, what=say("train.codes")) if asked.codes else None,
    }
    resolve_start(
        StartRequest(
            data=corpus,
            run=run,
            backend="" if source or config else asked.backend,
            preset="" if source or config else asked.preset,
            config=config,
            overrides=form.nested(values),
            start_from=Path(source) if source else None,
            tokenizer=given["tokenizer"],
            dry_run=dry,
        )
    )
    name = workspace.name(run)
    words = ["train", "--data", workspace.name(corpus), "--out", name]
    if source:
        words += ["--from", source if asked.start == SHIPPED else workspace.name(Path(source))]
    elif not config:
        words += ["--backend", asked.backend, "--preset", asked.preset]
    words += ["--config", str(config)] if config else []
    for option, path in given.items():
        words += [f"--{option}", workspace.name(path)] if path else []
    words += form.assignments(values)
    if dry:
        title = say("train.dry_title", data=workspace.name(corpus))
        return studio.jobs.start("dry-run", [[*words, "--dry-run"]], title=title, lane=_lane(asked.at_once))
    title = say("train.title", out=name, data=workspace.name(corpus))
    return studio.jobs.start("train", [words], title=title, out=name, lane=_lane(asked.at_once))


def _lane(at_once: bool) -> str:
    return "" if at_once else TRAINING


def _file(studio: Studio, name: str | None) -> Path | None:
    known = setting_files(studio)
    if name and name not in known:
        raise AmttsError(f"there is no settings file '{name}'; known: {', '.join(filter(None, known))}")
    return known[name or ""]


def _fields(studio: Studio, backend: str, preset: str, file: str, start: str) -> list[form.Field]:
    """Settings with the defaults that they have when a run starts like this."""
    from amtts_core.run.start import StartRequest, resolve_start

    source, config = source_of(studio, start) if start else "", _file(studio, file)
    chosen = not source and not config
    resolved, family, _ = resolve_start(
        StartRequest(
            data=studio.workspace.root,
            run=studio.workspace.root,
            backend=backend if chosen else "",
            preset=preset if chosen and preset in presets(backend) else "",
            config=config,
            start_from=Path(source) if source else None,
        )
    )
    fields = form.fields_of(resolved, family)
    order = {path: number for number, path in enumerate(form.ESSENTIAL)}
    return sorted(fields, key=lambda field: order.get(field.path, len(order)))


def _form(studio: Studio, fields: Sequence[form.Field]) -> list[Any]:
    """A component a setting, in the order of `fields`; sections fold, the first is open."""
    say = studio.say
    made: list[Any] = []
    essential = [field for field in fields if field.path in form.ESSENTIAL]
    rest: dict[str, list[form.Field]] = {}
    for field in fields[len(essential) :]:
        rest.setdefault(field.section, []).append(field)
    by_path: dict[str, Any] = {}
    with gr.Accordion(say("train.essential"), open=False, elem_id="train-essential"):
        by_path |= _section(studio, essential)
    with gr.Accordion(say("train.settings"), open=False):
        for section, inside in rest.items():
            with gr.Accordion(section, open=False):
                by_path |= _section(studio, inside)
    made += [by_path[field.path] for field in fields]
    return made


def _section(studio: Studio, fields: Sequence[form.Field]) -> dict[str, Any]:
    with gr.Row(equal_height=False, elem_classes=["settings"]):
        return {field.path: _component(studio, field) for field in fields}


def _component(studio: Studio, field: form.Field) -> Any:
    say = studio.say
    default = say("train.default", value=field.shown if field.shown != "" else '""')
    about = "; ".join(filter(None, (field.description, field.limits, default)))
    shared: dict[str, Any] = {"label": field.path, "info": about, "min_width": 260, "interactive": True}
    match field.input:
        case "switch":
            return gr.Checkbox(bool(field.shown), **shared)
        case "choice":
            return gr.Dropdown(list(field.choices), value=field.shown, **shared)
        case "whole":
            return gr.Number(field.shown, precision=0, **shared)
        case "number":
            return gr.Number(field.shown, **shared)
        case _:
            return gr.Textbox(field.shown, lines=1, max_lines=3, **shared)


def fault_list(title: str, error: AmttsError) -> str:
    """Faults of settings as HTML."""
    found = form.faults(error) if isinstance(error, ConfigError) else [str(error)]
    items = "".join(f"<li>{html.escape(fault)}</li>" for fault in found)
    return f'<div class="faults" role="alert"><b>{html.escape(title)}</b><ul>{items}</ul></div>'
