"""Tokenizer: train one, see which letters it covers, compare two on a text."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tokenizing import (
    BACKENDS,
    KINDS,
    ORDERS,
    RARE,
    Encoded,
    Letter,
    coverage,
    encode,
    opened,
    tokenize_command,
)
from amtts_cli.studio.ui import folders, job_panel, told

_EXAMPLE = "እናቴ ዛሬ ጠዋት ከገበያ ቲማቲምና ሽንኩርት ገዛች።"


def build(studio: Studio) -> None:
    """Makes the tab."""
    say, workspace = studio.say, studio.workspace

    def train(corpus: str, kind: str, size: float, backend: str, as_bytes: bool, replace: bool) -> str:
        command = tokenize_command(
            workspace,
            corpus,
            kind=kind,
            size=size or 0,
            backend=backend or "",
            byte_fallback=as_bytes,
            replace=replace,
        )
        title = say("tokenizer.job", kind=kind, corpus=command[2])
        job = studio.jobs.start("tokenize", [command], title=title, out=f"{command[2]}/tokenizer")
        gr.Info(say("started", id=job.id))
        return job.id

    def show(name: str | None, corpus: str | None) -> str:
        if not name:
            return f"<p>{html.escape(say('none_yet'))}</p>"
        place = workspace.existing(corpus, what="dataset") if corpus else None
        return coverage_html(studio, coverage(opened(workspace, name), place))

    def compare(first: str | None, second: str | None, text: str) -> str:
        names = [name for name in dict.fromkeys((first, second)) if name]
        if not names:
            return f"<p>{html.escape(say('none_yet'))}</p>"
        return compared_html(studio, [encode(opened(workspace, name), name, text) for name in names])

    gr.Markdown(say("tokenizer.intro"))
    with gr.Row():
        corpus = folders(studio, "corpus", label=say("tokenizer.corpus"))
        kind = gr.Radio(list(KINDS), value="fidel", label=say("tokenizer.kind"))
        backend = gr.Dropdown(
            [("–", ""), *((name, name) for name in BACKENDS)], value="", label=say("tokenizer.backend")
        )
    with gr.Row():
        size = gr.Number(
            value=0,
            minimum=0,
            maximum=20_000,
            precision=0,
            label=say("tokenizer.size"),
            info=say("tokenizer.size_info"),
        )
        with gr.Column():
            as_bytes = gr.Checkbox(label=say("tokenizer.bytes"))
            replace = gr.Checkbox(label=say("tokenizer.replace"))
    make = gr.Button(say("tokenizer.train"), variant="primary", elem_id="tokenizer-train")
    timer = job_panel(studio, "tokenize")
    gr.Markdown(f"### {say('tokenizer.coverage')}")
    with gr.Row():
        name = folders(studio, "tokenizer", label=say("tokenizer.which"))
        see = gr.Button(say("tokenizer.show"), elem_id="tokenizer-show", scale=0, min_width=140)
    letters = gr.HTML("", elem_classes=["wide"], elem_id="tokenizer-letters")
    gr.Markdown(f"### {say('tokenizer.compare')}")
    with gr.Row():
        first = folders(studio, "tokenizer", label=say("tokenizer.which"))
        second = folders(studio, "tokenizer", label=say("tokenizer.other"), empty=True)
    text = gr.Textbox(value=_EXAMPLE, label=say("tokenizer.text"), max_length=2000, elem_id="tokenizer-text")
    do = gr.Button(say("tokenizer.show"), elem_id="tokenizer-compare")
    result = gr.HTML("", elem_classes=["wide"], elem_id="tokenizer-compared")

    make.click(told(train), [corpus, kind, size, backend, as_bytes, replace], None, api_visibility="private")
    gr.api(told(train), api_name="tokenizer_train")

    def first_one(value: str | None) -> Any:
        """Fills an empty list once the first tokenizer is there."""
        there = [] if value else workspace.find("tokenizer")
        return gr.update(choices=there, value=there[0]) if there else gr.skip()

    for box in (name, first):
        timer.tick(first_one, box, box, show_progress="hidden", api_visibility="private")
    see.click(told(show), [name, corpus], letters, api_name="tokenizer_coverage")
    do.click(told(compare), [first, second, text], result, api_name="tokenizer_compare")
    text.submit(told(compare), [first, second, text], result, api_visibility="private")


def coverage_html(studio: Studio, letters: list[Letter]) -> str:
    """The 33 x 7 letters as an HTML table with a legend."""
    say = studio.say
    unknown = sum(not one.known for one in letters)
    seen = sum(bool(one.count) for one in letters)
    parts = []
    if letters[0].count is not None:
        parts.append(
            f"<p>{html.escape(say('tokenizer.seen', seen=seen, count=len(letters), unknown=unknown))}</p>"
        )
    legend = "".join(
        f'<span class="fidel-{name}">{html.escape(say(f"tokenizer.legend.{name}"))}</span>'
        for name in ("often", "rare", "never", "unknown")
    )
    parts.append(f'<p class="legend">{legend}</p>')
    rows = (letters[start : start + ORDERS] for start in range(0, len(letters), ORDERS))
    body = "".join(
        f'<div class="fidel-row">{"".join(_cell(studio, one) for one in row)}</div>' for row in rows
    )
    parts.append(f'<div class="fidel" lang="am">{body}</div>')
    return "".join(parts)


def _cell(studio: Studio, one: Letter) -> str:
    state = _state(one)
    word = studio.say(f"tokenizer.legend.{state}")
    count = "" if one.count is None else f"<small>{one.count}</small>"
    told_ = f"{one.letter}: {one.count if one.count is not None else ''} {word}"
    return f'<div class="fidel-{state}" title="{html.escape(told_)}">{one.letter}{count}</div>'


def _state(one: Letter) -> str:
    if not one.known:
        return "unknown"
    if one.count is None or one.count >= RARE:
        return "often"
    return "rare" if one.count else "never"


def compared_html(studio: Studio, found: list[Encoded]) -> str:
    """A text in the pieces of tokenizers: figures in a row each, and the pieces below."""
    say = studio.say
    heads = "".join(
        f"<th>{html.escape(say(f'tokenizer.col.{name}'))}</th>"
        for name in ("name", "kind", "size", "tokens", "per_word", "unknown")
    )
    rows = "".join(
        f"<tr><td>{html.escape(one.name)}</td><td>{html.escape(one.kind)}</td><td>{one.size}</td>"
        f"<td>{len(one.pieces)}</td><td>{len(one.pieces) / max(1, one.words):.2f}</td><td>{one.unknown}</td></tr>"
        for one in found
    )
    cut = "".join(
        f'<p><b>{html.escape(one.name)}</b><br><span class="pieces" lang="am">'
        f"{''.join(map(_piece, one.pieces))}</span></p>"
        for one in found
    )
    table = f'<table class="plain narrow"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f"{table}{cut}"


def _piece(piece: str) -> str:
    shown = "␣" if piece.isspace() else piece
    return f"<span>{html.escape(shown)}</span>"
