"""`amtts encode-codes`: the codes of a corpus, made once by a codec and kept on disk."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from amtts_cli import console
from amtts_cli.devices import usable_device
from amtts_cli.options import ExecutorName, Json, OutDir

if TYPE_CHECKING:
    from amtts_core.contract.codec import SpeechCodec
    from amtts_core.run.encode_codes import EncodeProgress, EncodeReport
    from amtts_core.run.verify_codes import Verification


LINE_EVERY = 30.0
"""Seconds between lines about the progress where standard error is no terminal."""


def encode_codes(
    manifest: Annotated[Path, typer.Argument(help="Manifest (.jsonl), or the corpus folder that holds it.")],
    out: OutDir,
    weights: Annotated[
        Path,
        typer.Option(
            "--weights", help="Weights of the codec: a .pth file or a checkpoint folder; of s3 its caches."
        ),
    ],
    codec: Annotated[
        str,
        typer.Option(
            "--codec", help="Codec: dac, mel-codes, s3 (tokens made elsewhere), or an installed one."
        ),
    ] = "dac",
    num_codebooks: Annotated[
        int, typer.Option("--num-codebooks", min=0, help="Keep the first N codebooks; 0 keeps all.")
    ] = 0,
    batch_seconds: Annotated[
        float,
        typer.Option(
            "--batch-seconds", min=0.0, help="Speech of one batch; 0: one clip on a CPU, 60 s elsewhere."
        ),
    ] = 0.0,
    num_shards: Annotated[
        int, typer.Option("--num-shards", min=1, help="Processes that share the manifest.")
    ] = 1,
    shard_index: Annotated[int, typer.Option("--shard-index", min=0, help="Which of them this is.")] = 0,
    verify: Annotated[
        int, typer.Option("--verify", min=0, help="Decode N utterances again and compare them.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Encode this shard again from the start.")] = False,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option("--precision", help="bf16 is faster where the machine has it; some codes differ."),
    ] = "fp32",
    executor: ExecutorName = "local",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=0,
            help="Worker processes of one thread, each with the codec; 0 uses every core. "
            "Without it this process encodes, and with ray every core.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Encode a corpus into codes. Run again, it does only what is missing. Exit code 1 if --verify fails.

    Utterances whose audio cannot be read have no codes; rows.jsonl says why, and the next run tries them again.

    Example: amtts encode-codes demo/corpus --codec mel-codes --weights run --out demo/codes
    """
    from amtts_core.contract.codec_registry import open_codec
    from amtts_core.corpus.executors import choose_executor
    from amtts_core.run.encode_codes import encode_manifest

    chosen = choose_executor(executor, gpus=int(device != "cpu"), together=1)
    path = manifest / "manifest.jsonl" if manifest.is_dir() else manifest
    opening = partial(open_codec, codec, num_codebooks=num_codebooks, precision=precision)
    opened = opening(weights)
    with console.progress() as bar:
        task = bar.add_task("encoding", total=None, note="")
        last_line = time.monotonic()

        def show(progress: EncodeProgress) -> None:
            nonlocal last_line
            note = f"{progress.speed:.1f} x real time"
            bar.update(task, completed=progress.done, total=progress.total, note=note)
            if bar.disable and time.monotonic() - last_line > LINE_EVERY:
                last_line = time.monotonic()
                console.log(f"encoding: {progress.done} of {progress.total} utterances, {note}")

        report = encode_manifest(
            path,
            opened,
            out,
            batch_seconds=batch_seconds,
            num_shards=num_shards,
            shard_index=shard_index,
            force=force,
            device=usable_device(device) if executor == "local" else device,
            executor=None if executor == "local" and jobs in (None, 1) else chosen,
            jobs=jobs or 0,
            reopen=partial(opening, weights.resolve()),
            on_progress=show,
        )
    for key, why in list(report.without.items())[:3]:
        console.warn(f"no codes of '{key}': {why}")
    if len(report.without) > 3:
        console.warn(f"{len(report.without)} utterances have no codes; the reasons stand in rows.jsonl")
    found = _verify(out, path, opened, verify, num_shards, device) if verify else []
    if any(item.equal > 0.9 and not item.ok for item in found):
        console.warn("codes made with another --precision, or on other processors, differ by some per cent")
    console.result(_values(report, found), lines=_lines(report, found, num_shards))
    if not all(item.ok for item in found):
        raise typer.Exit(1)


def _verify(
    out: Path, manifest: Path, codec: SpeechCodec, count: int, num_shards: int, device: str
) -> list[Verification]:
    from amtts_core.codec.store import CodeStore, shard_folder
    from amtts_core.run.verify_codes import verify_codes

    shards = [shard_folder(out, index, num_shards) for index in range(num_shards)]
    missing = [shard.name for shard in shards if not (shard / "store.json").is_file()]
    if missing:
        console.warn(f"not verified yet: {', '.join(missing[:4])} are not finished")
        return []
    return verify_codes(CodeStore.open(out), manifest, codec, count=count, device=device)


def _values(report: EncodeReport, found: list[Verification]) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "codec": report.identity.as_dict(),
        "encoded": report.encoded,
        "reused": report.reused,
        "without_codes": report.without,
        "speech_seconds": round(report.speech, 2),
        "seconds": round(report.took, 2),
        "times_real_time": round(report.speed, 2),
        "ok": all(item.ok for item in found),
        "verified": [{**item.__dict__, "ok": item.ok} for item in found],
    }


def _lines(report: EncodeReport, found: list[Verification], num_shards: int) -> list[str]:
    reused = f", {report.reused} were there already" if report.reused else ""
    speed = f": {report.speech / 60:.1f} minutes of speech in {report.took:.1f} s ({report.speed:.1f} x real time)"
    lines = [
        f"{report.encoded} utterances encoded{reused}{speed if report.encoded else ''}",
        f"codec {report.identity}, {report.identity.frame_rate:g} frames/s",
        *(
            f"{'ok    ' if v.ok else 'FAILED'} {v.id}: {100 * v.equal:.2f} % of the codes come again, "
            f"SNR {v.snr:.1f} dB, mel distance {v.mel_distance:.3f}"
            for v in found
        ),
    ]
    return [*lines, f"codes: {report.folder if num_shards > 1 else report.folder.parent}"]
