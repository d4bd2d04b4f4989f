"""Estimates the GPU memory of fine-tuning the published T3 without a GPU: `python benchmarks/bench_t3_memory.py`.

Weights, gradients and AdamW's moments are counted. What the forward pass keeps for the backward pass is measured on
the CPU, in bf16 like the training, on networks of one and two layers at full width, and drawn out to thirty: every
layer keeps the same. Added are what one layer keeps while it is computed again, a quarter of all this for what comes
and goes, and 0.7 GiB for CUDA itself. An estimate, not a measurement: `amtts train --dry-run` measures on the card.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.t3.backend import ChatterboxT3Backend
from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.yaml_files import read_config_file
from amtts_core.contract.types import Batch, Example
from amtts_core.finetune.trainable import choose_parameters
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.training.blocks import prepare_blocks

ROOT = Path(__file__).resolve().parent.parent
GIB = 2**30
LAYERS, ROWS, CODES_PER_UTTERANCE, TEXT = 30, 2454, 125, 60
CUDA = 0.7 * GIB


def config_of(name: str, layers: int, *, recompute: bool | None = None) -> RunConfig:
    """The example's settings over the published sizes, with so many layers; `recompute` changes one of them."""
    values = read_config_file(ROOT / "examples" / "chatterbox" / f"{name}.yaml")
    values["preset"] = "official"
    values["model"] = {**values.get("model", {}), "layers": layers}
    changed = {} if recompute is None else {"training": {"gradient_checkpointing": recompute}}
    return resolve_config(values, overrides=changed, source=name)[0]


def batch_of(backend: ChatterboxT3Backend, seconds: float) -> Batch:
    """Utterances of 5 s that fill a batch of `seconds`."""
    random = np.random.default_rng(0)
    examples = [
        Example(
            id=str(row),
            tokens=random.integers(5, 60, TEXT).tolist(),
            features={"codes": random.integers(0, 6561, (CODES_PER_UTTERANCE, 1))},
        )
        for row in range(max(1, int(seconds / 5)))
    ]
    return backend.collate(examples)


def measured(name: str, layers: int, *, recompute: bool | None = None) -> tuple[int, int, int]:
    """Bytes of weights, of what training adds to them, and of what a forward pass keeps."""
    config = config_of(name, layers, recompute=recompute)
    settings = config.model_config_of(ChatterboxT3Backend.spec)
    backend = ChatterboxT3Backend(settings, tokenizer=train_tokenizer("fidel", []), speakers=())
    choose_parameters(backend, config.training, new_tokens=[5], pretrained=True)
    prepare_blocks(backend, config.training)
    weights = sum(p.numel() * 4 for p in backend.network.parameters())
    weights += (ROWS - len(backend.network.text.embedding.weight)) * 2 * settings.hidden * 4
    learnt = sum(p.numel() * 12 for p in backend.network.parameters() if p.requires_grad)
    own = {p.untyped_storage().data_ptr() for p in backend.network.parameters()}
    kept: dict[int, int] = {}
    held: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and storage.data_ptr() not in kept:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)  # so that its place is not used again
        return tensor

    learner = backend.learner()
    for module in learner.modules.values():
        module.train()
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        next(iter(learner.losses(batch_of(backend, config.data.batch_seconds))))
    return weights, learnt, sum(kept.values())


def main() -> None:
    """Prints a line for each example."""
    for name in sys.argv[1:] or ("gpu-8gb", "gpu-16gb", "gpu-24gb"):
        one, two = (measured(name, layers) for layers in (1, 2))
        weights, learnt, kept = (a + (LAYERS - 1) * (b - a) for a, b in zip(one, two, strict=True))
        if config_of(name, LAYERS).training.gradient_checkpointing:
            kept += measured(name, 2, recompute=False)[2] - measured(name, 1, recompute=False)[2]
        total = weights + learnt + 1.25 * kept + CUDA
        print(
            f"{name}: weights {weights / GIB:.1f}, gradients and moments {learnt / GIB:.1f}, "
            f"kept between the passes {kept / GIB:.1f}, in all about {total / GIB:.1f} GiB"
        )


if __name__ == "__main__":
    main()
