"""`amtts adopt`: published weights as a checkpoint that speaks, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, Json
from amtts_core.errors import AmttsError


def adopt(
    weights: Annotated[Path, typer.Argument(help="Published weights, or the folder that holds them.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="The published tokenizer (.json).")],
    out: Annotated[Path, typer.Option("--out", help="Checkpoint folder to make.")],
    backend: Annotated[str, typer.Option("--backend", help="Family of the weights.")] = "chatterbox",
    language: Annotated[
        str,
        typer.Option(
            "--language", help="Tag before every text, e.g. en for [en]; English weights have none."
        ),
    ] = "",
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Make a checkpoint of published weights as they are. Text is read as it is written.

    Example: amtts adopt chatterbox --tokenizer chatterbox/grapheme_mtl_merged_expanded_v1.json --language en
    --set model.codec=s3 --set model.codec_weights=chatterbox --out english
    """
    from amtts_core.config.yaml_files import parse_assignments
    from amtts_core.synthesis.adopt import adopt as adopt_weights

    values = parse_assignments(assignments or [])
    strange = sorted(set(values) - {"model"})
    if strange:
        raise AmttsError(
            f"--set {strange[0]}: here there are only settings of the network, such as model.codec"
        )
    info = adopt_weights(
        weights,
        out,
        backend=backend,
        tokenizer=tokenizer,
        language=language.strip("[]"),
        settings=values.get("model"),
    )
    console.result(
        {"out": str(out), "backend": info.backend, "vocab_size": info.vocab_size, "codec": info.codec},
        lines=[
            f"{out}: {info.backend} with {info.vocab_size} text tokens, codec {info.codec or 'none'}",
            f"license of the weights: {info.base_weights_license}",
            f"speak: amtts synthesize --checkpoint {out} --voice speaker.wav TEXT --out speech.wav",
        ],
    )
