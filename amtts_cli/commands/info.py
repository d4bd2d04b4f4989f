"""`amtts info`: what a checkpoint or run is: family, language, speakers, data, licenses, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json


def info(
    checkpoint: Annotated[
        Path, typer.Argument(help="Run or checkpoint folder, or org/name on the Hugging Face hub.")
    ],
    json: Json = False,
) -> None:
    """Show what a checkpoint is. Its files are checked, no network is built.

    Example: amtts info run
    """
    from amtts_core.checkpoints.checkpoint import read_checkpoint
    from amtts_core.checkpoints.hub import local_checkpoint
    from amtts_core.synthesis.kept_voices import kept_voices

    folder = local_checkpoint(checkpoint)
    found = read_checkpoint(folder)
    known = found.info
    size = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
    values: dict[str, object] = {
        "folder": str(found.folder),
        "backend": known.backend,
        "step": known.step,
        "sample_rate": known.sample_rate,
        "language": str(known.normalizer.get("language", "am")),
        "speakers": list(known.speakers),
        "voices": sorted(kept_voices(folder)),
        "tokenizer": f"{known.tokenizer_kind} with {known.vocab_size} symbols"
        if known.tokenizer_kind
        else "none",
        "untrained_tokens": len(known.untrained_tokens),
        "codec": known.codec,
        "started_from": known.started_from,
        "license_of_weights": known.base_weights_license,
        "licenses_of_data": list(known.data_licenses),
        "consent": list(known.consent_notes),
        "metrics": dict(known.metrics),
        "resumable": (found.folder / "training.json").is_file(),
        "bytes": size,
    }
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {number:.4f}" for key, number in value.items())
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        lines.append(f"{name.replace('_', ' ') + ':':22}{shown or '-'}")
    console.result(values, lines=lines)
