"""Speak: a voice or two, a text, how; hear it and take it along; a file of many texts as a job."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import folders, job_panel, told
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts.speech import Speech

SHIPPED = "base"
FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "m4a")
BATCH = (".txt", ".csv", ".tsv", ".jsonl", ".srt", ".vtt", ".md", ".html", ".ssml", ".epub")
_SHOWN = 12


def build(studio: Studio) -> None:
    """Makes the tab."""
    say = studio.say
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                say("speak.example"),
                label=say("speak.text"),
                info=say("speak.text_info"),
                lines=4,
                max_lines=12,
                max_length=studio.longest_text,
                elem_id="speak-text",
            )
            voice = folders(
                studio, "run", label=say("speak.voice"), info=say("speak.voice_info"), first=[SHIPPED]
            )
            other = folders(
                studio,
                "run",
                label=say("speak.other"),
                info=say("speak.other_info"),
                first=[SHIPPED],
                empty=True,
            )
            go = gr.Button(say("speak.go"), variant="primary", elem_id="speak-go")
            heard = gr.Audio(
                label=say("speak.heard"), interactive=False, buttons=["download"], elem_id="speak-heard"
            )
            heard_other = gr.Audio(
                label=say("speak.heard_other"),
                interactive=False,
                buttons=["download"],
                visible=False,
                elem_id="speak-other",
            )
            notes = gr.HTML("", label=say("state"), elem_id="speak-notes")
            take = gr.DownloadButton(say("speak.download"), visible=False, elem_id="speak-download")
        with gr.Column(scale=2, min_width=280), gr.Accordion(say("speak.how"), open=True):
            speed = gr.Slider(0.25, 4, 1, step=0.05, label=say("speak.speed"), info=say("speak.speed_info"))
            seed = gr.Number(0, label=say("speak.seed"), info=say("speak.seed_info"), precision=0, minimum=0)
            sentence = gr.Slider(0, 3, 0.35, step=0.05, label=say("speak.sentence_pause"))
            paragraph = gr.Slider(0, 5, 0.7, step=0.05, label=say("speak.paragraph_pause"))
            reference = gr.Audio(
                type="filepath",
                sources=["upload", "microphone"],
                label=f"{say('speak.reference')}. {say('speak.reference_info')}",
            )
            words = gr.Checkbox(False, label=say("speak.words"), info=say("speak.words_info"))
            ending = gr.Dropdown(list(FORMATS), value="wav", label=say("speak.format"))

    def speak(
        text: str,
        voice: str,
        other: str,
        speed: float,
        seed: float,
        sentence_pause: float,
        paragraph_pause: float,
        reference: str | None,
        words: bool,
        ending: str,
        progress: gr.Progress = gr.Progress(),
    ) -> tuple[Any, Any, str, Any]:
        if not text.strip():
            raise AmttsError("the text is empty", remedy="Give at least one sentence")
        if len(text) > studio.longest_text:
            raise AmttsError(
                f"the text has {len(text)} characters; at most {studio.longest_text} are spoken at once",
                remedy="Give longer texts as a file, below",
            )
        if ending not in FORMATS:
            raise AmttsError(f"format '{ending}' is unknown; known: {', '.join(FORMATS)}")
        how: dict[str, Any] = {
            "speed": speed,
            "seed": int(seed),
            "sentence_pause": sentence_pause,
            "paragraph_pause": paragraph_pause,
        }
        made: list[tuple[str, Speech]] = []
        for name in filter(None, (voice, other)):
            loaded = studio.voices.load(
                source_of(studio, name), device=studio.device, recording=reference or ""
            )
            spoken = loaded.speak(text, on_progress=lambda done, total: progress((done, total)), **how)
            made.append((name, spoken))
        if not made:
            raise AmttsError("no voice is chosen", remedy=f"Choose {SHIPPED}, or a run of this workspace")
        folder = Path(tempfile.mkdtemp(dir=studio.workspace.files, prefix="spoken-"))
        files = [spoken.save(folder / f"speech-{number}.wav") for number, (_, spoken) in enumerate(made, 1)]
        download = files[0] if ending == "wav" else made[0][1].save(folder / f"speech.{ending}")
        second = gr.update(value=str(files[1]) if len(files) > 1 else None, visible=len(files) > 1)
        return (
            str(files[0]),
            second,
            "".join(_notes(studio, name, spoken, words) for name, spoken in made),
            gr.update(value=str(download), visible=True),
        )

    go.click(
        told(speak),
        [text, voice, other, speed, seed, sentence, paragraph, reference, words, ending],
        [heard, heard_other, notes, take],
        api_name="speak",
    )
    with gr.Accordion(say("speak.batch"), open=False):
        _build_batch(studio, voice, speed, seed, ending)


def _build_batch(
    studio: Studio, voice: gr.Dropdown, speed: gr.Slider, seed: gr.Number, ending: gr.Dropdown
) -> None:
    say = studio.say
    file = gr.File(label=say("speak.batch_file"), file_types=list(BATCH), type="filepath", height=120)
    out = gr.Textbox("spoken", label=say("speak.batch_out"), info=say("speak.batch_out_info"))
    go = gr.Button(say("speak.batch_go"), variant="primary")

    def start(file: str | None, out: str, voice: str, speed: float, seed: float, ending: str) -> None:
        if file is None:
            raise AmttsError("no file is given", remedy=f"One of these kinds: {' '.join(BATCH)}")
        given = Path(file)
        if given.suffix.lower() not in BATCH:
            raise AmttsError(f"{given.name}: files of this kind hold no texts; known: {' '.join(BATCH)}")
        source = source_of(studio, voice)
        target = studio.workspace.path(out, what=say("speak.batch_out"))
        target.mkdir(parents=True, exist_ok=True)
        kept = Path(tempfile.mkdtemp(dir=studio.workspace.files, prefix="texts-")) / f"texts{given.suffix}"
        shutil.copyfile(given, kept)
        name = studio.workspace.name(target)
        options = ["--speed", f"{speed:g}", "--seed", str(int(seed)), "--format", ending]
        job = studio.jobs.start(
            "speak",
            [["synthesize", "--checkpoint", source, "--file", str(kept), "--out", name, *options]],
            title=say("speak.batch_title", file=given.name, voice=voice, out=name),
            out=name,
        )
        gr.Info(say("started", id=job.id))

    go.click(told(start), [file, out, voice, speed, seed, ending], api_name="speak_file")
    job_panel(studio, "speak")


def source_of(studio: Studio, name: str) -> str:
    """Where a voice that was chosen lies: the name of one that comes along, or a folder of the workspace.

    Raises:
        AmttsError: neither.
    """
    if name == SHIPPED and not (studio.workspace.root / name).exists():
        from amtts_core.checkpoints.shipped import shipped_checkpoint

        found = shipped_checkpoint(Path(name))
        return str(found) if found else name
    return str(studio.workspace.existing(name, what=studio.say("speak.voice")))


def _notes(studio: Studio, name: str, spoken: Speech, words: bool) -> str:
    """What there is to say about a speech, as HTML."""
    say = studio.say
    lines = [f"{name}: {say('speak.seconds', seconds=spoken.duration, rate=spoken.sample_rate)}"]
    lines.append(say("speak.read_as", text=spoken.text))
    if spoken.unread:
        lines.append(say("speak.unread", text=_counted(spoken.unread)))
    if spoken.guesses:
        lines.append(say("speak.guesses", text=_counted(spoken.guesses)))
    lines += [f"{sentence}: {what}" for sentence, what in spoken.notes]
    found = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    if words:
        heads = "".join(f"<th>{html.escape(say(f'speak.{key}'))}</th>" for key in ("word", "from", "to"))
        rows = "".join(
            f"<tr><td>{html.escape(word.text)}</td><td>{word.start:.2f}</td><td>{word.end:.2f}</td></tr>"
            for word in spoken.words
        )
        found += f'<table class="plain words"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<section class="notes">{found}</section>'


def _counted(counts: Counter[str]) -> str:
    shown = ", ".join(word for word, _ in counts.most_common(_SHOWN))
    return shown + (f" (+{len(counts) - _SHOWN})" if len(counts) > _SHOWN else "")
