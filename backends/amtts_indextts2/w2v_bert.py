"""Input of the encoders of clips: a hidden state of w2v-bert 2.0 (Barrault et al. 2023), standardized, 50 Hz.

The model is the user's own, a Hugging Face folder or name; only its first layers are loaded. Standardised with the
`wav2vec2bert_stats.pt` of IndexTTS2: (x - mean) / sqrt(var).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.errors import AmttsError
from amtts_core.storage.torch_files import load_torch_file
from amtts_indextts2.config import FEATURE_SIZE

RATE = 16000
"""Sample rate of its input, Hz."""
SECONDS = 15
"""Of a clip that are read, as published."""
LEAST_FRAMES = 3
"""The conformers' first convolution sees so many."""
LEAST_SAMPLES = 400 + (2 * LEAST_FRAMES - 1) * 160
"""Samples of that many frames: windows of 25 ms every 10 ms, in pairs."""
KIND = "wav2vec2-bert"
NO_STATISTICS = "none"
NAME = r"[\w.-]+/[\w.-]+"
"""Of a model at Hugging Face."""
REMEDY = "Name its folder or its name at Hugging Face: --set model.voice_model=PATH"


class W2vBert:
    """The first layers of a w2v-bert and the statistics of their output.

    Args:
        model: its Hugging Face name or folder.
        statistics: file with the tensors `mean` and `var`, (1024,) each; "none" leaves the states as they are.
        layer: how many layers a clip goes through.

    Raises:
        AmttsError: one of them cannot be read, or is something else.
    """

    def __init__(self, model: str, statistics: str, layer: int) -> None:
        if not Path(model).is_dir() and not re.fullmatch(NAME, model):
            raise AmttsError(f"w2v-bert '{model}': there is no such folder", remedy=REMEDY)
        self._mean, self._deviation = _statistics(statistics)
        with _quietly(), _one_line_errors(model):
            from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

            config = _checked(Wav2Vec2BertConfig.get_config_dict(model)[0], model, layer)
            self._extractor = SeamlessM4TFeatureExtractor.from_pretrained(model)
            opened: Any = Wav2Vec2BertModel.from_pretrained(
                model, config=Wav2Vec2BertConfig.from_dict(config), output_loading_info=True
            )
            network, found = opened
        lacking = sorted(set(found["missing_keys"]) - {"masked_spec_embed"})  # that one is for its training
        if lacking:
            raise AmttsError(f"w2v-bert '{model}' lacks the tensor '{lacking[0]}'", remedy=REMEDY)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network: Any = network.float().eval().requires_grad_(False).to(self._device)

    @cached_property
    def key(self) -> str:
        """sha256 in hex of all that the result depends on."""
        weights = {"mean": self._mean, "deviation": self._deviation, **self._network.state_dict()}
        weights.pop("masked_spec_embed", None)
        settings = json.dumps(
            [self._network.config.to_diff_dict(), self._extractor.to_dict()], sort_keys=True, default=str
        )
        return hashlib.sha256(f"{weights_fingerprint(weights)}|{settings}|{SECONDS}".encode()).hexdigest()

    @torch.inference_mode()
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """(T,) float32 at 16 kHz -> (L, 1024) float32 of its first 15 s, 50 frames a second.

        Raises:
            AmttsError: it is too short.
        """
        if len(waveform) < LEAST_SAMPLES:
            raise AmttsError(
                f"{len(waveform) / RATE:.3f} s are too short for a voice, expected {LEAST_SAMPLES / RATE:g} s"
            )
        features = self._extractor(waveform[: SECONDS * RATE], sampling_rate=RATE, return_tensors="pt")
        states = self._network(**features.to(self._device)).last_hidden_state[0].cpu()
        return ((states - self._mean) / self._deviation).numpy()


@lru_cache(maxsize=1)
def open_w2v_bert(model: str, statistics: str, layer: int) -> W2vBert:
    """`W2vBert`, opened once; draws nothing from torch's random numbers, however often it was opened before."""
    with torch.random.fork_rng(devices=[]):  # layers draw weights before the stored ones replace them
        return W2vBert(model, statistics, layer)


def _statistics(path: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation, (1024,) float32 each."""
    if path == NO_STATISTICS:
        return torch.zeros(FEATURE_SIZE), torch.ones(FEATURE_SIZE)
    if not path:
        raise AmttsError(
            "model.voice_statistics names no statistics of w2v-bert, which published encoders need",
            remedy="Name wav2vec2bert_stats.pt of IndexTTS2, or for encoders of your own "
            "--set model.voice_statistics=none",
        )
    what = "statistics of w2v-bert (model.voice_statistics)"
    if not Path(path).is_file():
        raise AmttsError(
            f"{what} {path}: there is no such file", remedy="It is wav2vec2bert_stats.pt of IndexTTS2"
        )
    stored = load_torch_file(Path(path), what=what)
    found = [stored.get(name) if isinstance(stored, dict) else None for name in ("mean", "var")]
    mean, var = (t.float().flatten() if isinstance(t, Tensor) else torch.zeros(0) for t in found)
    if (
        len(mean) != FEATURE_SIZE
        or len(var) != FEATURE_SIZE
        or not bool((var > 0).all() & mean.isfinite().all())
    ):
        raise AmttsError(
            f"{what} {path}: expected tensors 'mean' and 'var' of {FEATURE_SIZE} values, 'var' positive",
            remedy="It is wav2vec2bert_stats.pt of IndexTTS2",
        )
    return mean, var.sqrt()


def _checked(config: dict[str, Any], model: str, layer: int) -> dict[str, Any]:
    """The model's configuration, cut to the layers that are used."""
    if not config:
        raise AmttsError(f"w2v-bert '{model}' holds no config.json", remedy=REMEDY)
    kind, size, layers = (config.get(k) for k in ("model_type", "hidden_size", "num_hidden_layers"))
    if kind != KIND or size != FEATURE_SIZE or not isinstance(layers, int) or layers < layer:
        raise AmttsError(
            f"'{model}' is a '{kind}' of {layers} layers of {size}, expected a '{KIND}' of at least {layer} layers "
            f"(model.voice_layer) of {FEATURE_SIZE}",
            remedy=REMEDY,
        )
    return {
        **config,
        "num_hidden_layers": layer,
        "add_adapter": False,
        "use_intermediate_ffn_before_adapter": False,
    }


@contextmanager
def _one_line_errors(model: str) -> Iterator[None]:
    """Turns what transformers raises about files into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as fault:
        first = (str(fault).strip().splitlines() or [""])[0]
        raise AmttsError(
            f"w2v-bert '{model}' cannot be opened ({type(fault).__name__}: {first})", remedy=REMEDY
        ) from None


@contextmanager
def _quietly() -> Iterator[None]:
    """transformers without bars, and without a report of the layers that are left out on purpose."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
