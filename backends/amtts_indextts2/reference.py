"""Holds the network to numbers that the official IndexTTS2 code made.

A bundle is a folder with `config.json` (the `gpt` section and greedy code lists), `weights.safetensors` under official
names, `inputs.safetensors` and `outputs.safetensors`. Every sample was run alone there; here all run as one padded
batch, whose padding is garbage, so a leak through padding shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from amtts_core.contract.reference_check import AGAIN, ReferenceCheck, read_object, read_tensors
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.speech_lm import tuning
from amtts_core.speech_lm.generate import Decoding, generate
from amtts_core.speech_lm.losses import next_tokens, token_loss
from amtts_indextts2.config import SemanticHeadConfig, config_of_released
from amtts_indextts2.inference import prompt_of
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.published import load_published

CONDITIONING, LOGITS, LOSSES = 1e-4, 5e-4, 1e-5
"""Tolerances."""
MODES = {"greedy_kv": 1, "greedy_nokv": 0}
"""Stored decodes -> positions that they leave out after the first."""


@dataclass(frozen=True)
class _Bundle:
    stored: dict[str, Any]
    network: IndexTTS2Gpt
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def head(self) -> SemanticHeadConfig:
        head = self.network.config.head
        assert isinstance(head, SemanticHeadConfig)
        return head

    def texts(self) -> list[list[int]]:
        """Each sample's text from start to stop."""
        start, stop = (self.stored["gpt"][f"{name}_text_token"] for name in ("start", "stop"))
        pairs = zip(self.inputs["text_ids"], self.inputs["text_lens"], strict=True)
        return [[start, *row[:n].tolist(), stop] for row, n in pairs]

    def codes(self) -> list[Tensor]:
        """Each sample's codes (T, 1)."""
        pairs = zip(self.inputs["mel_codes"], self.inputs["mel_lens"], strict=True)
        return [row[:n, None] for row, n in pairs]


@torch.inference_mode()
def reference_checks(folder: Path) -> list[ReferenceCheck]:
    """Compares conditioning, logits, latents, losses and greedy decodes with the bundle.

    Raises:
        AmttsError: a file of the bundle cannot be read, lacks something or does not fit the others; names it.
    """
    bundle = _read(folder)
    try:
        return [*_forward_checks(bundle), *_greedy_checks(bundle)]
    except (RuntimeError, IndexError, ValueError) as error:  # torch's, of sizes that do not belong together
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise AmttsError(
            f"reference bundle {folder}: inputs.safetensors, outputs.safetensors and config.json do not fit together "
            f"({first})",
            remedy="Use the files of one bundle",
        ) from error


def _read(folder: Path) -> _Bundle:
    stored = read_object(folder / "config.json")
    network = _network(folder, stored["gpt"])
    for name in MODES:
        _ = stored[name]
    inputs, outputs = (read_tensors(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    return _Bundle(stored, network, _full(inputs), outputs)


def _network(folder: Path, released: dict[str, Any]) -> IndexTTS2Gpt:
    """The bundle's network with its weights."""
    try:
        config, num_text_tokens = config_of_released(released)
        _ = [int(released[f"{name}_text_token"]) for name in ("start", "stop")]
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split()).partition(" For further")[0]  # pydantic's, in one line
        raise AmttsError(
            f"reference bundle {folder}: gpt in config.json ({type(error).__name__}: {why})", remedy=AGAIN
        ) from None
    network = IndexTTS2Gpt(config, num_text_tokens).eval()
    weights = read_tensors(folder / "weights.safetensors")
    try:
        load_published(network, _full(weights))
    except CheckpointError as fault:
        raise CheckpointError(
            f"reference bundle {folder}: weights.safetensors: {fault.message}", remedy=AGAIN
        ) from None
    return network


def _full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def _forward_checks(bundle: _Bundle) -> list[ReferenceCheck]:
    network, inputs, stored = bundle.network, bundle.inputs, bundle.outputs
    latents = network.speaker(inputs["cond_feats"], inputs["cond_lens"])
    emotion = network.emotion(inputs["emo_feats"], inputs["emo_lens"])
    prefix = network.prefix(latents, emotion)
    texts = [torch.tensor(text) for text in bundle.texts()]
    text, text_lengths = pad_sequence(texts, batch_first=True), inputs["text_lens"] + 2
    steps = network.speech.to_batch(bundle.codes())
    codes = functional.pad(
        steps.inputs, (0, 0, 0, 1), value=bundle.head.stop
    )  # the official pass also reads the stop
    states = network(text, text_lengths, codes, steps.lengths + 1, prefix=prefix)
    text_hidden, hidden = (
        states.packing.segment(states.hidden, segment, part.shape[1])
        for segment, part in zip(network.segments, (text, codes), strict=True)
    )
    text_logits, logits = network.text.head(text_hidden), network.speech.head(hidden)
    checks = []
    for i, (n, m) in enumerate(zip(text_lengths.tolist(), steps.lengths.tolist(), strict=True)):
        found = {
            "spk_latents": (latents[i], CONDITIONING),
            "emo_vec": (emotion[i], CONDITIONING),
            "conds": (prefix[i], CONDITIONING),
            "text_logits": (text_logits[i, :n], LOGITS),
            "mel_logits": (logits[i, : m + 1], LOGITS),
            "latents": (hidden[i, : m - 1], LOGITS),
        }
        checks += [_check(f"s{i}.{k}", stored[f"s{i}.{k}"], *v) for k, v in found.items()]
    streams = {
        "loss_text": (network.text, next_tokens(text, text_lengths)),
        "loss_mel": (network.speech, steps.targets),
    }
    for segment, (name, (tables, targets)) in zip(network.segments, streams.items(), strict=True):
        loss = token_loss(states.hidden, states.packing, segment, targets, tables.head).means[0]
        checks.append(_check(f"ref.{name}", stored[f"ref.{name}"], loss, LOSSES))
    return checks


def _greedy_checks(bundle: _Bundle) -> list[ReferenceCheck]:
    """How many codes of each greedy decode differ, alone, with drafts and as a batch; none may."""
    checks = []
    for name, skip in MODES.items():
        wanted = [_until_stop(codes, bundle.head.stop) for codes in bundle.stored[name]]
        prompts = [
            prompt_of(
                bundle.network,
                bundle.outputs[f"s{i}.conds"],
                text,
                max_frames=len(bundle.stored[name][i]),
                min_frames=0,
            )
            for i, text in enumerate(bundle.texts())
        ]
        plain = Decoding(position_skip=skip, any_id=True)
        together = generate(bundle.network, prompts, plain)
        for i, prompt in enumerate(prompts):
            (alone,) = generate(bundle.network, [prompt], plain)
            with tuning.pin("draft=2"):
                (drafted,) = generate(bundle.network, [prompt], replace(plain, draft=True))
            for label, found in (("", alone), (" with drafts", drafted), (" in a batch", together[i])):
                differing = _differing(found.codes[:, 0].tolist(), wanted[i])
                checks.append(ReferenceCheck(f"s{i}.{name}{label}", float(differing), 0))
    return checks


def _until_stop(codes: list[int], stop: int) -> list[int]:
    return codes[: codes.index(stop)] if stop in codes else codes


def _differing(found: list[int], wanted: list[int]) -> int:
    return sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))


def _check(name: str, expected: Tensor, found: Tensor, tolerance: float) -> ReferenceCheck:
    """The largest difference; infinite where the shapes differ."""
    if expected.shape != found.shape:
        return ReferenceCheck(
            f"{name} {list(found.shape)}, not {list(expected.shape)}", float("inf"), tolerance
        )
    return ReferenceCheck(name, float((expected.float() - found.float()).abs().max()), tolerance)
