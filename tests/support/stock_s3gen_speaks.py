"""The original S3Gen with files of ours; an interpreter with chatterbox-tts runs it in the folder of the files.

Reads s3gen.safetensors (loaded strictly), conds.pt, sizes.json and ask.safetensors (codes and what is drawn by chance),
and writes told.safetensors: the waveform.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributions.uniform import Uniform

sys.path.insert(0, str(Path(__file__).parent))
from stock_s3gen import small_s3gen


def main() -> None:
    """Speaks once."""
    torch.set_num_threads(1)
    model = small_s3gen(json.loads(Path("sizes.json").read_text()))
    model.load_state_dict(load_file("s3gen.safetensors"), strict=True)
    voice = torch.load("conds.pt", weights_only=True)["gen"]
    ask = load_file("ask.safetensors")
    waiting, like, sample = [ask["z"], ask["noise"]], torch.randn_like, Uniform.sample

    def drawn(tensor: torch.Tensor, **_: Any) -> torch.Tensor:
        return waiting.pop(0) if waiting else torch.zeros_like(tensor)

    torch.randn_like = drawn
    Uniform.sample = lambda self, sample_shape: ask["phase"].clone()
    with torch.inference_mode():
        wave, _ = model.inference(ask["codes"], ref_dict=voice)
    torch.randn_like, Uniform.sample = like, sample
    save_file({"wave": wave.clone().contiguous()}, "told.safetensors")


if __name__ == "__main__":
    main()
