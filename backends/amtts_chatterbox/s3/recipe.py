"""Weights and noise of a reference bundle, made again bit for bit from their names (the bundle's own program is not
run).

Every tensor has PCG64 seeded with [seed, CRC-32 of its name]; of each raw 64-bit word the lower half comes first, and
the upper 24 bits of a half become a float32 in [-1, 1). What follows is float32 arithmetic, one operation at a time.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

_GAINS = (
    ("tokenizer.encoder.conv2.weight", 0.1),
    ("tokenizer.quantizer._codebook.project_down.weight", 1.5),
    ("mel2wav.f0_predictor.classifier.weight", 70.0),
    ("mel2wav.m_source.l_linear.weight", 6.0),
    (".attn.out.weight", 0.5),
    (".mlp.2.weight", 0.5),
    (".linear_out.weight", 0.5),
    (".w_2.weight", 0.5),
    (".to_out.0.weight", 0.5),
    (".ff.net.2.weight", 0.5),
    ("mel2wav.conv_post.parametrizations.weight.original0", 0.4),
    (".convs2.", 0.35),
    ("mel2wav.ups.", 1.4),
)
"""Parts of names and their gains, the first that fits; 1 for all others."""


def uniform(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """float32 in [-1, 1)."""
    count = math.prod(shape)
    raw = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw((count + 1) // 2)
    halves = np.asarray(raw, dtype="<u8").view("<u4")[:count]
    values = (halves >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)
    return np.asarray(values.reshape(shape), dtype=np.float32)


def noise(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """float32 of mean 0 and variance 1, uniform."""
    return uniform(name, shape, seed) * np.float32(math.sqrt(3.0))


def phase(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """float32 in [-pi, pi)."""
    return uniform(name, shape, seed) * np.float32(math.pi)


def weight(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The tensor of a published name; buffers that are computed are not among them."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    drawn, one = uniform(name, shape, seed), np.float32(1.0)
    gain = next((value for part, value in _GAINS if part in name), 1.0)
    if name.endswith(("running_var", ".alpha")):
        return one + np.float32(0.5) * drawn
    if name.endswith("running_mean"):
        return np.float32(0.2) * drawn
    if name.endswith("original0"):
        return np.float32(gain) * (one + np.float32(0.2) * drawn)
    if name.endswith(("original1", "input_embedding.weight")):
        return drawn
    if name.endswith(".bias"):
        return np.float32(0.5 if name.endswith("mel2wav.conv_post.bias") else 0.1) * drawn
    if "pos_bias_" in name:
        return np.float32(0.3) * drawn
    if len(shape) == 1:
        return one + np.float32(0.2) * drawn
    return np.float32(gain * math.sqrt(3.0 / math.prod(shape[1:]))) * drawn
