"""`amtts convert`: recordings in the voice of another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.devices import usable_device
from amtts_cli.options import Json
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts_core.synthesis.convert import Converter


def convert(
    recordings: Annotated[list[Path], typer.Argument(help="Audio files, or folders of them.")],
    voice: Annotated[
        str, typer.Option("--voice", help="Recording to speak like, or a voice kept with the checkpoint.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Audio file, or a folder: one file a recording.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            envvar="AMTTS_VOICE_CODEC",
            help="Weights of the codec: s3gen.safetensors, or the folder that holds it.",
        ),
    ] = None,
    codec: Annotated[str, typer.Option("--codec", help="Codec that speaks with a voice.")] = "s3",
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Take codec, weights and kept voices of this run.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same audio.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    json: Json = False,
) -> None:
    """Say what recordings say in another voice. Recordings of any length; exit code 1 if one could not be read.

    Example: amtts convert --weights s3gen.safetensors --voice speaker.wav in.wav --out out.wav
    """
    from amtts_core.audio.save import FORMATS
    from amtts_core.contract.codec_registry import open_codec
    from amtts_core.synthesis.convert import Converter
    from amtts_core.synthesis.kept_voices import find_voice

    sources = _recordings(recordings, set(FORMATS))
    one_file = out.suffix.lower() in FORMATS and not out.is_dir()
    targets = _targets(sources, out, one_file=one_file)
    if checkpoint is not None:
        codec, weights = _codec_of(checkpoint, weights)
        speaker = find_voice(checkpoint, voice)
    else:
        speaker = Path(voice)
    if weights is None:
        raise AmttsError(
            f"the weights of codec '{codec}' are not named",
            remedy="Give --weights s3gen.safetensors (or the folder that holds it), or --checkpoint RUN",
        )
    opened = open_codec(codec, weights).to(usable_device(device))
    _convert_all(Converter(opened, speaker, seed=seed), sources, targets, one_file=one_file)


def _recordings(given: list[Path], endings: set[str]) -> list[Path]:
    """The files, those of a folder in the order of their names."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in endings and p.is_file())
            if not inside:
                raise AmttsError(
                    f"folder {path} holds no audio file; known endings: {' '.join(sorted(endings))}"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise AmttsError(f"recording {path} does not exist")
    return found


def _targets(sources: list[Path], out: Path, *, one_file: bool) -> list[Path]:
    """Where each goes; nothing that is there is replaced, and no two go to one place."""
    from amtts_core.audio.save import check_audio_name

    if one_file and len(sources) > 1:
        raise AmttsError(
            f"{out} is one file, {len(sources)} recordings were given", remedy="Give --out FOLDER"
        )
    targets = [out] if one_file else [out / f"{source.stem}.wav" for source in sources]
    seen: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        check_audio_name(target)
        if target in seen:
            raise AmttsError(
                f"{seen[target]} and {source} would both become {target}", remedy="Convert them apart"
            )
        if target.exists():
            raise AmttsError(f"{target} exists and is not replaced", remedy="Choose another --out")
        seen[target] = source
    return targets


def _codec_of(checkpoint: Path, weights: Path | None) -> tuple[str, Path | None]:
    from amtts_core.checkpoints.checkpoint import read_checkpoint

    info = read_checkpoint(checkpoint).info
    name = str(info.backend_config.get("codec", ""))
    own = str(info.backend_config.get("codec_weights", ""))
    if not name:
        raise AmttsError(
            f"checkpoint {checkpoint} of backend '{info.backend}' names no codec", remedy="Give --weights"
        )
    return name, weights or (Path(own) if own else None)


def _convert_all(converter: Converter, sources: list[Path], targets: list[Path], *, one_file: bool) -> None:
    import time

    from amtts_core.audio.save import write_audio

    began, seconds = time.monotonic(), 0.0
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    with console.progress() as progress:
        task = progress.add_task("converting", total=len(sources), note="")
        for source, target in zip(sources, targets, strict=True):
            try:
                spoken = converter.convert(source)
            except AmttsError as fault:
                if one_file:
                    raise
                failed[str(source)] = fault.message
                console.warn(f"not converted: {fault.message}")
                continue
            write_audio(target, spoken.waveform, spoken.sample_rate)
            length = len(spoken.waveform) / spoken.sample_rate
            seconds += length
            rows.append({"source": str(source), "path": str(target), "seconds": round(length, 2)})
            progress.update(task, advance=1)
    took = time.monotonic() - began
    factor = took / max(seconds, 1e-9)
    console.result(
        {"files": rows, "failed": failed, "seconds": round(seconds, 2), "real_time_factor": round(factor, 4)},
        lines=[
            *(f"{row['path']}  {row['seconds']:.2f} s" for row in rows),
            f"{seconds:.1f} s of speech in {took:.1f} s (real-time factor {factor:.3f}), {len(failed)} failed",
        ],
    )
    if failed:
        raise typer.Exit(1)
