"""`amtts align`: cuts a long recording with its full transcript into utterances."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.devices import usable_device
from amtts_cli.options import Json
from amtts_core.errors import AmttsError


def align(
    audio: Annotated[Path, typer.Argument(help="The recording; a chapter, or an hour of a broadcast.")],
    text: Annotated[Path, typer.Argument(help="UTF-8 text of all that is said in it.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for manifest.jsonl, rejected.jsonl and captions.")
    ],
    recognizer: Annotated[
        str,
        typer.Option(
            "--recognizer",
            help="A CTC recognizer, see `amtts evaluate`; empty takes the one that comes along.",
        ),
    ] = "",
    longest: Annotated[
        float, typer.Option("--max-duration", min=1, help="Longest utterance, seconds.")
    ] = 15.0,
    max_cer: Annotated[
        float,
        typer.Option(
            "--max-cer", min=0, help="Reject where a larger share of the letters is recognized otherwise."
        ),
    ] = 0.4,
    speaker: Annotated[str, typer.Option("--speaker", help="Who speaks.")] = "",
    language: Annotated[str, typer.Option("--language", help="Language of the text.")] = "am",
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    json: Json = False,
) -> None:
    """Find every sentence of a transcript in a long recording, as a corpus for `amtts prepare`.

    The recording stays as it is: the manifest says where in it each utterance is. Sentences that were not found, or
    where something else is said, stand in rejected.jsonl with the reason.

    Example: amtts align chapter.mp3 chapter.txt --out chapter && amtts prepare chapter/manifest.jsonl --out data
    """
    from amtts_core.contract.recognizer_registry import frame_recognizer
    from amtts_core.evaluation.cut_recording import CutSettings, cut_recording
    from amtts_core.evaluation.subtitle_files import Caption, write_captions
    from amtts_core.memory import keep_few_kernels
    from amtts_core.storage.atomic import replace_text
    from amtts_core.storage.json_lines import write_jsonl
    from amtts_core.text.decoding import decode_text
    from amtts_core.text.normalizer import Normalizer
    from amtts_core.text.settings import NormalizerSettings

    keep_few_kernels()
    usable_device(device)
    try:
        words = decode_text(text.read_bytes(), source=str(text))
    except OSError as error:
        raise AmttsError(f"transcript {text}: {error.strerror}") from None
    settings = CutSettings(longest=longest, max_cer=max_cer, language=language)
    normalize = Normalizer(NormalizerSettings(language=language))
    cuts = cut_recording(
        audio, words, frame_recognizer(recognizer, device=device), normalize=normalize, settings=settings
    )
    good = [cut for cut in cuts if not cut.problem]
    where = os.path.relpath(audio.resolve(), out.resolve())
    width = len(str(len(cuts)))
    rows, rejected = [], []
    for number, cut in enumerate(cuts, 1):
        name = f"{audio.stem}-{number:0{width}}"
        if cut.problem:
            at = round(cut.start, 2)
            rejected.append(
                {"where": name, "rule": "alignment", "reason": cut.problem, "text": cut.text, "at": at}
            )
            continue
        rows.append(
            {
                "id": name,
                "audio_filepath": where,
                "offset": round(cut.start, 3),
                "duration": round(cut.end - cut.start, 3),
                "text": cut.text,
                "speaker": speaker,
                "lang": language,
                "cer": round(cut.cer, 4),
            }
        )
    if not good:
        raise AmttsError(
            f"none of {len(cuts)} utterances of {text} was found in {audio}; first: {cuts[0].problem}",
            remedy="Is it the transcript of this recording? For human speech give --recognizer DIR",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_jsonl(out / "manifest.jsonl", rows)
    write_jsonl(out / "rejected.jsonl", rejected)
    captions = [Caption(" ".join(cut.text.split()), cut.start, cut.end) for cut in good]
    spoken = [Caption(word.word, word.start, word.end) for cut in good for word in cut.words]
    replace_text(out / "captions.srt", write_captions(captions, form="srt"))
    replace_text(out / "words.json", write_captions(spoken, form="json"))
    seconds = sum(cut.end - cut.start for cut in good)
    console.result(
        {"utterances": len(rows), "rejected": len(rejected), "seconds": round(seconds, 2), "out": str(out)},
        lines=[
            f"{len(rows)} utterances, {seconds / 60:.1f} min; {len(rejected)} rejected (see {out / 'rejected.jsonl'})",
            f"next: amtts prepare {out / 'manifest.jsonl'} --out DIR",
        ],
    )
