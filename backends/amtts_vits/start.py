"""Weights to start from: a Hugging Face VITS folder (such as MMS-TTS) or hub id, and a published discriminator.

Everything is loaded strictly; what a start does not have (new symbols, new speakers) is told in a warning.
"""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import VitsConfig

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.published import PublishedWeights
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import CheckpointError
from amtts_vits.config import VitsSettings
from amtts_vits.discriminator import Discriminator
from amtts_vits.network import SIZES, VitsNetwork, model_config
from amtts_vits.start_speakers import fit_speakers
from amtts_vits.weights import (
    check_discriminator,
    discriminator_sizes,
    from_published,
    read_weights,
    split_norm,
)

logger = logging.getLogger(__name__)

LICENSE = "that of the weights it started from; MMS-TTS (facebook/mms-tts-*): CC-BY-NC 4.0"
VOCODER = ("decoder.", "posterior_encoder.", "flow.")
"""What knows sound and no text; starts a voice of another language or script."""
EMBEDDING = "text_encoder.embed_tokens.weight"
_SPEAKER = re.compile(r"embed_speaker\.|(decoder|duration_predictor)\.cond\.|\.cond_layer\.")
_FILES = ("model.safetensors", "pytorch_model.bin")
_FIXED = (
    "use_bias",
    "hidden_act",
    "layer_norm_eps",
    "leaky_relu_slope",
    "depth_separable_channels",
    "depth_separable_num_layers",
    "duration_predictor_tail_bound",
)
"""What every published checkpoint has alike, so that no setting is needed for it."""


class VitsFormat:
    """Hugging Face VITS folders (MMS-TTS) and hub ids; see `PublishedFormat`."""

    def open_weights(self, path: Path) -> PublishedWeights:
        """The settings that fit the weights, `model.start` among them: `Backend.initialize` loads what it names."""
        theirs = _config(path)
        mel = VitsSettings().mel.model_dump(mode="json")
        mel |= {"n_fft": 2 * (theirs.spectrogram_bins - 1), "hop": math.prod(theirs.upsample_rates)}
        mel |= {"sample_rate": theirs.sampling_rate, "fmax": theirs.sampling_rate / 2}
        model: dict[str, Any] = {"start": str(path), "mel": mel}
        model |= {name: _plain(getattr(theirs, name)) for name in SIZES}
        if theirs.num_speakers > 1:
            model["speaker_embedding_size"] = theirs.speaker_embedding_size
        return PublishedWeights(model=model, load_into=lambda backend: (), license=LICENSE)


def start_generator(network: VitsNetwork, settings: VitsSettings, tokenizer: TextTokenizer) -> None:
    """Fills the generator with the weights that `settings.start` names.

    Raises:
        CheckpointError: not found, not VITS, of other sizes (names the settings that fit), or with other tensors.
    """
    folder = _folder(settings.start)
    theirs = _config(folder)
    speakers = network.generator.config.num_speakers
    _compare(settings, theirs, folder, speakers)
    own = network.generator.state_dict()
    found = split_norm(fit_speakers(_weights(folder), speakers, folder), own)
    new = {name: tensor for name, tensor in own.items() if _is_new(name, found, settings)}
    if settings.start_parts == "all":
        found[EMBEDDING] = _embedding(found[EMBEDDING], own[EMBEDDING], folder, tokenizer)
        told = sorted({name.split(".")[0] for name in new})
        if told:
            logger.warning(
                "%s knows no such speakers; these parts of it start fresh: %s", folder, ", ".join(told)
            )
    else:
        found = {name: tensor for name, tensor in found.items() if name.startswith(VOCODER)}
    load_strict(network.generator, {**found, **new}, backend="vits")
    logger.info("started from %s (%s of %s tensors)", folder, len(own) - len(new), len(own))


def _is_new(name: str, found: dict[str, Tensor], settings: VitsSettings) -> bool:
    if settings.start_parts == "vocoder" and not name.startswith(VOCODER):
        return True
    return bool(_SPEAKER.search(name)) and name not in found


def start_discriminator(discriminator: Discriminator, source: str, settings: VitsSettings) -> None:
    """Fills the discriminator from a published file.

    Raises:
        CheckpointError: no such file, a generator's file, or other sizes than in the settings.
    """
    weights = read_weights(Path(source))
    check_discriminator(weights, source)
    sizes = discriminator_sizes(weights)
    own = {name: list(getattr(settings.discriminator, name)) for name in sizes}
    wrong = [name for name in sizes if sizes[name] != own[name]]
    if wrong:
        raise CheckpointError(
            f"{source} has {', '.join(f'{name} {sizes[name]}' for name in wrong)}; "
            f"the settings say {', '.join(str(own[name]) for name in wrong)}",
            remedy="Use "
            + " ".join(f"--set 'model.discriminator.{name}={json.dumps(sizes[name])}'" for name in wrong),
        )
    periods = len({name.split(".")[1] for name in weights}) - 1
    if periods != len(settings.discriminator.periods):
        raise CheckpointError(
            f"{source} judges {periods} periods, model.discriminator.periods has "
            f"{len(settings.discriminator.periods)}",
            remedy="Name the periods that the file was trained with, published ones: "
            "--set 'model.discriminator.periods=[2,3,5,7,11]'",
        )
    fresh = {
        name: tensor
        for name, tensor in discriminator.state_dict().items()
        if int(name.split(".")[1]) >= discriminator.published
    }
    if fresh:
        logger.warning("%s knows no critics of spectrograms; these start fresh", source)
    load_strict(discriminator, {**from_published(weights), **fresh}, backend="vits")


def _folder(start: str) -> Path:
    path = Path(start)
    if path.is_dir():
        return path
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", start):
        raise CheckpointError(
            f"model.start is '{start}', which is no folder",
            remedy="Give a folder with config.json and model.safetensors, or a hub id such as facebook/mms-tts-amh",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(start, allow_patterns=["*.json", "*.txt", *_FILES]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"model.start '{start}' is neither a folder nor can it be fetched ({type(error).__name__})",
            remedy="Download it where there is a network, copy the folder here and give its path",
        ) from None


def _config(folder: Path) -> VitsConfig:
    try:
        values: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if values["model_type"] != "vits":
            raise ValueError(f"model_type is '{values['model_type']}'")
        return VitsConfig.from_dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: config.json describes no VITS ({error})") from None


def _weights(folder: Path) -> dict[str, Tensor]:
    for name in _FILES:
        if (folder / name).is_file():
            return read_weights(folder / name, landmark=EMBEDDING)
    raise CheckpointError(f"{folder} holds no weights; expected {' or '.join(_FILES)}")


def _compare(settings: VitsSettings, theirs: VitsConfig, folder: Path, speakers: int) -> None:
    """Refuses other sizes, and says which settings would fit."""
    mine = model_config(settings, vocab_size=1, num_speakers=1)
    wrong = [
        f"model.{name}={json.dumps(getattr(theirs, name))}"
        for name in SIZES
        if _plain(getattr(theirs, name)) != _plain(getattr(mine, name))
    ]
    if theirs.sampling_rate != settings.mel.sample_rate:
        wrong.append(f"model.mel.sample_rate={theirs.sampling_rate}")
    if theirs.spectrogram_bins != mine.spectrogram_bins:
        wrong.append(f"model.mel.n_fft={2 * (theirs.spectrogram_bins - 1)}")
    size = theirs.speaker_embedding_size
    if min(speakers, theirs.num_speakers) > 1 and size != settings.speaker_embedding_size:
        wrong.append(f"model.speaker_embedding_size={size}")
    if wrong:
        raise CheckpointError(
            f"{folder} has other sizes than the settings", remedy=f"Use --set {' --set '.join(wrong)}"
        )
    for name in _FIXED:
        if getattr(theirs, name) != getattr(mine, name):
            raise CheckpointError(
                f"{folder}: {name} is {getattr(theirs, name)}, this backend always has {getattr(mine, name)}"
            )


def _plain(value: object) -> object:
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _embedding(table: Tensor, own: Tensor, folder: Path, tokenizer: TextTokenizer) -> Tensor:
    """(V', H) rows for our symbols: the old row of the same symbol, else made of the old rows of its sounds.

    Row 0 is the blank in both; a letter that shared it keeps the row's values as its own.
    """
    from amtts_core.finetune.vocab.initialise import new_row, row_origins

    try:
        old = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        old = {str(symbol): int(row) for symbol, row in old.items() if int(row) < len(table)}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: vocab.json cannot be read ({error})") from None
    symbols = [" " if symbol == "▁" else symbol for symbol in tokenizer.symbols()]
    fresh = {symbol: row for row, symbol in enumerate(symbols) if row and symbol not in old}
    origins = row_origins(fresh, old, init="romanized", consonants=_consonants(tokenizer))
    rows, source = [], table.float()
    for row, symbol in enumerate(symbols):
        if row == 0:
            rows.append(source[0])
        elif symbol in old:
            rows.append(source[old[symbol]])
        else:
            rows.append(new_row(origins[symbol], symbol, source, old, seed=0, tensor=EMBEDDING))
    guessed = [symbol for symbol in fresh if origins[symbol].init != "romanized"]
    if guessed:
        logger.warning(
            "%d of %d symbols sound like none of %s and start at random: %s",
            len(guessed),
            len(symbols),
            folder,
            " ".join(guessed[:20]),
        )
    return torch.stack(rows).to(own.dtype)


def _consonants(tokenizer: TextTokenizer) -> list[str]:
    from amtts_core.tokenizers.fidel_alphabet import consonants

    return list(consonants()) if tokenizer.kind == "fidel" else []
