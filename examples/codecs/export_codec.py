"""Makes the folder that is shipped from a training run of `mel-codes`: half precision, no optimizer.

    python examples/codecs/export_codec.py RUN OUT

What is left is a checkpoint folder of its own: `amtts encode-codes --codec mel-codes --weights OUT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import read_checkpoint, write_checkpoint


def main(run: Path, out: Path) -> None:
    checkpoint = read_checkpoint(run)
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.weights().items()
    }
    for name, tensor in weights.items():
        if not torch.isfinite(tensor.float()).all():
            sys.exit(f"tensor {name} does not fit half precision")
    info = checkpoint.info.model_copy(
        update={"base_weights_license": "Apache-2.0; trained on the synthetic corpus of examples/corpus"}
    )
    write_checkpoint(out, info, weights, tokenizer=None)
    print(f"{out}: step {info.step}, {sum(t.numel() for t in weights.values()) / 1e6:.2f} M numbers")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
