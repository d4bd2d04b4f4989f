"""Speakers of a checkpoint and of a new corpus: rows by name, new speakers, one voice to several, several to one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from amtts_core.checkpoints.checkpoint import Checkpoint, CheckpointInfo
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import SpeakerConditioning
from amtts_core.contract.speakers import SpeakerTable

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def speakers_of_checkpoint(info: CheckpointInfo) -> SpeakerTable:
    """The speakers that a checkpoint has."""
    return SpeakerTable.of(info.speakers, has_embedding=info.speaker_embedding)


def speaker_table(names: Sequence[str], spec: BackendSpec[Any], before: SpeakerTable) -> SpeakerTable:
    """The speakers of a run.

    Args:
        names: of the corpus.
        spec: of the backend; one without `SpeakerConditioning` learns one voice.
        before: of the weights that the run starts from or resumes; empty where there are none.
    """
    if spec.speakers is None:
        if len(names) > 1:
            logger.warning(
                "backend '%s' has no speakers: %d speakers are learned as one voice (%s)",
                spec.name,
                len(names),
                ", ".join(names[:5]),
            )
        return SpeakerTable()
    keeps_row = bool(before.num_embeddings) and len(names) <= 1 and spec.speaker_folding is None
    return SpeakerTable.of(names or ([""] if keeps_row else []), has_embedding=keeps_row)


def weights_for_speakers(target: Backend[Any], checkpoint: Checkpoint) -> dict[str, Tensor]:
    """A checkpoint's tensors for the speakers of `target`: rows by name, the mean voice for a new speaker."""
    weights = checkpoint.weights()
    if conversion := target.spec.weight_conversion:
        weights = conversion.of(target).convert_weights(weights)
    conditioning = target.spec.speakers
    before, now = speakers_of_checkpoint(checkpoint.info), target.speakers
    if conditioning is None or before == now:
        return weights
    new = [name for name in now.names if name not in before]
    if new and before.names:
        logger.warning(
            "%s has no speakers of these names; they start as the mean of its speakers: %s",
            checkpoint.folder,
            ", ".join(name or "(unnamed)" for name in new[:10]),
        )
    if before.num_embeddings and not now.num_embeddings:
        return _folded(target, weights, before)
    own = target.network.state_dict()
    learned = {name for name, _ in target.network.named_parameters()}
    _add_layers(weights, own, conditioning)
    for name in conditioning.tables:
        old, fresh = weights.get(name), own.get(name)
        if fresh is None:
            weights.pop(name, None)
        elif old is None:
            weights[name] = fresh.clone() if conditioning.layers else fresh.new_zeros(fresh.shape)
        else:
            weights[name] = _rows(old, fresh, before=before, now=now, mean_for_new=name in learned)
    return weights


def _folded(target: Backend[Any], weights: Mapping[str, Tensor], before: SpeakerTable) -> dict[str, Tensor]:
    """Several speakers to one in a network whose single voice has no speaker table."""
    folding = target.spec.speaker_folding
    assert folding is not None  # `speaker_table` keeps a row otherwise
    name = target.speakers.names[0] if target.speakers.names else ""
    speaker = before.names.index(name) if name in before else None
    return folding.of(target).fold_speaker(weights, speaker=speaker)


def _rows(
    old: Tensor, fresh: Tensor, *, before: SpeakerTable, now: SpeakerTable, mean_for_new: bool
) -> Tensor:
    """Rows of the speakers `now`: those of `old` by name; new ones as the mean, or as `fresh` has them."""
    rows = fresh.clone()
    for index, name in enumerate(now.names or ("",)):
        if name in before:
            rows[index] = old[before.names.index(name)]
        elif mean_for_new:
            rows[index] = old.mean(0).to(rows.dtype)
    return rows


def _add_layers(
    weights: dict[str, Tensor], own: Mapping[str, Tensor], conditioning: SpeakerConditioning
) -> None:
    """Adds the layers through which a speaker embedding enters, at zero: at first every speaker sounds alike."""
    for name, tensor in own.items():
        if name in weights or not any(part in name for part in conditioning.layers):
            continue
        direction = name.endswith(("original1", "weight_v"))  # of a weight-normed layer; its length is zero
        weights[name] = tensor.clone() if direction else tensor.new_zeros(tensor.shape)
