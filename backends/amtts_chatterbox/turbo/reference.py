"""Holds the maths of Turbo's T3 against stored numbers of the published code: `amtts validate-e2e --reference`.

A bundle is a folder with config.json (`gpt2`, `t3`, `decode`), t3.safetensors, inputs.safetensors and
outputs.safetensors (`text_logits`, `speech_logits` of each row at its own length).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_chatterbox.turbo.config import ORDER
from amtts_chatterbox.turbo.network import TurboT3
from amtts_chatterbox.turbo.published import config_of, network_of, read_published
from amtts_core.contract.reference_check import ReferenceCheck, read_object, read_tensors
from amtts_core.errors import AmttsError
from amtts_core.speech_lm.generate import Decoding, Prompt, generate
from amtts_core.speech_lm.sampling import PerItemRng, Sampler, SamplingConfig

TOLERANCE = 2e-5


def reference_checks(folder: Path) -> list[ReferenceCheck]:
    """Logits of a batch, packed one utterance and several a row, and greedy decodes.

    Raises:
        AmttsError: the bundle cannot be read; one line.
    """
    settings = read_object(folder / "config.json")
    inputs, outputs = (read_tensors(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    try:
        source = f"reference bundle {folder}"
        published = read_published(folder / "t3.safetensors")
        config = config_of(published, heads=int(settings["gpt2"]["n_head"]), source=source)
        network = network_of(published, config, source=source)
        return [*_logits(network, inputs, outputs), *_decodes(network, inputs, settings["decode"])]
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise AmttsError(
            f"reference bundle {folder}: it does not fit together ({str(error)[:120]})"
        ) from None


@torch.inference_mode()
def _logits(network: TurboT3, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> list[ReferenceCheck]:
    text, speech, prompt = (
        inputs[name] for name in ("text_tokens", "speech_tokens", "cond_prompt_speech_tokens")
    )
    lengths = inputs["text_token_lens"], inputs["speech_token_lens"]
    checks = []
    for layout, row_tokens in (("", 0), (" packed", 10_000)):
        prompt_lengths = torch.full((len(prompt),), prompt.shape[1])
        states = network(
            text,
            lengths[0],
            speech[..., None],
            lengths[1],
            inputs["speaker_emb"],
            prompt,
            prompt_lengths,
            row_tokens=row_tokens,
        )
        for name, segment, head, width, counts in (
            ("text_logits", network.segments[0], network.text.head, text.shape[1], lengths[0]),
            ("speech_logits", network.segments[1], network.speech.head, speech.shape[1], lengths[1]),
        ):
            found = head(states.packing.segment(states.hidden, segment, width))
            worst = max(
                float((found[row, :count] - outputs[name][row, :count]).abs().max())
                for row, count in enumerate(counts.tolist())
            )
            checks.append(ReferenceCheck(f"{name}{layout}", worst, TOLERANCE))
    return checks


@torch.inference_mode()
def _decodes(network: TurboT3, inputs: dict[str, Tensor], cases: dict[str, Any]) -> list[ReferenceCheck]:
    """Likeliest tokens behind the released processors; without processors also through the cache."""
    checks = []
    text = inputs["text_tokens"][0, : int(inputs["text_token_lens"][0])].tolist()
    prefix = network.prefix(inputs["speaker_emb"][0], inputs["cond_prompt_speech_tokens"][0].tolist(), text)
    for name, case in cases.items():
        wanted, settings = [int(token) for token in case["tokens"]], case["settings"]
        sampling = SamplingConfig(order=ORDER, guidance_top_k=0, **{key: settings[key] for key in settings})
        found = _likeliest(network, prefix, sampling, len(wanted))
        checks.append(ReferenceCheck(f"greedy {name}", float(found != wanted), 0.0))
        if name == "plain":
            prompt = Prompt(embeds=prefix, max_frames=len(wanted), first_position=len(prefix) - 1)
            cached = generate(network, [prompt], Decoding(any_id=True))[0].codes[:, 0].tolist()
            checks.append(ReferenceCheck(f"greedy {name} with a cache", float(cached != wanted), 0.0))
    return checks


class _NoChance(PerItemRng):
    def __init__(self) -> None:
        super().__init__(0)

    def gumbel(self, step: int, shape: torch.Size) -> Tensor:
        return torch.zeros(shape)


def _likeliest(network: TurboT3, prefix: Tensor, sampling: SamplingConfig, count: int) -> list[int]:
    """Tokens that the processors leave as the likeliest, the whole row again for each."""
    speech, sampler, rows = network.speech, Sampler(sampling), prefix
    spoken: list[int] = []
    start = int(speech.start()[0, 0])
    for step in range(count):
        hidden, _ = network.transformer(rows[None])
        logits = speech.head(hidden[:, -1:])
        history = torch.tensor([[[start, *spoken]]]) if sampler.needs_history else None
        spoken.append(int(sampler(logits, [(_NoChance(), step)], history=history)))
        if spoken[-1] == speech.end:
            break
        fed = speech.embed(torch.tensor([[spoken[-1:]]]), torch.tensor([len(rows)]))
        rows = torch.cat([rows, fed[0]])
    return spoken
