"""The pages of the studio: one set of Blocks a language, mounted beside each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr
from fastapi import FastAPI
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from amtts_cli.studio.front import Front
from amtts_cli.studio.login import Login
from amtts_cli.studio.strings import LANGUAGES, Language, Say
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs import datasets, evaluate, importing, jobs, model, record, speak, tokenizer, train

Build = Callable[[Studio], None]
TABS: dict[str, Build] = {
    "speak": speak.build,
    "import": importing.build,
    "datasets": datasets.build,
    "tokenizer": tokenizer.build,
    "model": model.build,
    "train": train.build,
    "evaluate": evaluate.build,
    "record": record.build,
    "jobs": jobs.build,
}
"""In the order of a user's work. The name is the tab's id, and `tab.NAME` its label in the table of words."""

ASSETS = Path(__file__).parent / "assets"
_FONT = ["Studio Ethiopic", "system-ui", "Noto Sans", "Noto Sans Ethiopic", "Abyssinica SIL", "sans-serif"]
_MONO = ["ui-monospace", "Noto Sans Mono", "Consolas", "monospace"]
_FULL = 1 << 20  # what a request's body holds besides an upload


def create_app(
    studio: Studio,
    login: Login,
    *,
    language: Language = "en",
    hosts: tuple[str, ...] | None = (),
) -> ASGIApp:
    """The application.

    Args:
        studio: workspace, jobs, limits.
        login: who may use it.
        language: of the page at /; the others are at /am and /en.
        hosts: names by which it is called besides this machine's own; None takes any.
    """
    app = FastAPI(title="amtts studio", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", include_in_schema=False)
    def first() -> RedirectResponse:
        return RedirectResponse(f"/{language}/")

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/assets-of-studio/{name}", include_in_schema=False)
    def asset(name: str) -> FileResponse:
        known = {path.name: path for path in ASSETS.iterdir() if path.is_file()}
        return FileResponse(known.get(name, ASSETS / "studio.css"), headers={"Cache-Control": "max-age=3600"})

    os.environ["GRADIO_TEMP_DIR"] = str(studio.workspace.files)
    for code in LANGUAGES:
        app = gr.mount_gradio_app(
            app,
            pages(replace(studio, say=Say(code))),
            path=f"/{code}",
            footer_links=[],
            allowed_paths=[str(studio.workspace.root)],
            blocked_paths=[str(studio.workspace.jobs)],
            max_file_size=studio.largest_upload,
            ssr_mode=False,
            show_error=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=_theme(),
            css_paths=[ASSETS / "studio.css"],
            head=f'<script>document.documentElement.lang="{code}"</script>',
        )
    return Front(app, login=login, hosts=hosts, largest=studio.largest_upload + _FULL)


def _theme() -> gr.themes.Base:
    """Fonts of the machine and the one that comes along; explanations dark enough to be read."""
    theme = gr.themes.Default(font=_FONT, font_mono=_MONO, primary_hue="emerald", secondary_hue="amber")
    return theme.set(
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_800",
    )


def pages(studio: Studio) -> gr.Blocks:
    """The Blocks of one language."""
    say = studio.say
    other = "en" if say.language == "am" else "am"
    with gr.Blocks(
        title=say("title"), analytics_enabled=False, fill_width=True, delete_cache=(3600, 86_400)
    ) as blocks:
        with gr.Row(elem_classes=["top"]):
            gr.HTML(
                f"<h1>{say('title')}</h1><p>{say('subtitle')}</p>"
                f"<p><small>{say('workspace')}: {escape(studio.workspace.root.name)}</small></p>"
                f'<nav><a href="/{other}/" lang="{other}">{say("other_language")}</a> '
                f'<button type="button" id="dark-switch" '
                f"onclick=\"document.body.classList.toggle('dark')\">{say('dark')}</button></nav>",
                elem_classes=["head"],
            )
        tabs: dict[str, gr.Tab] = {}
        timers: dict[gr.Timer, str] = {}
        with gr.Tabs(elem_id="tabs"):
            for name, build in TABS.items():
                with gr.Tab(say(f"tab.{name}"), id=name, elem_id=f"tab-{name}") as tab:
                    build(studio)
                made = [block for block in blocks.blocks.values() if isinstance(block, gr.Timer)]
                timers |= {timer: name for timer in made if timer not in timers}
                tabs[name] = tab
        _look_where_one_looks(tabs, timers)
    return blocks


def _look_where_one_looks(tabs: dict[str, gr.Tab], timers: dict[gr.Timer, str]) -> None:
    """Only the timers of the tab that is open run: the others would ask the studio for nothing."""
    for timer, name in timers.items():
        timer.active = name == next(iter(tabs))

    def only(name: str) -> list[gr.Timer]:
        return [gr.Timer(active=owner == name) for owner in timers.values()]

    for name, tab in tabs.items():
        tab.select(
            partial(only, name),
            None,
            list(timers),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
