"""Tiny published checkpoints with Amharic letters taught by `amtts extend-vocab`, and trainings from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny_voice import NEEDS, tiny_config
from vocabularies import chatterbox_data, indextts2_model, mms_list, write_gpt, write_json, write_t3

from amtts_core.finetune.init_weights import InitWeights, open_init_weights
from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.run.options import RunOptions
from amtts_core.run.run import TrainingResult, train
from amtts_core.settings import merged
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.training.callbacks.base import Callback

BACKENDS = ("chatterbox", "indextts2", "vits")
OWN: dict[str, dict[str, Any]] = {
    "chatterbox": {"speech_codes": 1024, "start_speech": 6561, "stop_speech": 6562, "speech_rows": 8194},
    "indextts2": {"head": {"kind": "dac", "num_codebooks": 1, "cardinality": 1024}, "dropout": 0.0},
    "vits": {},
}
"""What a user says besides the weights: which codes they shall speak in."""


def published(folder: Path, backend: str) -> tuple[Path, Path]:
    """Checkpoint and tokenizer as published."""
    if backend == "chatterbox":
        tokenizer = write_json(folder / "mtl.json", chatterbox_data())
        return write_t3(folder, len(chatterbox_data()["model"]["vocab"])), tokenizer
    if backend == "indextts2":
        folder.mkdir(parents=True)
        (folder / "bpe.model").write_bytes(indextts2_model())
        size = len(load_vocab_mapping(folder / "bpe.model"))
        return write_gpt(folder, size, text_positions=100, code_positions=400), folder / "bpe.model"
    from transformers import VitsConfig, VitsModel

    from amtts_vits.network import model_config

    torch.manual_seed(3)
    config, kind = tiny_config("vits")
    sizes = model_config(config.model_config_of(kind.spec), vocab_size=28, num_speakers=1)
    model = VitsModel(VitsConfig(**sizes.published()))
    model.save_pretrained(folder)
    write_json(folder / "vocab.json", mms_list())
    return folder, folder


def extended(folder: Path, backend: str, *, language: str = "") -> Path:
    """The folder that `amtts extend-vocab --add fidel` writes."""
    checkpoint, tokenizer = published(folder / "old", backend)
    out = folder / "new"
    extend_vocabulary(
        ExtendRequest(
            backend=backend,
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            add="fidel",
            language=language,
            out=out,
        )
    )
    return out


def train_from(
    corpus: Path,
    run: Path,
    start: Path | InitWeights | None,
    backend: str,
    /,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    **sections: Any,
) -> TrainingResult:
    """A few steps that start from an extended folder or a checkpoint."""
    if isinstance(start, Path):
        start = open_init_weights(start, backend=backend)
    model = merged(start.model if start else {}, NEEDS.get(backend, {}).get("model", {}))
    model = merged(model, OWN[backend])
    sections = {**sections, "model": merged(sections.get("model", {}), model)}
    config, kind = tiny_config(backend, **sections)
    return train(
        config, kind, RunOptions(data=corpus, run=run, init=start, resume=resume, jobs=1), callbacks=callbacks
    )


def text_tables(backend: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Published text tensors under the names of our networks."""
    names = {
        "chatterbox": {"text.embedding.weight": "text_emb.weight", "text.head.weight": "text_head.weight"},
        "indextts2": {
            "text.embedding.weight": "text_embedding.weight",
            "text.head.weight": "text_head.weight",
            "text.head.bias": "text_head.bias",
        },
        "vits": {"generator.text_encoder.embed_tokens.weight": "text_encoder.embed_tokens.weight"},
    }[backend]
    return {ours: tensors[theirs] for ours, theirs in names.items()}


def weights_of(folder: Path, backend: str) -> dict[str, torch.Tensor]:
    """The tensors of an extended folder."""
    if backend == "indextts2":
        return torch.load(folder / "gpt.pth", weights_only=True)
    return load_file(folder / ("t3.safetensors" if backend == "chatterbox" else "model.safetensors"))
