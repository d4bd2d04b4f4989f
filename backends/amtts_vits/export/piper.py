"""A voice for piper: `voice.onnx` and `voice.onnx.json`, read character by character ("text" phonemes).

Empty start and end marks and an id 0 as padding make piper's id sequence [0, c, 0, ..., 0], which VITS learnt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_vits.export.characters import character_table
from amtts_vits.export.onnx_model import Exported, ids_of, write_model

NAMES = ("input", "input_lengths", "scales")


class PiperExported(Exported):
    """The same network with piper's inputs."""

    def forward(  # type: ignore[override]
        self, ids: Tensor, lengths: Tensor, scales: Tensor, sid: Tensor | None = None
    ) -> Tensor:
        """(N, L) ids, (N,) lengths, (3,) noise, length and duration-noise scales -> (N, 1, T)."""
        return super().forward(ids, lengths, scales[0:1], scales[1:2], scales[2:3], sid)


def write_piper(
    model: Any,
    tokenizer: TextTokenizer,
    folder: Path,
    speakers: Sequence[str],
    untrained: Collection[int] | None = None,
) -> None:
    """Writes both files."""
    table = character_table(tokenizer, what="piper", untrained=untrained)
    ids = ids_of(table)
    config = model.config
    hop = 1
    for rate in config.upsample_rates:
        hop *= rate
    voice = {
        "audio": {"sample_rate": config.sampling_rate},
        "espeak": {"voice": "am"},
        "phoneme_type": "text",
        "num_symbols": max(config.vocab_size, max(ids.values()) + 1),
        "num_speakers": config.num_speakers,
        "inference": {
            "noise_scale": config.noise_scale,
            "length_scale": 1.0,
            "noise_w": config.noise_scale_duration,
        },
        "phoneme_id_map": {**{sign: [row] for sign, row in ids.items()}, "_": [0], "^": [], "$": []},
        "speaker_id_map": {name: row for row, name in enumerate(speakers)} if len(speakers) > 1 else {},
        "hop_length": hop,
    }
    write_model(model, folder / "voice.onnx", names=NAMES, metadata={}, table=table, wrap=PiperExported)
    text = json.dumps(voice, ensure_ascii=False, indent=1)
    (folder / "voice.onnx.json").write_text(text + "\n", encoding="utf-8")
