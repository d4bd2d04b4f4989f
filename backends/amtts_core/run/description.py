"""What every checkpoint of a run says about how it was made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from pathlib import Path

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.checkpoints.write_backend import describe_backend
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.data.dataset import SpeechDataset
from amtts_core.run.inputs import RunInputs


def describe(backend: Backend, inputs: RunInputs) -> CheckpointInfo:
    """Describes a run before its data is read; see `with_data` for the rest."""
    config, provenance = inputs.config, inputs.provenance
    return describe_backend(
        backend,
        backend_config=config.model,
        training_type=config.training.type,
        freeze=config.training.freeze.model_dump(mode="json", exclude_defaults=True),
        new_tokens=list(provenance.new_tokens),
        started_from=provenance.source,
        normalizer=inputs.normalizer.settings.model_dump(mode="json"),
        base_weights_license=provenance.license or _license(backend.spec, config),
        data_licenses=list(inputs.data_provenance.licenses),
        consent_notes=list(inputs.data_provenance.consent_notes),
        git_revision=git_revision(),
        versions={
            name: importlib.metadata.version(name) for name in ("amtts", "torch", "numpy", "accelerate")
        },
    )


def with_data(info: CheckpointInfo, data: SpeechDataset, tokenizer: TextTokenizer | None) -> CheckpointInfo:
    """The description with the hash of the training utterances and the tokens that none of them holds."""
    digest = hashlib.sha256()
    for utterance in data.utterances:
        digest.update(f"{utterance.id}|{utterance.duration}|{utterance.spoken_text()}\n".encode())
    return info.model_copy(
        update={"dataset_hash": digest.hexdigest(), "untrained_tokens": _untrained(tokenizer, data)}
    )


def _license(spec: BackendSpec, config: RunConfig) -> str:
    """Of the weights that its settings let it start from; a network from scratch is free of any."""
    named = any(config.model.get(key) != none for key, none in spec.fine_tuning.init_weight_settings.items())
    return spec.weights_license if named else "none: trained from scratch"


def _untrained(tokenizer: TextTokenizer | None, data: SpeechDataset) -> list[int]:
    """Token ids that no training text holds, apart from the special ones."""
    if tokenizer is None:
        return []
    met = {token for tokens in data.tokens for token in tokens}
    met |= {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return [token for token in range(tokenizer.vocab_size) if token not in met]


def git_revision(source: Path = Path(__file__)) -> str:
    """Revision of the amtts checkout that this code runs from; empty for an installed package.

    An installed package may stand inside of somebody else's repository (a virtual environment in a project folder):
    the revision counts only where that repository tracks this file.

    Args:
        source: a file of the package.
    """
    git = ["git", "-C", str(source.parent)]
    try:
        _git(*git, "ls-files", "--error-unmatch", source.name)
        return _git(*git, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
