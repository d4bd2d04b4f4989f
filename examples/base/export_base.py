"""Makes the shipped voice of a training run: half precision, some speakers under plain names, the vocoder.

    python examples/base/export_base.py RUN OUT --speaker am=am-one-1 --speaker alffa099=real-alffa099-1 --license TEXT

What is left is a checkpoint of its own: `amtts synthesize --checkpoint OUT`, `amtts train --from OUT`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from amtts_core.config.yaml_files import parse_assignments
from amtts_core.contract.registry import get_backend

VOCODER = "examples/vocoders/am-22k"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speaker", action="append", required=True, metavar="NAME=SPEAKER_OF_THE_RUN")
    parser.add_argument("--set", action="append", default=[], help="speaking setting: model.contrast=1")
    parser.add_argument("--license", default="", help="of the weights, kept in the checkpoint")
    options = parser.parse_args()
    checkpoint = read_checkpoint(options.run)
    info, weights = checkpoint.info, checkpoint.weights()
    pairs = [pair.partition("=") for pair in options.speaker]
    if missing := [old for _, _, old in pairs if old not in info.speakers]:
        sys.exit(
            f"error: {options.run} has no speaker {', '.join(missing)}; it has: {', '.join(info.speakers)}"
        )
    rows = torch.tensor([info.speakers.index(old) for _, _, old in pairs])
    conditioning = get_backend(info.backend).spec.speakers
    assert conditioning is not None, f"{info.backend} has no speakers"
    for table in conditioning.tables:
        weights[table] = weights[table][rows]
    backend = checkpoint.load_backend(parse_assignments(options.set).get("model"))
    files = backend.spec.checkpoint_files
    info = info.model_copy(
        update={
            "speakers": [new for new, _, _ in pairs],
            "base_weights_license": options.license,
            "backend_config": {**backend.config.model_dump(mode="json"), "vocoder": VOCODER},
        }
    )
    write_checkpoint(
        options.out,
        info,
        {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()},
        tokenizer=checkpoint.tokenizer(),
        files=files.of(backend).write_files if files is not None else None,
    )
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: step {info.step}, {len(pairs)} speakers, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
