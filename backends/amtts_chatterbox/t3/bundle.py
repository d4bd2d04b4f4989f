"""Reads a reference bundle of T3: stored weights, inputs, and the numbers that the published code made of them.

A bundle is a folder with config.json (`llama`, `t3`, `perceiver`), t3.safetensors (published names),
inputs.safetensors, outputs.safetensors and expected.json (`losses`, `grad_norms`, `decode`). Whatever cannot be read
is an `AmttsError` that names file and key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import network_of, published_config, read_published
from amtts_core.contract.reference_check import read_object, read_tensors
from amtts_core.errors import AmttsError

_DECODE = re.compile(
    r"(?:(?P<starts>single|double)_bos|official_inference_argmax)_cfg(?P<cfg>[\d.]+)"
    r"(?:_rep(?P<penalty>[\d.]+)_temp(?P<temperature>[\d.]+)_minp(?P<min_p>[\d.]+))?"
)


@dataclass(frozen=True)
class GreedyCase:
    """One stored greedy decode of the first row.

    Attributes:
        name: its key.
        start_tokens: starts it was fed.
        cfg_weight: guidance.
        penalty: of repetition.
        tokens: what came out, up to the first end.
    """

    name: str
    start_tokens: int
    cfg_weight: float
    penalty: float
    tokens: list[int]


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        network: with the stored weights, in evaluation mode.
        inputs: name -> tensor, checked against the network's sizes.
        outputs: name -> tensor.
        text_loss, speech_loss: per token, tight layout, in nats.
        gradient_norms: published name -> norm of the gradient of text loss + speech loss.
        greedy: stored decodes.
    """

    network: T3
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    text_loss: float
    speech_loss: float
    gradient_norms: dict[str, float]
    greedy: list[GreedyCase]


def read_bundle(folder: Path) -> Bundle:
    """Reads and checks a bundle.

    Raises:
        AmttsError: a file or key is missing or does not fit, in one line.
    """
    settings, expected = read_object(folder / "config.json"), read_object(folder / "expected.json")
    try:
        config = published_config(settings)
        tight = expected["losses"]["reference_shifted_tight_layout"]
        losses = float(tight["text"]["token_mean"]), float(tight["speech"]["token_mean"])
        norms = {name: float(norm) for name, norm in expected["grad_norms"].items() if norm is not None}
        greedy = _greedy(expected["decode"], config.stop_speech)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "sizes"
        raise AmttsError(f"reference bundle {folder}: config.json: {where}: {fault['msg']}") from None
    except KeyError as error:
        raise AmttsError(f"reference bundle {folder}: config.json or expected.json lacks {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise AmttsError(f"reference bundle {folder}: config.json or expected.json: {error}") from None
    network = network_of(
        read_published(folder / "t3.safetensors"), config, source=f"reference bundle {folder}"
    )
    inputs, outputs = (read_tensors(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    _check_inputs(inputs, network, folder)
    _check_outputs(inputs, outputs, network, folder)
    return Bundle(network, inputs, outputs, *losses, norms, greedy)


def _greedy(decodes: Mapping[str, Any], stop: int) -> list[GreedyCase]:
    cases = []
    for name, tokens in decodes.items():
        if name.endswith("_min_margin"):
            continue
        match = _DECODE.fullmatch(name)
        if match is None:
            raise ValueError(f"unknown decode '{name}'")
        end = tokens.index(stop) + 1 if stop in tokens else len(tokens)
        cases.append(
            GreedyCase(
                name=name,
                start_tokens=1 if match["starts"] == "single" else 2,
                cfg_weight=float(match["cfg"]),
                penalty=float(match["penalty"] or 1.0),
                tokens=[int(token) for token in tokens[:end]],
            )
        )
    return cases


def _check_inputs(inputs: Mapping[str, Tensor], network: T3, folder: Path) -> None:
    """Shapes, kinds and ranges, so that a broken bundle is an error and not a crash."""
    wanted = {"text_tokens": 2, "speech_tokens": 2, "cond_prompt_speech_tokens": 2, "text_token_lens": 1,
              "speech_token_lens": 1, "speaker_emb": 2, "emotion_adv": 3}  # fmt: skip
    rows = len(inputs["text_tokens"]) if "text_tokens" in inputs else 0
    for name, axes in wanted.items():
        if name not in inputs:
            raise AmttsError(f"reference bundle {folder}: inputs.safetensors lacks '{name}'")
        tensor = inputs[name]
        if tensor.ndim != axes or len(tensor) != rows or tensor.numel() == 0:
            raise AmttsError(f"reference bundle {folder}: '{name}' has shape {list(tensor.shape)}")
        if tensor.is_floating_point() != (name in ("speaker_emb", "emotion_adv")):
            raise AmttsError(f"reference bundle {folder}: '{name}' is of type {tensor.dtype}")
    config = network.config
    limits = {
        "text_tokens": len(network.text.embedding.weight) - 1,
        "speech_tokens": config.speech_rows - 1,
        "cond_prompt_speech_tokens": config.speech_rows - 1,
        "text_token_lens": min(inputs["text_tokens"].shape[1], config.text_positions),
        "speech_token_lens": min(inputs["speech_tokens"].shape[1], config.speech_positions),
    }
    for name, most in limits.items():
        least = 2 if name.endswith("_lens") else 0
        low, high = int(inputs[name].min()), int(inputs[name].max())
        if low < least or high > most:
            raise AmttsError(
                f"reference bundle {folder}: '{name}' holds {low} to {high}, allowed {least} to {most}"
            )
    if inputs["speaker_emb"].shape[1] != config.speaker_size:
        raise AmttsError(
            f"reference bundle {folder}: speaker_emb has {inputs['speaker_emb'].shape[1]} channels, "
            f"the network {config.speaker_size}"
        )
    if inputs["cond_prompt_speech_tokens"].shape[1] > config.speech_positions:
        raise AmttsError(f"reference bundle {folder}: the prompt is longer than the speech position table")


def _check_outputs(
    inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], network: T3, folder: Path
) -> None:
    symbols, codes = len(network.text.embedding.weight), network.config.speech_rows
    for name, tokens, width in (
        ("text_logits_tight", inputs["text_tokens"], symbols),
        ("speech_logits_tight", inputs["speech_tokens"], codes),
    ):
        want = torch.Size([*tokens.shape, width])
        if name not in outputs or outputs[name].shape != want:
            found = list(outputs[name].shape) if name in outputs else "nothing"
            raise AmttsError(
                f"reference bundle {folder}: outputs.safetensors holds {found} as '{name}', expected {list(want)}"
            )
