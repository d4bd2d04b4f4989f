"""The text encoder of VITS on text alone, for `amtts extend-vocab`: transformers' own, on published names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import CheckpointError

_PREFIX = "text_encoder."


def probe(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """See `amtts_core.finetune.vocab.probe.TextProbe`; blanks are put between the ids, as the model was trained."""
    from transformers import VitsConfig
    from transformers.models.vits.modeling_vits import VitsTextEncoder

    own = {
        name.removeprefix(_PREFIX): value.float()
        for name, value in weights.items()
        if name.startswith(_PREFIX)
    }
    table = own["embed_tokens.weight"]
    settings = VitsConfig(**{**config, "vocab_size": table.shape[0], "hidden_size": table.shape[1]})
    encoder = VitsTextEncoder(settings).eval()
    try:
        encoder.load_state_dict(own, strict=True)
    except RuntimeError as fault:
        what = " ".join(str(fault).split())[:200]
        beside = (
            "the config.json beside the weights"
            if config
            else "the published sizes (no config.json is beside)"
        )
        raise CheckpointError(
            f"the text encoder does not fit {beside}: {what}",
            remedy="Give the folder that holds weights and config.json together",
        ) from None
    outputs: dict[str, list[Tensor]] = {"prior_means": [], "prior_log_variances": [], "hidden": []}
    with torch.inference_mode():
        for ids in sequences:
            spaced = torch.zeros(1, 2 * len(ids) + 1, dtype=torch.int64)
            spaced[0, 1::2] = torch.tensor(ids)
            mask = torch.ones_like(spaced)
            found = encoder(spaced, padding_mask=mask[..., None].float(), attention_mask=mask)
            outputs["hidden"].append(found.last_hidden_state[0])
            outputs["prior_means"].append(found.prior_means[0])
            outputs["prior_log_variances"].append(found.prior_log_variances[0])
    return {name: torch.cat(values) for name, values in outputs.items()}
