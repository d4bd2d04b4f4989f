"""Weights that `model.start` and `model.start_discriminator` name: a VITS folder or hub id, a published discriminator.

Everything is loaded strictly; a warning names what is newly initialized because the weights lack it.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import CheckpointError
from amtts_vits.config import VitsSettings
from amtts_vits.discriminator import Discriminator
from amtts_vits.network import SIZES, VitsNetwork, model_config
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.start_speakers import fit_speakers
from amtts_vits.weights import (
    check_discriminator,
    discriminator_sizes,
    from_published,
    read_weights,
    split_norm,
)

logger = logging.getLogger(__name__)

VOCODER = ("decoder.", "posterior_encoder.", "flow.")
"""Prefixes of the parts that do not read text: initial weights for another language or script."""
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
"""Sizes that all published checkpoints share, so that they are no settings."""


def start_generator(network: VitsNetwork, settings: VitsSettings, tokenizer: TextTokenizer) -> None:
    """Fills the generator with the weights that `settings.start` names.

    Raises:
        CheckpointError: not found, not VITS, of other sizes (names the settings that fit), or with other tensors.
    """
    folder = _folder(settings.start)
    theirs = read_vits_config(folder)
    speakers = network.generator.config.num_speakers
    _compare(settings, theirs, folder, speakers)
    own = network.generator.state_dict()
    found = split_norm(fit_speakers(_weights(folder), speakers, folder), own)
    new = {name: tensor for name, tensor in own.items() if _is_new(name, found, settings)}
    if settings.start_parts == "all":
        found[EMBEDDING] = _embedding(found[EMBEDDING], own[EMBEDDING], folder, tokenizer)
        if random := sorted({name.split(".")[0] for name in new}):
            logger.warning("%s has no such speakers; randomly initialized: %s", folder, ", ".join(random))
    else:
        found = {name: tensor for name, tensor in found.items() if name.startswith(VOCODER)}
    load_strict(network.generator, {**found, **new}, backend="vits")
    logger.info("initial weights from %s (%s of %s tensors)", folder, len(own) - len(new), len(own))


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
            f"{source} has discriminators for {periods} periods, model.discriminator.periods has "
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
        logger.warning("%s has no discriminators of spectrograms; they are randomly initialized", source)
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


def read_vits_config(folder: Path) -> GeneratorSizes:
    """The config.json of a folder.

    Raises:
        CheckpointError: missing, damaged, or not of VITS.
    """
    try:
        values: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if values["model_type"] != "vits":
            raise ValueError(f"model_type is '{values['model_type']}'")
        return GeneratorSizes.of(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: config.json describes no VITS ({error})") from None


def _weights(folder: Path) -> dict[str, Tensor]:
    for name in _FILES:
        if (folder / name).is_file():
            return read_weights(folder / name, landmark=EMBEDDING)
    raise CheckpointError(f"{folder} holds no weights; expected {' or '.join(_FILES)}")


def _compare(settings: VitsSettings, theirs: GeneratorSizes, folder: Path, speakers: int) -> None:
    """Refuses other sizes, and says which settings would fit."""
    mine = model_config(settings, vocab_size=1, num_speakers=1)
    wrong = [
        f"model.{name}={json.dumps(getattr(theirs, name))}"
        for name in SIZES
        if plain(getattr(theirs, name)) != plain(getattr(mine, name))
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


def plain(value: object) -> object:
    """Tuples as lists, as JSON has them."""
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _embedding(table: Tensor, own: Tensor, folder: Path, tokenizer: TextTokenizer) -> Tensor:
    """(V', H): the published embedding of the same symbol, else the mean of those of its sounds.

    Id 0 is the blank in both; a letter that shared it keeps a copy of its embedding.
    """
    from amtts_core.finetune.vocab.initialize import choose_sources, initial_embedding

    try:
        old = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        old = {str(symbol): int(number) for symbol, number in old.items() if int(number) < len(table)}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: vocab.json cannot be read ({error})") from None
    symbols = [" " if symbol == "▁" else symbol for symbol in tokenizer.symbols()]
    new = {symbol: number for number, symbol in enumerate(symbols) if number and symbol not in old}
    sources = choose_sources(new, old, init="romanized", consonants=_consonants(tokenizer))
    found, published = [], table.float()
    for number, symbol in enumerate(symbols):
        if number == 0:
            found.append(published[0])
        elif symbol in old:
            found.append(published[old[symbol]])
        else:
            found.append(initial_embedding(sources[symbol], symbol, published, old, seed=0, tensor=EMBEDDING))
    random = [symbol for symbol in new if sources[symbol].init != "romanized"]
    if random:
        logger.warning(
            "%d of %d symbols have no sound of %s and are randomly initialized: %s",
            len(random),
            len(symbols),
            folder,
            " ".join(random[:20]),
        )
    return torch.stack(found).to(own.dtype)


def _consonants(tokenizer: TextTokenizer) -> list[str]:
    from amtts_core.tokenizers.fidel_alphabet import consonants

    return list(consonants()) if tokenizer.kind == "fidel" else []
