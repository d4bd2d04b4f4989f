"""Holds the network to numbers that the official IndexTTS2 code made.

A bundle is a folder with `config.json` (the `gpt` section and greedy code lists), `weights.safetensors` under official
names, `inputs.safetensors` and `outputs.safetensors`. Every sample was run alone there; here all run as one padded
batch, whose padding is garbage, so a leak through padding shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.contract.reference_check import AGAIN, ReferenceCheck, read_object, read_tensors
from amtts_core.errors import AmttsError, CheckpointError
from amtts_indextts2.config import SemanticHeadConfig, config_of_released
from amtts_indextts2.decoding import decode
from amtts_indextts2.losses import book_losses, code_rows, text_loss
from amtts_indextts2.network import IndexTTS2Gpt, TextIds
from amtts_indextts2.streams import Prompt
from amtts_indextts2.weights import load_published

CONDITIONING, LOGITS, LOSSES = 1e-4, 5e-4, 1e-5
"""Tolerances."""
MODES = {"greedy_kv": True, "greedy_nokv": False}
"""Stored decodes -> whether their positions leave out the second one."""


@dataclass(frozen=True)
class _Bundle:
    told: dict[str, Any]
    network: IndexTTS2Gpt
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def head(self) -> SemanticHeadConfig:
        head = self.network.config.head
        assert isinstance(head, SemanticHeadConfig)
        return head

    def texts(self) -> list[Tensor]:
        """Each sample's text ids (N,)."""
        return [row[:n] for row, n in zip(self.inputs["text_ids"], self.inputs["text_lens"], strict=True)]

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
            remedy="Take all files from one bundle",
        ) from error


def _read(folder: Path) -> _Bundle:
    told = read_object(folder / "config.json")
    network = _network(folder, told["gpt"])
    for name in MODES:
        _ = told[name]
    inputs, outputs = (read_tensors(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    return _Bundle(told, network, _full(inputs), outputs)


def _network(folder: Path, released: dict[str, Any]) -> IndexTTS2Gpt:
    """The bundle's network with its weights."""
    try:
        config, vocab_size = config_of_released(released)
        marks = TextIds(vocab_size, released["start_text_token"], released["stop_text_token"])
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split()).partition(" For further")[0]  # pydantic's, in one line
        raise AmttsError(
            f"reference bundle {folder}: gpt in config.json ({type(error).__name__}: {why})", remedy=AGAIN
        ) from None
    network = IndexTTS2Gpt(config, marks).eval()
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
    text_lengths, code_lengths = inputs["text_lens"], inputs["mel_lens"]
    rows = code_rows(bundle.codes(), bundle.head)
    stop = torch.full_like(rows.inputs[:, :1], bundle.head.stop)
    codes = torch.cat([rows.inputs, stop], dim=1)  # the official pass also reads the stop
    for number, length in enumerate(code_lengths.tolist()):
        codes[number, length + 1] = bundle.head.stop
    text_hidden, hidden = network.hidden(prefix, inputs["text_ids"], text_lengths, codes, code_lengths + 2)
    text_logits, logits = network.text.head(text_hidden), network.speech.logits(hidden)
    checks = []
    for i, (n, m) in enumerate(zip(text_lengths.tolist(), code_lengths.tolist(), strict=True)):
        found = {
            "spk_latents": (latents[i], CONDITIONING),
            "emo_vec": (emotion[i], CONDITIONING),
            "conds": (prefix[i], CONDITIONING),
            "text_logits": (text_logits[i, : n + 2], LOGITS),
            "mel_logits": (logits[i, : m + 2], LOGITS),
            "latents": (hidden[i, :m], LOGITS),
        }
        checks += [_check(f"s{i}.{k}", stored[f"s{i}.{k}"], *v) for k, v in found.items()]
    marked = network.marked_text(inputs["text_ids"], text_lengths)
    losses = {
        "loss_text": text_loss(text_logits, marked, text_lengths),
        "loss_mel": book_losses(logits[:, : rows.targets.shape[1]], rows.targets)[0],
    }
    return checks + [_check(f"ref.{k}", stored[f"ref.{k}"], v, LOSSES) for k, v in losses.items()]


def _greedy_checks(bundle: _Bundle) -> list[ReferenceCheck]:
    """How many codes of each greedy decode differ, alone, with guesses and as a batch; none may."""
    checks = []
    for name, skip in MODES.items():
        wanted = [_until_stop(codes, bundle.head.stop) for codes in bundle.told[name]]
        prompts = [
            Prompt(
                prefix=bundle.outputs[f"s{i}.conds"],
                text=text,
                max_frames=len(bundle.told[name][i]),
                min_frames=0,
            )
            for i, text in enumerate(bundle.texts())
        ]
        together = decode(bundle.network, prompts, position_skip=skip, bar_start=False)
        for i, prompt in enumerate(prompts):
            alone = decode(bundle.network, [prompt], position_skip=skip, bar_start=False)[0]
            guessed = decode(bundle.network, [prompt], position_skip=skip, bar_start=False, draft=True)[0]
            for label, found in (("", alone), (" with guesses", guessed), (" in a batch", together[i])):
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
