"""`amtts prepare`: recordings with their texts become a corpus, and every clip left out has a reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import ExecutorName, Jobs, Json, Lexicon, OutDir

if TYPE_CHECKING:
    from amtts_core.corpus.prepare import PrepareReport
    from amtts_core.corpus.prepare_shard import ShardReport


def prepare(
    source: Annotated[
        list[Path],
        typer.Argument(help="Corpus folder, or its table, manifest or recording; or several of them."),
    ],
    out: OutDir,
    importer: Annotated[
        str,
        typer.Option(
            "--from",
            help="Kind of source: csv, ljspeech, kaldi, common-voice, fleurs, hf, nemo, json, wav-txt, subtitles, "
            "amtts; "
            "empty looks.",
        ),
    ] = "",
    sample_rate: Annotated[int, typer.Option("--sample-rate", help="Rate of the written audio, Hz.")] = 22050,
    lang: Annotated[str, typer.Option("--language", help="Language of the text.")] = "am",
    speaker: Annotated[str, typer.Option("--speaker", help="Speaker of rows that name none.")] = "",
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            help="What the columns of a table are: audio=1,text=3,speaker=2 (numbers from 1, or names); also "
            "normalized, start, end, language, channel.",
        ),
    ] = "",
    audio_root: Annotated[
        Path | None, typer.Option("--audio-root", help="Folder with recordings that the source names.")
    ] = None,
    channel: Annotated[
        str, typer.Option("--channel", help="Take one channel: left, right or a number from 1; empty mixes.")
    ] = "",
    license: Annotated[
        str, typer.Option("--license", help="License of the recordings, where they name none: CC-BY-4.0.")
    ] = "",
    consent_note: Annotated[
        str, typer.Option("--consent-note", help="How the speakers agreed to the use of their voices.")
    ] = "",
    speakers: Annotated[
        Path | None,
        typer.Option(
            "--speakers",
            help="Table of license, consent and more by speaker; without it the speakers.tsv of the source.",
        ),
    ] = None,
    trim: Annotated[bool, typer.Option("--trim/--no-trim", help="Cut silence at both ends.")] = True,
    margin: Annotated[float, typer.Option("--margin", help="Silence kept at both ends, seconds.")] = 0.05,
    loudness: Annotated[float, typer.Option("--loudness", help="Target loudness, LUFS.")] = -23.0,
    min_duration: Annotated[
        float, typer.Option("--min-duration", help="Reject shorter speech, seconds.")
    ] = 0.3,
    max_duration: Annotated[
        float, typer.Option("--max-duration", help="Reject longer speech, seconds.")
    ] = 20.0,
    max_clipped: Annotated[
        float, typer.Option("--max-clipped", help="Reject clips with a larger share of clipped samples.")
    ] = 0.005,
    repeated_text: Annotated[
        bool, typer.Option("--repeated-text", help="Keep a sentence that its speaker has said before.")
    ] = False,
    val: Annotated[float, typer.Option("--val", help="Share of the sentences for validation.")] = 0.05,
    test: Annotated[float, typer.Option("--test", help="Share of the sentences for testing.")] = 0.05,
    max_rejected: Annotated[
        float, typer.Option("--max-rejected", help="Fail when a larger share of the clips is rejected.")
    ] = 0.3,
    lexicon: Lexicon = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override any other setting, e.g. --set normalizer.latin=false."),
    ] = None,
    num_shards: Annotated[
        int, typer.Option("--num-shards", min=1, help="Share the work among so many machines.")
    ] = 1,
    shard_index: Annotated[
        int, typer.Option("--shard-index", min=0, help="This machine's share, from 0.")
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Redo everything in --out, also with other settings.")
    ] = False,
    executor: ExecutorName = "local",
    jobs: Jobs = 0,
    check_transcripts: Annotated[
        str | None,
        typer.Option(
            "--check-transcripts",
            help="CTC recognizer that reads every clip (ctc for the one that comes along, of synthetic speech): clips "
            "in which other words are said go into the ledger; captions are cut where their words are.",
        ),
    ] = None,
    doubtful: Annotated[
        str, typer.Option("--doubtful", help="What --check-transcripts does with such clips: reject or flag.")
    ] = "reject",
    json: Json = False,
) -> None:
    """Make a corpus: decode, trim, level and resample the audio, normalize the text, split train/val/test.

    Run again over the same --out, it does only what is new. Every clip that is left out stands in
    OUT/rejected.jsonl with its reason.

    With --num-shards each machine does its share of the source into the same --out; a last run without it joins them.

    Example: amtts prepare examples/corpus --out demo/corpus

    Example: amtts prepare talks/*.mp4 more/recordings --out talks-corpus
    """
    from amtts import prepare as prepare_all
    from amtts_core.config.yaml_files import parse_assignments
    from amtts_core.corpus.prepare import PrepareProgress
    from amtts_core.corpus.prepare_shard import prepare_shard
    from amtts_core.corpus.settings import parse_columns, resolve_settings
    from amtts_core.corpus.shard import Shard
    from amtts_core.memory import keep_few_kernels
    from amtts_core.text.lexicon import read_lexicon

    if check_transcripts is not None:
        keep_few_kernels()
    chosen = resolve_settings(
        {
            "sample_rate": sample_rate,
            "trim": trim,
            "trim_margin": margin,
            "loudness": loudness,
            "min_duration": min_duration,
            "max_duration": max_duration,
            "max_clipped": max_clipped,
            "repeated_text": repeated_text,
            "speaker": speaker,
            "columns": parse_columns(columns),
            "channel": channel,
            "license": license,
            "consent_note": consent_note,
            "val": val,
            "test": test,
            "max_rejected": max_rejected,
            "normalizer": {"language": lang, "lexicon": read_lexicon(lexicon) if lexicon else {}},
        },
        overrides=parse_assignments(settings or []),
    )
    with console.progress() as bar:
        task = bar.add_task("prepare", total=None, note="")

        def show(progress: PrepareProgress) -> None:
            aside = f", {progress.set_aside} set aside" if progress.set_aside else ""
            note = f"{progress.dropped} dropped{aside}" + (
                f", {progress.reused} reused" if progress.reused else ""
            )
            bar.update(task, completed=progress.done, total=progress.total, note=note)

        if num_shards > 1 or shard_index:
            shard = Shard(shard_index, num_shards)
            part = prepare_shard(
                source,
                out,
                chosen,
                shard,
                importer=importer,
                jobs=jobs,
                executor=executor,
                force=force,
                audio_root=audio_root,
                on_progress=show,
            )
            console.result(part.model_dump(), lines=_shard_lines(part))
            return
        report = prepare_all(
            source,
            out,
            settings=chosen.model_dump(),
            importer=importer,
            jobs=jobs,
            executor=executor,
            force=force,
            audio_root=audio_root,
            speakers=speakers,
            recognizer=check_transcripts,
            on_progress=show,
        )
    for warning in report.warnings:
        console.warn(warning)
    checked = {} if check_transcripts is None else _check_transcripts(out, check_transcripts, doubtful)
    lines = [*_lines(report), *([checked["line"]] if checked else [])]
    console.result(report.model_dump() | ({"transcripts": checked["values"]} if checked else {}), lines=lines)


def _check_transcripts(out: Path, recognizer: str, doubtful: str) -> dict[str, Any]:
    """Reads the clips of the corpus and changes its tables and gives the lines to print."""
    from amtts_core.contract.recognizer_registry import frame_recognizer
    from amtts_core.evaluation.check_corpus import FINDINGS, check_corpus

    with console.progress() as bar:
        task = bar.add_task("transcripts", total=None, note="")
        found = check_corpus(
            out,
            frame_recognizer(recognizer),
            action=doubtful,
            on_progress=lambda done: bar.update(task, completed=done),
        )
    done = "rejected" if doubtful == "reject" else "flagged"
    count = len(found.doubtful)
    return {
        "values": {"checked": found.checked, done: count},
        "line": f"{found.checked} transcripts checked, {count} {done} (which words: {out / FINDINGS})",
    }


def _shard_lines(part: ShardReport) -> list[str]:
    return [
        f"shard {part.shard_index} of {part.num_shards}: {part.done} of {part.total} entries, {part.dropped} of them "
        f"dropped, {part.reused} from an earlier run",
        "when all shards are done: the same command without --num-shards and --shard-index",
    ]


def _lines(report: PrepareReport) -> list[str]:
    reasons = ", ".join(f"{count} {rule}" for rule, count in report.reasons.items())
    reused = f" ({report.reused} from an earlier run)" if report.reused else ""
    splits = ", ".join(f"{name} {part.utterances}" for name, part in report.splits.items())
    dropped = f"{report.dropped} dropped" + (f": {reasons}" if reasons else "")
    counts = ", ".join(f"{count} {rule}" for rule, count in report.aside.items())
    aside = f" + {report.set_aside} set aside: {counts}" if counts else ""
    return [
        f"{report.total} in = {report.kept} kept + {dropped}{aside}{reused}",
        f"{report.seconds / 60:.1f} minutes of speech, {max(1, report.speakers)} speaker(s); {splits}",
        f"corpus: {report.out} (manifest.jsonl, rejected.jsonl, report.html)",
    ]
