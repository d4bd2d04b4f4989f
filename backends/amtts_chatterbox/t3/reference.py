"""Holds T3's maths against stored numbers of the published code: `amtts validate-e2e --reference`.

Three kinds of bundle: T3 itself (`bundle.py`), the voice encoder with the log-mel front ends (`audio_bundle.py`), and
the audio path from wave to wave (`amtts_chatterbox.s3.reference`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.s3.reference import is_s3_bundle
from amtts_chatterbox.s3.reference import reference_checks as s3_reference_checks
from amtts_chatterbox.t3.audio_bundle import audio_checks, is_audio_bundle
from amtts_chatterbox.t3.bundle import Bundle, GreedyCase, read_bundle
from amtts_chatterbox.t3.config import T3SamplingConfig
from amtts_chatterbox.t3.inference import Utterance, Voice, prompts_of
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import to_published
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.speech_lm.generate import Decoding, generate
from amtts_core.speech_lm.losses import next_tokens, token_loss

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
    if is_s3_bundle(folder):
        return s3_reference_checks(folder)
    if is_audio_bundle(folder):
        return audio_checks(folder)
    bundle = read_bundle(folder)
    with _start_tokens(bundle.network, 1):
        checks = _teacher_forced(bundle)
    return [*checks, *_decodes(bundle)]


def _teacher_forced(bundle: Bundle) -> list[ReferenceCheck]:
    """Conditioning, logits, losses and gradients of one batch; packed one utterance and several a row."""
    network, inputs, outputs = bundle.network, bundle.inputs, bundle.outputs
    texts, speeches = (
        (inputs[f"{name}_tokens"], inputs[f"{name}_token_lens"]) for name in ("text", "speech")
    )
    prompt = inputs["cond_prompt_speech_tokens"]
    voice = (
        inputs["speaker_emb"],
        inputs["emotion_adv"].flatten(),
        prompt,
        torch.full((len(prompt),), prompt.shape[1]),
    )
    streams = {
        "text": (network.segments[0], network.text.head, *texts),
        "speech": (network.segments[1], network.speech.head, *speeches),
    }
    arguments = (*texts, speeches[0][..., None], speeches[1], *voice)
    checks = []
    if "cond_emb" in outputs:
        with torch.no_grad():
            found = network.embed_conditioning(*voice)
        checks.append(_compared("conditioning", found, outputs["cond_emb"], LOGITS_TOLERANCE))
    everything = int(sum(texts[1]) + sum(speeches[1])) + len(prompt) * (2 + network.config.perceiver_queries)
    for layout, row_tokens in (("", 0), ("_block_packed", everything)):
        with torch.no_grad():
            states = network(*arguments, row_tokens=row_tokens)
            for name, (segment, head, tokens, lengths) in streams.items():
                logits = head(states.packing.segment(states.hidden, segment, tokens.shape[1]))
                stored = outputs[f"{name}_logits_tight"]
                worst = _worst(
                    _difference(logits[b, :length], stored[b, :length])
                    for b, length in enumerate(lengths.tolist())
                )
                checks.append(ReferenceCheck(f"{name}_logits_tight{layout}", worst, LOGITS_TOLERANCE))
    network.zero_grad(set_to_none=True)
    states, total = network(*arguments), torch.zeros(())
    known = {"text": bundle.text_loss, "speech": bundle.speech_loss}
    for name, (segment, head, tokens, lengths) in streams.items():
        targets = next_tokens(tokens, lengths)
        loss = token_loss(states.hidden, states.packing, segment, targets, head, chunk=16).means[0]
        checks.append(ReferenceCheck(f"{name}_loss", abs(float(loss.detach()) - known[name]), LOSS_TOLERANCE))
        total = total + loss
    total.backward()
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
    network = bundle.network
    sampling = T3SamplingConfig(
        temperature=0, guidance_scale=1 + case.cfg_weight, repetition_penalty=case.penalty
    )
    with _start_tokens(network, case.start_tokens):
        prompts = prompts_of(network, [utterance], sampling, max_frames=len(case.tokens))
    (found,) = generate(network, prompts, Decoding(sampling=sampling, any_id=True))
    tokens = [*found.codes[:, 0].tolist(), *[network.config.stop_speech] * found.ended]
    return tokens[: len(case.tokens)]


@contextmanager
def _start_tokens(network: T3, count: int) -> Iterator[None]:
    """Inside, speech begins with so many start tokens."""
    own, network.speech.start_tokens = network.speech.start_tokens, count
    try:
        yield
    finally:
        network.speech.start_tokens = own


def _compared(name: str, found: Tensor, stored: Tensor, tolerance: float) -> ReferenceCheck:
    worst = _difference(found, stored) if found.shape == stored.shape else float("inf")
    return ReferenceCheck(name, worst, tolerance)


def _worst(values: Iterable[float]) -> float:
    """The largest; NaN where there is one, which `max` would pass over."""
    return float(np.max(list(values), initial=0.0))


def _difference(found: Tensor, stored: Tensor) -> float:
    return float((found.detach() - stored).abs().max())
