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

from amtts_chatterbox.t3.config import T3Config
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.weights import network_of, read_published
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
        config = bundle_config(settings)
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


def bundle_config(settings: Mapping[str, Any]) -> T3Config:
    """Our sizes from the published `llama`, `t3` and `perceiver` settings.

    Raises:
        KeyError, TypeError, ValueError: a setting is missing, of another kind, or of a variant that T3 is not.
    """
    llama, t3, perceiver = settings["llama"], settings["t3"], settings.get("perceiver", {})
    if llama.get("num_key_value_heads", llama["num_attention_heads"]) != llama["num_attention_heads"]:
        raise ValueError("grouped keys and values (num_key_value_heads) are not part of T3")
    for name in ("use_perceiver_resampler", "emotion_adv"):
        if not t3.get(name, True):
            raise ValueError(f"{name} is off, which no published Llama T3 has")
    scaling = llama.get("rope_scaling") or {"factor": 1.0}
    rope = {
        "theta": llama.get("rope_theta", scaling.get("rope_theta")),
        "factor": scaling["factor"],
        "low_freq_factor": scaling.get("low_freq_factor", 1.0),
        "high_freq_factor": scaling.get("high_freq_factor", 4.0),
        "original_positions": scaling.get("original_max_position_embeddings", 8192),
    }
    return T3Config.model_validate(
        {
            "multilingual": False,
            "hidden": llama["hidden_size"],
            "intermediate": llama["intermediate_size"],
            "layers": llama["num_hidden_layers"],
            "heads": llama["num_attention_heads"],
            "head_dim": llama.get("head_dim") or llama["hidden_size"] // llama["num_attention_heads"],
            "norm_eps": llama["rms_norm_eps"],
            "rope": rope,
            "text_positions": t3["max_text_tokens"] + 2,
            "speech_positions": t3["max_speech_tokens"] + 4,
            "speech_codes": min(t3["start_speech_token"], t3["stop_speech_token"]),
            "speech_rows": t3["speech_tokens_dict_size"],
            "start_speech": t3["start_speech_token"],
            "stop_speech": t3["stop_speech_token"],
            "speaker_size": t3.get("speaker_embed_size", 256),
            "perceiver_queries": perceiver.get("num_queries", 32),
            "perceiver_heads": perceiver.get("num_heads", 4),
            "prompt_tokens": t3["speech_cond_prompt_len"],
        }
    )


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
    """Shapes, kinds and ranges, so that a broken bundle is told and not a crash."""
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
        "text_tokens": len(network.text_embedding.weight) - 1,
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
    symbols, codes = len(network.text_embedding.weight), network.config.speech_rows
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
