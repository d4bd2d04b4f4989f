"""Makes the folder that is shipped from a training run of `vocoder`: half precision, no optimizer, no discriminators.

    python examples/vocoders/export_vocoder.py RUN OUT --license TEXT

What is left is a checkpoint of its own: `amtts synthesize --vocoder OUT`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_vocoders.neural.vocoder import save_slim


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--license", default="", help="of the weights, kept in the checkpoint")
    options = parser.parse_args()
    checkpoint = read_checkpoint(options.run)
    checkpoint.info.base_weights_license = options.license
    save_slim(checkpoint, options.out, dtype=torch.float16)
    size = (options.out / "model.safetensors").stat().st_size
    print(f"{options.out}: step {checkpoint.info.step}, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
