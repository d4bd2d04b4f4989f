"""`amtts doctor`: what this machine and installation are, and which kernels speech is decoded with here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json

if TYPE_CHECKING:
    from amtts_core.run.machine import Machine


def doctor(
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure a decoder of 512 channels and 12 layers, anew where it is known already.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show the machine, what is installed or missing, and the kernels that were measured to be fastest here.

    Speech is decoded with the fastest of several kernels, precisions and drafts; each is measured when a network of
    that shape first speaks, and kept.
    """
    from amtts_core.run.machine import machine
    from amtts_core.speech_lm import runtime, tuning

    if measure:
        runtime.measure_shape()
    found, here = tuning.choices(), machine()
    console.result(
        {
            "machine": tuning.machine(),
            "installation": here.as_dict(),
            "kept_in": str(tuning.cache_file()),
            "pinned": tuning.pins(),
            "choices": [
                {
                    "key": key,
                    "choice": one.name,
                    "milliseconds": 1000 * one.seconds,
                    "plain_milliseconds": 1000 * one.plain,
                    "speedup": one.speedup,
                }
                for key, one in found
            ],
        },
        lines=[
            *_lines(here),
            f"machine: {tuning.machine()}",
            f"measured kernels: {len(found)}, {len(found) - tuning.unkept()} kept in {tuning.cache_file()}"
            + ("; this machine was busy while the others were measured" if tuning.unkept() else ""),
            f"pinned by {tuning.VARIABLE}: {tuning.pins() or 'nothing'}",
        ],
    )
    if found and not json:
        rows = [
            (key, one.name, f"{1000 * one.seconds:.3f}", f"{1000 * one.plain:.3f}", f"{one.speedup:.2f} x")
            for key, one in found
        ]
        console.table("", ("what", "chosen", "ms", "plain torch, ms", "speed"), rows)
    elif not json:
        console.out("nothing has been measured yet: it is when a network first speaks, or with --measure")


def _lines(here: Machine) -> list[str]:
    whole = [extra.name for extra in here.extras if not extra.missing]
    return [
        f"amtts {here.amtts}, torch {here.torch}, Python {here.python}",
        f"{here.system}: {here.cores} cores, {here.threads} threads for torch, "
        f"{here.memory / 2**30:.1f} GiB of memory, {here.disk_free / 2**30:.1f} GiB free on this disk",
        f"GPU: {'; '.join(here.gpus) or 'none; everything runs on the CPU'}",
        f"ffmpeg: {here.ffmpeg or 'absent; recordings are read without it'}",
        f"espeak-ng: {here.espeak or 'absent; only the demo corpus needs it'}",
        f"base voice: {here.base_voice}",
        f"extras installed: {', '.join(whole) or 'none'}",
        *(
            f"extra '{extra.name}' lacks {', '.join(extra.missing)}: {extra.install}"
            for extra in here.extras
            if extra.missing
        ),
    ]
