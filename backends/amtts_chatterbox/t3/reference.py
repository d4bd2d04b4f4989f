"""Holds T3's maths against stored numbers of the published code: `amtts validate-e2e --reference`.

Two kinds of bundle: T3 itself (`bundle.py`), and the voice encoder with the log-mel front ends (`audio_bundle.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.t3.audio_bundle import audio_checks, is_audio_bundle
from amtts_chatterbox.t3.bundle import Bundle, GreedyCase, read_bundle
from amtts_chatterbox.t3.config import SamplingConfig
from amtts_chatterbox.t3.generate import Utterance, Voice, token_steps
from amtts_chatterbox.t3.losses import stream_losses
from amtts_chatterbox.t3.names import to_published
from amtts_core.contract.reference_check import ReferenceCheck

LOGITS_TOLERANCE = 2e-5
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-3
"""Relative to the stored norm."""
GRADIENT_FLOOR = 1e-4
"""Smaller norms count as this: the bias of the perceiver's keys has no effect, its gradient is rounding noise."""


def reference_checks(folder: Path) -> list[ReferenceCheck]:
    """Compares with a bundle.

    Raises:
        AmttsError: the bundle cannot be read; one line.
    """
    if is_audio_bundle(folder):
        return audio_checks(folder)
    bundle = read_bundle(folder)
    return [*_teacher_forced(bundle), *_decodes(bundle)]


def _teacher_forced(bundle: Bundle) -> list[ReferenceCheck]:
    """Conditioning, logits, losses and gradients of one batch; packed one utterance and several a row."""
    network, inputs, outputs = bundle.network, bundle.inputs, bundle.outputs
    text = inputs["text_tokens"], inputs["text_token_lens"]
    speech = inputs["speech_tokens"], inputs["speech_token_lens"]
    prompt = inputs["cond_prompt_speech_tokens"]
    voice = (
        inputs["speaker_emb"],
        inputs["emotion_adv"].flatten(),
        prompt,
        torch.full((len(prompt),), prompt.shape[1]),
    )
    heads = network.text_head.weight, network.speech_head.weight
    checks = []
    if "cond_emb" in outputs:
        with torch.no_grad():
            found = network.embed_conditioning(*voice)
        checks.append(_compared("conditioning", found, outputs["cond_emb"], LOGITS_TOLERANCE))
    everything = int(sum(text[1]) + sum(speech[1])) + len(prompt) * (2 + network.config.perceiver_queries)
    for layout, row_tokens in (("", 0), ("_block_packed", everything)):
        with torch.no_grad():
            hidden, packing = network(*text, *speech, *voice, row_tokens=row_tokens)
        begins = {
            "text": [(place.row, place.text) for place in packing.places],
            "speech": [(place.row, place.speech) for place in packing.places],
        }
        for name, head, lengths in (("text", heads[0], text[1]), ("speech", heads[1], speech[1])):
            worst = _worst(
                _difference(
                    hidden[row, begin : begin + length] @ head.t(),
                    outputs[f"{name}_logits_tight"][b, :length],
                )
                for b, ((row, begin), length) in enumerate(zip(begins[name], lengths.tolist(), strict=True))
            )
            checks.append(ReferenceCheck(f"{name}_logits_tight{layout}", worst, LOGITS_TOLERANCE))
    network.zero_grad(set_to_none=True)
    hidden, packing = network(*text, *speech, *voice)
    losses = stream_losses(hidden, packing, heads, text, speech, chunk=16)
    for name, loss, stored in zip(
        ("text", "speech"), losses, (bundle.text_loss, bundle.speech_loss), strict=True
    ):
        checks.append(ReferenceCheck(f"{name}_loss", abs(float(loss.mean.detach()) - stored), LOSS_TOLERANCE))
    (losses[0].mean + losses[1].mean).backward()
    gradients = {
        name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in network.named_parameters()
    }
    found_norms = {name: float(gradient.norm()) for name, gradient in to_published(gradients).items()}
    network.zero_grad(set_to_none=True)
    worst = _worst(
        abs(found_norms.get(name, torch.nan) - norm) / max(norm, GRADIENT_FLOOR)
        for name, norm in bundle.gradient_norms.items()
    )
    return [*checks, ReferenceCheck("gradient_norms_relative", worst, GRADIENT_TOLERANCE)]


def _decodes(bundle: Bundle) -> list[ReferenceCheck]:
    inputs = bundle.inputs
    voice = Voice(
        speaker=inputs["speaker_emb"][0],
        prompt=inputs["cond_prompt_speech_tokens"][0].tolist(),
        emotion=float(inputs["emotion_adv"][0]),
    )
    first = Utterance(
        text=inputs["text_tokens"][0, : int(inputs["text_token_lens"][0])].tolist(), voice=voice
    )
    return [
        ReferenceCheck(f"greedy_{case.name}", float(greedy_tokens(bundle, first, case) != case.tokens), 0.0)
        for case in bundle.greedy
    ]


def greedy_tokens(bundle: Bundle, utterance: Utterance, case: GreedyCase) -> list[int]:
    """What our loop says in one case, up to the end token or the stored length."""
    sampling = SamplingConfig(cfg_weight=case.cfg_weight, repetition_penalty=case.penalty, only_codes=False)
    steps = token_steps(
        bundle.network,
        [utterance],
        sampling=sampling,
        steps=len(case.tokens),
        start_tokens=case.start_tokens,
        greedy=True,
        chunk=1,
    )
    return [token for (tokens,) in steps for token in tokens]


def _compared(name: str, found: Tensor, stored: Tensor, tolerance: float) -> ReferenceCheck:
    worst = _difference(found, stored) if found.shape == stored.shape else float("inf")
    return ReferenceCheck(name, worst, tolerance)


def _worst(values: Iterable[float]) -> float:
    """The largest; NaN where there is one, which `max` would pass over."""
    return float(np.max(list(values), initial=0.0))


def _difference(found: Tensor, stored: Tensor) -> float:
    return float((found.detach() - stored).abs().max())
