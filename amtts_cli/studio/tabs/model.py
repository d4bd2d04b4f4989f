"""Model setup: letters added to the vocabulary of published weights, row by row; codes of a corpus, made once."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import gradio as gr

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.speak import source_of
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.errors import AmttsError

ADD = ("fidel", "cv", "uroman")
MODES = ("extend", "reuse")
REPORT = "vocab_report.json"
_ROWS = 500  # rows of the report that a page shows


def build(studio: Studio) -> None:
    """Makes the tab."""
    _build_extend(studio)
    job_panel(studio, "extend-vocab", "encode-codes")
    _build_report(studio)
    _build_codes(studio)


def _build_extend(studio: Studio) -> None:
    say = studio.say
    from amtts_core.contract.registry import backend_names, get_backend
    from amtts_core.finetune.vocab.initialize import INITS

    reading = [name for name in backend_names() if get_backend(name).spec.text]
    gr.Markdown(f"### {say('model.extend')}\n{say('model.extend_about')}")
    with gr.Row():
        backend = gr.Dropdown(reading, value=reading[0], label=say("model.backend"))
        checkpoint = gr.Textbox(label=say("model.checkpoint"), info=say("model.checkpoint_info"))
        tokenizer = gr.Textbox(label=say("model.tokenizer"), info=say("model.tokenizer_info"))
    with gr.Row():
        add = gr.Dropdown(
            list(ADD),
            value=ADD[0],
            label=say("model.add"),
            info=say("model.add_info"),
            allow_custom_value=True,
        )
        tag = gr.Textbox("am", label=say("model.tag"), info=say("model.tag_info"), max_length=12)
        init = gr.Dropdown(list(INITS), value=INITS[0], label=say("model.init"), info=say("model.init_info"))
    with gr.Row():
        mode = gr.Dropdown(list(MODES), value=MODES[0], label=say("model.mode"), info=say("model.mode_info"))
        pad = gr.Number(0, label=say("model.pad"), info=say("model.pad_info"), precision=0, minimum=0)
        out = gr.Textbox(
            studio.workspace.free_name("extended"), label=say("model.out"), info=say("train.out_info")
        )

    def start(
        backend: str,
        checkpoint: str,
        tokenizer: str,
        add: str,
        tag: str,
        init: str,
        mode: str,
        pad: float,
        out: str,
    ) -> str:
        workspace = studio.workspace
        weights = source_of(studio, checkpoint)
        reads = workspace.existing(tokenizer, what=say("model.tokenizer"))
        target = workspace.name(workspace.new(out, what=say("model.out")))
        words = ["extend-vocab", "--backend", backend, "--checkpoint", weights]
        words += ["--tokenizer", workspace.name(reads), "--add", _addition(studio, add)]
        words += ["--mode", mode, "--init", init, "--pad-to", str(int(pad)), "--out", target]
        words += [f"--language-tag={tag}"] if tag.strip() else []
        title = say("model.extend_title", weights=Path(checkpoint).name, out=target)
        job = studio.jobs.start("extend-vocab", [words], title=title, out=target)
        gr.Info(say("started", id=job.id))
        return job.id

    fields = [backend, checkpoint, tokenizer, add, tag, init, mode, pad, out]
    hidden = gr.State("")
    gr.Button(say("model.extend_go"), variant="primary", elem_id="model-extend").click(
        told(start), fields, hidden, api_name="extend_vocab"
    )


def _addition(studio: Studio, add: str) -> str:
    """What is added: one of the names, a file of the workspace, or the letters themselves.

    Raises:
        AmttsError: it is empty, begins as an option, or names a file outside of the workspace.
    """
    wanted = add.strip()
    if wanted in ADD:
        return wanted
    looks_like_path = "/" in wanted or wanted.endswith((".txt", ".json", ".model"))
    if looks_like_path or (wanted and (studio.workspace.root / wanted).exists()):
        return studio.workspace.name(studio.workspace.existing(wanted, what=studio.say("model.add")))
    if not wanted or wanted.startswith("-"):
        raise AmttsError(
            f"{studio.say('model.add')} '{add}': expected one of {', '.join(ADD)}, a file of the workspace, or letters"
        )
    return wanted


def _build_report(studio: Studio) -> None:
    say = studio.say
    gr.Markdown(f"### {say('model.report')}")
    chosen = folders(studio, "weights", label=say("model.report_of"))
    summary = gr.HTML("", label=say("model.report"))
    table = gr.Dataframe(
        headers=[say(f"model.row_{key}") for key in ("token", "id", "init", "parts")],
        datatype=["str", "number", "str", "str"],
        interactive=False,
        max_height=420,
        label=say("model.rows"),
        wrap=True,
    )

    def show(name: str | None) -> tuple[str, list[list[Any]]]:
        if not name:
            return "", []
        return report_of(studio, name)

    gr.Button(say("model.report_show"), size="sm").click(
        told(show), chosen, [summary, table], api_name="vocabulary_report"
    )


def report_of(studio: Studio, name: str) -> tuple[str, list[list[Any]]]:
    """What `amtts extend-vocab` says of its result: a summary as HTML, and a row for each new embedding.

    Raises:
        AmttsError: there is no report that can be read.
    """
    file = studio.workspace.existing(name, what=studio.say("model.report_of")) / REPORT
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        sizes = f"{found['backend']}: {found['old_size']} → {found['new_size']}"
        counts = ", ".join(f"{found[word]} {word}" for word in ("kept", "moved", "new", "dropped"))
        tensors = [f"{tensor}: {shape['old']} → {shape['new']}" for tensor, shape in found["tensors"].items()]
        unknown = found["ethiopic_letters_still_unknown"]
        rows = [
            [row["token"], row["id"], row["init"], " ".join(row["parts"])] for row in found["rows"][:_ROWS]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AmttsError(f"{name}/{REPORT} cannot be read: {error}") from None
    lines = [f"{sizes} ({counts})", *tensors, studio.say("model.unknown", count=len(unknown))]
    if len(found["rows"]) > _ROWS:
        lines.append(studio.say("model.more_rows", count=len(found["rows"]) - _ROWS))
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>", rows


def _build_codes(studio: Studio) -> None:
    say = studio.say
    from amtts_core.contract.codec_registry import codec_names

    gr.Markdown(f"### {say('model.codes')}\n{say('model.codes_about')}")
    names = codec_names()
    with gr.Row():
        data = folders(studio, "corpus", label=say("train.data"))
        codec = gr.Dropdown(names, value=names[0], label=say("model.codec"))
        weights = gr.Textbox(label=say("model.codec_weights"), info=say("model.codec_weights_info"))
        out = gr.Textbox(
            studio.workspace.free_name("codes"), label=say("model.codes_out"), info=say("train.out_info")
        )

    def start(data: str | None, codec: str, weights: str, out: str) -> str:
        workspace = studio.workspace
        corpus = workspace.name(workspace.existing(data or "", what=say("train.data")))
        source = workspace.name(workspace.existing(weights, what=say("model.codec_weights")))
        target = workspace.name(workspace.path(out, what=say("model.codes_out")))
        if codec not in names:
            raise AmttsError(f"codec '{codec}' is unknown; known: {', '.join(names)}")
        words = ["encode-codes", corpus, "--codec", codec, "--weights", source, "--out", target]
        title = say("model.codes_title", data=corpus, out=target)
        job = studio.jobs.start("encode-codes", [words], title=title, out=target)
        gr.Info(say("started", id=job.id))
        return job.id

    hidden = gr.State("")
    gr.Button(say("model.codes_go"), variant="primary").click(
        told(start), [data, codec, weights, out], hidden, api_name="encode_codes"
    )
