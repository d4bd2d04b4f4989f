"""S3Gen's published files, read strictly and without running anything in them: safetensors and `.pt`.

The published weights of Chatterbox are under the MIT license (Resemble AI). Sizes are those of the tensors, so a small
network loads as the published ones do; what no tensor says, how many heads the estimator has, is 64 channels a head as
published, or what a `config.json` beside the file says.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amtts_chatterbox.published import read_published_tensors
from amtts_chatterbox.s3.estimator import Estimator
from amtts_chatterbox.s3.flow import Flow
from amtts_chatterbox.s3.flow_encoder import UP_LAYERS, FlowEncoder
from amtts_chatterbox.s3.names import MIXER, from_published, to_published
from amtts_chatterbox.s3.speaker_encoder import CampPlus
from amtts_chatterbox.s3.tokenizer import HEAD, S3Tokenizer
from amtts_chatterbox.s3.vocoder import Hift
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import AmttsError, CheckpointError

LICENSE = "MIT (Chatterbox weights, Resemble AI)"
FILES = (
    "s3gen.safetensors",
    "s3gen.pt",
    "s3gen_v3.safetensors",
    "s3gen_v3.pt",
    "s3gen_meanflow.safetensors",
    "s3gen_meanflow.pt",
)
"""Names of published files, in the order in which one is taken out of a folder."""
HEAD_SIZE = 64
WHAT = "S3Gen file"
MEND = "Give s3gen.safetensors or s3gen.pt as published for Chatterbox"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class S3Sizes:
    """Sizes of a network; the defaults are the published ones."""

    tokenizer_width: int = 1280
    tokenizer_layers: int = 6
    speaker_width: int = 128
    speaker_growth: int = 32
    speaker_bottleneck: int = 128
    encoder_width: int = 512
    encoder_heads: int = 8
    encoder_inner: int = 2048
    encoder_layers: int = 6
    channels: int = 256
    heads: int = 8
    head_size: int = 64
    blocks: int = 4
    middle: int = 12
    mean_flow: bool = False
    vocoder_channels: int = 512
    pitch_channels: int = 512


class S3Network(nn.Module):
    """All four parts of a published file.

    Args:
        sizes: of the parts.
        norm_eps: of the tokenizer's norm before attention, see `S3Tokenizer`.
    """

    def __init__(self, sizes: S3Sizes, *, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.sizes = sizes
        self.tokenizer = S3Tokenizer(
            width=sizes.tokenizer_width, layers=sizes.tokenizer_layers, norm_eps=norm_eps
        )
        self.speaker_encoder = CampPlus(
            width=sizes.speaker_width, growth=sizes.speaker_growth, bottleneck=sizes.speaker_bottleneck
        )
        encoder = FlowEncoder(
            width=sizes.encoder_width,
            heads=sizes.encoder_heads,
            inner=sizes.encoder_inner,
            layers=sizes.encoder_layers,
        )
        estimator = Estimator(
            channels=sizes.channels,
            heads=sizes.heads,
            head_size=sizes.head_size,
            blocks=sizes.blocks,
            middle=sizes.middle,
            mean_flow=sizes.mean_flow,
        )
        self.flow = Flow(encoder, estimator, width=sizes.encoder_width)
        self.vocoder = Hift(channels=sizes.vocoder_channels, pitch_channels=sizes.pitch_channels)


def find_s3gen(path: Path) -> Path | None:
    """The file itself, or the published one in a folder; None where the folder holds none."""
    if not path.is_dir():
        return path
    return next((path / name for name in FILES if (path / name).is_file()), None)


def read_s3gen(path: Path) -> dict[str, Tensor]:
    """The tensors of a published file under their published names, on the CPU.

    Raises:
        CheckpointError: missing, damaged, or not a dictionary of tensors.
    """
    return read_published_tensors(path, what=WHAT, remedy=MEND)


def load_s3gen(path: Path, *, norm_eps: float = 1e-5) -> S3Network:
    """The network of a published file (or of the folder that holds one), in evaluation mode on the CPU.

    Raises:
        CheckpointError: unreadable, of another family, or a tensor is missing, unknown, of another size or not finite.
    """
    file = find_s3gen(path)
    if file is None:
        raise CheckpointError(f"folder {path} holds none of {', '.join(FILES)}", remedy=MEND)
    return network_of(read_s3gen(file), source=f"{WHAT} {file}", stated=stated_sizes(file), norm_eps=norm_eps)


def network_of(
    published: Mapping[str, Tensor],
    *,
    source: str = WHAT,
    stated: Mapping[str, Any] | None = None,
    norm_eps: float = 1e-5,
) -> S3Network:
    """A network with published tensors, see `load_s3gen`; `stated` holds sizes that no tensor shows."""
    try:
        sizes = sizes_of(published, stated or {}, source=source)
        weights = from_published(published, source=source)
        with torch.device("meta"):
            network = S3Network(sizes, norm_eps=norm_eps)
        network.to_empty(device="cpu")
        named = {
            name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()
        }
        missing = {
            name: torch.zeros((), dtype=torch.int64)  # counts batches of training; some writers leave it out
            for name in network.state_dict()
            if name.endswith("num_batches_tracked") and name not in named
        }
        load_strict(network, {**named, **missing}, backend="s3gen")
    except CheckpointError as error:
        message = error.message if source in error.message else f"{source}: {error.message}"
        raise CheckpointError(message, remedy=error.remedy or MEND) from None
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{source}: the tensor '{name}' holds a number that is not finite", remedy=MEND
            )
    return network.eval()


def stated_sizes(file: Path) -> dict[str, Any]:
    """What `config.json` beside a file says of its estimator (`num_heads`); empty where it says nothing."""
    try:
        settings = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))
        settings = settings.get("s3gen", settings).get("estimator", {})
        return {"heads": int(settings["num_heads"])} if "num_heads" in settings else {}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def sizes_of(published: Mapping[str, Tensor], stated: Mapping[str, Any], *, source: str) -> S3Sizes:
    """Sizes that the tensors tell.

    Raises:
        CheckpointError: a tensor that shows one is missing or has another number of axes.
    """

    def shape(name: str, axes: int) -> tuple[int, ...]:
        if name not in published:
            raise CheckpointError(f"{source}: the tensor '{name}' is missing")
        found = tuple(published[name].shape)
        if len(found) != axes or 0 in found:
            raise CheckpointError(
                f"{source}: the tensor '{name}' has shape {list(found)}, expected {axes} axes"
            )
        return found

    def count(pattern: str) -> int:
        found = (re.match(pattern, name) for name in published)
        return max((int(match[1]) + 1 for match in found if match), default=0)

    speaker, estimator = "speaker_encoder.xvector", "flow.decoder.estimator"
    channels = shape(f"{estimator}.final_proj.weight", 3)[1]
    inner = shape(f"{estimator}.down_blocks.0.1.0.attn1.to_q.weight", 2)[0]
    heads = _heads(inner, stated.get("heads"), source=source)
    width = shape("tokenizer.encoder.conv1.weight", 3)[0]
    if width % HEAD:
        raise CheckpointError(f"{source}: the tokenizer has {width} channels, expected a multiple of {HEAD}")
    up_layers = count(r"flow\.encoder\.up_encoders\.(\d+)\.")
    if up_layers != UP_LAYERS:
        raise CheckpointError(f"{source}: {up_layers} layers behind the upsampling, expected {UP_LAYERS}")
    position_bias = shape("flow.encoder.encoders.0.self_attn.pos_bias_u", 2)
    return S3Sizes(
        tokenizer_width=width,
        tokenizer_layers=count(r"tokenizer\.encoder\.blocks\.(\d+)\."),
        speaker_width=shape(f"{speaker}.tdnn.linear.weight", 3)[0],
        speaker_growth=shape(f"{speaker}.block1.tdnnd1.cam_layer.linear_local.weight", 3)[0],
        speaker_bottleneck=shape(f"{speaker}.block1.tdnnd1.linear1.weight", 3)[0],
        encoder_width=shape("flow.input_embedding.weight", 2)[1],
        encoder_heads=position_bias[0],
        encoder_inner=shape("flow.encoder.encoders.0.feed_forward.w_1.weight", 2)[0],
        encoder_layers=count(r"flow\.encoder\.encoders\.(\d+)\."),
        channels=channels,
        heads=heads,
        head_size=inner // heads,
        blocks=count(rf"{re.escape(estimator)}\.down_blocks\.0\.1\.(\d+)\."),
        middle=count(rf"{re.escape(estimator)}\.mid_blocks\.(\d+)\."),
        mean_flow=MIXER in published,
        vocoder_channels=shape("mel2wav.conv_pre.bias", 1)[0],
        pitch_channels=shape("mel2wav.f0_predictor.classifier.weight", 2)[1],
    )


def _heads(inner: int, stated: int | None, *, source: str) -> int:
    if stated is not None:
        if stated < 1 or inner % stated:
            raise CheckpointError(f"{source}: {inner} channels of attention cannot be {stated} heads")
        return stated
    if inner % HEAD_SIZE == 0:
        return inner // HEAD_SIZE
    size = next(size for size in (32, 16, 8, 4, 2, 1) if inner % size == 0)
    logger.warning(
        "%s: %d channels of attention are no multiple of %d, so they are taken as heads of %d; a config.json beside "
        'the file can say otherwise: {"estimator": {"num_heads": N}}',
        source,
        inner,
        HEAD_SIZE,
        size,
    )
    return inner // size


def published_shapes(sizes: S3Sizes) -> dict[str, list[int]]:
    """Published names and sizes of a network; makes no tensors of its own but the two that are computed."""
    with torch.device("meta"):
        network = S3Network(sizes)
    return {name: list(tensor.shape) for name, tensor in to_published(network.state_dict()).items()}


def refuse_codes(codes: Tensor) -> None:
    """Refuses codes that the flow has no row for.

    Raises:
        AmttsError: none at all, or one out of range; names it.
    """
    from amtts_chatterbox.s3.tokenizer import CODES

    if not codes.numel():
        raise AmttsError("there is no speech code to speak")
    if codes.is_floating_point():
        raise AmttsError(f"speech codes are {codes.dtype}, expected integers")
    least, most = int(codes.min()), int(codes.max())
    if not 0 <= least <= most < CODES:
        raise AmttsError(f"speech codes range from {least} to {most}, expected 0 to {CODES - 1}")
