"""Published VITS and MMS-TTS weights (Hugging Face folders): for `amtts extend-vocab` and `train --from`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.text_rows import extend_remedy
from amtts_core.storage.peft_adapter import is_adapter
from amtts_vits import tokenizer
from amtts_vits.config import VitsSettings
from amtts_vits.network import SIZES
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.start import EMBEDDING, plain, read_vits_config
from amtts_vits.text_encoder import TextEncoder
from amtts_vits.weights import read_weights

_ENCODER = "text_encoder."


def open_weights(path: Path) -> PublishedWeights:
    """The settings that fit a folder, `model.start` among them: `Backend.initialize` loads the weights it names."""
    if is_adapter(path):
        raise CheckpointError(
            f"{path} is a PEFT adapter of VITS, which cannot be trained on as it is",
            remedy=extend_remedy(PUBLISHED, path),
        )
    if path.is_file():
        read_weights(path, landmark=EMBEDDING)  # says what it is where it is no VITS
        raise CheckpointError(
            f"{path} is a file of weights, which do not show every size",
            remedy="Give its folder, with config.json",
        )
    theirs = read_vits_config(path)
    mel = VitsSettings().mel.model_dump(mode="json")
    mel |= {"n_fft": 2 * (theirs.spectrogram_bins - 1), "hop": math.prod(theirs.upsample_rates)}
    mel |= {"sample_rate": theirs.sampling_rate, "fmax": theirs.sampling_rate / 2}
    model: dict[str, Any] = {"start": str(path), "mel": mel}
    model |= {name: plain(getattr(theirs, name)) for name in SIZES}
    if theirs.num_speakers > 1:
        model["speaker_embedding_size"] = theirs.speaker_embedding_size
    return PublishedWeights(model=model, load_into=lambda backend: ())


@torch.inference_mode()
def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """Outputs of the text encoder, see `TextProbe`; blanks are put between the ids, as the model was trained."""
    encoder = _text_encoder(weights, config)
    outputs: dict[str, list[Tensor]] = {"prior_means": [], "prior_log_variances": [], "hidden": []}
    for ids in sequences:
        spaced = torch.zeros(1, 2 * len(ids) + 1, dtype=torch.int64)
        spaced[0, 1::2] = torch.tensor(ids)
        found = encoder(spaced, torch.ones_like(spaced, dtype=torch.float32)[:, None])
        for name, tensor in zip(("hidden", "prior_means", "prior_log_variances"), found, strict=True):
            outputs[name].append(tensor[0].T)
    return {name: torch.cat(values) for name, values in outputs.items()}


def _text_encoder(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> torch.nn.Module:
    own = {
        name.removeprefix(_ENCODER): value.float()
        for name, value in weights.items()
        if name.startswith(_ENCODER)
    }
    vocab_size, hidden_size = own["embed_tokens.weight"].shape
    try:
        encoder = TextEncoder(
            GeneratorSizes.of({**config, "vocab_size": vocab_size, "hidden_size": hidden_size})
        )
        encoder.load_state_dict(own, strict=True)
    except (RuntimeError, ValueError) as fault:
        what = " ".join(str(fault).split())[:200]
        beside = "the config.json beside the weights"
        if not config:
            beside = "the published sizes (no config.json is beside)"
        raise CheckpointError(
            f"the text encoder does not fit {beside}: {what}",
            remedy="Give the folder that holds weights and config.json together",
        ) from None
    return encoder.eval()


PUBLISHED = PublishedFormat(
    name="vits",
    aliases=("mms", "mms-tts"),
    license="that of the weights it started from; MMS-TTS (facebook/mms-tts-*): CC-BY-NC 4.0",
    weight_files=("model.safetensors", "pytorch_model.bin", "*.safetensors", "*.bin", "*.pth"),
    text_tensors=(TextTensor(EMBEDDING, "embedding"),),
    size_keys=("vocab_size",),
    tokenizer=tokenizer.FORMAT,
    open_weights=open_weights,
    adapted_layers=lambda layer: [layer.removeprefix("generator.")],
    probe=probe,
)
