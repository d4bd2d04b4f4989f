"""`amtts doctor`: what this machine is, and which kernels speech is decoded with here."""

from __future__ import annotations

from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json


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
    """Show the machine and the kernels that were measured to be fastest on it.

    Speech is decoded with the fastest of several kernels, precisions and drafts; each is measured when a network of
    that shape first speaks, and kept.
    """
    from amtts_core.speech_lm import runtime, tuning

    if measure:
        runtime.measure_shape()
    found = tuning.choices()
    console.result(
        {
            "machine": tuning.machine(),
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
