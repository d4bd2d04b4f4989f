"""Published tensor names of S3Gen to ours and back, in one table.

Three things differ beyond names. Query, key and value are one matrix here. A convolution of the flow is a matrix
(C', taps * C) here, (C', C, taps) there. A weight of the vocoder is stored there as a direction and a length per row of
its first axis (torch's weight norm, also for transposed convolutions) and is folded here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from amtts_chatterbox.front_ends import S3_MEL
from amtts_core.audio.mel import mel_filters
from amtts_core.errors import CheckpointError

PARTS = ("tokenizer", "speaker_encoder", "flow", "vocoder")
FILTERS, WINDOW = "tokenizer._mel_filters", "tokenizer.window"
"""Published buffers that are computed here; `s3gen_v3` lacks them."""
MIXER = "flow.decoder.estimator.time_embed_mixer.weight"
"""The one tensor more of `s3gen_meanflow`."""
LENGTH, DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
BUFFER_TOLERANCE = 1e-3


_SCOPES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "tokenizer.",
        "tokenizer.",
        (
            ("encoder.blocks.", "blocks."),
            ("encoder.conv", "conv"),
            ("quantizer._codebook.project_down.", "project_down."),
            (".attn.fsmn_block.", ".attention.memory."),
            (".attn.", ".attention."),
            (".attn_ln.", ".attention_norm."),
            (".mlp_ln.", ".feed_norm."),
            (".mlp.", ".feed."),
        ),
    ),
    ("speaker_encoder.head.", "speaker_encoder.head.", ()),
    (
        "speaker_encoder.xvector.",
        "speaker_encoder.",
        (
            (".out_nonlinear.batchnorm.", ".out_norm."),
            (".nonlinear.batchnorm.", ".norm."),
            (".nonlinear1.batchnorm.", ".norm1."),
            (".nonlinear2.batchnorm.", ".norm2."),
            (".cam_layer.", ".gate."),
        ),
    ),
    (
        "flow.encoder.",
        "flow.encoder.",
        (
            ("embed.out.0.", "embed.linear."),
            ("embed.out.1.", "embed.norm."),
            ("pre_lookahead_layer.", "look_ahead."),
            ("up_encoders.", "up_layers."),
            ("encoders.", "layers."),
            ("up_layer.conv.", "upsample."),
            ("self_attn.linear_pos.", "attention.positions."),
            ("self_attn.pos_bias_u", "attention.content_bias"),
            ("self_attn.pos_bias_v", "attention.position_bias"),
            ("self_attn.linear_", "attention."),
            ("feed_forward.w_1.", "feed.0."),
            ("feed_forward.w_2.", "feed.2."),
            ("norm_mha.", "attention_norm."),
            ("norm_ff.", "feed_norm."),
        ),
    ),
    (
        "flow.decoder.estimator.",
        "flow.estimator.",
        (
            ("down_blocks.0.0.", "down.resnet."),
            ("down_blocks.0.1.", "down.transformers."),
            ("down_blocks.0.2.", "down.closing."),
            ("mid_blocks.#.0.", "mid.#.resnet."),
            ("mid_blocks.#.1.", "mid.#.transformers."),
            ("up_blocks.0.0.", "up.resnet."),
            ("up_blocks.0.1.", "up.transformers."),
            ("up_blocks.0.2.", "up.closing."),
            (".mlp.1.", ".time."),
            (".res_conv.", ".shortcut."),
            (".block.0.", ".conv."),
            (".block.2.", ".norm."),
            (".attn1.to_out.0.", ".attention.out."),
            (".attn1.to_", ".attention."),
            (".norm1.", ".attention_norm."),
            (".norm3.", ".feed_norm."),
            (".ff.net.0.proj.", ".feed.0."),
            (".ff.net.2.", ".feed.2."),
        ),
    ),
    ("flow.", "flow.", ()),
    (
        "mel2wav.",
        "vocoder.",
        (
            ("m_source.l_linear.", "mix."),
            ("activations1.#.alpha", "alphas1.#"),
            ("activations2.#.alpha", "alphas2.#"),
        ),
    ),
)
"""Published prefix, ours, and what else is called otherwise behind it; `#` is a number. The first prefix counts; what
is
special stands before what is general, in both directions."""
_JOINED = (("query", "key", "value"), ("q", "k", "v"))
_TAPS = (
    (".look_ahead.conv1.weight", 4),
    (".look_ahead.conv2.weight", 3),
    (".upsample.weight", 5),
    (".shortcut.weight", 1),
    (".final_proj.weight", 1),
    (".conv.weight", 3),
    (".closing.weight", 3),
)
"""Convolutions of the flow by the ends of our names."""
_NORMED = re.compile(
    r"vocoder\.(conv_pre|conv_post|ups\.\d+|f0_predictor\.condnet\.\d+|(source_)?resblocks\.\d+\.convs[12]\.\d+)\.weight"
)


def _exchanged(name: str, *, to_ours: bool) -> str:
    for theirs, ours, fragments in _SCOPES:
        old, new = (theirs, ours) if to_ours else (ours, theirs)
        if not name.startswith(old):
            continue
        rest = "." + name.removeprefix(
            old
        )  # so that a fragment's first dot is there at the beginning as well
        for pair in fragments:
            search, put = pair if to_ours else pair[::-1]
            if search:
                rest = re.sub(re.escape(search).replace(r"\#", r"(\d+)"), put.replace("#", r"\1"), rest)
        return new + rest.removeprefix(".")
    return name


def _weight_normed(name: str) -> str:
    """The published module of one of our folded weights, or an empty string."""
    return _exchanged(name, to_ours=False).removesuffix(".weight") if _NORMED.fullmatch(name) else ""


def from_published(published: Mapping[str, Tensor], *, source: str = "the weights") -> dict[str, Tensor]:
    """Our state dict from a published one; whether it is whole and of the right sizes is seen when it is loaded.

    Raises:
        CheckpointError: a half of a pair is missing, or a stored mel filter is not the one that is computed here.
    """
    _check_buffers(published, source=source)
    out: dict[str, Tensor] = {}
    for name, tensor in published.items():
        if name in (FILTERS, WINDOW) or name.endswith(LENGTH):
            continue
        if name.endswith(DIRECTION):
            length = _partner(published, name.removesuffix(DIRECTION) + LENGTH, of=name, source=source)
            if length.ndim != tensor.ndim or length.numel() != len(tensor):
                raise CheckpointError(
                    f"{source}: '{name}' has {len(tensor)} rows and {length.numel()} lengths"
                )
            # torch.norm over all but axis 0, also for transposed convolutions
            norm = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.ndim - 1))
            out[_exchanged(name.removesuffix(DIRECTION), to_ours=True) + ".weight"] = tensor * (length / norm)
            continue
        ours = _exchanged(name, to_ours=True)
        if ours.startswith("flow.") and tensor.ndim == 3:
            tensor = tensor.permute(0, 2, 1).flatten(1)
        out[ours] = tensor
    for name in [name for name in published if name.endswith(LENGTH)]:
        _partner(published, name.removesuffix(LENGTH) + DIRECTION, of=name, source=source)
    return _join(out, source=source)


def _partner(published: Mapping[str, Tensor], wanted: str, *, of: str, source: str) -> Tensor:
    if wanted not in published:
        raise CheckpointError(f"{source}: '{of}' is there without '{wanted}'")
    return published[wanted]


def _join(weights: dict[str, Tensor], *, source: str) -> dict[str, Tensor]:
    """Query, key and value as one; the key of the tokenizer has no bias, which stands for zeros."""
    for first, second, third in _JOINED:
        ends = (f".attention.{first}.weight", f".attention.{first}.bias")
        for name in [name for name in weights if name.endswith(ends)]:
            stem, leaf = name.rsplit(".", 2)[0], name.rsplit(".", 1)[1]
            parts = [weights.pop(name)]
            for other in (second, third):
                found = weights.pop(f"{stem}.{other}.{leaf}", None)
                if found is None and leaf == "bias" and other == "key":
                    found = torch.zeros_like(parts[0])
                if found is None or found.shape != parts[0].shape:
                    theirs = _exchanged(f"{stem}.{other}.{leaf}", to_ours=False)
                    raise CheckpointError(f"{source}: the tensor '{theirs}' is missing or of another size")
                parts.append(found)
            weights[f"{stem}.qkv.{leaf}"] = torch.cat(parts)
    return weights


def _check_buffers(published: Mapping[str, Tensor], *, source: str) -> None:
    for name, computed in computed_buffers().items():
        stored = published.get(name)
        if stored is None:
            continue
        if stored.shape != computed.shape or not bool(
            (stored.float() - computed).abs().max() < BUFFER_TOLERANCE
        ):
            raise CheckpointError(f"{source}: '{name}' is not that of the S3 tokenizer")


def computed_buffers() -> dict[str, Tensor]:
    """The mel filters and the window that published files hold."""
    return {FILTERS: mel_filters(S3_MEL), WINDOW: torch.hann_window(S3_MEL.n_fft)}


def to_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict from ours; inverse of `from_published`. A folded weight is its own direction."""
    out = dict(computed_buffers()) if any(name.startswith("tokenizer.") for name in weights) else {}
    for name, tensor in weights.items():
        module = _weight_normed(name)
        if module:
            norm = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.ndim - 1))
            out[module + LENGTH], out[module + DIRECTION] = norm, tensor
            continue
        if ".qkv." in name:
            stem, leaf = name.split(".qkv.")
            parts = _JOINED[0] if name.startswith("tokenizer.") else _JOINED[1]
            for part, piece in zip(parts, tensor.chunk(3), strict=True):
                if not (part == "key" and leaf == "bias"):
                    out[_exchanged(f"{stem}.{part}.{leaf}", to_ours=False)] = piece.contiguous()
            continue
        taps = next((taps for end, taps in _TAPS if name.endswith(end)), 0) if name.startswith("flow.") else 0
        if taps:
            tensor = tensor.unflatten(1, (taps, -1)).permute(0, 2, 1).contiguous()
        out[_exchanged(name, to_ours=False)] = tensor
    return out
