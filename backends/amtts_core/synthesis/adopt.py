"""Published weights as a checkpoint that speaks, without any training: their own languages, their own tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.contract.registry import get_backend
from amtts_core.errors import AmttsError, ConfigError
from amtts_core.text.settings import NormalizerSettings
from amtts_core.tokenizers.published.open import open_any_tokenizer

logger = logging.getLogger(__name__)

AS_WRITTEN = NormalizerSettings(
    punctuation=False,
    abbreviations=False,
    numbers=False,
    latin=False,
    typos=False,
    fold_homophones=False,
    fold_labialised=False,
    strip_gemination_marks=False,
)
"""Nothing of a language's rules: the caller writes the text as the weights were trained to read it."""


def adopt(
    folder: Path,
    out: Path,
    *,
    backend: str,
    tokenizer: Path,
    language: str = "",
    settings: Mapping[str, Any] | None = None,
) -> CheckpointInfo:
    """Writes a checkpoint with published weights as they are.

    Args:
        folder: with the weights, or their file.
        out: checkpoint folder to make.
        backend: name of the family.
        tokenizer: published tokenizer file, or the folder that holds one.
        language: tag before every text, such as "en" for [en]; empty puts none.
        settings: of the network, such as its codec.

    Raises:
        AmttsError: the family publishes no such weights, files do not fit together, or `out` is not empty.
    """
    kind = get_backend(backend)
    published = kind.spec.published
    if published is None or published.tokenizer is None:
        raise AmttsError(f"backend '{backend}' reads no published weights with text")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AmttsError(f"{out} is not an empty folder", remedy="Choose another --out")
    start = published.open_weights(folder)
    if kind.spec.fine_tuning.init_weight_settings:
        raise AmttsError(
            f"backend '{backend}' takes published weights in training only", remedy="amtts train --from"
        )
    text = open_any_tokenizer(tokenizer, prefer=published.tokenizer, language=language)
    try:
        config = kind.spec.config.model_validate({**start.model, **(settings or {})})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"model.{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    built = kind(config, tokenizer=text)
    start.load_into(built)
    if files := kind.spec.saved_voices:
        beside = folder if folder.is_dir() else folder.parent
        logger.info("%s", files.of(built).load_published_voice(beside) or "no voice beside them")
    return write_backend(
        out,
        built,
        started_from=str(folder),
        normalizer=AS_WRITTEN.model_dump(mode="json"),
        base_weights_license=published.license,
    )
