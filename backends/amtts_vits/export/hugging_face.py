"""A folder that plain transformers reads: `VitsModel.from_pretrained`, and `AutoTokenizer` where letters stay apart.

`VitsTokenizer` writes one id a character, which fits the `char` and `vits` tokenizers; `letters` spells for the `fidel`
one. Tokenizers that join letters (`unigram`, `bpe`) are written as amtts' own folder only; ids come from SentencePiece.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.synthesis.onnx_file import require_same
from amtts_vits.batches import with_blanks
from amtts_vits.export.characters import character_table, characters, with_spellings
from amtts_vits.export.check import ERROR, PACE, check_utterance
from amtts_vits.export.letters import write_letters
from amtts_vits.export.onnx_model import Exported
from amtts_vits.modules import Generator
from amtts_vits.network import separate_copy
from amtts_vits.weights import fold_norm, to_published

logger = logging.getLogger(__name__)

TOKENIZER_FOLDER = "amtts_tokenizer"


def write_hugging_face(
    model: Generator,
    tokenizer: TextTokenizer,
    folder: Path,
    speakers: Sequence[str],
    untrained: Collection[int] | None = None,
) -> None:
    """Writes config.json, model.safetensors and the tokenizers; spellings of one sound have the same ids.

    Raises:
        AmttsError: the folder cannot be written.
        CheckpointError: what was written speaks differently when it is read again.
    """
    from transformers import VitsConfig

    plain = separate_copy(model)
    fold_norm(plain.decoder)  # transformers' decoder has none; its WaveNets have
    try:
        folder.mkdir(parents=True, exist_ok=True)
        VitsConfig(**plain.config.published(), architectures=["VitsModel"]).save_pretrained(folder)
        tensors = {
            name: tensor.cpu().contiguous() for name, tensor in to_published(plain.state_dict()).items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(folder / TOKENIZER_FOLDER)
        if speakers:
            _write(folder / "speakers.json", {name: row for row, name in enumerate(speakers)})
        letters = _write_tokenizer(tokenizer, folder, untrained, vocab_size=plain.config.vocab_size)
    except OSError as error:
        raise AmttsError(f"{folder} cannot be written: {error.strerror or error}") from None
    _check(plain, folder)
    if letters:
        _check_tokenizer(letters, folder)


def _write_tokenizer(
    tokenizer: TextTokenizer, folder: Path, untrained: Collection[int] | None, *, vocab_size: int
) -> dict[str, list[int]]:
    """Writes what transformers can read; returns the letters that it spells, none where it cannot be compared."""
    vocabulary = characters(tokenizer)
    if vocabulary is not None:
        _write(folder / "vocab.json", _spellings(vocabulary, tokenizer, untrained))
        _write(folder / "tokenizer_config.json", _stock_settings(tokenizer))
        return {}
    try:
        table = character_table(tokenizer, what="transformers", untrained=untrained)
    except AmttsError as error:
        logger.warning("%s: ids come from %s/tokenizer.model, see README.md", error.message, TOKENIZER_FOLDER)
        return {}
    write_letters(table, folder, vocab_size=vocab_size)
    return table


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


@torch.inference_mode()
def _check(plain: Generator, folder: Path) -> None:
    """Has transformers read and speak the folder, by its own `forward`, as the last speaker."""
    again = _read_again(folder)
    again.noise_scale = again.noise_scale_duration = 0.0
    tokens = torch.tensor([check_utterance(plain).tokens])
    several = plain.config.num_speakers > 1
    speaker = plain.config.num_speakers - 1 if several else None
    theirs = again(tokens, speaker_id=speaker, speaking_rate=1 / PACE).waveform[0]
    quiet, sid = torch.zeros(1), torch.tensor([speaker]) if several else None
    length = torch.tensor([tokens.shape[1]])
    mine = Exported(plain.cpu())(tokens, length, quiet, torch.full((1,), PACE), quiet, sid)[0, 0]
    require_same(theirs, mine, what=str(folder), who="transformers", error=ERROR)


def _check_tokenizer(table: dict[str, list[int]], folder: Path) -> None:
    """Has transformers write every letter."""
    from transformers import AutoTokenizer

    text = "".join(table)
    found = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    if found != with_blanks([row for sign in text for row in table[sign]]):
        raise CheckpointError(f"{folder} was written, but transformers writes other ids than amtts")


def _read_again(folder: Path) -> Any:
    """As a user of transformers does, without its progress bar."""
    from transformers import VitsModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return VitsModel.from_pretrained(folder).eval()
    finally:
        if shown:
            logging.enable_progress_bar()
