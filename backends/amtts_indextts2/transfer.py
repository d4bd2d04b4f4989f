"""Published IndexTTS2 weights as the beginning of a training run.

Transformer, text tables and speed rows are transferred; with `model.conditioning=conformers` the encoders of w2v-bert
features too. The code tables are transferred whole where the head is the published one. Codes of another codec mean
other things, but where speech begins, that it ends and how time passes mean the same: the embedding before the first
code, the end and the positions are transferred, the codes start random at the size of the published ones, so that the
transformer meets vectors as large as it is used to. R position rows, K codebooks of V entries, D channels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.types import TextTensor
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.config_files import config_files, read_config
from amtts_core.finetune.vocab.text_rows import extend_remedy, fit_text_rows
from amtts_core.finetune.vocab.weights_file import find_weights
from amtts_core.speech_lm.codebooks import CodeTables, SingleCodebook
from amtts_core.storage.peft_adapter import with_adapter
from amtts_indextts2 import tokenizer
from amtts_indextts2.config import SemanticHeadConfig
from amtts_indextts2.published import (
    LICENSE,
    config_of_shapes,
    from_published,
    probe,
    published_name,
    read_published,
)
from amtts_indextts2.w2v_bert import NO_STATISTICS

logger = logging.getLogger(__name__)
PUBLISHED_RATE = 50.0
"""Codes a second of the published network; a position row stands for 1 / 50 s."""
CODES = "speech."
EMBEDDING, POSITIONS, HEAD, BIAS = (
    CODES + name for name in ("embedding.weight", "positions.weight", "head.weight", "head.bias")
)
ENCODERS_ONLY = ("conditioning_encoder.", "perceiver_encoder.", "emo", "speaker.", "emotion.")
"""Beginnings of the names of what only the published conditioning has."""
FRESH = ("speaker_table.", "voices.", "length_model.", "codec_hash")
"""What only a network of ours has."""
STATISTICS = "wav2vec2bert_stats.pt"
"""Of w2v-bert's features, published beside the weights."""


def open_weights(path: Path) -> PublishedWeights:
    """The weights in a folder or file; speakers stay new."""
    file = find_weights(path, PUBLISHED)
    published = with_adapter(path, read_published(file))
    settings = read_config(config_files(file))
    released = settings.get("gpt") or settings
    try:
        config, _ = config_of_shapes(published, heads=int(released.get("heads") or 0))
    except KeyError as missing:
        raise CheckpointError(f"weights {file} lack the tensor {missing}") from None
    head = _published_head(config.head, released, file)
    model = {
        "model_dim": config.model_dim,
        "layers": config.layers,
        "heads": config.heads,
        "max_text_tokens": config.max_text_tokens,
        "max_mel_tokens": config.max_mel_tokens,
        "num_latents": config.num_latents,
        "conditioning": "table",
        "speaker": config.speaker.model_dump(mode="json"),
        "emotion": config.emotion.model_dump(mode="json"),
    }
    if (file.parent / STATISTICS).is_file():
        model["voice_statistics"] = str(file.parent / STATISTICS)
    return PublishedWeights(model=model, load_into=lambda target: _fill(target, published, file, head, model))


def _published_head(by_shape: object, released: Mapping[str, Any], file: Path) -> SemanticHeadConfig:
    """The published head, with the ids that its configuration names, or those that the shapes suggest."""
    assert isinstance(by_shape, SemanticHeadConfig)
    start, stop = (released.get(f"{name}_mel_token", getattr(by_shape, name)) for name in ("start", "stop"))
    try:
        return SemanticHeadConfig(num_codes=by_shape.num_codes, start=start, stop=stop)
    except ValueError:
        raise CheckpointError(
            f"the configuration of {file} says start_mel_token {start} and stop_mel_token {stop}, expected two ids "
            f"below {by_shape.num_codes}",
            remedy="Put the config.yaml beside it that was published with it",
        ) from None


def _fill(
    backend: Any,
    published: Mapping[str, Tensor],
    file: Path,
    head: SemanticHeadConfig,
    sizes: Mapping[str, Any],
) -> tuple[str, ...]:
    for name in ("model_dim", "layers", "max_text_tokens"):
        if getattr(backend.config, name) != sizes[name]:
            raise CheckpointError(
                f"weights {file} have {name} {sizes[name]}, the settings say {getattr(backend.config, name)}",
                remedy=f"Leave model.{name} out",
            )
    config, own = backend.config, backend.network.state_dict()
    with_encoders = config.conditioning == "conformers"
    if with_encoders and config.voice_statistics == NO_STATISTICS:
        raise CheckpointError(
            f"the encoders of {file} read standardized features, and model.voice_statistics is '{NO_STATISTICS}'",
            remedy=f"Name the published file: --set model.voice_statistics={STATISTICS}",
        )
    fitted = fit_text_rows(
        published,
        PUBLISHED,
        backend.tokenizer.vocab_size,
        source=f"weights {file}",
        remedy=extend_remedy(PUBLISHED, file),
    )
    found = {
        name: tensor
        for name, tensor in from_published(backend.network, fitted).items()
        if with_encoders or not name.startswith(ENCODERS_ONLY)
    }
    kept = {name: tensor for name, tensor in own.items() if name.startswith(FRESH)}
    codes = {name: tensor for name, tensor in found.items() if name.startswith(CODES)}
    random = tuple(name for name, _ in backend.network.named_parameters() if name.startswith(FRESH))
    if len(codes) == 4 and codes[POSITIONS].shape[1] == own[POSITIONS].shape[1]:  # else load_strict says so
        named = config.codec_weights  # none where only the text side is wanted
        rate = backend.open_codec().frame_rate if named else PUBLISHED_RATE
        transferred = transferred_codes(backend.network.speech, codes, head, frame_rate=rate)
        found |= transferred.tensors
        random += transferred.random
        backend.code_deviation = transferred.deviation
        if named:
            logger.warning("%s, in the codes of codec '%s': %s", file, config.codec, transferred.summary)
    load_strict(backend.network, {**found, **kept}, backend="indextts2")
    backend.encoders_transferred = with_encoders
    return random


@dataclass(frozen=True)
class TransferredCodes:
    """Code tables to start with.

    Attributes:
        tensors: name in the network -> tensor.
        deviation: of the code embeddings that start random, and that those of `codec_start` should have.
        summary: what was transferred and what starts random, for people.
        random: names of tensors of which more starts random than is transferred.
    """

    tensors: dict[str, Tensor]
    deviation: float
    summary: str
    random: tuple[str, ...] = ()


def transferred_codes(
    speech: CodeTables, published: Mapping[str, Tensor], head: SemanticHeadConfig, *, frame_rate: float
) -> TransferredCodes:
    """The tables of `speech` with what published ones can give them.

    Args:
        speech: freshly initialized; what is not transferred stays as it is.
        published: `speech.` tensors of the published network, D channels as here.
        head: of the published network.
        frame_rate: codes a second of the codec that is to be spoken in.
    """
    rows, heads, bias = published[EMBEDDING].float(), published[HEAD].float(), published[BIAS].float()
    count, entries = speech.num_codebooks, speech.num_codes
    deviation = float(rows.std()) / count**0.5
    positions, known = resampled_rows(published[POSITIONS], len(speech.positions.weight), frame_rate)
    moved = (
        f" (from {PUBLISHED_RATE:g} to {frame_rate:g} codes a second)" if frame_rate != PUBLISHED_RATE else ""
    )
    beyond = [f"position rows after {known / frame_rate:.1f} s"] if len(positions) > known else []
    same = (head.num_codes, head.start, head.stop)
    if isinstance(speech, SingleCodebook) and (speech.outputs, speech.start_id, speech.end) == same:
        summary = f"transferred: all {head.num_codes} codes, which fit the published codec only, {known} position rows"
        tensors = {name: published[name] for name in (EMBEDDING, HEAD, BIAS)}
        summary += moved + (f"; random: {beyond[0]}" if beyond else "")
        return TransferredCodes({**tensors, POSITIONS: positions}, deviation, summary)
    own = {name: speech.get_parameter(name.removeprefix(CODES)).detach().clone() for name in (HEAD, BIAS)}
    table = torch.randn(speech.embedding.weight.shape) * deviation
    first = int(speech.start()[0, 0])
    table.view(count, -1, table.shape[1])[:, first] = 0  # embeddings of the codebooks are summed
    table[first] = rows[head.start]
    own[HEAD][speech.end], own[BIAS][speech.end] = heads[head.stop], bias[head.stop]
    if isinstance(speech, SingleCodebook):  # start and end are ids of the same table
        table[speech.end] = rows[head.stop]
        own[HEAD][first], own[BIAS][first] = heads[head.start], bias[head.start]
    fresh = [*beyond, f"the embeddings of {count} x {entries} codes at deviation {deviation:.3g}"]
    summary = (
        f"transferred: the embedding before the first code, the end of speech, {known} position rows{moved}; "
        f"random: {', '.join(fresh)}"
    )
    return TransferredCodes(
        {EMBEDDING: table, POSITIONS: positions, **own}, deviation, summary, random=(EMBEDDING, HEAD, BIAS)
    )


def resampled_rows(rows: Tensor, count: int, frame_rate: float) -> tuple[Tensor, int]:
    """Position rows (count, D) that stand at the times of published ones (R, D), and how many of them do.

    Row s of a codec of `frame_rate` codes a second is spoken at the time of published row s * 50 / frame_rate; between
    two rows it lies on the line between them. What lies beyond the table's end starts random, as large as the others.
    """
    at = torch.arange(count, dtype=torch.float64) * (PUBLISHED_RATE / frame_rate)
    last = len(rows) - 1
    known = int((at <= last + 1e-6).sum())
    below = at.floor().clamp(max=last).long()
    above = (below + 1).clamp(max=last)
    share = (at - below).clamp(0, 1)[:, None].to(torch.float32)
    table = torch.lerp(rows[below].float(), rows[above].float(), share)
    if known < count:
        table[known:] = torch.randn(count - known, rows.shape[1]) * float(rows.float().std())
    return table, known


PUBLISHED = PublishedFormat(
    name="indextts2",
    license=LICENSE,
    weight_files=("gpt*.safetensors", "gpt*.pth", "*.safetensors", "*.pth", "*.pt"),
    text_tensors=(
        TextTensor("text_embedding.weight", "embedding", num_extra_rows=1),
        TextTensor("text_head.weight", "head", num_extra_rows=1),
        TextTensor("text_head.bias", "bias", num_extra_rows=1),
    ),
    text_names=r"^(?!.*pos).*text_",
    size_keys=("number_text_tokens", "gpt.number_text_tokens", "model.number_text_tokens"),
    tokenizer=tokenizer.FORMAT,
    open_weights=open_weights,
    adapted_layers=lambda layer: [published_name(f"{layer}.weight").removesuffix(".weight")],
    transposed_layers=True,
    probe=probe,
)
