"""A folder that plain transformers reads: `VitsModel.from_pretrained`, and `VitsTokenizer` where it can spell so.

`VitsTokenizer` writes one id a character. That fits the `char` and `vits` tokenizers; of the others only the network
and amtts' own tokenizer folder are written, and ids have to come from that.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import VitsModel
from transformers.utils import logging as transformers_logging

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError, CheckpointError
from amtts_vits.export.characters import characters, with_spellings
from amtts_vits.inference import Utterance, speak
from amtts_vits.network import separate_copy
from amtts_vits.weights import fold_norm, to_published

TOKENIZER_FOLDER = "amtts_tokenizer"
LARGEST_DIFFERENCE = 1e-5


def write_hugging_face(
    model: Any,
    tokenizer: TextTokenizer,
    folder: Path,
    speakers: Sequence[str],
    untrained: Collection[int] | None = None,
) -> None:
    """Writes config.json, model.safetensors and the tokenizers; spellings of one sound have one id in `vocab.json`.

    Raises:
        AmttsError: the folder cannot be written.
        CheckpointError: what was written speaks differently when it is read again.
    """
    plain = separate_copy(model)
    fold_norm(plain.decoder)  # transformers' decoder has none; its WaveNets have
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plain.config.architectures = ["VitsModel"]
        plain.config.save_pretrained(folder)
        tensors = {
            name: tensor.cpu().contiguous() for name, tensor in to_published(plain.state_dict()).items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(folder / TOKENIZER_FOLDER)
        if speakers:
            _write(folder / "speakers.json", {name: row for row, name in enumerate(speakers)})
        vocabulary = characters(tokenizer)
        if vocabulary is not None:
            _write(folder / "vocab.json", _spellings(vocabulary, tokenizer, untrained))
            _write(folder / "tokenizer_config.json", _stock_settings(tokenizer))
    except OSError as error:
        raise AmttsError(f"{folder} cannot be written: {error.strerror or error}") from None
    _check(plain, folder)


def _spellings(
    vocabulary: dict[str, int], tokenizer: TextTokenizer, untrained: Collection[int] | None
) -> dict[str, int]:
    """What `VitsTokenizer` looks up: special symbols, and characters that the voice learned, however spelled."""
    if untrained is None or getattr(tokenizer, "vocabulary", None) is not None:
        return vocabulary
    specials = {tokenizer.symbols()[tokenizer.pad_id], tokenizer.symbols()[tokenizer.unk_id]}
    letters = {sign: row for sign, row in vocabulary.items() if len(sign) == 1 and sign not in specials}
    kept = {sign: row for sign, row in vocabulary.items() if sign in specials}
    return kept | with_spellings(letters, untrained=untrained)


def _stock_settings(tokenizer: TextTokenizer) -> dict[str, Any]:
    own = getattr(tokenizer, "stock_settings", None)
    if own is not None:
        settings: dict[str, Any] = own()
        return settings
    return {
        "tokenizer_class": "VitsTokenizer",
        "add_blank": True,
        "is_uroman": False,
        "language": "amh",
        "normalize": True,
        "pad_token": tokenizer.symbols()[tokenizer.pad_id],
        "phonemize": False,
        "unk_token": tokenizer.symbols()[tokenizer.unk_id],
    }


def _write(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def check_utterance(model: Any) -> Utterance:
    """A sentence of ids without noise, to compare waveforms by."""
    rows = model.config.vocab_size
    tokens = [0] * 41
    tokens[1::2] = [1 + (7 * place) % max(1, rows - 1) for place in range(20)]
    return Utterance(tokens=[min(t, rows - 1) for t in tokens], noise_scale=0.0, noise_scale_duration=0.0)


@torch.inference_mode()
def _check(plain: Any, folder: Path) -> None:
    again = _read_again(folder)
    plain, utterance = plain.cpu(), check_utterance(plain)
    mine, theirs = speak(plain, [utterance])[0].waveform, speak(again, [utterance])[0].waveform
    far = float((mine - theirs).abs().max()) if mine.shape == theirs.shape else float("inf")
    if not far <= LARGEST_DIFFERENCE:
        raise CheckpointError(f"{folder} was written, but speaks differently when read again (by {far:.1e})")


def _read_again(folder: Path) -> Any:
    """As a user of transformers does, without its progress bar."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        return VitsModel.from_pretrained(folder).eval()
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
