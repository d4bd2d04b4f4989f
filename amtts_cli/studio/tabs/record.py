"""Record: sentence after sentence, by microphone or from a file, with its level; kept as x.wav beside x.txt."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from amtts_cli.studio.recording import (
    Level,
    Sheet,
    collect_sheet,
    make_sheet,
    measured,
    sheets,
    train_command,
)
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import folders, told
from amtts_core.errors import AmttsError

_LOWEST = -60.0  # dB at the left end of the meter


def build(studio: Studio) -> None:
    """Makes the tab."""
    say, workspace = studio.say, studio.workspace

    def shown(name: str | None, position: int) -> tuple[Any, ...]:
        """Sentence and progress, position, empty recorder, empty meter, what is kept, what to do when all are done."""
        if not name:
            return f"<p>{html.escape(say('record.none'))}</p>", 0, None, "", None, ""
        sheet = Sheet.open(workspace, name)
        position = min(max(0, position), len(sheet.names) - 1)
        current = sheet.names[position]
        kept = sheet.recording(current)
        line = say("record.progress", number=position + 1, count=len(sheet.names), done=sheet.recorded)
        all_done = sheet.recorded == len(sheet.names)
        last = say("record.done", command=f"`{train_command(workspace, sheet)}`") if all_done else ""
        sentence = (
            f'<p class="sentence" lang="am">{html.escape(sheet.text(current))}</p>'
            f'<p role="status">{html.escape(line)}</p>'
        )
        return sentence, position, None, "", str(kept) if kept else None, last

    def choose(name: str | None) -> tuple[Any, ...]:
        return shown(name, Sheet.open(workspace, name).first_open() if name else 0)

    def move(by: int) -> Any:
        return lambda name, position: shown(name, int(position) + by)

    def meter(file: str | None) -> str:
        if not file:
            return ""
        return level_html(studio, measured(_own(studio, file))[2])

    def keep(name: str | None, position: float, file: str | None) -> tuple[Any, ...]:
        if not name:
            raise AmttsError(say("record.none"))
        if not file:
            raise AmttsError(say("record.nothing"))
        sheet = Sheet.open(workspace, name)
        samples, rate, level = measured(_own(studio, file))
        if level.verdict == "silent":
            raise AmttsError(say("record.level.silent"))
        target = sheet.keep(sheet.names[int(position)], samples, rate)
        gr.Info(say("record.saved", name=target.name))
        following = next(
            (
                n
                for n in range(int(position) + 1, len(sheet.names))
                if sheet.recording(sheet.names[n]) is None
            ),
            None,
        )
        return shown(name, int(position) + 1 if following is None else following)

    def make(name: str, text: str) -> tuple[Any, ...]:
        return begin(make_sheet(workspace, name, text))

    def collect(name: str, evaluation: str | None, minutes: float | None) -> tuple[Any, ...]:
        return begin(collect_sheet(workspace, evaluation or "", name, minutes=minutes or 0))

    def begin(sheet: Sheet) -> tuple[Any, ...]:
        own = workspace.name(sheet.folder)
        gr.Info(say("record.made", count=len(sheet.names), name=own))
        made = gr.update(choices=sheets(workspace), value=own)
        return (made, gr.update(open=False), gr.update(open=False), *shown(own, 0))

    def look(value: str | None) -> Any:
        found = sheets(workspace)
        return gr.update(choices=found, value=value if value in found else next(iter(found), None))

    gr.Markdown(say("record.intro"))
    found = sheets(workspace)
    sheet = gr.Dropdown(
        found,
        value=found[0] if found else None,
        label=say("record.sheet"),
        info=say("record.sheet_info"),
        elem_id="record-sheet",
        allow_custom_value=True,
    )
    sentence = gr.HTML(f"<p>{html.escape(say('record.none'))}</p>", elem_id="record-sentence")
    position = gr.Number(value=0, visible=False, precision=0)
    with gr.Row():
        recorder = gr.Audio(
            label=say("record.audio"),
            sources=["microphone", "upload"],
            type="filepath",
            format="wav",
            elem_id="record-audio",
            editable=False,
            min_width=300,
        )
        kept = gr.Audio(
            label=say("record.kept"), interactive=False, type="filepath", elem_id="record-kept", min_width=300
        )
    level = gr.HTML("", elem_id="record-level", label=say("record.level"))
    with gr.Row():
        back = gr.Button(say("record.previous"), min_width=100)
        again = gr.Button(say("record.again"), min_width=100, elem_id="record-again")
        forward = gr.Button(say("record.next"), min_width=100, elem_id="record-next")
        store = gr.Button(say("record.save"), variant="primary", min_width=140, elem_id="record-save")
    last = gr.Markdown("")
    with gr.Accordion(say("record.make"), open=not found) as own_list:
        text = gr.Textbox(label=say("record.list"), lines=5, elem_id="record-list", max_length=1_000_000)
        with gr.Row():
            name = gr.Textbox(
                label=say("record.name"), value="corrections", max_length=200, elem_id="record-name"
            )
            do = gr.Button(say("record.do_make"), elem_id="record-make")
    with gr.Accordion(say("record.collect"), open=False) as worst:
        gr.Markdown(say("record.collect_info"))
        with gr.Row():
            evaluation = folders(studio, "evaluation", label=say("record.evaluation"))
            minutes = gr.Number(value=5, minimum=0.1, maximum=120, label=say("record.minutes"))
            worst_name = gr.Textbox(label=say("record.name"), value="corrections", max_length=200)
        do_collect = gr.Button(say("record.do_make"), elem_id="record-collect")

    seen = [sentence, position, recorder, level, kept, last]
    sheet.change(told(choose), sheet, seen, show_progress="hidden", api_visibility="private")
    sheet.focus(look, sheet, sheet, show_progress="hidden", queue=False, api_visibility="private")
    back.click(told(move(-1)), [sheet, position], seen, show_progress="hidden", api_visibility="private")
    forward.click(told(move(1)), [sheet, position], seen, show_progress="hidden", api_visibility="private")
    again.click(lambda: (None, ""), None, [recorder, level], show_progress="hidden", api_visibility="private")
    recorder.change(told(meter), recorder, level, show_progress="hidden", api_visibility="private")
    store.click(told(keep), [sheet, position, recorder], seen, api_name="record_keep")
    made = [sheet, own_list, worst, *seen]
    do.click(told(make), [name, text], made, api_name="record_make")
    do_collect.click(told(collect), [worst_name, evaluation, minutes], made, api_name="record_collect")
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(look, sheet, sheet, show_progress="hidden", queue=False, api_visibility="private")
        blocks.load(told(choose), sheet, seen, show_progress="hidden", api_visibility="private")


def level_html(studio: Studio, level: Level) -> str:
    """Peak and loudness as a bar and in words."""
    say = studio.say
    share = 100 * (min(0.0, max(_LOWEST, level.peak)) - _LOWEST) / -_LOWEST
    figures = say(
        "record.figures",
        seconds=f"{level.seconds:.1f}",
        peak=f"{level.peak:.1f}",
        loudness=f"{level.loudness:.1f}",
        clipped=f"{level.clipped:.2%}",
    )
    return (
        f'<div class="level level-{level.verdict}" role="status"><div class="bar" aria-hidden="true">'
        f'<i style="width:{share:.0f}%"></i></div><b>{html.escape(say(f"record.level.{level.verdict}"))}</b> '
        f"<small>{html.escape(figures)}</small></div>"
    )


def _own(studio: Studio, file: str) -> Path:
    """A file that a browser sent."""
    path = Path(file).resolve()
    if not path.is_relative_to(studio.workspace.files):
        raise AmttsError(f"'{path.name}' is no upload of this studio")
    return path
